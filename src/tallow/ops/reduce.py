"""Reductions, softmax, order."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any, NamedTuple

from .. import _native
from ..dtype import DType, as_dtype, i64
from ..errors import DTypeError, expect
from ..registry import op, primitive
from ..tensor import Tensor, empty_like, unwrap_tensor, wrap

Dim = int | Sequence[int] | None


class ValuesIndices(NamedTuple):
    """What max, min and topk give along an axis."""

    values: Tensor
    indices: Tensor


def _axes(x: Tensor, dim: Dim, where: object) -> tuple[int, ...]:
    """The axes to reduce, counted from the front, each once; all of them for None and ()."""
    n = x.ndim
    dims = (
        tuple(range(n))
        if dim is None
        else (dim,)
        if isinstance(dim, int)
        else tuple(dim) or tuple(range(n))
    )
    for d in dims:
        expect(
            -builtins.max(n, 1) <= d < builtins.max(n, 1), where, f"an axis of a {n}-d tensor", d
        )
    out = tuple(sorted({d % builtins.max(n, 1) for d in dims}))
    expect(len(out) == len(dims), where, "each axis once", dims)
    return out if n else ()


def _reduce(name: str, where: object, x: Tensor, dim: Dim, keepdim: bool, dtype: DType) -> Tensor:
    axes = _axes(x, dim, where)
    shape = x.shape
    out = _native.Array.empty([1 if i in axes else n for i, n in enumerate(shape)], dtype.code)
    _native.call(name, out, x._array, builtins.sum(1 << i for i in axes))
    if not keepdim and axes:
        out = out.reshape([n for i, n in enumerate(shape) if i not in axes])
    return wrap(out)


def _filled(x: Tensor, dim: Dim, where: object) -> None:
    """Refuse to look for an extreme among no elements."""
    shape = x.shape
    empty = builtins.any(shape[axis] == 0 for axis in _axes(x, dim, where))
    expect(not empty, where, "at least one element along the reduced axes", f"shape {shape}")


def _plain(x: Tensor, where: object) -> None:
    unwrap_tensor(x, where)
    expect(x.dtype.kind in "buif", where, "a plain dtype", x.dtype.name, DTypeError)


def _sum_dtype(x: Tensor, dtype: DType | str | None) -> DType:
    return as_dtype(dtype) if dtype is not None else x.dtype if x.dtype.kind == "f" else i64


@primitive
def sum(
    x: Tensor, dim: Dim = None, keepdim: bool = False, dtype: DType | str | None = None
) -> Tensor:
    """The sum over the axes `dim` (all by default); integers and bools give i64."""
    _plain(x, sum)
    wanted = _sum_dtype(x, dtype)
    return _reduce(
        "sum", sum, x.to(wanted) if "f" in (wanted.kind, x.dtype.kind) else x, dim, keepdim, wanted
    )


@primitive
def prod(
    x: Tensor, dim: Dim = None, keepdim: bool = False, dtype: DType | str | None = None
) -> Tensor:
    """The product over the axes `dim` (all by default); integers and bools give i64."""
    _plain(x, prod)
    wanted = _sum_dtype(x, dtype)
    return _reduce(
        "prod",
        prod,
        x.to(wanted) if "f" in (wanted.kind, x.dtype.kind) else x,
        dim,
        keepdim,
        wanted,
    )


@primitive
def mean(
    x: Tensor, dim: Dim = None, keepdim: bool = False, dtype: DType | str | None = None
) -> Tensor:
    """The mean over the axes `dim` (all by default); for floats, as in PyTorch."""
    wanted = as_dtype(dtype) if dtype is not None else x.dtype
    expect(wanted.kind == "f", mean, "a float dtype", wanted.name, DTypeError)
    return _reduce("mean", mean, x.to(wanted), dim, keepdim, wanted)


@op
def var(x: Tensor, dim: Dim = None, correction: float = 1, keepdim: bool = False) -> Tensor:
    """The variance over the axes `dim`: squared deviations summed, over `n - correction`."""
    centred = x - x.mean(dim, keepdim=True)
    count = x.numel() / builtins.max(x.mean(dim).numel(), 1)
    return centred.square().sum(dim, keepdim=keepdim) / builtins.max(count - correction, 0)


@op
def std(x: Tensor, dim: Dim = None, correction: float = 1, keepdim: bool = False) -> Tensor:
    """The square root of `var`."""
    return x.var(dim, correction, keepdim).sqrt()


@primitive
def amax(x: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """The largest element over the axes `dim` (all by default); NaN wins."""
    _plain(x, amax)
    _filled(x, dim, amax)
    return _reduce("amax", amax, x, dim, keepdim, x.dtype)


@primitive
def amin(x: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """The smallest element over the axes `dim` (all by default); NaN wins."""
    _plain(x, amin)
    _filled(x, dim, amin)
    return _reduce("amin", amin, x, dim, keepdim, x.dtype)


def _boolean(name: str, where: object, x: Tensor, dim: Dim, keepdim: bool) -> Tensor:
    return _reduce(name, where, x, dim, keepdim, as_dtype("bool"))


@primitive
def any(x: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """Whether an element over the axes `dim` is nonzero."""
    _plain(x, any)
    return _boolean("any", any, x, dim, keepdim)


@primitive
def all(x: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """Whether every element over the axes `dim` is nonzero."""
    _plain(x, all)
    return _boolean("all", all, x, dim, keepdim)


def _arg(name: str, where: object, x: Tensor, dim: int | None, keepdim: bool) -> Tensor:
    _plain(x, where)
    expect(dim is None or isinstance(dim, int), where, "one axis", dim)
    _filled(x, dim, where)
    if dim is None:
        out = _native.Array.empty((1,), i64.code)
        _native.call(name, out, x._array.reshape((-1,)), 0)
        return wrap(out.reshape((1,) * x.ndim if keepdim else ()))
    axis = _axes(x, dim, where)
    shape = [1 if i in axis else n for i, n in enumerate(x.shape)]
    out = _native.Array.empty(shape, i64.code)
    _native.call(name, out, x._array if x.ndim else x._array.reshape((1,)), axis[0] if axis else 0)
    return wrap(out if keepdim or not axis else out.squeeze(axis[0]))


@primitive
def argmax(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index (i64) of the first largest element, of the flattened tensor or along `dim`."""
    return _arg("argmax", argmax, x, dim, keepdim)


@primitive
def argmin(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index (i64) of the first smallest element, of the flattened tensor or along `dim`."""
    return _arg("argmin", argmin, x, dim, keepdim)


def _extreme(x: Tensor, other: Any, keepdim: bool, whole: Any, pair: Any, arg: Any) -> Any:
    if other is None:
        return whole(x)
    if isinstance(other, Tensor):
        return pair(x, other)
    return ValuesIndices(whole(x, other, keepdim), arg(x, other, keepdim))


@primitive
def max(x: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The largest element; (values, indices) along an axis; elementwise with another tensor."""
    return _extreme(x, dim, keepdim, Tensor.amax, Tensor.maximum, Tensor.argmax)


@primitive
def min(x: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The smallest element; (values, indices) along an axis; elementwise with another tensor."""
    return _extreme(x, dim, keepdim, Tensor.amin, Tensor.minimum, Tensor.argmin)


@primitive
def topk(x: Tensor, k: int, largest: bool = True) -> ValuesIndices:
    """The `k` largest (or smallest) elements of the last axis, sorted, and their indices (i64)."""
    _plain(x, topk)
    expect(
        x.ndim > 0 and 0 <= k <= x.shape[-1], topk, f"k in [0, {x.shape[-1] if x.ndim else 0}]", k
    )
    shape = (*x.shape[:-1], k)
    values, indices = (
        _native.Array.empty(shape, x._array.dtype),
        _native.Array.empty(shape, i64.code),
    )
    _native.call("topk", values, indices, x._array, k, int(largest))
    return ValuesIndices(wrap(values), wrap(indices))


def _float(x: Tensor, where: object) -> None:
    unwrap_tensor(x, where)
    expect(
        x.dtype.kind == "f" and x.dtype.itemsize > 1,
        where,
        "a float dtype",
        x.dtype.name,
        DTypeError,
    )


@op
def softmax(x: Tensor, dim: int = -1, dtype: DType | str | None = None) -> Tensor:
    """`exp(x)` scaled to sum 1 along `dim`."""
    x = x if dtype is None else x.to(dtype)
    e = (x - x.amax(dim, keepdim=True)).exp()
    return e / e.sum(dim, keepdim=True)


@softmax.kernel
def _(x: Tensor, dim: int = -1, dtype: DType | str | None = None) -> Tensor:
    return _softmax(softmax, x, dim, dtype, 0)


@op
def log_softmax(x: Tensor, dim: int = -1, dtype: DType | str | None = None) -> Tensor:
    """`log(softmax(x))` along `dim`, without the loss of precision."""
    x = x if dtype is None else x.to(dtype)
    shifted = x - x.amax(dim, keepdim=True)
    return shifted - shifted.exp().sum(dim, keepdim=True).log()


@log_softmax.kernel
def _(x: Tensor, dim: int = -1, dtype: DType | str | None = None) -> Tensor:
    return _softmax(log_softmax, x, dim, dtype, 1)


def _softmax(where: object, x: Tensor, dim: int, dtype: DType | str | None, log: int) -> Tensor:
    x = x if dtype is None else x.to(dtype)
    _float(x, where)
    if not x.ndim:
        return _softmax(where, x.reshape(1), 0, None, log).reshape(())
    axis = _axes(x, dim, where)[0]
    out = empty_like(x)
    _native.call("softmax", out._array, x._array, axis, log)
    return out
