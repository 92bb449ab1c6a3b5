"""Reading and writing along one axis by an index: gather, scatter, index_select, index_add.

Two kernels do it all: an index of one axis is expanded (stride 0) over the others, and rows are
then moved whole. Sums are made in the order of the index, whatever the number of threads.
"""

from __future__ import annotations

from typing import Any

from .. import _native
from ..dtype import bf16, f16, f32, i64
from ..errors import ArgumentError, IndexRangeError, NoKernelError, expect
from ..factories import full, ones, zeros
from ..registry import op, primitive
from ..tensor import Tensor, unwrap_tensor, wrap
from .convert import unslice

SET, ADD, MULTIPLY, MAX, MIN = range(5)
_HALVES = (f16.code, bf16.code)
_gather, _scatter = _native.kernel("gather"), _native.kernel("scatter")


def axis_of(x: Any, dim: Any, where: object) -> int:
    """`dim` counted from the front; 0-d tensors count as vectors."""
    n: int = x.ndim or 1
    if not (isinstance(dim, int) and -n <= dim < n):
        expect(False, where, f"an axis in [{-n}, {n - 1}]", dim, IndexRangeError)
    return int(dim) % n


def _index(index: Tensor, where: object) -> _native.Array:
    array = unwrap_tensor(index, where)
    if array.dtype == i64.code:
        return array
    fits = index.dtype.kind in "iu"
    expect(fits, where, "an index of i64 or i32", index.dtype.name, NoKernelError)
    return array.cast(i64.code)


def _vector(array: _native.Array) -> _native.Array:
    return array if array.ndim else array.reshape((1,))


def _run(where: object, kernel: Any, *args: Any) -> None:
    try:
        kernel(*args)
    except ArgumentError as error:
        text = str(error)
        if "expected an index in" not in text:
            raise
        said = text.split(": ", 1)[1].split(": ", 1)[-1].split(" (arguments")[0]
        raise IndexRangeError(f"{getattr(where, '__name__', where)}: {said}") from None


def _read(where: object, x: _native.Array, axis: int, index: _native.Array) -> _native.Array:
    out = _native.Array.empty(index.shape, x.dtype)
    _run(where, _gather, out, x, index, axis)
    return out


def _written(
    where: object, x: Tensor, axis: int, index: _native.Array, source: _native.Array, mode: int
) -> _native.Array:
    """A copy of `x` into which the source is scattered; halves are reduced in f32."""
    array = x._array
    half = mode != SET and array.dtype in _HALVES
    out = array.cast(f32.code) if half else array.clone()
    flat = _vector(out)
    given = source if source.dtype == out.dtype else source.cast(out.dtype)
    _run(where, _scatter, flat, _vector(index), _vector(given), axis, mode)
    return out.cast(array.dtype) if half else out


# --- an index of every element --------------------------------------------------------------------


def _check_index(x: Tensor, axis: int, index: Tensor, where: object) -> None:
    a, b = x._array.shape or (1,), index._array.shape or (1,)
    if a == b:
        return
    fits = len(a) == len(b) and all(
        n <= m or i == axis for i, (m, n) in enumerate(zip(a, b, strict=True))
    )
    fits = fits or not index.numel()
    if not fits:
        expect(False, where, f"an index that lies inside {x.shape} beside axis {axis}", index.shape)


@primitive
def gather(x: Tensor, dim: int, index: Tensor, *, sparse_grad: bool = False) -> Tensor:
    """`out[i, j, k] = x[i, index[i, j, k], k]` (for dim 1): an element of `x` for each of `index`.

    `index` has as many axes as `x` and is nowhere longer, but along `dim`. IndexRangeError for an
    index outside `[0, x.shape[dim])`.
    """
    array = x._array
    axis = axis_of(array, dim, gather)
    at = _index(index, gather)
    _check_index(x, axis, index, gather)
    if not at.size:
        return wrap(_native.Array.empty(at.shape, array.dtype))
    if at.ndim and array.ndim:
        return wrap(_read(gather, array, axis, at))
    return wrap(_read(gather, _vector(array), axis, _vector(at)).reshape(at.shape))


@gather.grad
def _(g: Tensor, _x: Tensor, dim: int, index: Tensor, _sparse: bool) -> tuple[Any, None]:
    return lambda: scatter_add(zeros(_x.shape, dtype=g.dtype), dim, index, g), None


def _source(x: Tensor, axis: int, index: Tensor, src: Tensor, where: object) -> _native.Array:
    """The part of the source that the index covers."""
    array = unwrap_tensor(src, where)
    if array.dtype != x._array.dtype:
        expect(False, where, f"a source of {x.dtype.name}", src.dtype.name, NoKernelError)
    _check_index(x, axis, index, where)
    shape = index._array.shape
    if array.shape == shape or not shape:
        return array
    covers = array.ndim == index.ndim and all(
        m >= n for m, n in zip(array.shape, index.shape, strict=True)
    )
    expect(covers, where, f"a source of at least the index's shape {index.shape}", src.shape)
    found: _native.Array = array.basic_index(tuple(slice(0, n) for n in index.shape))
    return found


def _covered(g: Tensor, dim: int, index: Tensor, src: Any) -> Tensor:
    """The source's gradient: gathered, with zeros for what the index did not cover."""
    found = gather(g, dim, index)
    if found.shape == src.shape:
        return found
    if found.numel() == 1 and len(src.shape) != len(index.shape):
        return found.reshape(src.shape)
    return unslice(found, src.shape, tuple(slice(0, n) for n in index.shape))


@primitive
def scatter_values(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """`input` with `out[i, index[i, j, k], k] = src[i, j, k]` (for dim 1); the last one wins."""
    axis = axis_of(input, dim, "scatter")
    at = _index(index, "scatter")
    source = _source(input, axis, index, src, "scatter")
    if not at.size:
        return wrap(input._array.clone())
    return wrap(_written("scatter", input, axis, at, source, SET))


@scatter_values.grad
def _(g: Tensor, _input: Tensor, dim: int, index: Tensor, _src: Tensor) -> tuple[Any, None, Any]:
    def rest() -> Tensor:
        nothing = zeros((1,) * len(index.shape), dtype=g.dtype).expand(index.shape)
        return scatter_values(g, dim, index, nothing)

    return rest, None, lambda: _covered(g, dim, index, _src)


@op(inplace=True)
def scatter(
    x: Tensor,
    dim: int,
    index: Tensor,
    src: Tensor | float | None = None,
    *,
    value: float | None = None,
    reduce: str | None = None,
) -> Tensor:
    """`x` with `out[i, index[i, j, k], k] = src[i, j, k]` (for dim 1).

    `src` is a tensor of at least the index's shape, or a number (`value`). Of equal positions the
    last one wins; `reduce` is "add" or "multiply" (then all count).
    """
    given = src if value is None else value
    expect(given is not None, scatter, "src or value", "neither", ArgumentError)
    if not isinstance(given, Tensor):
        given = full((1,) * index.ndim, given, x.dtype).expand(index.shape)
    if reduce is None:
        return scatter_values(x, dim, index, given)
    known = {"add": "sum", "multiply": "prod"}
    expect(reduce in known, scatter, "reduce add or multiply", reduce, ArgumentError)
    return scatter_reduce(x, dim, index, given, known[reduce])


@primitive(inplace=True)
def scatter_add(x: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """`x` with `out[i, index[i, j, k], k] += src[i, j, k]` (for dim 1), in the index's order."""
    axis = axis_of(x, dim, scatter_add)
    at = _index(index, scatter_add)
    source = _source(x, axis, index, src, scatter_add)
    if not at.size:
        return wrap(x._array.clone())
    return wrap(_written(scatter_add, x, axis, at, source, ADD))


@scatter_add.grad
def _(g: Tensor, _x: Tensor, dim: int, index: Tensor, _src: Tensor) -> tuple[Any, None, Any]:
    return g, None, lambda: _covered(g, dim, index, _src)


@primitive
def scatter_combine(input: Tensor, dim: int, index: Tensor, src: Tensor, mode: int) -> Tensor:
    """`scatter_add` with a product (mode 2), the largest (3) or the smallest (4) for the sum."""
    axis = axis_of(input, dim, "scatter_reduce")
    at = _index(index, "scatter_reduce")
    source = _source(input, axis, index, src, "scatter_reduce")
    if not at.size:
        return wrap(input._array.clone())
    return wrap(_written("scatter_reduce", input, axis, at, source, mode))


@scatter_combine.grad
def _(
    g: Tensor, input: Tensor, dim: int, index: Tensor, src: Tensor, mode: int, out: Tensor
) -> tuple[Any, None, Any]:
    part = src if src.shape == index.shape else src[tuple(slice(0, n) for n in index.shape)]
    if mode == MULTIPLY:
        return _product_rule(g, input, dim, index, src, part, out)
    # Equal extremes share the gradient equally.
    mine = input.detach().eq(out.detach())
    theirs = part.detach().eq(gather(out.detach(), dim, index))
    count = scatter_add(mine.to(g.dtype), dim, index, theirs.to(g.dtype))
    shared = g / count.maximum(1)
    return (
        lambda: shared * mine.to(g.dtype),
        None,
        lambda: _widened(gather(shared, dim, index) * theirs.to(g.dtype), src),
    )


def _widened(part: Tensor, src: Tensor) -> Tensor:
    if part.shape == src.shape:
        return part
    return unslice(part, src.shape, tuple(slice(0, n) for n in part.shape))


def _product_rule(
    g: Tensor, x: Tensor, dim: int, index: Tensor, src: Tensor, part: Tensor, out: Tensor
) -> tuple[Any, None, Any]:
    """Each factor's gradient is the product of the others, of which one may be 0."""

    def of_x() -> Tensor:
        others: Tensor = scatter_combine(x * 0 + 1, dim, index, part, MULTIPLY)
        return g * others

    def of_source() -> Tensor:
        zero = part.detach().eq(0)
        nothing = zeros(x.shape, dtype=i64)
        count = gather(
            scatter_add(nothing, dim, index, zero.to(i64)) + x.detach().eq(0).to(i64), dim, index
        )
        alone = zero.logical_and(count.eq(1))
        safe = part.masked_fill(zero, 1)
        whole = scatter_combine(x.masked_fill(x.detach().eq(0), 1), dim, index, safe, MULTIPLY)
        plain = gather(g * out, dim, index) / safe
        return _widened(
            _choose(alone, gather(g * whole, dim, index), _choose(zero, plain * 0, plain)), src
        )

    return of_x, None, of_source


def _choose(mask: Tensor, a: Tensor, b: Tensor) -> Tensor:
    from . import where

    out: Tensor = where(mask, a, b)
    return out


_MODES = {"prod": MULTIPLY, "amax": MAX, "amin": MIN}


@op(inplace=True)
def scatter_reduce(
    x: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """`x` with the elements of `src` reduced into the positions of `index` along `dim`.

    `reduce` is sum, prod, mean, amax or amin; without `include_self` the former value of a position
    that is hit does not count.
    """
    known = ("sum", "prod", "mean", "amax", "amin")
    expect(reduce in known, scatter_reduce, f"one of {', '.join(known)}", reduce, ArgumentError)
    if not index.numel():
        return x.clone()
    base = x
    if not include_self:
        neutral = {"sum": 0, "mean": 0, "prod": 1}
        start = neutral[reduce] if reduce in neutral else _extreme_of(x, reduce)
        base = scatter(x, dim, index, start)
    if reduce in _MODES:
        return scatter_combine(base, dim, index, src, _MODES[reduce])
    total = scatter_add(base, dim, index, src)
    if reduce == "sum":
        return total
    start = ones(x.shape, dtype=i64)
    if not include_self:
        start = scatter(start, dim, index, 0)
    one = ones((1,) * index.ndim, dtype=i64).expand(index.shape)
    count = scatter_add(start, dim, index, one).maximum(1)
    if x.dtype.kind in "iu":
        floored: Tensor = total.div(count, rounding_mode="floor")
        return floored.to(x.dtype)
    return total / count.to(x.dtype)


def _extreme_of(x: Tensor, reduce: str) -> Any:
    """What every value is above (amax) or below (amin)."""
    low = reduce == "amax"
    if x.dtype.kind == "f":
        return float("-inf") if low else float("inf")
    if x.dtype.kind == "b":
        return not low
    bits = 8 * x.dtype.itemsize - (x.dtype.kind == "i")
    return (-(1 << bits) if x.dtype.kind == "i" else 0) if low else (1 << bits) - 1


# --- an index of one axis -------------------------------------------------------------------------


def _spread(where: object, x: Tensor, axis: int, index: Tensor, count: int | None) -> Any:
    """The index of one axis, expanded over the others: of the shape of what it picks out."""
    at = _vector(_index(index, where))
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
    axis = axis_of(array, dim, index_select)
    at = _spread(index_select, x, axis, index, None if array.ndim else 1)
    out = _read(index_select, _vector(array), axis, at)
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
    return _spread(where, x, axis, index, given[axis]), _vector(source._array)


@primitive(inplace=True)
def index_add(x: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: float = 1) -> Tensor:
    """`x` with `alpha * source` added at the positions `index` of axis `dim`, in their order."""
    axis = axis_of(x, dim, index_add)
    at, given = _along(index_add, x, axis, index, source)
    if not at.size:
        return wrap(x._array.clone())
    if alpha != 1:
        given = _vector((source.detach() * alpha).to(x.dtype)._array)
    return wrap(_written(index_add, x, axis, at, given, ADD))


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
    axis = axis_of(x, dim, index_copy)
    at, given = _along(index_copy, x, axis, index, source)
    if not at.size:
        return wrap(x._array.clone())
    return wrap(_written(index_copy, x, axis, at, given, SET))


@index_copy.grad
def _(g: Tensor, _x: Tensor, dim: int, index: Tensor, _source: Tensor) -> tuple[Any, None, Any]:
    return (
        lambda: index_fill(g, dim, index, 0),
        None,
        lambda: index_select(g, dim, index).reshape(_source.shape),
    )


@op(inplace=True)
def index_fill(x: Tensor, dim: int, index: Tensor, value: Tensor | float) -> Tensor:
    """`x` with `value` (a number or 0-d tensor) at the positions `index` of axis `dim`."""
    axis = axis_of(x, dim, index_fill)
    expect(index.ndim <= 1, index_fill, "an index of one axis", index.shape)
    at = _vector(_index(index, index_fill))
    n = x.shape[axis] if x.ndim else 1
    hit = zeros(n, dtype="bool")
    if at.size:
        yes = full((1,), True, "bool")._array.expand(at.shape)
        hit = wrap(_written(index_fill, hit, 0, at, yes, SET))
    shape = [n if i == axis else 1 for i in range(x.ndim)]
    return x.masked_fill(hit.reshape(shape), value)


@op(inplace=True)
def index_reduce(
    x: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """`x` with `source` reduced (prod, mean, amax, amin) into the positions of axis `dim`."""
    known = ("prod", "mean", "amax", "amin")
    expect(reduce in known, index_reduce, f"one of {', '.join(known)}", reduce, ArgumentError)
    axis = axis_of(x, dim, index_reduce)
    at, _ = _along(index_reduce, x, axis, index, source)
    spread = wrap(at if x.ndim else at.reshape(()))
    return scatter_reduce(
        x, dim, spread, source.reshape(spread.shape), reduce, include_self=include_self
    )


@op
def take_along_dim(x: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """`gather` with `x` and `indices` broadcast beside `dim`; of flattened ones without `dim`."""
    if dim is None:
        return gather(x.reshape(-1), 0, _counted(indices.reshape(-1), x.numel()))
    axis = axis_of(x, dim, take_along_dim)
    expect(x.ndim == indices.ndim, take_along_dim, f"{x.ndim} axes of indices", indices.ndim)
    if not x.ndim:
        return gather(x, 0, _counted(indices, 1))
    a, b = list(x.shape), list(indices.shape)
    for i in range(x.ndim):
        if i != axis and a[i] != b[i]:
            expect(
                1 in (a[i], b[i]), take_along_dim, "shapes that broadcast", (x.shape, indices.shape)
            )
            a[i] = b[i] = b[i] if a[i] == 1 else a[i]
    return gather(x.expand(a), axis, _counted(indices, x.shape[axis]).expand(b))


def _counted(indices: Tensor, n: int) -> Tensor:
    """Negative indices counted from the end."""
    expect(
        indices.dtype.kind in "iu", take_along_dim, "integers", indices.dtype.name, NoKernelError
    )
    return indices + indices.lt(0).to(indices.dtype) * n
