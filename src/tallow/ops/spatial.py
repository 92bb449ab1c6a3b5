"""What ops over spatial axes share: sizes per axis, and checks of their tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import ArgumentError, NoKernelError, expect
from ..tensor import Tensor, unwrap_tensor

Sizes = int | Sequence[int]


def sizes(value: Any, n: int, where: object, what: str, least: int = 0) -> tuple[int, ...]:
    """`value` as n integers of at least `least`: a number stands for all, a list gives each."""
    if type(value) is int and value >= least:
        return (value,) * n
    found = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    if len(found) == 1:
        found *= n
    whole = all(hasattr(v, "__index__") for v in found)
    good = len(found) == n and whole and all(v >= least for v in found)
    if not good:
        kind = "a positive integer" if least == 1 else f"an integer of at least {least}"
        each = kind if n == 1 else f"{kind}, or {n} of them"
        expect(False, where, f"{what} of {each}", value, ArgumentError)
    return tuple(int(v) for v in found)


def is_float(dtype: Any) -> bool:
    """Whether a dtype is one of f64, f32, f16 and bf16, which these ops compute with."""
    return bool(dtype.kind == "f" and dtype.itemsize >= 2)


def check_float(where: object, *tensors: Tensor | None) -> None:
    """DTypeError unless all are float tensors of one dtype."""
    first: Any = None
    for x in tensors:
        if x is None:
            continue
        unwrap_tensor(x, where)
        first = first or x.dtype
        if not is_float(x.dtype):
            expect(False, where, "f32, f64, f16 or bf16", x.dtype.name, NoKernelError)
        if x.dtype is not first:
            expect(False, where, f"all of dtype {first.name}", x.dtype.name, NoKernelError)


def check_spatial(where: str, n: int, input: Tensor, integers: bool = False) -> None:
    """Refuse what is not (batch, channels, *n axes), or without batch, of floats (or integers)."""
    unwrap_tensor(input, where)
    if not (integers and input.dtype.kind in "iu"):
        check_float(where, input)
    fits = input.ndim in (n + 1, n + 2) and 0 not in input.shape[-n - 1 :]
    if not fits:
        axes = ", ".join(("length",) if n == 1 else ("depth", "height", "width")[3 - n :])
        wanted = f"shape (batch, channels, {axes}) or (channels, {axes}), none but the batch 0"
        expect(False, where, wanted, input.shape)
