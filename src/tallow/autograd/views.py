"""Views on the tape: slices and strided places, recorded, and which views one op gave together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..factories import arange, zeros
from ..tensor import Tensor, link, wrap
from .mode import MODE
from .node import record_call

# `_views` of a view that is one of several results of an op, or a view of such a one: as in torch,
# a change of it in place is refused where it would be recorded.
SEVERAL: Any = ()


def as_part(view: Tensor) -> Tensor:
    """The view, as one of several results of an op."""
    if view._base is not None:
        view._views = SEVERAL
    return view


def link_part(view: Tensor, x: Tensor) -> None:
    """`link` a view that is one of several results of an op."""
    link(view, x)
    view._views = SEVERAL


def as_slices(views: tuple[Tensor, ...], x: Tensor) -> tuple[Tensor, ...]:
    """The parts of `x` as if each had been taken alone."""
    for view in views:
        view._views = None if x._base is None else x._views
    return views


def _recorded(name: str, x: Tensor, out: Tensor, rule: Callable[[Tensor], Any]) -> Tensor:
    if x._node is not None and MODE.enabled:
        record_call(name, [x], [out], rule, keeps=False)
    return out


def moved(x: Tensor, device: int) -> Tensor:
    """`x` on the device of this code."""
    back = x.device
    return _recorded("to", x, wrap(x._array.moved(device)), lambda g: g.to(back))


# --- basic slices ---------------------------------------------------------------------------------


def record_slice(out: Tensor, x: Tensor, key: Any) -> None:
    """Make `out`, which is `x[key]`, part of the graph."""
    shape = x._array.shape
    record_call("slice", [x], [out], lambda g: unslice(g, shape, key), keeps=False)


def unslice(g: Tensor, shape: Sequence[int], key: Any) -> Tensor:
    """Zeros of `shape` with `g` at `[key]`, a basic index: the gradient of a slice."""
    out = zeros(tuple(shape), dtype=g.dtype, device=g.device)
    out._array.basic_index(key).copy_(g._array)
    return _recorded("unslice", g, out, lambda h: h[key])


# --- strided places -------------------------------------------------------------------------------


def overlaps(sizes: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether two positions may be one element (exact for nested strides, else cautious)."""
    reach = 0
    for step, n in sorted((abs(s), n) for s, n in zip(strides, sizes, strict=True) if n > 1):
        if step <= reach:
            return True
        reach += step * (n - 1)
    return False


def put_strided(
    g: Tensor, shape: Sequence[int], sizes: Sequence[int], strides: Sequence[int], offset: int
) -> Tensor:
    """Zeros of `shape` with `g` added at the places of a strided view of them.

    The view has `sizes` and `strides` and begins `offset` elements behind the start; `g` has its
    shape. Elements that the view has several times get the sum.
    """
    place = sizes, strides, offset
    out = zeros(tuple(shape), dtype=g.dtype, device=g.device)
    if overlaps(sizes, strides):
        every = arange(out.numel(), device=g.device)
        positions = wrap(every._array.strided(*place)).reshape(-1)
        parts = wrap(g._array).reshape(-1)
        out = out.reshape(-1).index_add(0, positions, parts).reshape(out.shape)
    else:
        out._array.strided(*place).copy_(g._array)
    return _recorded("put_strided", g, out, lambda h: take_strided(h.contiguous(), *place))


def take_strided(x: Tensor, sizes: Sequence[int], strides: Sequence[int], offset: int) -> Tensor:
    """A view of contiguous `x` with any sizes and strides, `offset` elements behind its start."""
    shape, place = x.shape, (sizes, strides, offset)
    out = wrap(x._array.strided(*place))
    return _recorded("take_strided", x, out, lambda g: put_strided(g, shape, *place))


def clear_strided(x: Tensor, sizes: Sequence[int], strides: Sequence[int], offset: int) -> Tensor:
    """A copy of contiguous `x` with zeros at the places of a strided view of it."""
    place = sizes, strides, offset
    out = wrap(x._array.clone())
    wrap(out._array.strided(*place)).zero_()
    return _recorded("clear_strided", x, out, lambda g: clear_strided(g.contiguous(), *place))
