"""Distances, similarities and bilinear forms of vectors."""

from __future__ import annotations

from typing import Any

from ..dtype import f32
from ..errors import expect
from ..numeric import promote_types
from ..registry import op
from ..tensor import Tensor, unwrap_tensor
from .linalg_norm import p_norm, vector_norm
from .norm import in_rows
from .triangle import triu_indices


@op(name="nn.row_products", cached=True)
def row_products(x1: Tensor, x2: Tensor) -> Tensor:
    """`(x1 * x2).sum(-1)` of two tensors of one shape and dtype."""
    return (x1 * x2).sum(-1, dtype=x1.dtype)


@row_products.out
def _(x1: Tensor, x2: Tensor) -> Any:
    return x1.shape[:-1], x1.dtype


@row_products.kernel("vecdot", dtypes=(f32,))
def _(x1: Tensor, x2: Tensor) -> tuple[Any, ...]:
    return in_rows(x1), in_rows(x2), False


@row_products.grad
def _(g: Tensor, x1: Tensor, x2: Tensor) -> tuple[Any, ...]:
    g = g.unsqueeze(-1)
    return lambda: g * x2, lambda: g * x1


@op(name="nn.row_distances", cached=True)
def row_distances(x1: Tensor, x2: Tensor, eps: float) -> Tensor:
    """The 2-norm of `x1 - x2 + eps` along the last axis, of two tensors of one shape and dtype."""
    return vector_norm(x1 - x2 + eps, 2, -1)


@row_distances.out
def _(x1: Tensor, x2: Tensor, eps: float) -> Any:
    return x1.shape[:-1], x1.dtype


@row_distances.kernel("row_distances", dtypes=(f32,))
def _(x1: Tensor, x2: Tensor, eps: float) -> tuple[Any, ...]:
    return in_rows(x1), in_rows(x2), float(eps)


@op(cached=True)
def dist(x: Tensor, other: Tensor, p: Any = 2) -> Tensor:
    """The p-norm of all elements of `x - other`."""
    return vector_norm(x - other, p)


@op(cached=True)
def pairwise_distance(
    x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    """The p-norm of `x1 - x2 + eps` along the last axis."""
    if x1.dtype is x2.dtype is f32 and x1.shape == x2.shape and x1.ndim and p == 2:
        out: Tensor = row_distances(x1, x2, eps)
        return out.unsqueeze(-1) if keepdim else out
    return (x1 - x2 + eps).norm(p, -1, keepdim=keepdim)


@op(cached=True)
def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """The cosine of the angle between vectors along `dim`; each length counts as `eps` at least."""
    from .shape import broadcast_tensors

    # The kernel divides by both lengths at once, whose product must not become 0.
    kernel = x1.dtype is x2.dtype is f32 and x1.shape == x2.shape and eps >= 1e-18
    if kernel and x1.ndim and dim in (-1, x1.ndim - 1):
        lengths = [p_norm(x, 2.0, (x.ndim - 1,), False).clamp(min=eps) for x in (x1, x2)]
        return row_products(x1, x2) / (lengths[0] * lengths[1])
    a, b = broadcast_tensors(x1, x2)
    kind = promote_types(a.dtype, b.dtype)
    a, b = a.to(kind), b.to(kind)
    a = a / a.norm(2, dim, keepdim=True).clamp(min=eps)
    b = b / b.norm(2, dim, keepdim=True).clamp(min=eps)
    return (a * b).sum(dim)


@op
def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """The p-norm distances of all pairs of rows of (n, d), in the order (0, 1), (0, 2), ..."""
    unwrap_tensor(input, pdist)
    expect(input.ndim == 2, pdist, "input of shape (n, d)", input.shape)
    n = input.shape[0]
    first, second = triu_indices(n, n, 1)
    return (input[first] - input[second]).norm(p, -1)


@op
def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`input1^T weight[o] input2 + bias[o]`; (..., i), (..., j), weight (o, i, j) give (..., o)."""
    unwrap_tensor(input1, bilinear), unwrap_tensor(input2, bilinear)
    good = weight.ndim == 3 and input1.ndim > 0 and input1.shape[:-1] == input2.shape[:-1]
    good = good and weight.shape[1:] == (*input1.shape[-1:], *input2.shape[-1:])
    wanted = "input1 (..., i), input2 (..., j) and weight (o, i, j)"
    expect(good, bilinear, wanted, (input1.shape, input2.shape, weight.shape))
    outputs, first, second = weight.shape
    a, b = input1.reshape(-1, first), input2.reshape(-1, 1, second)
    half = (a @ weight.permute(1, 0, 2).reshape(first, -1)).reshape(-1, outputs, second)
    out = (half * b).sum(-1, dtype=half.dtype).reshape(*input1.shape[:-1], outputs)
    return out if bias is None else out + bias
