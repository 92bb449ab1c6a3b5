"""PyTorch's files (`.pt`, `.pth`, `.bin`): read without danger and without a copy, and written.

`open_torch` maps a file and lists its tensors, `load_torch` gives the whole object,
`open_torch_index` a sharded checkpoint, `save_torch` writes what `torch.load` reads.
"""

from tallow.formats.torch_pickle.index import TorchIndex, open_torch_index
from tallow.formats.torch_pickle.reading import TorchFile, load_torch, open_torch
from tallow.formats.torch_pickle.saving import save_torch
from tallow.formats.torch_pickle.values import NumpyArray, Record, Storage, TensorRef

__all__ = [
    "NumpyArray",
    "Record",
    "Storage",
    "TensorRef",
    "TorchFile",
    "TorchIndex",
    "load_torch",
    "open_torch",
    "open_torch_index",
    "save_torch",
]
