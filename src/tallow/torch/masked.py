"""torch.masked: reductions and normalisations of what a mask holds; no masked tensors."""

from __future__ import annotations

from typing import Any

from tallow import ops
from tallow.dtype import DType, as_dtype, f32, i64
from tallow.factories import full_like, ones_like, zeros_like
from tallow.numeric import iinfo
from tallow.ops.shape import axis_of
from tallow.tensor import Tensor
from tallow.torch._names import namespace


def _kept(x: Tensor, mask: Tensor | None) -> Tensor:
    """The mask in the shape of `x`."""
    return ones_like(x, dtype="bool") if mask is None else mask.bool().expand(x.shape)


def _filled(x: Tensor, mask: Tensor | None, value: float) -> Tensor:
    return x if mask is None else ops.where(_kept(x, mask), x, full_like(x, value))


def _cast(x: Tensor, dtype: Any, wide: bool = False) -> Tensor:
    """`x` in `dtype`; without one, integers as i64 where `wide`."""
    if dtype is None:
        dtype = i64 if wide and x.dtype.kind in "biu" else x.dtype
    return x.to(as_dtype(dtype))


def _lowest(dtype: DType) -> float:
    return float("-inf") if dtype.kind in "fc" else 0 if dtype.kind == "b" else iinfo(dtype).min


def _highest(dtype: DType) -> float:
    return float("inf") if dtype.kind in "fc" else 1 if dtype.kind == "b" else iinfo(dtype).max


def _axes(x: Tensor, dim: Any) -> tuple[int, ...]:
    """The reduced axes: all of them for None and for an empty tuple."""
    if dim is None or dim == () or dim == []:
        return tuple(range(x.ndim))
    return (dim,) if isinstance(dim, int) else tuple(dim)


def _over(name: str, x: Tensor, dim: Any, keepdim: bool) -> Tensor:
    reduce = getattr(ops, name)
    axes = _axes(x, dim)
    if not axes:
        return reduce(x)
    if name != "prod":
        return reduce(x, axes, keepdim)
    for axis in sorted(
        (axis_of(a, x.ndim, prod) for a in axes), reverse=True
    ):  # prod takes one axis at a time
        x = ops.prod(x, axis, keepdim)
    return x


def sum(
    input: Tensor, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Tensor:
    """The sum of what the mask holds."""
    return _over("sum", _filled(_cast(input, dtype, True), mask, 0), dim, keepdim)


def prod(
    input: Tensor, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Tensor:
    """The product of what the mask holds."""
    return _over("prod", _filled(_cast(input, dtype, True), mask, 1), dim, keepdim)


def amax(
    input: Tensor, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Tensor:
    """The largest of what the mask holds."""
    x = _cast(input, dtype)
    return _over("amax", _filled(x, mask, _lowest(x.dtype)), dim, keepdim)


def amin(
    input: Tensor, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Tensor:
    """The smallest of what the mask holds."""
    x = _cast(input, dtype)
    return _over("amin", _filled(x, mask, _highest(x.dtype)), dim, keepdim)


def argmax(
    input: Tensor, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Tensor:
    """The place of the largest of what the mask holds; in the input's dtype, as in PyTorch."""
    x = _cast(input, dtype)
    return ops.argmax(_filled(x, mask, _lowest(x.dtype)), dim, keepdim).to(x.dtype)


def argmin(
    input: Tensor, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Tensor:
    """The place of the smallest of what the mask holds; in the input's dtype, as in PyTorch."""
    x = _cast(input, dtype)
    return ops.argmin(_filled(x, mask, _highest(x.dtype)), dim, keepdim).to(x.dtype)


def cumsum(input: Tensor, dim: int, *, dtype: Any = None, mask: Any = None) -> Tensor:
    """Running sums, to which what the mask does not hold adds nothing."""
    x = _cast(input, dtype)
    return ops.cumsum(_filled(x, mask, 0), dim).to(x.dtype)


def cumprod(input: Tensor, dim: int, *, dtype: Any = None, mask: Any = None) -> Tensor:
    """Running products, which what the mask does not hold leaves as they are."""
    x = _cast(input, dtype)
    return ops.cumprod(_filled(x, mask, 1), dim).to(x.dtype)


def _count(x: Tensor, dim: Any, keepdim: bool, mask: Any) -> Tensor:
    return _over("sum", _kept(x, mask).to(i64), dim, keepdim)


def mean(
    input: Tensor, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Tensor:
    """The mean of what the mask holds; NaN where that is nothing."""
    x = _cast(input, dtype)
    total = sum(x, dim, keepdim=keepdim, dtype=x.dtype, mask=mask)
    return total / _count(x, dim, keepdim, mask)


def median(
    input: Tensor, dim: int = -1, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Tensor:
    """The lower median of what the mask holds along one axis; NaN where that is nothing."""
    x = _cast(input, dtype)
    if x.ndim == 0:
        x, mask = x.reshape(1), None if mask is None else mask.reshape(1)
        return ops.nanmedian(_filled(x, mask, float("nan")), 0, False).values
    if mask is None:
        return ops.median(x, dim, keepdim).values
    return ops.nanmedian(_filled(x, mask, float("nan")), dim, keepdim).values


def norm(
    input: Tensor, ord: float | None = 2.0, dim: Any = None, *, keepdim: bool = False,
    dtype: Any = None, mask: Any = None,
) -> Tensor:  # fmt: skip
    """The vector norm of what the mask holds."""
    from tallow import linalg

    x = _cast(input, dtype)
    order = 2.0 if ord is None else ord
    spared = float("inf") if order == float("-inf") or order < 0 else 0.0
    made: Tensor = linalg.vector_norm(_filled(x, mask, spared), order, _axes(x, dim), keepdim)
    return made


def var(
    input: Tensor, dim: Any = None, unbiased: bool | None = None, *,
    correction: float | None = None, keepdim: bool = False, dtype: Any = None, mask: Any = None,
) -> Tensor:  # fmt: skip
    """The variance of what the mask holds."""
    if dtype is None and input.dtype.kind in "biu":
        dtype = f32
    x = _cast(input, dtype)
    centre = mean(x, dim, keepdim=True, mask=mask)
    apart = (x - centre).abs() if x.dtype.kind == "c" else x - centre
    total = sum(apart * apart, dim, keepdim=keepdim, mask=mask)
    less = (0 if unbiased is False else 1) if correction is None else correction
    count = _count(x, dim, keepdim, mask) - less
    return (total / ops.maximum(count, zeros_like(count))).to(x.dtype)


def std(
    input: Tensor, dim: Any = None, unbiased: bool | None = None, *,
    correction: float | None = None, keepdim: bool = False, dtype: Any = None, mask: Any = None,
) -> Tensor:  # fmt: skip
    """The standard deviation of what the mask holds."""
    options = {"correction": correction, "keepdim": keepdim, "dtype": dtype, "mask": mask}
    return var(input, dim, unbiased, **options).sqrt()


def softmax(input: Tensor, dim: int, *, dtype: Any = None, mask: Any = None) -> Tensor:
    """Softmax over what the mask holds; 0 elsewhere."""
    x = _cast(input, dtype)
    return ops.softmax(_filled(x, mask, _lowest(x.dtype)), dim)


def log_softmax(input: Tensor, dim: int, *, dtype: Any = None, mask: Any = None) -> Tensor:
    """The logarithm of `softmax`."""
    x = _cast(input, dtype)
    return ops.log_softmax(_filled(x, mask, _lowest(x.dtype)), dim)


def softmin(input: Tensor, dim: int, *, dtype: Any = None, mask: Any = None) -> Tensor:
    """`softmax` of the negated input."""
    x = _cast(input, dtype)
    return ops.softmax(-_filled(x, mask, _highest(x.dtype)), dim)


def normalize(
    input: Tensor, ord: float, dim: int, *, eps: float = 1e-12, dtype: Any = None, mask: Any = None
) -> Tensor:
    """What the mask holds divided by its norm, which counts as `eps` at least."""
    x = _cast(input, dtype)
    size = norm(x, ord, dim, keepdim=True, mask=mask)
    return _filled(x, mask, 0) / ops.maximum(size, full_like(size, eps))


def logsumexp(
    input: Tensor, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Tensor:
    """The logarithm of the sum of the exponentials of what the mask holds."""
    x = _cast(input, dtype)
    return ops.logsumexp(_filled(x, mask, _lowest(x.dtype)), _axes(x, dim), keepdim).to(x.dtype)


def logaddexp(
    input: Tensor, other: Tensor, *, dtype: Any = None, input_mask: Any = None,
    other_mask: Any = None,
) -> Tensor:  # fmt: skip
    """The logarithm of the sum of two exponentials, of those that the masks hold."""
    a, b = _cast(input, dtype), _cast(other, dtype)
    low = float("-inf")
    return ops.logaddexp(_filled(a, input_mask, low), _filled(b, other_mask, low))


__getattr__, __dir__ = namespace(
    __name__,
    refuses={
        "masked tensors are not supported (use torch.where)": (
            "MaskedTensor masked_tensor as_masked_tensor"
        )
    },
)
