"""The switches at PyTorch's root: default dtype and device, printing, threads, determinism."""

from __future__ import annotations

from typing import Any

from tallow import num_threads as get_num_threads
from tallow import set_num_threads as _set_num_threads
from tallow.device import get_default_device, set_default_device
from tallow.dtype import DType, as_dtype
from tallow.errors import ArgumentError, expect

__all__ = ["get_default_device", "get_num_threads", "set_default_device"]


class _State:
    precision = "highest"
    deterministic = False
    warn_only = False
    interop_threads = 1
    warn_always = False


def get_default_dtype() -> DType:
    """The dtype of floats made without one."""
    from tallow.numeric import get_default_dtype as get

    return get()


def set_default_dtype(d: DType | str) -> None:
    """Make floats without a dtype of `d`: f32 (as at the start), f64, f16 or bf16."""
    from tallow.dtype import set_default_dtype as put

    put(d)


def set_default_tensor_type(t: Any) -> None:
    """`set_default_dtype` with the dtype of a typed tensor (`torch.DoubleTensor` or its name)."""
    set_default_dtype(as_dtype(t))


def set_num_threads(n: int) -> None:
    """Use `n` threads from now on, at least one."""
    expect(n > 0, set_num_threads, "a positive number", n, ArgumentError)
    _set_num_threads(n)


def get_num_interop_threads() -> int:
    """What was set; ops here do not run beside each other."""
    return _State.interop_threads


def set_num_interop_threads(n: int) -> None:
    """Remembered; ops here do not run beside each other."""
    expect(n > 0, set_num_interop_threads, "a positive number", n, ArgumentError)
    _State.interop_threads = n


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Remembered; every op here gives the same result each time as it is."""
    _State.deterministic, _State.warn_only = bool(mode), bool(mode and warn_only)


def are_deterministic_algorithms_enabled() -> bool:
    """What was set."""
    return _State.deterministic


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """What was set."""
    return _State.warn_only


_DEBUG_MODES = ("default", "warn", "error")


def set_deterministic_debug_mode(debug_mode: int | str) -> None:
    """0 or "default", 1 or "warn", 2 or "error", for `use_deterministic_algorithms`."""
    known = (*_DEBUG_MODES, 0, 1, 2)
    expect(debug_mode in known, set_deterministic_debug_mode, f"one of {known}", debug_mode,
           ArgumentError)  # fmt: skip
    level = debug_mode if isinstance(debug_mode, int) else _DEBUG_MODES.index(debug_mode)
    use_deterministic_algorithms(level > 0, warn_only=level == 1)


def get_deterministic_debug_mode() -> int:
    """0, 1 or 2."""
    return (1 if _State.warn_only else 2) if _State.deterministic else 0


_PRECISIONS = ("highest", "high", "medium")


def set_float32_matmul_precision(precision: str) -> None:
    """Remembered; products of f32 are always taken in f32."""
    expect(precision in _PRECISIONS, set_float32_matmul_precision, f"one of {_PRECISIONS}",
           precision, ArgumentError)  # fmt: skip
    _State.precision = precision


def get_float32_matmul_precision() -> str:
    """What was set."""
    return _State.precision


def set_flush_denormal(mode: bool) -> bool:
    """Whether denormal numbers are flushed now: never, for it would change results."""
    return False


def set_warn_always(b: bool) -> None:
    """Remembered."""
    _State.warn_always = b


def is_warn_always_enabled() -> bool:
    """What was set."""
    return _State.warn_always


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """How tensors are printed, as in PyTorch; `profile` is "default", "short" or "full"."""
    from tallow import printing

    printing.set_options(
        precision=precision, threshold=threshold, edgeitems=edgeitems, linewidth=linewidth,
        profile=profile, sci_mode=sci_mode,
    )  # fmt: skip
