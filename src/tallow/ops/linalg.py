"""Products of matrices and vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..dtype import INTEGERS, bf16, f16, f32, f64
from ..errors import NoKernelError, expect
from ..registry import op
from ..tensor import Tensor, unwrap_tensor


@op
def matmul(a: Tensor, b: Tensor) -> Tensor:
    """`a @ b` by torch's rules: (…, m, k) x (…, k, n), leading axes broadcast; 1-d are vectors."""
    if a.dtype.kind == "c":  # (a + ib)(c + id) = (ac - bd) + i(ad + bc)
        (x, ix), (y, iy) = a.view_as_real().unbind(-1), b.view_as_real().unbind(-1)
        from .join import stack

        return stack([x @ y - ix @ iy, x @ iy + ix @ y], -1).view_as_complex()
    known = a.dtype.kind in "fiu" and (a.dtype.kind != "f" or a.dtype.itemsize > 1)
    expect(known, matmul, "integers, f16, bf16, f32, f64 or complex64", a.dtype.name, NoKernelError)
    if b.ndim == 1:
        return (a * b).sum(-1, dtype=a.dtype)
    return (a.unsqueeze(-1) * (b if a.ndim == 1 else b.unsqueeze(-3))).sum(-2, dtype=a.dtype)


matmul.out("matmul")
matmul.kernel("matmul", dtypes=(f64, f32, f16, bf16, *INTEGERS))


def conj(x: Tensor) -> Tensor:
    """`x` conjugated when it is complex."""
    return x.conj() if x.dtype.kind == "c" else x


@matmul.grad(uses={"a": ("b",), "b": ("a",)})
def _(g: Tensor, a: Tensor, b: Tensor) -> tuple[Any, Any]:
    return lambda: _left(g, a.shape, b), lambda: _right(g, a, b.shape)


def _left(g: Tensor, shape: tuple[int, ...], b: Tensor) -> Tensor:
    """The gradient of the first factor, of this shape or with more batch axes in front."""
    b = conj(b)
    if len(shape) == 1:
        return g * b if b.ndim == 1 else (b @ g.unsqueeze(-1)).squeeze(-1)
    if b.ndim == 1:
        return g.unsqueeze(-1) * b
    if len(shape) == 2 and b.ndim > 2:  # one matrix for a whole batch: one product, not a sum
        m, k = shape
        columns = g.numel() // m if m else 0
        if not columns or not k:
            return g.new_zeros(shape)
        wide = g.movedim(-2, 0).reshape(m, columns)
        return wide @ b.movedim(-2, 0).reshape(k, columns).transpose(0, 1)
    return g @ b.transpose(-2, -1)


def _right(g: Tensor, a: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The gradient of the second factor."""
    a = conj(a)
    if len(shape) == 1:
        return a * g if a.ndim == 1 else (a.transpose(-2, -1) @ g.unsqueeze(-1)).squeeze(-1)
    if a.ndim == 1:
        return a.unsqueeze(-1) * g.unsqueeze(-2)
    if len(shape) == 2 and a.ndim > 2:
        rows = g.numel() // shape[1] if shape[1] else 0
        if not rows or not shape[0]:
            return g.new_zeros(shape)
        return a.reshape(rows, shape[0]).transpose(0, 1) @ g.reshape(rows, shape[1])
    return a.transpose(-2, -1) @ g


_LINEAR_DTYPES = (f32, f16, bf16)


@op(cached=True)
def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, exact: bool = False) -> Tensor:
    """`x @ weight.T + bias`, (…, n), for x (…, k), weight (n, k) of any dtype, bias (n,).

    With a block-quantised weight, `exact=False` rounds the activations to int8 blocks of 32 as
    llama.cpp does, and `exact=True` keeps them as they are. A weight of shape (k,) gives (…).
    """
    if x.dtype not in _LINEAR_DTYPES:
        plain = not (x.dtype.is_quantized or weight.dtype.is_quantized)
        expect(plain, linear, "x of f32, f16 or bf16", x.dtype.name, NoKernelError)
        rounds = x.dtype.kind in "iub" and weight.dtype.kind == "f"  # the weight, to integers
        expect(not rounds, linear, f"x of {weight.dtype.name}", x.dtype.name, NoKernelError)
    full = weight.to(x.dtype)
    out = x @ (full.transpose(0, 1) if full.ndim == 2 else full)
    return out if bias is None else out + bias.to(out.dtype)


@linear.check
def _(x: Tensor, weight: Tensor, bias: Tensor | None, exact: bool) -> None:
    w, a = weight.shape, x.shape
    if len(w) not in (1, 2) or not a or a[-1] != w[-1]:
        size = w[-1] if w else "?"
        wanted = f"x of shape (…, k) and weight of shape (n, k), k = {size}"
        expect(False, linear, wanted, (tuple(a), tuple(w)))
    if bias is not None and bias.shape != w[:-1] and bias.shape not in ((), (1,)):
        expect(False, linear, f"bias of shape {w[:-1]}", bias.shape)


@linear.out
def _(x: Tensor, weight: Tensor, bias: Tensor | None, exact: bool) -> Any:
    return x.shape[:-1] + weight.shape[:-1], x.dtype


@linear.kernel("linear", dtypes=_LINEAR_DTYPES)
def _(x: Tensor, weight: Tensor, bias: Tensor | None, exact: bool) -> tuple[Any, ...]:
    if x.ndim > 2 and not x.is_contiguous():
        x = x.reshape(-1, x.shape[-1])
    if weight.dtype.is_quantized and x.stride(-1) != 1:  # its kernels read whole blocks of x
        x = x.contiguous()
    return x, weight, bias, bool(exact)


@linear.grad(uses={"x": ("weight",), "weight": ("x",)})
def _(g: Tensor, x: Tensor, weight: Tensor, _bias: Any, exact: bool) -> tuple[Any, Any, Any]:
    if len(weight.shape) == 1:
        return (
            lambda: g.unsqueeze(-1) * conj(weight).to(g.dtype),
            lambda: _right(g, x, weight.shape),
            g,
        )
    n, k = weight.shape

    def weight_gradient() -> Tensor:
        if not g.numel() or not k:
            return g.new_zeros((n, k))
        return g.reshape(-1, n).transpose(0, 1) @ conj(x).reshape(-1, k)

    return lambda: g @ conj(weight.to(g.dtype)), weight_gradient, g


# --- products of fixed shapes ---------------------------------------------------------------------


def _shapes(where: object, *wanted: tuple[Tensor, int]) -> None:
    for x, ndim in wanted:
        unwrap_tensor(x, where)
        expect(x.ndim == ndim, where, f"a tensor of {ndim} axes", x.shape)


@op
def mm(x: Tensor, mat2: Tensor) -> Tensor:
    """The product of two matrices."""
    _shapes(mm, (x, 2), (mat2, 2))
    return x @ mat2


@op
def bmm(x: Tensor, mat2: Tensor) -> Tensor:
    """The products of two batches of as many matrices: (batch, m, k) x (batch, k, n)."""
    _shapes(bmm, (x, 3), (mat2, 3))
    expect(x.shape[0] == mat2.shape[0], bmm, "batches of one size", (x.shape, mat2.shape))
    return x @ mat2


@op
def mv(x: Tensor, vec: Tensor) -> Tensor:
    """The product of a matrix and a vector."""
    _shapes(mv, (x, 2), (vec, 1))
    return x @ vec


@op
def dot(x: Tensor, tensor: Tensor) -> Tensor:
    """The sum of the products of two vectors' elements."""
    _shapes(dot, (x, 1), (tensor, 1))
    return x @ tensor


@op
def vdot(x: Tensor, other: Tensor) -> Tensor:
    """`dot` with the first vector conjugated."""
    _shapes(vdot, (x, 1), (other, 1))
    return conj(x) @ other


@op
def inner(x: Tensor, other: Tensor) -> Tensor:
    """Products summed over the last axes; with a 0-d operand the plain product."""
    if not x.ndim or not other.ndim:
        return x * other
    same = x.shape[-1] == other.shape[-1]
    expect(same, inner, "last axes of one length", (x.shape, other.shape))
    return x.tensordot(other, ([-1], [-1]))


@op
def outer(x: Tensor, vec2: Tensor) -> Tensor:
    """All products of an element of `x` with one of `vec2`: (n, m)."""
    _shapes(outer, (x, 1), (vec2, 1))
    return x.unsqueeze(1) * vec2


@op
def ger(x: Tensor, vec2: Tensor) -> Tensor:
    """`outer` under BLAS's name."""
    _shapes(ger, (x, 1), (vec2, 1))
    return x.unsqueeze(1) * vec2


# --- products added to something ------------------------------------------------------------------


def _added(x: Tensor, product: Tensor, beta: Any, alpha: Any, where: object) -> Tensor:
    """`beta * x + alpha * product`; with `beta` 0 whatever `x` holds, NaN too, does not count."""
    unwrap_tensor(x, where)
    if product.dtype.kind in "iu":  # as in PyTorch
        beta, alpha = int(beta), int(alpha)
    same = x.dtype is product.dtype
    expect(same, where, f"tensors of one dtype ({product.dtype.name})", x.dtype.name, NoKernelError)
    if alpha != 1:
        product = product * alpha
    x = x.expand(product.shape)
    if beta == 0:
        return product
    return (x if beta == 1 else x * beta) + product


@op(inplace=True)
def addmm(x: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """`beta * x + alpha * (mat1 @ mat2)` of matrices."""
    _shapes(addmm, (mat1, 2), (mat2, 2))
    return _added(x, mat1 @ mat2, beta, alpha, addmm)


@op(inplace=True)
def addmv(x: Tensor, mat: Tensor, vec: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """`beta * x + alpha * (mat @ vec)`."""
    _shapes(addmv, (mat, 2), (vec, 1))
    return _added(x, mat @ vec, beta, alpha, addmv)


@op(inplace=True)
def addbmm(x: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """`beta * x + alpha` times the sum over the batch of `batch1 @ batch2`."""
    _shapes(addbmm, (batch1, 3), (batch2, 3))
    expect(batch1.shape[0] == batch2.shape[0], addbmm, "batches of one size", batch2.shape)
    b, m, k = batch1.shape
    expect(batch2.shape[1] == k, addbmm, f"batch2 of shape ({b}, {k}, n)", batch2.shape)
    wide = batch1.transpose(0, 1).reshape(m, b * k)
    return _added(x, wide @ batch2.reshape(b * k, batch2.shape[2]), beta, alpha, addbmm)


@op(inplace=True)
def baddbmm(x: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """`beta * x + alpha * (batch1 @ batch2)` of batches of matrices."""
    _shapes(baddbmm, (batch1, 3), (batch2, 3))
    expect(batch1.shape[0] == batch2.shape[0], baddbmm, "batches of one size", batch2.shape)
    return _added(x, batch1 @ batch2, beta, alpha, baddbmm)


@op(inplace=True)
def addr(x: Tensor, vec1: Tensor, vec2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """`beta * x + alpha * outer(vec1, vec2)`."""
    _shapes(addr, (vec1, 1), (vec2, 1))
    product = vec1.unsqueeze(1) * vec2
    if product.dtype.kind == "b":
        product = product if alpha else product & False
        return (x.expand(product.shape) | product) if beta else product
    return _added(x, product, beta, alpha, addr)


# --- products of several --------------------------------------------------------------------------


@op(name="linalg.multi_dot")
def multi_dot(tensors: Sequence[Tensor]) -> Tensor:
    """The product of several matrices in the order that takes the fewest multiplications.

    The first and the last may be vectors (Cormen et al., Introduction to Algorithms, 15.2).
    """
    expect(len(tensors) >= 2, multi_dot, "at least two tensors", len(tensors))
    given = list(tensors)
    row, column = given[0].ndim == 1, given[-1].ndim == 1
    given[0] = given[0].unsqueeze(0) if row else given[0]
    given[-1] = given[-1].unsqueeze(1) if column else given[-1]
    for x in given:
        expect(x.ndim == 2, multi_dot, "matrices, or vectors at the ends", x.shape)
    sizes = [given[0].shape[0], *(x.shape[1] for x in given)]
    out = _chain(given, sizes)
    out = out.squeeze(-1) if column else out
    return out.squeeze(0) if row else out


def _chain(given: list[Tensor], sizes: list[int]) -> Tensor:
    n = len(given)
    cost = [[0] * n for _ in range(n)]
    cut = [[0] * n for _ in range(n)]
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            options = [
                (cost[i][k] + cost[k + 1][j] + sizes[i] * sizes[k + 1] * sizes[j + 1], k)
                for k in range(i, j)
            ]
            cost[i][j], cut[i][j] = min(options)

    def product(i: int, j: int) -> Tensor:
        if i == j:
            return given[i]
        k = cut[i][j]
        return product(i, k) @ product(k + 1, j)

    return product(0, n - 1)


@op
def chain_matmul(*matrices: Any) -> Tensor:
    """The product of several matrices in the cheapest order."""
    from .shape import flat_tensors

    given = list(flat_tensors(matrices))
    _shapes(chain_matmul, *((x, 2) for x in given))
    return given[0] if len(given) == 1 else multi_dot(given)


@op(name="linalg.matmul")
def linalg_matmul(input: Tensor, other: Tensor) -> Tensor:
    """`matmul`."""
    return input @ other
