"""Products: MatMul, Gemm and Einsum."""

from __future__ import annotations

from tallow import ops
from tallow.errors import expect
from tallow.onnx.operators.table import operator
from tallow.tensor import Tensor, broadcast_shapes


@operator("MatMul")
def matmul(a: Tensor, b: Tensor) -> Tensor:
    """`a @ b`; leading axes broadcast."""
    return ops.matmul(a, b)


@operator("Gemm", since=7)
def gemm(
    a: Tensor, b: Tensor, c: Tensor | None = None, *, alpha: float = 1.0, beta: float = 1.0,
    transA: int = 0, transB: int = 0,
) -> Tensor:  # fmt: skip
    """`alpha * a' @ b' + beta * c`; `c` broadcasts."""
    expect(a.ndim == 2 and b.ndim == 2, "Gemm", "two matrices", (a.shape, b.shape))
    a = a.t() if transA else a
    weight = b if transB else b.t()
    row = c is None or (beta == 1 and c.ndim == 1 and c.shape[0] == weight.shape[0])
    if alpha == 1 and row and a.dtype.kind == "f":
        return ops.linear(a, weight, c)
    made = ops.matmul(a, weight.t())
    if alpha != 1:
        made = (made * alpha).to(a.dtype)
    if c is None:
        return made
    broadcast_shapes(made.shape, c.shape, "C beside the product")
    return made + (c if beta == 1 else (c * beta).to(a.dtype))


@operator("Gemm", until=6)
def gemm_1(
    a: Tensor, b: Tensor, c: Tensor, *, alpha: float = 1.0, beta: float = 1.0, broadcast: int = 0,
    transA: int = 0, transB: int = 0,
) -> Tensor:  # fmt: skip
    """As `gemm`; that `c` broadcasts is said by an attribute."""
    shape = (a.shape[1 if transA else 0], b.shape[0 if transB else 1])
    expect(bool(broadcast) or c.shape == shape, "Gemm", f"C of shape {shape}", c.shape)
    return gemm(a, b, c, alpha=alpha, beta=beta, transA=transA, transB=transB)


@operator("Einsum", since=12)
def einsum(*inputs: Tensor, equation: str) -> Tensor:
    """Sums of products over axes named by letters."""
    return ops.einsum(equation, *inputs).to(inputs[0].dtype)
