"""The order along axes reversed, rolled or turned: these copy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..dtype import UNQUANTIZED
from ..errors import ArgumentError, expect
from ..factories import joined
from ..layout import contiguous_format
from ..registry import op
from ..tensor import Tensor
from .pad import CIRCULAR, NO_PADS
from .shape import axes_of, axis_of, flat

_WHOLE, _BACK = slice(None), slice(None, None, -1)


@op(cached=True)
def flip(x: Tensor, *axes: Any, dims: Any = None) -> Tensor:
    """A copy with the order along the given axes reversed."""
    chosen = axes_of(flat(axes) if dims is None else dims, x.ndim, flip)
    key = tuple([_BACK if i in chosen else _WHOLE for i in range(x.ndim)])
    return x[key].clone(contiguous_format)


@flip.out
def _(x: Tensor, axes: Any, dims: Any) -> Any:
    shape, given = x.shape, flat(axes) if dims is None else dims
    n = len(shape)
    if not (type(given) is tuple and len(given) == 1 and -n <= given[0] < n):
        axes_of(given, n, flip)
    return shape, x.dtype


@flip.kernel("flip", dtypes=UNQUANTIZED)
def _(x: Tensor, axes: Any, dims: Any) -> tuple[Any, ...]:
    given, n, mask = flat(axes) if dims is None else dims, x.ndim or 1, 0
    for axis in (given,) if hasattr(given, "__index__") else given:
        mask |= 1 << axis % n
    return x, mask


@flip.grad
def _(g: Tensor, _x: Tensor, axes: Any, dims: Any) -> Tensor:
    return g.flip(*axes, dims=dims)


@op(cached=True)
def fliplr(x: Tensor) -> Tensor:
    """A copy with the order along the second axis reversed."""
    expect(x.ndim >= 2, fliplr, "at least two axes", x.shape)
    return x.flip(1)


@op(cached=True)
def flipud(x: Tensor) -> Tensor:
    """A copy with the order along the first axis reversed."""
    expect(x.ndim >= 1, flipud, "at least one axis", x.shape)
    return x.flip(0)


@op(cached=True)
def roll(x: Tensor, shifts: Any, dims: Any = None) -> Tensor:
    """Elements moved on by `shifts` along `dims` (in the flat tensor, without), round the end."""
    steps = _steps(x, shifts, dims)
    if steps is None:
        return roll.reference(x.reshape(-1), shifts, 0).reshape(x.shape)
    out = x
    for axis, step in enumerate(steps):
        if step or not any(steps):
            out = _rolled(out, step, axis)
    return out


def _steps(x: Tensor, shifts: Any, dims: Any) -> list[int] | None:
    """How far each axis is moved on; None: the flat tensor is."""
    given = (shifts,) if hasattr(shifts, "__index__") else tuple(shifts)
    if dims is None or (not hasattr(dims, "__index__") and not len(dims)):
        if len(given) != 1:
            expect(False, roll, "one shift without dims", given, ArgumentError)
        return None
    axes = (dims,) if hasattr(dims, "__index__") else tuple(dims)
    if len(given) != len(axes):
        expect(False, roll, f"{len(axes)} shifts", len(given), ArgumentError)
    n = x.ndim
    if not n:
        expect(False, roll, "at least one axis", "a 0-d tensor")
    steps = [0] * n
    for step, dim in zip(given, axes, strict=True):
        steps[axis_of(dim, n, roll)] += step.__index__()
    return steps


def _rolled(x: Tensor, step: int, axis: int) -> Tensor:
    n = x.shape[axis]
    at = -step % n if n else 0
    if not at:
        return x.clone(contiguous_format)
    ahead = (_WHOLE,) * axis
    return joined([x[(*ahead, slice(at, n))], x[(*ahead, slice(0, at))]], axis, "roll")


@roll.out
def _(x: Tensor, shifts: Any, dims: Any) -> Any:
    shape, n = x.shape, x.ndim
    known = dims is None or (type(dims) is int and -n <= dims < n)
    if not (type(shifts) is int and known):
        _steps(x, shifts, dims)
    return shape, x.dtype


@roll.kernel("pad", dtypes=UNQUANTIZED)
def _(out: Tensor, x: Tensor, shifts: Any, dims: Any) -> tuple[Any, ...]:
    given = (shifts,) if hasattr(shifts, "__index__") else shifts
    if dims is None or (not hasattr(dims, "__index__") and not len(dims)):
        if x.ndim != 1:
            out, x = out.reshape(-1), x.reshape(-1)
        return out, x, None, CIRCULAR, given[0], *NO_PADS[1:]
    n = x.ndim
    before = [0] * n
    for step, dim in zip(given, (dims,) if hasattr(dims, "__index__") else dims, strict=True):
        before[-1 - dim % n] += step
    return out, x, None, CIRCULAR, *before, *NO_PADS[n:]


@roll.grad
def _(g: Tensor, _x: Tensor, shifts: Any, dims: Any) -> Tensor:
    back = -shifts if hasattr(shifts, "__index__") else [-step for step in shifts]
    return g.roll(back, dims)


@op
def rot90(x: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """A copy turned by `k` right angles, from the first of `dims` towards the second."""
    expect(len(dims) == 2 and x.ndim >= 2, rot90, "two axes of at least two", (dims, x.shape))
    i, j = axes_of(dims, x.ndim, rot90)
    if k % 4 == 0:
        return x.clone()
    if k % 4 == 2:
        return x.flip(i, j)
    return x.flip(j).transpose(i, j) if k % 4 == 1 else x.flip(i).transpose(i, j)
