"""Running sums, products and extremes along an axis; differences and areas."""

from __future__ import annotations

from typing import Any

from ..dtype import DType, as_dtype, i64
from ..errors import ArgumentError, NoKernelError, expect
from ..registry import Op, op
from ..tensor import Tensor, unwrap_tensor
from .extreme import ValuesIndices
from .shape import axis_of


def _plain(x: Tensor, where: object, kinds: str = "buif") -> None:
    unwrap_tensor(x, where)
    dtype = x.dtype
    if dtype.kind not in kinds or (dtype.kind == "f" and dtype.itemsize == 1):
        wanted = "floats" if kinds[0] == "f" else "a plain dtype"
        expect(False, where, wanted, dtype.name, NoKernelError)


def _lines(axis: int, *tensors: Tensor) -> tuple[Any, ...]:
    """What the kernels take: tensors with an axis, and which one is run along."""
    ndim = tensors[0].ndim
    if ndim:
        return (*tensors, axis % ndim)
    return (*[x.reshape(1) for x in tensors], 0)


def _turned(x: Tensor, dim: int) -> Tensor:
    """A view with one axis reversed."""
    if not x.ndim:
        return x
    return x[(slice(None),) * dim + (slice(None, None, -1),)]


def _shifted(x: Tensor, dim: int, first: float) -> Tensor:
    """One position later along `dim`, beginning with `first`."""
    if not x.ndim:
        return x.new_full((), first)
    if not x.shape[dim]:
        return x
    from . import cat

    start = x.new_full([1 if i == dim else n for i, n in enumerate(x.shape)], first)
    out: Tensor = cat([start, x.narrow(dim, 0, x.shape[dim] - 1)], dim)
    return out


def _in_wide(scan: Op[..., Tensor], x: Tensor, dim: int, dtype: DType | str | None) -> Tensor:
    """Integers are scanned in i64."""
    given = x.dtype
    wanted = as_dtype(dtype) if dtype is not None else given if given.kind in "fc" else i64
    wide = wanted if wanted.kind in "fc" else i64
    if given is wide:
        out = scan(x, dim)
    else:
        out = scan(x.to(wanted).to(wide), dim)
    return out if wide is wanted else out.to(wanted)


def _attach_check(op: Op[..., Any], kinds: str) -> None:
    @op.check
    def _(x: Tensor, dim: int, *_: Any) -> None:
        _plain(x, op, kinds)
        axis_of(dim, x.ndim, op)


def _attach_kernel(op: Op[..., Any], kernel: str) -> None:
    @op.out
    def _(x: Tensor, dim: int) -> Any:
        return x.shape, x.dtype

    @op.kernel(kernel)
    def _(out: Tensor, x: Tensor, dim: int) -> tuple[Any, ...]:
        return _lines(dim, out, x)


@op(inplace=True, cached=True)
def cumsum(x: Tensor, dim: int, dtype: DType | str | None = None) -> Tensor:
    """The sums of the elements up to each, along `dim`; integers and bools give i64."""
    return _in_wide(_sums, x, dim, dtype)


@op(inplace=True, cached=True)
def cumprod(x: Tensor, dim: int, dtype: DType | str | None = None) -> Tensor:
    """The products of the elements up to each, along `dim`; integers and bools give i64."""
    return _in_wide(_products, x, dim, dtype)


@op(name="nn.cumsum", cached=True)
def _sums(x: Tensor, dim: int) -> Tensor:
    """`cumsum` of floats, complex numbers or i64, in their dtype."""
    ...


@op(name="nn.cumprod", cached=True)
def _products(x: Tensor, dim: int) -> Tensor:
    """`cumprod` of floats, complex numbers or i64, in their dtype."""
    ...


_attach_check(cumsum, "buifc")
_attach_check(cumprod, "buifc")
_attach_kernel(_sums, "cumsum")
_attach_kernel(_products, "cumprod")


@_sums.grad
def _(g: Tensor, _x: Tensor, dim: int) -> Tensor:
    axis = axis_of(dim, g.ndim, cumsum)
    return _turned(cumsum(_turned(g, axis), axis), axis)


@_products.grad
def _(g: Tensor, x: Tensor, dim: int, out: Tensor) -> Tensor:
    # Without a division, so zeros need no care: (product before i) times b[i], where
    # b[i] = g[i] + x[i + 1] b[i + 1].
    axis = axis_of(dim, g.ndim, cumprod)
    factors = _shifted(_turned(_conj(x), axis), axis, 0)
    behind = _turned(linear_scan(factors, _turned(g, axis), axis), axis)
    return _shifted(_conj(out), axis, 1) * behind


def _conj(x: Tensor) -> Tensor:
    found: Tensor = x.conj() if x.dtype.kind == "c" else x
    return found


@op(cached=True)
def linear_scan(decay: Tensor, input: Tensor, dim: int = -1) -> Tensor:
    """`y[i] = decay[i] * y[i - 1] + input[i]` along `dim`, from `y[-1] = 0`; of one shape.

    The first `decay` meets nothing and does not count.
    """
    ...


@linear_scan.check
def _(decay: Tensor, input: Tensor, dim: int) -> None:
    _plain(input, linear_scan, "fc")
    same = decay.shape == input.shape and decay.dtype is input.dtype
    wanted = f"decay of shape {input.shape} and {input.dtype.name}"
    expect(same, linear_scan, wanted, (decay.shape, decay.dtype.name))
    axis_of(dim, input.ndim, linear_scan)


@linear_scan.out
def _(decay: Tensor, input: Tensor, dim: int) -> Any:
    return input.shape, input.dtype


@linear_scan.kernel("linear_scan")
def _(out: Tensor, decay: Tensor, input: Tensor, dim: int) -> tuple[Any, ...]:
    return _lines(dim, out, decay, input)


@linear_scan.grad
def _(g: Tensor, decay: Tensor, _input: Tensor, dim: int, out: Tensor) -> tuple[Any, Any]:
    axis = axis_of(dim, g.ndim, linear_scan)
    later = _shifted(_turned(_conj(decay), axis), axis, 0)
    z = _turned(linear_scan(later, _turned(g, axis), axis), axis)
    return lambda: z * _shifted(_conj(out), axis, 0), z


@op(result=ValuesIndices, cached=True)
def cummax(x: Tensor, dim: int) -> ValuesIndices:
    """The largest element up to each, along `dim`, and its last position (i64); NaN wins."""
    ...


@op(result=ValuesIndices, cached=True)
def cummin(x: Tensor, dim: int) -> ValuesIndices:
    """The smallest element up to each, along `dim`, and its last position (i64); NaN wins."""
    ...


def _attach_extreme(op: Op[..., Any]) -> None:
    _attach_check(op, "buif")

    @op.out
    def _(x: Tensor, dim: int) -> Any:
        return [(x.shape, x.dtype), (x.shape, i64)]

    @op.kernel(op.__name__)
    def _(out: Any, x: Tensor, dim: int) -> tuple[Any, ...]:
        return _lines(dim, *out, x)

    @op.grad
    def _(g: Any, _x: Tensor, dim: int, indices: Any) -> Tensor:
        found: Tensor = g[0].new_zeros(_x.shape).scatter_add(dim, indices, g[0])
        return found


_attach_extreme(cummax)
_attach_extreme(cummin)


@op(cached=True)
def logcumsumexp(x: Tensor, dim: int) -> Tensor:
    """`log(cumsum(exp(x)))` along `dim`, without overflow; floats or complex numbers."""
    ...


_attach_check(logcumsumexp, "fc")
_attach_kernel(logcumsumexp, "logcumsumexp")


@logcumsumexp.grad
def _(g: Tensor, x: Tensor, dim: int, out: Tensor) -> Tensor:
    # exp(x[i]) * sum over j >= i of g[j] exp(-out[j]), in logarithms, for either sign of g.
    from . import where

    axis = axis_of(dim, g.ndim, logcumsumexp)
    is_complex = out.dtype.kind == "c"
    size = out.detach().real if is_complex else out.detach()
    nothing = size.eq(float("-inf"))  # no part of any sum: the gradient is 0 there
    level = out.masked_fill(nothing, 0)

    def part(share: Tensor) -> Tensor:
        counts = share.detach().ne(0) if is_complex else share.detach().gt(0)
        live = counts.logical_and(nothing.logical_not())
        logs = where(live, share.masked_fill(live.logical_not(), 1).log(), float("-inf"))
        behind = _turned(logcumsumexp(_turned(logs - level, axis), axis), axis)
        return (behind + x).exp()

    return part(g.conj()).conj() if is_complex else part(g) - part(-g)


# --- differences and areas ------------------------------------------------------------------------


@op(cached=True)
def diff(
    x: Tensor,
    n: int = 1,
    dim: int = -1,
    prepend: Tensor | None = None,
    append: Tensor | None = None,
) -> Tensor:
    """The differences of neighbours along `dim`, taken `n` times; of bools, whether they differ."""
    expect(x.ndim > 0, diff, "at least one axis", "a 0-d tensor")
    expect(n >= 0, diff, "n of at least 0", n, ArgumentError)
    axis = axis_of(dim, x.ndim, diff)
    if n == 0:
        return x.clone()
    parts = [part for part in (prepend, x, append) if part is not None]
    if len(parts) > 1:
        from . import cat

        x = cat([_like(part, x, axis) for part in parts], axis)
    for _ in range(min(n, x.shape[axis])):
        size = max(x.shape[axis] - 1, 0)
        high, low = x.narrow(axis, min(1, x.shape[axis]), size), x.narrow(axis, 0, size)
        x = high.ne(low) if x.dtype.kind == "b" else high - low
    return x


def _like(part: Tensor, x: Tensor, axis: int) -> Tensor:
    if part.ndim:
        return part
    return part.expand([1 if i == axis else n for i, n in enumerate(x.shape)])


def _areas(y: Tensor, x: Tensor | None, dx: float, dim: int, where: object) -> Tensor:
    """The trapezoids between neighbours along `dim`."""
    expect(y.ndim > 0, where, "at least one axis", "a 0-d tensor")
    axis = axis_of(dim, y.ndim, where)
    size = max(y.shape[axis] - 1, 0)
    start = min(1, y.shape[axis])
    heights = y.narrow(axis, start, size) + y.narrow(axis, 0, size)
    if x is None:
        return heights * (dx / 2)
    if x.ndim == 1 and y.ndim > 1:
        expect(x.shape[0] == y.shape[axis], where, f"x of {y.shape[axis]} elements", x.shape)
        x = x.reshape([-1 if i == axis else 1 for i in range(y.ndim)])
    elif x.ndim < y.ndim:
        x = x.reshape((1,) * (y.ndim - x.ndim) + x.shape)
    place = axis + x.ndim - y.ndim
    return diff(x, dim=place) * heights / 2


@op(cached=True)
def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: float = 1, dim: int = -1) -> Tensor:
    """The area under `y` at the places `x`, or `dx` apart, along `dim`, by the trapezoid rule."""
    return _areas(y, x, dx, dim, trapezoid).sum(dim)


@op
def cumulative_trapezoid(
    y: Tensor, x: Tensor | None = None, *, dx: float = 1, dim: int = -1
) -> Tensor:
    """The areas of `trapezoid` up to each place but the first."""
    return cumsum(_areas(y, x, dx, dim, cumulative_trapezoid), dim)
