"""torch.cuda.nvtx: marks for a profiler of NVIDIA's that sees nothing here."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from tallow.torch._names import NoDeviceError, namespace

__getattr__, __dir__ = namespace(
    __name__,
    refuses={
        "NVTX is not there: Tallow runs on the CPU": (
            "range_push range_pop range_start range_end mark"
        )
    },
    error=NoDeviceError,
)


def range(msg: str, *args: Any, **kwargs: Any) -> AbstractContextManager[None]:
    """A block that does nothing."""
    return nullcontext()
