"""File formats: bytes to named arrays and back; nothing here knows about models.

Each module opens one format: `gguf.open_gguf`, `safetensors.open_safetensors`,
`torch_pickle.open_torch`. All of them map the file, check it before they trust it, and refuse it
with one `FormatError`.
"""

from tallow.packages import modules_of

__getattr__, __dir__ = modules_of(__name__, __path__)
