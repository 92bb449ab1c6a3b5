"""safetensors, the format of Hugging Face: a JSON header of names, dtypes, shapes, then the bytes.

Source: https://github.com/huggingface/safetensors (README, `safetensors/src/tensor.rs`).
"""

from tallow.formats.mapping import Stored
from tallow.formats.safetensors.header import MAX_HEADER, read_header
from tallow.formats.safetensors.index import SafetensorsIndex, open_safetensors_index
from tallow.formats.safetensors.reading import SafetensorsFile, open_safetensors
from tallow.formats.safetensors.saving import save_safetensors
from tallow.formats.safetensors.types import DTYPES, NAMES, StoredType

__all__ = [
    "DTYPES",
    "MAX_HEADER",
    "NAMES",
    "SafetensorsFile",
    "SafetensorsIndex",
    "Stored",
    "StoredType",
    "open_safetensors",
    "open_safetensors_index",
    "read_header",
    "save_safetensors",
]
