"""Tensors out of numbers: ranges, identities, windows, and new ones in the likeness of another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..autograd.views import take_strided
from ..dtype import Default, DType, DTypeLike, as_dtype, f64, i64
from ..errors import ArgumentError, DTypeError, expect
from ..factories import arange, empty, full, tensor
from ..registry import op
from ..tensor import Tensor
from .shape import flat


def finish(x: Tensor, dtype: DTypeLike, requires_grad: bool) -> Tensor:
    """`x` in the dtype asked for, as a leaf if it is to require a gradient."""
    out = x if dtype is None else x.to(as_dtype(dtype))
    return out.requires_grad_() if requires_grad else out


def _number(value: Any) -> Any:
    return value.item() if isinstance(value, Tensor) else value


# --- ranges ---------------------------------------------------------------------------------------


@op(name="arange")
def numbers(
    start: Any = 0, end: Any = None, step: Any = 1, *, dtype: DTypeLike = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """`start, start + step, …` short of `end`; i64 when all three are integers, else f32."""
    if end is None:
        start, end = 0, start
    if dtype is None and type(start) is type(end) is type(step) is int and not requires_grad:
        return arange(start, end, step)
    start, end, step = _number(start), _number(end), _number(step)
    if dtype is not None and as_dtype(dtype).kind in "iu":
        # As in PyTorch: integers count in whole steps; narrower ones keep the count of the floats.
        given = start, end, step
        start, step = int(start), int(step)
        end = int(end) if as_dtype(dtype) is i64 else end
        if not isinstance(end, int):
            expect(step != 0, "arange", "a step other than 0", given[2])
            end = start + step * math.ceil((given[1] - given[0]) / given[2])
    made = arange(start, end, step, dtype)
    return finish(made, None, requires_grad)


def _ends(start: Any, end: Any, dtype: DType) -> tuple[Any, Any]:
    """Both numbers, cut to integers for an integer dtype, as in PyTorch."""
    start, end = _number(start), _number(end)
    return (int(start), int(end)) if dtype.kind in "iu" else (start, end)


def _spaced(start: Any, end: Any, steps: int, where: object) -> Tensor:
    """f64 numbers at equal distances, exact at both ends."""
    whole = hasattr(steps, "__index__")
    expect(whole and steps >= 0, where, "a number of steps of at least 0", steps, ArgumentError)
    if steps <= 1:
        return full((steps,), float(start), f64)
    step = (float(end) - float(start)) / (steps - 1)
    half = steps // 2
    ahead = arange(half).to(f64) * step + float(start)
    back = arange(steps - 1 - half, -1, -1).to(f64) * -step + float(end)
    from .join import cat

    return cat([ahead, back])


@op
def linspace(
    start: Any, end: Any, steps: int, *, dtype: DTypeLike = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """`steps` numbers at equal distances from `start` to `end`, both included; f32 by default."""
    wanted = Default.float if dtype is None else as_dtype(dtype)
    made = _spaced(*_ends(start, end, wanted), steps, linspace)
    return finish(made, wanted, requires_grad)


@op
def logspace(
    start: Any, end: Any, steps: int, base: float = 10.0, *, dtype: DTypeLike = None,
    device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """`base` to the power of `steps` numbers from `start` to `end`."""
    wanted = Default.float if dtype is None else as_dtype(dtype)
    exponents = _spaced(*_ends(start, end, wanted), steps, logspace)
    made = full((), float(base), f64) ** exponents
    return finish(made, wanted, requires_grad)


@op
def eye(
    n: int, m: int | None = None, *, dtype: DTypeLike = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """(n, m or n): ones on the diagonal, zeros beside it; f32 by default."""
    m = n if m is None else m
    expect(n >= 0 and m >= 0, eye, "sizes of at least 0", (n, m))
    wanted = Default.float if dtype is None else as_dtype(dtype)
    out = full((n, m), 0, wanted)
    take_strided(out, (min(n, m),), (m + 1,), 0).fill_(1)
    return finish(out, None, requires_grad)


@op
def scalar_tensor(
    s: Any, *, dtype: DTypeLike = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A 0-d tensor of a number; f32 by default."""
    return finish(tensor(_number(s)), Default.float if dtype is None else dtype, requires_grad)


@op
def empty_strided(
    size: Sequence[int], stride: Sequence[int], *, dtype: DTypeLike = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """A tensor of the given shape and strides (at least 0) whose elements are not set."""
    fits = len(size) == len(stride) and min((*size, *stride), default=0) >= 0
    expect(fits, empty_strided, "as many sizes as strides, all of at least 0", (size, stride))
    count = 1 + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    count = 0 if 0 in size else count
    made = take_strided(empty(count, dtype=dtype), tuple(size), tuple(stride), 0)
    return finish(made, None, requires_grad)


# --- in the likeness of another -------------------------------------------------------------------


def _like(x: Tensor, dtype: DTypeLike) -> DType:
    return x.dtype if dtype is None else as_dtype(dtype)


@op
def new_empty(
    x: Tensor, *size: Any, dtype: DTypeLike = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A tensor of `size`, of `x`'s dtype unless given, whose elements are not set."""
    return finish(empty(flat(size), dtype=_like(x, dtype)), None, requires_grad)


@op
def new_zeros(
    x: Tensor, *size: Any, dtype: DTypeLike = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Zeros of `size`, of `x`'s dtype unless given."""
    return finish(full(flat(size), 0, _like(x, dtype)), None, requires_grad)


@op
def new_ones(
    x: Tensor, *size: Any, dtype: DTypeLike = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Ones of `size`, of `x`'s dtype unless given."""
    return finish(full(flat(size), 1, _like(x, dtype)), None, requires_grad)


@op
def new_full(
    x: Tensor, size: Sequence[int], fill_value: Any, *, dtype: DTypeLike = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """`fill_value` in the shape `size`, of `x`'s dtype unless given."""
    made = full(size, _number(fill_value), _like(x, dtype))
    return finish(made, None, requires_grad)


@op
def new_tensor(
    x: Tensor,
    data: Any,
    *,
    dtype: DTypeLike = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """A copy of `data` (numbers, lists, an array) in `x`'s dtype unless given."""
    return finish(tensor(data, _like(x, dtype)), None, requires_grad)


@op
def new_empty_strided(
    x: Tensor, size: Sequence[int], stride: Sequence[int], *, dtype: DTypeLike = None,
    device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """`empty_strided` in `x`'s dtype unless given."""
    return empty_strided(size, stride, dtype=_like(x, dtype), requires_grad=requires_grad)


# --- windows of signals ---------------------------------------------------------------------------


def _window(
    length: int,
    periodic: bool,
    dtype: DTypeLike,
    requires_grad: bool,
    shape: Any,
    name: str,
) -> Tensor:
    """`shape(t)` over `length` points t from 0 to 1 (1 left out when periodic)."""
    expect(length >= 0, name, "a length of at least 0", length, ArgumentError)
    wanted = Default.float if dtype is None else as_dtype(dtype)
    expect(wanted.kind == "f", name, "a float dtype", wanted.name, DTypeError)
    if length <= 1:
        return finish(full((length,), 1, wanted), None, requires_grad)
    t = arange(length).to(f64) / (length if periodic else length - 1)
    return finish(shape(t), wanted, requires_grad)


@op
def hann_window(
    window_length: int, periodic: bool = True, *, dtype: DTypeLike = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """The Hann window: `0.5 - 0.5 cos(2 pi t)`."""
    return _window(
        window_length, periodic, dtype, requires_grad,
        lambda t: (t * (2 * math.pi)).cos() * -0.5 + 0.5, "hann_window",
    )  # fmt: skip


@op
def hamming_window(
    window_length: int, periodic: bool = True, alpha: float = 0.54, beta: float = 0.46, *,
    dtype: DTypeLike = None, device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """The Hamming window: `alpha - beta cos(2 pi t)`."""
    return _window(
        window_length, periodic, dtype, requires_grad,
        lambda t: (t * (2 * math.pi)).cos() * -beta + alpha, "hamming_window",
    )  # fmt: skip


@op
def blackman_window(
    window_length: int, periodic: bool = True, *, dtype: DTypeLike = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """The Blackman window: `0.42 - 0.5 cos(2 pi t) + 0.08 cos(4 pi t)`."""
    return _window(
        window_length, periodic, dtype, requires_grad,
        lambda t: (t * (2 * math.pi)).cos() * -0.5 + (t * (4 * math.pi)).cos() * 0.08 + 0.42,
        "blackman_window",
    )  # fmt: skip


@op
def bartlett_window(
    window_length: int, periodic: bool = True, *, dtype: DTypeLike = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """The triangular window: `1 - |2 t - 1|`."""
    return _window(
        window_length, periodic, dtype, requires_grad,
        lambda t: 1 - (t * 2 - 1).abs(), "bartlett_window",
    )  # fmt: skip


@op
def kaiser_window(
    window_length: int, periodic: bool = True, beta: float = 12.0, *, dtype: DTypeLike = None,
    device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """The Kaiser window: `I0(beta sqrt(1 - (2 t - 1)^2)) / I0(beta)`, I0 a Bessel function."""

    def shape(t: Tensor) -> Tensor:
        inside = (1 - (t * 2 - 1).square()).maximum(0.0).sqrt() * beta
        return inside.i0() / full((), float(beta), f64).i0()

    return _window(window_length, periodic, dtype, requires_grad, shape, "kaiser_window")
