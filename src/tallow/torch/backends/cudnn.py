"""torch.backends.cudnn: not there; its switches can be set and change nothing."""

from __future__ import annotations

from contextlib import AbstractContextManager

from tallow.torch._names import Settings, namespace
from tallow.torch.backends._switch import held

enabled = True
benchmark = False
benchmark_limit = 10
deterministic = False
allow_tf32 = True
fp32_precision = "none"
conv = Settings(fp32_precision="none")
rnn = Settings(fp32_precision="none")

__getattr__, __dir__ = namespace(
    __name__, answers={"is_available": False, "version": None, "is_acceptable": False}
)


def flags(
    enabled: bool = False,
    benchmark: bool = False,
    benchmark_limit: int = 10,
    deterministic: bool = False,
    allow_tf32: bool = True,
    fp32_precision: str = "none",
) -> AbstractContextManager[None]:
    """A block with these switches."""
    return held(
        globals(), enabled=enabled, benchmark=benchmark, benchmark_limit=benchmark_limit,
        deterministic=deterministic, allow_tf32=allow_tf32, fp32_precision=fp32_precision,
    )  # fmt: skip
