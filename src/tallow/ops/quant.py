"""Block formats: floats into blocks, with importances or without, and back."""

from __future__ import annotations

from typing import Any

from ..autograd.mode import MODE
from ..dtype import DType, as_dtype, f32
from ..errors import DTypeError, GradError, NoKernelError, expect
from ..registry import op
from ..tensor import Tensor, unwrap_tensor


def refuse_gradient(x: Tensor, dtype: DType) -> None:
    """GradError for a tensor that requires a gradient, which rounding to blocks would lose."""
    if x._node is not None and MODE.enabled:
        raise GradError(
            f"quantize: expected a tensor without gradient to make {dtype.name} of, since rounding"
            " has none (use .detach() first, or no_grad())"
        )


@op
def quantize(x: Tensor, dtype: DType | str, importance: Tensor | None = None) -> Tensor:
    """`x` in a block dtype, so that the squared error, weighted by `importance`, is small.

    `x` (…, k) is a float tensor, or one in another block dtype; k is a multiple of the block.
    `importance` (k,) has one weight per column, not negative, as an importance matrix of llama.cpp
    does (the mean square of the activations that meet it); (…, k) without the second axis from the
    end gives each matrix of a stack its own. Only their ratios count, and a column of importance 0
    is taken to be unknown rather than superfluous.

    Without importances q4_0, q4_1, q5_0, q5_1, q8_0, q8_1, q8_k, tq1_0, tq2_0, mxfp4, nvfp4, q1_0
    and q2_0 equal the reference quantisation of ggml bit by bit; the other formats, and all with
    importances, are searched. Raises DTypeError, ShapeError, GradError (rounding has no gradient)
    and, for NaN, infinity or values beyond the formats' float16 scales, ArgumentError.
    """
    ...


@quantize.check
def _(x: Tensor, dtype: DType | str, importance: Tensor | None) -> None:
    to = as_dtype(dtype)
    unwrap_tensor(x, quantize)
    shape = tuple(x.shape)
    expect(to.kind == "q", quantize, "a block dtype", to.name, DTypeError)
    expect(x.dtype.kind in "fq", quantize, "a float tensor", x.dtype.name, NoKernelError)
    refuse_gradient(x, to)
    fits = bool(shape) and shape[-1] % to.block == 0
    expect(fits, quantize, f"a last axis that is a multiple of {to.block} for {to.name}", shape)
    if importance is not None:
        unwrap_tensor(importance, quantize)
        kind, given = importance.dtype, tuple(importance.shape)
        expect(kind.kind == "f", quantize, "importance of a float dtype", kind.name, DTypeError)
        wanted = [shape[-1:], (*shape[:-2], shape[-1])]
        text = " or ".join(str(each) for each in dict.fromkeys(wanted))
        expect(given in wanted, quantize, f"importance of shape {text}", given)


@quantize.out
def _(x: Tensor, dtype: DType | str, importance: Tensor | None) -> Any:
    return x.shape, as_dtype(dtype)


@quantize.kernel("quantize")
def _(x: Tensor, dtype: DType | str, importance: Tensor | None) -> tuple[Any, ...]:
    weights = None if importance is None else importance.to(f32).contiguous()
    return x.to(f32).contiguous(), weights


@op
def dequantize(x: Tensor, dtype: DType | str = f32) -> Tensor:
    """The values of a tensor in a block dtype, as floats: `x.to(dtype)` for block dtypes only.

    Raises DTypeError when `x` is not in a block dtype, or `dtype` is not a float.
    """
    return x.to(as_dtype(dtype))


@dequantize.check
def _(x: Tensor, dtype: DType | str) -> None:
    unwrap_tensor(x, dequantize)
    to = as_dtype(dtype)
    expect(
        x.dtype.kind == "q", dequantize, "a tensor in a block dtype", x.dtype.name, NoKernelError
    )
    expect(to.kind == "f", dequantize, "a float dtype", to.name, DTypeError)
