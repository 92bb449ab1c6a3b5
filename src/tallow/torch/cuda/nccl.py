"""torch.cuda.nccl: it is not there."""

from __future__ import annotations

from tallow.torch._names import NoDeviceError, namespace

__getattr__, __dir__ = namespace(
    __name__,
    answers={"is_available": False},
    refuses={
        "there is no NCCL: Tallow runs on the CPU": (
            "version unique_id init_rank all_reduce reduce broadcast all_gather reduce_scatter"
        )
    },
    error=NoDeviceError,
)
