"""Rows of our own domain, `tallow`: what passes put in the place of several nodes."""

from __future__ import annotations

from tallow import ops
from tallow.nn.functional import scaled_dot_product_attention
from tallow.onnx.operators.table import operator
from tallow.tensor import Tensor


@operator("Linear", domain="tallow")
def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, exact: int = 0) -> Tensor:
    return ops.linear(x, weight, bias, exact=bool(exact))


@operator("Silu", domain="tallow")
def silu(x: Tensor) -> Tensor:
    return ops.silu(x)


@operator("MatrixTranspose", domain="tallow")
def matrix_transpose(x: Tensor) -> Tensor:
    return x.transpose(-1, -2)


@operator("Attention", domain="tallow")
def attention(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, *, scale: float, axis: int = -1
) -> Tensor:
    """softmax(q @ k * scale + mask) @ v: `k` is (…, size, length); `axis` is -1, or 3."""
    if q.ndim == k.ndim == v.ndim == 4:
        return scaled_dot_product_attention(q, k.transpose(-1, -2), v, mask, scale=scale)
    scores = q @ k * scale
    return (scores if mask is None else scores + mask).softmax(axis) @ v
