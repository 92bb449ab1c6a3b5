"""Reading and writing along one axis by an index of every element: gather, scatter, their sums.

Two kernels do it all. Sums are made in the order of the index, whatever the number of threads.
"""

from __future__ import annotations

from typing import Any

from .. import _native
from ..autograd.views import unslice
from ..dtype import bf16, f16, f32, i64
from ..errors import ArgumentError, IndexRangeError, NoKernelError, expect
from ..factories import full, ones, zeros
from ..registry import op, primitive
from ..tensor import Tensor, unwrap_tensor, wrap
from .shape import axis_of

SET, ADD, MULTIPLY, MAX, MIN = range(5)
_HALVES = (f16.code, bf16.code)
_gather, _scatter = _native.kernel("gather"), _native.kernel("scatter")


def index_array(index: Tensor, where: object) -> _native.Array:
    """The native array of an index, as i64."""
    array = unwrap_tensor(index, where)
    if array.dtype == i64.code:
        return array
    fits = index.dtype.kind in "iu"
    expect(fits, where, "an index of i64 or i32", index.dtype.name, NoKernelError)
    return array.cast(i64.code)


def vector(array: _native.Array) -> _native.Array:
    """The array, one of no axis as a vector of one element."""
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


def read(where: object, x: _native.Array, axis: int, index: _native.Array) -> _native.Array:
    """What the index picks out along `axis`."""
    out = _native.Array.empty(index.shape, x.dtype)
    _run(where, _gather, out, x, index, axis)
    return out


def written(
    where: object, x: Tensor, axis: int, index: _native.Array, source: _native.Array, mode: int
) -> _native.Array:
    """A copy of `x` into which the source is scattered; halves are reduced in f32."""
    array = x._array
    half = mode != SET and array.dtype in _HALVES
    out = array.cast(f32.code) if half else array.clone()
    flat = vector(out)
    given = source if source.dtype == out.dtype else source.cast(out.dtype)
    _run(where, _scatter, flat, vector(index), vector(given), axis, mode)
    return out.cast(array.dtype) if half else out


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
    axis = axis_of(dim, array.ndim, gather)
    at = index_array(index, gather)
    _check_index(x, axis, index, gather)
    if not at.size:
        return wrap(_native.Array.empty(at.shape, array.dtype))
    if at.ndim and array.ndim:
        return wrap(read(gather, array, axis, at))
    return wrap(read(gather, vector(array), axis, vector(at)).reshape(at.shape))


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
    axis = axis_of(dim, input.ndim, "scatter")
    at = index_array(index, "scatter")
    source = _source(input, axis, index, src, "scatter")
    if not at.size:
        return wrap(input._array.clone())
    return wrap(written("scatter", input, axis, at, source, SET))


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
    axis = axis_of(dim, x.ndim, scatter_add)
    at = index_array(index, scatter_add)
    source = _source(x, axis, index, src, scatter_add)
    if not at.size:
        return wrap(x._array.clone())
    return wrap(written(scatter_add, x, axis, at, source, ADD))


@scatter_add.grad
def _(g: Tensor, _x: Tensor, dim: int, index: Tensor, _src: Tensor) -> tuple[Any, None, Any]:
    return g, None, lambda: _covered(g, dim, index, _src)


@primitive
def scatter_combine(input: Tensor, dim: int, index: Tensor, src: Tensor, mode: int) -> Tensor:
    """`scatter_add` with a product (mode 2), the largest (3) or the smallest (4) for the sum."""
    axis = axis_of(dim, input.ndim, "scatter_reduce")
    at = index_array(index, "scatter_reduce")
    source = _source(input, axis, index, src, "scatter_reduce")
    if not at.size:
        return wrap(input._array.clone())
    return wrap(written("scatter_reduce", input, axis, at, source, mode))


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
