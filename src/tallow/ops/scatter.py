"""Reading and writing along one axis by an index of every element: gather, scatter, their sums.

Sums are made in the order of the index, whatever the number of threads.
"""

from __future__ import annotations

from typing import Any

from ..autograd.views import unslice
from ..dtype import bf16, f16, f32, i64
from ..errors import ArgumentError, NoKernelError, expect
from ..registry import Op, op
from ..tensor import Tensor, unwrap_tensor
from .shape import axis_of

_SET, _ADD, MULTIPLY, MAX, MIN = range(5)  # csrc/cpu/scatter_moves.h


def check_index(index: Tensor, where: object) -> None:
    """Refuse an index that is no tensor of integers."""
    if type(index) is not Tensor:
        unwrap_tensor(index, where)
    dtype = index.dtype
    if dtype is not i64 and dtype.kind not in "iu":
        expect(False, where, "an index of i64 or i32", dtype.name, NoKernelError)


def _fits(x: Tensor, axis: int, index: Tensor, where: object) -> None:
    a, b = x.shape or (1,), index.shape or (1,)
    if a == b:
        return
    fits = len(a) == len(b) and all(
        n <= m or i == axis for i, (m, n) in enumerate(zip(a, b, strict=True))
    )
    if not (fits or not index.numel()):
        expect(False, where, f"an index that lies inside {x.shape} beside axis {axis}", index.shape)


@op(cached=True)
def gather(x: Tensor, dim: int, index: Tensor, *, sparse_grad: bool = False) -> Tensor:
    """`out[i, j, k] = x[i, index[i, j, k], k]` (for dim 1): an element of `x` for each of `index`.

    `index` has as many axes as `x` and is nowhere longer, but along `dim`. IndexRangeError for an
    index outside `[0, x.shape[dim])`.
    """
    ...


@gather.check
def _(x: Tensor, dim: int, index: Tensor, sparse_grad: bool) -> None:
    check_index(index, gather)
    _fits(x, axis_of(dim, x.ndim, gather), index, gather)


@gather.out
def _(x: Tensor, dim: int, index: Tensor, sparse_grad: bool) -> Any:
    return index.shape, x.dtype


@gather.kernel("gather")
def _(x: Tensor, dim: int, index: Tensor, sparse_grad: bool) -> tuple[Any, ...]:
    return x, dim, index


@gather.grad
def _(g: Tensor, _x: Tensor, dim: int, index: Tensor, _sparse: bool) -> tuple[Any, None]:
    return lambda: scatter_add(g.new_zeros(_x.shape), dim, index, g), None


def _covered(g: Tensor, dim: int, index: Tensor, src: Any) -> Tensor:
    """The source's gradient: gathered, with zeros for what the index did not cover."""
    found = gather(g, dim, index)
    if found.shape == src.shape:
        return found
    if found.numel() == 1 and len(src.shape) != len(index.shape):
        return found.reshape(src.shape)
    return unslice(found, src.shape, tuple(slice(0, n) for n in index.shape))


def _part(src: Tensor, index: Tensor) -> Tensor:
    """The part of the source that the index covers."""
    if not index.ndim or src.shape == index.shape:
        return src
    return src[tuple([slice(0, n) for n in index.shape])]


def _attach_check(op: Op[..., Any], where: str) -> None:
    @op.check
    def _(x: Tensor, dim: int, index: Tensor, src: Tensor, *_: Any) -> None:
        axis = axis_of(dim, x.ndim, where)
        if type(index) is not Tensor or index.dtype is not i64:
            check_index(index, where)
        if type(src) is not Tensor:
            unwrap_tensor(src, where)
        if src.dtype is not x.dtype:
            expect(False, where, f"a source of {x.dtype.name}", src.dtype.name, NoKernelError)
        shape, given = index.shape, src.shape
        if shape != x.shape:
            _fits(x, axis, index, where)
        if shape and given != shape:
            covers = len(given) == len(shape) and all(
                m >= n for m, n in zip(given, shape, strict=True)
            )
            expect(covers, where, f"a source of at least the index's shape {shape}", given)


def _attach_out(op: Op[..., Any]) -> None:
    @op.out
    def _(x: Tensor, dim: int, index: Tensor, src: Tensor, *_: int) -> Any:
        return x.shape, x.dtype


@op
def scatter_values(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """`input` with `out[i, index[i, j, k], k] = src[i, j, k]` (for dim 1); the last one wins."""
    ...


_attach_check(scatter_values, "scatter")
_attach_out(scatter_values)
scatter_values.kernel("scatter")


@scatter_values.grad
def _(g: Tensor, _input: Tensor, dim: int, index: Tensor, _src: Tensor) -> tuple[Any, None, Any]:
    def rest() -> Tensor:
        nothing = g.new_zeros((1,) * len(index.shape)).expand(index.shape)
        return scatter_values(g, dim, index, nothing)

    return rest, None, lambda: _covered(g, dim, index, _src)


@op(inplace=True, cached=True)
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
        given = x.new_full((1,) * index.ndim, given).expand(index.shape)
    if reduce is None:
        return scatter_values(x, dim, index, given)
    known = {"add": "sum", "multiply": "prod"}
    expect(reduce in known, scatter, "reduce add or multiply", reduce, ArgumentError)
    return scatter_reduce(x, dim, index, given, known[reduce])


@op(inplace=True, cached=True)
def scatter_add(x: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """`x` with `out[i, index[i, j, k], k] += src[i, j, k]` (for dim 1), in the index's order.

    Halves are added up in f32.
    """
    ...


_attach_check(scatter_add, "scatter_add")
_attach_out(scatter_add)
scatter_add.kernel("scatter_add")


@scatter_add.grad
def _(g: Tensor, _x: Tensor, dim: int, index: Tensor, _src: Tensor) -> tuple[Any, None, Any]:
    return g, None, lambda: _covered(g, dim, index, _src)


@op
def scatter_combine(input: Tensor, dim: int, index: Tensor, src: Tensor, mode: int) -> Tensor:
    """`scatter_add` with a product (mode 2), the largest (3) or the smallest (4) for the sum."""
    if input.dtype not in (f16, bf16):
        return _combined(input, dim, index, src, mode)
    # In f32, for the gradient: the kernel reduces halves so by itself.
    return _combined(input.to(f32), dim, index, src.to(f32), mode).to(input.dtype)


_attach_check(scatter_combine, "scatter_reduce")


@op(name="nn.scatter_combine")
def _combined(input: Tensor, dim: int, index: Tensor, src: Tensor, mode: int) -> Tensor:
    """`scatter_combine` in the dtype of `input`, which must not be a half."""
    ...


_attach_out(_combined)
_combined.kernel("scatter_reduce")


@_combined.grad
def _(
    g: Tensor, input: Tensor, dim: int, index: Tensor, src: Tensor, mode: int, out: Tensor
) -> tuple[Any, None, Any]:
    part = _part(src, index)
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
        nothing = x.new_zeros(x.shape, dtype=i64)
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
    start = x.new_ones(x.shape, dtype=i64)
    if not include_self:
        start = scatter(start, dim, index, 0)
    one = x.new_ones((1,) * index.ndim, dtype=i64).expand(index.shape)
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
