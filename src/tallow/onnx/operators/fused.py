"""Rows of our own domain, `tallow`: what passes put in the place of several nodes."""

from __future__ import annotations

from tallow import ops
from tallow.nn.functional import scaled_dot_product_attention
from tallow.onnx.operators.softmax import softmax_1
from tallow.onnx.operators.table import operator
from tallow.ops.attention import attention_or_nan
from tallow.tensor import Tensor


@operator("Linear", domain="tallow")
def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, exact: int = 0) -> Tensor:
    return ops.linear(x, weight, bias, exact=bool(exact))


@operator("Rows", domain="tallow")
def rows(
    x: Tensor, table: Tensor, places: Tensor, weight: Tensor, bias: Tensor | None = None
) -> Tensor:
    """(x == places) @ weight + bias, where places are all numbers from 0 on.

    Where x is the same all along its last axis, a result is the row of the table that x names:
    of weight + bias, between two rows of bias alone.
    """
    if x.ndim >= places.ndim and (x.shape[-1] == 1 or x.stride(-1) == 0):
        index = x.select(-1, 0)
        return ops.embedding(index.maximum(-1).minimum(weight.shape[0]) + 1, table)
    found = x.eq(places).to(weight.dtype) @ weight
    return found if bias is None else found + bias


@operator("Silu", domain="tallow")
def silu(x: Tensor) -> Tensor:
    return ops.silu(x)


def _with_axes(x: Tensor, rank: int) -> Tensor:
    """A value with the axes in front that constants of `rank` axes in its computation give it."""
    return x.reshape((*(1,) * (rank - x.ndim), *x.shape)) if x.ndim < rank else x


@operator("Gelu", domain="tallow")
def gelu(x: Tensor, *, rank: int, approximate: str = "none") -> Tensor:
    return ops.gelu(_with_axes(x, rank), approximate=approximate)


@operator("HardSwish", domain="tallow")
def hard_swish(x: Tensor, *, rank: int) -> Tensor:
    return ops.hardswish(_with_axes(x, rank))


@operator("HardSigmoid", domain="tallow")
def hard_sigmoid(x: Tensor, *, rank: int) -> Tensor:
    return ops.hardsigmoid(_with_axes(x, rank))


@operator("MatrixTranspose", domain="tallow")
def matrix_transpose(x: Tensor) -> Tensor:
    return x.transpose(-1, -2)


@operator("Attention", domain="tallow")
def attention(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, *, scale: float, axis: int = -1,
    flat: int = 0, guarded: int = 0, rank: int = 0,
) -> Tensor:  # fmt: skip
    """softmax(q @ k * scale + mask) @ v: `k` is (…, size, length); `axis` is -1, or 3.

    `flat`: the softmax is over all axes from `axis` on, as in opsets before 13. `guarded`: 0 takes
    the place of weights of NaN, which queries get for which the mask leaves nothing.
    """
    if q.ndim == k.ndim == v.ndim == 4 and (mask is None or _fits(mask, q, k)):
        if guarded:
            return scaled_dot_product_attention(q, k.transpose(-1, -2), v, mask, scale=scale)
        if q.shape[:2] == k.shape[:2] == v.shape[:2]:
            if mask is not None:  # the kernel takes four axes
                mask = mask.reshape((1,) * (4 - mask.ndim) + mask.shape)
                mask = mask.expand(*mask.shape[:3], k.shape[3])
            return attention_or_nan(q, k.transpose(-1, -2), v, mask, scale)
    scores = _with_axes(q @ k * scale, rank)
    scores = scores if mask is None else scores + mask
    weights = softmax_1(scores, axis=axis) if flat else scores.softmax(axis)
    return (weights.masked_fill(weights.isnan(), 0.0) if guarded else weights) @ v


def _fits(mask: Tensor, q: Tensor, k: Tensor) -> bool:
    """Whether a mask broadcasts to the scores, and does not make more of them."""
    scores = (*map(max, q.shape[:2], k.shape[:2]), q.shape[2], k.shape[3])
    lengths = zip(reversed(mask.shape), reversed(scores), strict=False)
    return mask.ndim <= 4 and all(length in (1, wanted) for length, wanted in lengths)
