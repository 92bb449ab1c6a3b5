"""torch.storage: memory behind tensors, which is not handed out."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    refuses={
        "storages are not handed out (use tensor.numpy() or data_ptr())": (
            "UntypedStorage TypedStorage FloatStorage"
        )
    },
)
