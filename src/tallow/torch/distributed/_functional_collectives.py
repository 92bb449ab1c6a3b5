"""torch.distributed._functional_collectives: collectives that give new tensors."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    refuses={
        "they are not supported (use torch.distributed's own)": (
            "all_reduce all_gather_tensor reduce_scatter_tensor broadcast AsyncCollectiveTensor"
        )
    },
)
