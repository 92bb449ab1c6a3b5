"""Reading and writing whole positions of one axis: index_select, index_add, index_fill.

The index is expanded (stride 0) over the other axes; the kernels of `scatter` then move rows whole.
"""

from __future__ import annotations

from typing import Any

from .. import _native
from ..errors import ArgumentError, NoKernelError, expect
from ..factories import full, zeros
from ..registry import op, primitive
from ..tensor import Tensor, unwrap_tensor, wrap
from .scatter import ADD, SET, gather, index_array, read, scatter_reduce, vector, written
from .shape import axis_of


def _spread(where: object, x: Tensor, axis: int, index: Tensor, count: int | None) -> Any:
    """The index of one axis, expanded over the others: of the shape of what it picks out."""
    at = vector(index_array(index, where))
    if at.ndim > 1:
        expect(False, where, "an index of one axis", index.shape)
    size: int = at.size
    if count is not None and size != count:
        expect(False, where, f"an index of {count} elements", size)
    shape = list(x._array.shape or (1,))
    shape[axis] = size
    if len(shape) == 1:
        return at
    return at.reshape([size if i == axis else 1 for i in range(len(shape))]).expand(shape)


@primitive
def index_select(x: Tensor, dim: int, index: Tensor) -> Tensor:
    """The positions `index` (a vector) of axis `dim`."""
    array = x._array
    axis = axis_of(dim, array.ndim, index_select)
    at = _spread(index_select, x, axis, index, None if array.ndim else 1)
    out = read(index_select, vector(array), axis, at)
    return wrap(out if array.ndim else out.reshape(()))


@index_select.grad
def _(g: Tensor, _x: Tensor, dim: int, index: Tensor) -> tuple[Any, None]:
    return lambda: index_add(zeros(_x.shape, dtype=g.dtype), dim, index, g), None


def _along(
    where: object, x: Tensor, axis: int, index: Tensor, source: Tensor
) -> tuple[_native.Array, _native.Array]:
    """Index and source of index_add and its like, checked."""
    unwrap_tensor(source, where)
    same = source.dtype is x.dtype
    expect(same, where, f"a source of {x.dtype.name}", source.dtype.name, NoKernelError)
    shape, given = x.shape or (1,), source.shape or (1,)
    fits = len(given) == len(shape) and all(
        i == axis or n == m for i, (m, n) in enumerate(zip(shape, given, strict=True))
    )
    expect(fits, where, f"a source of shape {x.shape} but for axis {axis}", source.shape)
    return _spread(where, x, axis, index, given[axis]), vector(source._array)


@primitive(inplace=True)
def index_add(x: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: float = 1) -> Tensor:
    """`x` with `alpha * source` added at the positions `index` of axis `dim`, in their order."""
    axis = axis_of(dim, x.ndim, index_add)
    at, given = _along(index_add, x, axis, index, source)
    if not at.size:
        return wrap(x._array.clone())
    if alpha != 1:
        given = vector((source.detach() * alpha).to(x.dtype)._array)
    return wrap(written(index_add, x, axis, at, given, ADD))


@index_add.grad
def _(
    g: Tensor, _x: Tensor, dim: int, index: Tensor, _source: Tensor, alpha: float
) -> tuple[Any, None, Any]:
    def of_source() -> Tensor:
        taken = index_select(g, dim, index)
        return (taken if alpha == 1 else taken * alpha).reshape(_source.shape)

    return g, None, of_source


@primitive(inplace=True)
def index_copy(x: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """`x` with `source` at the positions `index` of axis `dim`; of equal ones the last wins."""
    axis = axis_of(dim, x.ndim, index_copy)
    at, given = _along(index_copy, x, axis, index, source)
    if not at.size:
        return wrap(x._array.clone())
    return wrap(written(index_copy, x, axis, at, given, SET))


@index_copy.grad
def _(g: Tensor, _x: Tensor, dim: int, index: Tensor, _source: Tensor) -> tuple[Any, None, Any]:
    return (
        lambda: index_fill(g, dim, index, 0),
        None,
        lambda: index_select(g, dim, index).reshape(_source.shape),
    )


@op(inplace=True)
def index_fill(x: Tensor, dim: int, index: Tensor, value: Tensor | float) -> Tensor:
    """`x` with `value` (a number or 0-d tensor) at the positions `index` of axis `dim`.

    Negative positions count from the end.
    """
    axis = axis_of(dim, x.ndim, index_fill)
    expect(index.ndim <= 1, index_fill, "an index of one axis", index.shape)
    n = x.shape[axis] if x.ndim else 1
    at = vector(index_array(_counted(index, n, index_fill), index_fill))
    hit = zeros(n, dtype="bool")
    if at.size:
        yes = full((1,), True, "bool")._array.expand(at.shape)
        hit = wrap(written(index_fill, hit, 0, at, yes, SET))
    shape = [n if i == axis else 1 for i in range(x.ndim)]
    return x.masked_fill(hit.reshape(shape), value)


@op(inplace=True)
def index_reduce(
    x: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """`x` with `source` reduced (prod, mean, amax, amin) into the positions of axis `dim`."""
    known = ("prod", "mean", "amax", "amin")
    expect(reduce in known, index_reduce, f"one of {', '.join(known)}", reduce, ArgumentError)
    axis = axis_of(dim, x.ndim, index_reduce)
    at, _ = _along(index_reduce, x, axis, index, source)
    spread = wrap(at if x.ndim else at.reshape(()))
    return scatter_reduce(
        x, dim, spread, source.reshape(spread.shape), reduce, include_self=include_self
    )


@op
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
