"""torch.storage: the memory behind tensors, which `tensor.untyped_storage()` gives."""

from __future__ import annotations

from tallow.protocols import TypedStorage, UntypedStorage
from tallow.torch._names import namespace

__all__ = ["TypedStorage", "UntypedStorage"]

__getattr__, __dir__ = namespace(
    __name__,
    refuses={
        "storages of one dtype are not made (use tensor.untyped_storage())": "FloatStorage",
    },
)
