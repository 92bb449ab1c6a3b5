"""Reading and writing whole positions of one axis: index_select, index_add, index_fill.

The kernels of `gather` and `scatter` take an index of one axis, too, and then move rows whole.
"""

from __future__ import annotations

from typing import Any

from ..dtype import bool_, i64
from ..errors import ArgumentError, NoKernelError, expect
from ..factories import full
from ..registry import op
from ..tensor import Tensor, unwrap_tensor
from .index import put_positions
from .scatter import (
    check_index,
    gather,
    scatter_reduce,
    scatter_values,
)
from .shape import axis_of


def _check(where: object, index: Tensor, count: int | None) -> None:
    check_index(index, where)
    if index.ndim > 1:
        expect(False, where, "an index of one axis", index.shape)
    if count is not None and index.numel() != count:
        expect(False, where, f"an index of {count} elements", index.numel())


def _spread(x: Tensor, axis: int, index: Tensor) -> Tensor:
    """The index of one axis, expanded over the others: of the shape of what it picks out."""
    if x.ndim < 2:
        return index if index.ndim == x.ndim else index.reshape((1,) * x.ndim)
    shape = list(x.shape)
    shape[axis] = size = index.numel()
    return index.reshape([size if i == axis else 1 for i in range(x.ndim)]).expand(shape)


@op(cached=True)
def index_select(x: Tensor, dim: int, index: Tensor) -> Tensor:
    """The positions `index` (a vector) of axis `dim`."""
    ...


@index_select.check
def _(x: Tensor, dim: int, index: Tensor) -> None:
    n = x.ndim
    axis_of(dim, n, index_select)
    if type(index) is not Tensor or index.dtype is not i64 or index.ndim != 1 or not n:
        _check(index_select, index, None if n else 1)


@index_select.out
def _(x: Tensor, dim: int, index: Tensor) -> Any:
    shape = x.shape
    if not shape:
        return shape, x.dtype
    axis = dim % len(shape)
    return (*shape[:axis], index.numel(), *shape[axis + 1 :]), x.dtype


index_select.kernel("gather")


@index_select.grad
def _(g: Tensor, _x: Tensor, dim: int, index: Tensor) -> tuple[Any, None]:
    return lambda: index_add(g.new_zeros(_x.shape), dim, index, g), None


def _check_source(where: object, x: Tensor, dim: int, index: Tensor, source: Tensor) -> None:
    axis = axis_of(dim, x.ndim, where)
    if type(source) is not Tensor:
        unwrap_tensor(source, where)
    if source.dtype is not x.dtype:
        expect(False, where, f"a source of {x.dtype.name}", source.dtype.name, NoKernelError)
    shape, given = x.shape or (1,), source.shape or (1,)
    if given != shape:
        fits = len(given) == len(shape) and all(
            i == axis or n == m for i, (m, n) in enumerate(zip(shape, given, strict=True))
        )
        expect(fits, where, f"a source of shape {x.shape} but for axis {axis}", source.shape)
    _check(where, index, given[axis])


def _picked(g: Tensor, dim: int, index: Tensor, source: Any) -> Tensor:
    """The source's gradient."""
    taken: Tensor = index_select(g, dim, index)
    return taken if taken.shape == source.shape else taken.reshape(source.shape)


@op(inplace=True, cached=True)
def index_add(x: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: float = 1) -> Tensor:
    """`x` with `alpha * source` added at the positions `index` of axis `dim`, in their order.

    Halves are added up in f32.
    """
    ...


@index_add.check
def _(x: Tensor, dim: int, index: Tensor, source: Tensor, alpha: float) -> None:
    _check_source(index_add, x, dim, index, source)


@index_add.out
def _(x: Tensor, dim: int, index: Tensor, source: Tensor, alpha: float) -> Any:
    return x.shape, x.dtype


@index_add.kernel("scatter_add")
def _(x: Tensor, dim: int, index: Tensor, source: Tensor, alpha: float) -> tuple[Any, ...]:
    return x, dim, index, source if alpha == 1 else (source * alpha).to(x.dtype)


@index_add.grad
def _(
    g: Tensor, _x: Tensor, dim: int, index: Tensor, _source: Tensor, alpha: float
) -> tuple[Any, None, Any]:
    def of_source() -> Tensor:
        part = _picked(g, dim, index, _source)
        return part if alpha == 1 else part * alpha.conjugate()

    return g, None, of_source


@op(inplace=True, cached=True)
def index_copy(x: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """`x` with `source` at the positions `index` of axis `dim`; of equal ones the last wins."""
    ...


@index_copy.check
def _(x: Tensor, dim: int, index: Tensor, source: Tensor) -> None:
    _check_source(index_copy, x, dim, index, source)


@index_copy.out
def _(x: Tensor, dim: int, index: Tensor, source: Tensor) -> Any:
    return x.shape, x.dtype


index_copy.kernel("scatter")


@index_copy.grad
def _(g: Tensor, _x: Tensor, dim: int, index: Tensor, _source: Tensor) -> tuple[Any, None, Any]:
    def rest() -> Tensor:
        nothing = g.new_zeros((1,) * len(_source.shape)).expand(_source.shape)
        return index_copy(g, dim, index, nothing)

    return rest, None, lambda: _picked(g, dim, index, _source)


@op(inplace=True)
def index_fill(x: Tensor, dim: int, index: Tensor, value: Tensor | float) -> Tensor:
    """`x` with `value` (a number or 0-d tensor) at the positions `index` of axis `dim`.

    Negative positions count from the end.
    """
    axis = axis_of(dim, x.ndim, index_fill)
    expect(index.ndim <= 1, index_fill, "an index of one axis", index.shape)
    shape = x.shape
    if shape and isinstance(value, (bool, int, float)) and index.dtype.kind in "iu":
        at = index.to(i64).reshape(-1)
        rows = (*shape[:axis], at.numel(), *shape[axis + 1 :])
        return put_positions(x, at, full((), value, x.dtype).expand(rows), False, axis)
    n = shape[axis] if shape else 1
    at = _counted(index.reshape(-1), n, index_fill)
    yes = x.new_ones(1, dtype=bool_).expand(at.shape)
    hit = scatter_values(x.new_zeros(n, dtype=bool_), 0, at, yes)
    beside = [n if i == axis else 1 for i in range(x.ndim)]
    return x.masked_fill(hit.reshape(beside), value)


@op(inplace=True)
def index_reduce(
    x: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """`x` with `source` reduced (prod, mean, amax, amin) into the positions of axis `dim`."""
    at = _spread(x, dim % (x.ndim or 1), index)
    given = source.reshape(at.shape)
    return scatter_reduce(x, dim, at, given, reduce, include_self=include_self)


@index_reduce.check
def _(x: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, include_self: bool) -> None:
    known = ("prod", "mean", "amax", "amin")
    expect(reduce in known, index_reduce, f"one of {', '.join(known)}", reduce, ArgumentError)
    _check_source(index_reduce, x, dim, index, source)


@op(cached=True)
def take_along_dim(x: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """`gather` with `x` and `indices` broadcast beside `dim`; of flattened ones without `dim`."""
    if dim is None:
        return gather(x.reshape(-1), 0, _counted(indices.reshape(-1), x.numel(), take_along_dim))
    axis = axis_of(dim, x.ndim, take_along_dim)
    expect(x.ndim == indices.ndim, take_along_dim, f"{x.ndim} axes of indices", indices.ndim)
    if not x.ndim:
        return gather(x, 0, _counted(indices, 1, take_along_dim))
    a, b = list(x.shape), list(indices.shape)
    for i in range(x.ndim):
        if i != axis and a[i] != b[i]:
            expect(
                1 in (a[i], b[i]), take_along_dim, "shapes that broadcast", (x.shape, indices.shape)
            )
            a[i] = b[i] = b[i] if a[i] == 1 else a[i]
    return gather(x.expand(a), axis, _counted(indices, x.shape[axis], take_along_dim).expand(b))


def _counted(indices: Tensor, n: int, where: object) -> Tensor:
    """Negative indices counted from the end."""
    expect(indices.dtype.kind in "iu", where, "integers", indices.dtype.name, NoKernelError)
    return indices + indices.lt(0).to(indices.dtype) * n
