"""torch.masked: masked tensors are not there."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    refuses={
        "masked tensors are not supported (use torch.where)": (
            "MaskedTensor masked_tensor as_masked_tensor"
        )
    },
)
