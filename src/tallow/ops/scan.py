"""Running sums, products and extremes along an axis; differences and areas."""

from __future__ import annotations

from typing import Any

from .. import _native
from ..dtype import DType, as_dtype, i64
from ..errors import ArgumentError, NoKernelError, expect
from ..factories import full, zeros
from ..registry import op, primitive
from ..tensor import Tensor, unwrap_tensor, wrap
from .extreme import ValuesIndices
from .shape import axis_of


def _plain(x: Tensor, where: object, kinds: str = "buif") -> None:
    unwrap_tensor(x, where)
    dtype = x.dtype
    if dtype.kind not in kinds or (dtype.kind == "f" and dtype.itemsize == 1):
        wanted = "floats" if kinds[0] == "f" else "a plain dtype"
        expect(False, where, wanted, dtype.name, NoKernelError)


_KERNELS = {
    name: _native.kernel(name) for name in ("cumsum", "cumprod", "logcumsumexp", "linear_scan")
}


def _scan(kernel: str, x: _native.Array, axis: int, *before: _native.Array) -> _native.Array:
    if not x.ndim:
        flat = [a.reshape((1,)) for a in before]
        return _scan(kernel, x.reshape((1,)), axis, *flat).reshape(())
    out = _native.Array.empty(x.shape, x.dtype)
    if x.size:
        _KERNELS[kernel](out, *before, x, axis)
    return out


def _turned(x: Tensor, dim: int) -> Tensor:
    """A view with one axis reversed."""
    if not x.ndim:
        return x
    return x[(slice(None),) * dim + (slice(None, None, -1),)]


def _shifted(x: Tensor, dim: int, first: float) -> Tensor:
    """One position later along `dim`, beginning with `first`."""
    if not x.ndim:
        return full((), first, x.dtype)
    if not x.shape[dim]:
        return x
    from . import cat

    start = full([1 if i == dim else n for i, n in enumerate(x.shape)], first, x.dtype)
    out: Tensor = cat([start, x.narrow(dim, 0, x.shape[dim] - 1)], dim)
    return out


def _wide(x: Tensor, dtype: DType | str | None, where: object) -> tuple[_native.Array, int]:
    """The array to be scanned and the code of the result's dtype; integers are scanned in i64."""
    _plain(x, where, "buifc")
    given = x.dtype
    if dtype is None and given.kind in "fc":
        return x._array, given.code
    wanted = i64 if dtype is None else as_dtype(dtype)
    array = x._array if dtype is None else x._array.cast(wanted.code)
    return array.cast(i64.code if wanted.kind not in "fc" else wanted.code), wanted.code


@primitive(inplace=True)
def cumsum(x: Tensor, dim: int, dtype: DType | str | None = None) -> Tensor:
    """The sums of the elements up to each, along `dim`; integers and bools give i64."""
    axis = axis_of(dim, x.ndim, cumsum)
    array, code = _wide(x, dtype, cumsum)
    return wrap(_scan("cumsum", array, axis).cast(code))


@cumsum.grad
def _(g: Tensor, _x: Tensor, dim: int, _dtype: Any) -> Tensor:
    axis = axis_of(dim, g.ndim, cumsum)
    return _turned(cumsum(_turned(g, axis), axis), axis)


@primitive(inplace=True)
def cumprod(x: Tensor, dim: int, dtype: DType | str | None = None) -> Tensor:
    """The products of the elements up to each, along `dim`; integers and bools give i64."""
    axis = axis_of(dim, x.ndim, cumprod)
    array, code = _wide(x, dtype, cumprod)
    return wrap(_scan("cumprod", array, axis).cast(code))


@cumprod.grad
def _(g: Tensor, x: Tensor, dim: int, _dtype: Any, out: Tensor) -> Tensor:
    # Without a division, so zeros need no care: (product before i) times b[i], where
    # b[i] = g[i] + x[i + 1] b[i + 1].
    axis = axis_of(dim, g.ndim, cumprod)
    factors = _shifted(_turned(_conj(x.to(g.dtype)), axis), axis, 0)
    behind = _turned(linear_scan(factors, _turned(g, axis), axis), axis)
    return _shifted(_conj(out), axis, 1) * behind


def _conj(x: Tensor) -> Tensor:
    found: Tensor = x.conj() if x.dtype.kind == "c" else x
    return found


@primitive
def linear_scan(decay: Tensor, input: Tensor, dim: int = -1) -> Tensor:
    """`y[i] = decay[i] * y[i - 1] + input[i]` along `dim`, from `y[-1] = 0`; of one shape.

    The first `decay` meets nothing and does not count.
    """
    _plain(input, linear_scan, "fc")
    same = decay.shape == input.shape and decay.dtype is input.dtype
    wanted = f"decay of shape {input.shape} and {input.dtype.name}"
    expect(same, linear_scan, wanted, (decay.shape, decay.dtype.name))
    axis = axis_of(dim, input.ndim, linear_scan)
    return wrap(_scan("linear_scan", input._array, axis, decay._array))


@linear_scan.grad
def _(g: Tensor, decay: Tensor, _input: Tensor, dim: int, out: Tensor) -> tuple[Any, Any]:
    axis = axis_of(dim, g.ndim, linear_scan)
    later = _shifted(_turned(_conj(decay), axis), axis, 0)
    z = _turned(linear_scan(later, _turned(g, axis), axis), axis)
    return lambda: z * _shifted(_conj(out), axis, 0), z


def _extreme(kernel: str, where: object, x: Tensor, dim: int) -> ValuesIndices:
    _plain(x, where)
    axis = axis_of(dim, x.ndim, where)
    array = x._array if x.ndim else x._array.reshape((1,))
    values = _native.Array.empty(array.shape, array.dtype)
    indices = _native.Array.empty(array.shape, i64.code)
    if array.size:
        _native.call(kernel, values, indices, array, axis)
    return ValuesIndices(wrap(values.reshape(x.shape)), wrap(indices.reshape(x.shape)))


@primitive
def cummax(x: Tensor, dim: int) -> ValuesIndices:
    """The largest element up to each, along `dim`, and its last position (i64); NaN wins."""
    return _extreme("cummax", cummax, x, dim)


@primitive
def cummin(x: Tensor, dim: int) -> ValuesIndices:
    """The smallest element up to each, along `dim`, and its last position (i64); NaN wins."""
    return _extreme("cummin", cummin, x, dim)


def _extreme_rule(g: Any, _x: Tensor, dim: int, indices: Any) -> Tensor:
    return zeros(_x.shape, dtype=g[0].dtype).scatter_add(dim, indices, g[0])


cummax.grad(_extreme_rule)
cummin.grad(_extreme_rule)


@primitive
def logcumsumexp(x: Tensor, dim: int) -> Tensor:
    """`log(cumsum(exp(x)))` along `dim`, without overflow; floats or complex numbers."""
    _plain(x, logcumsumexp, "fc")
    return wrap(_scan("logcumsumexp", x._array, axis_of(dim, x.ndim, logcumsumexp)))


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


@op
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


@op
def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: float = 1, dim: int = -1) -> Tensor:
    """The area under `y` at the places `x`, or `dx` apart, along `dim`, by the trapezoid rule."""
    return _areas(y, x, dx, dim, trapezoid).sum(dim)


@op
def cumulative_trapezoid(
    y: Tensor, x: Tensor | None = None, *, dx: float = 1, dim: int = -1
) -> Tensor:
    """The areas of `trapezoid` up to each place but the first."""
    return cumsum(_areas(y, x, dx, dim, cumulative_trapezoid), dim)
