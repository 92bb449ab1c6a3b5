"""Products of matrices."""

from __future__ import annotations

from .. import _native
from ..dtype import bf16, f16, f32
from ..errors import DTypeError, expect
from ..registry import op, primitive
from ..tensor import Tensor, broadcast_shapes, unwrap_tensor, wrap

_matmul = _native.kernel("matmul")
_linear = _native.kernel("linear")


@primitive
def matmul(a: Tensor, b: Tensor) -> Tensor:
    """`a @ b` by torch's rules: (…, m, k) x (…, k, n), leading axes broadcast; 1-d are vectors."""
    x, y = unwrap_tensor(a, matmul), unwrap_tensor(b, matmul)
    expect(x.ndim > 0 and y.ndim > 0, matmul, "operands of at least one axis", (x.shape, y.shape))
    expect(
        a.dtype is b.dtype,
        matmul,
        f"two tensors of one dtype ({a.dtype.name})",
        b.dtype.name,
        DTypeError,
    )
    left, right = x.ndim == 1, y.ndim == 1
    x = x.unsqueeze(0) if left else x
    y = y.unsqueeze(1) if right else y
    m, k, n = x.shape[-2], x.shape[-1], y.shape[-1]
    expect(y.shape[-2] == k, matmul, f"inner sizes that agree ({k})", (a.shape, b.shape))
    batch = broadcast_shapes(x.shape[:-2], y.shape[:-2], matmul)
    out = _native.Array.empty((*batch, m, n), x.dtype)
    _matmul(out, x.expand((*batch, m, k)), y.expand((*batch, k, n)))
    out = out.squeeze(-1) if right else out
    return wrap(out.squeeze(-1 if right else -2) if left else out)


_LINEAR_DTYPES = (f32, f16, bf16)


@op
def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, exact: bool = False) -> Tensor:
    """`x @ weight.T + bias`, (…, n), for x (…, k), weight (n, k) of any dtype, bias (n,).

    With a block-quantised weight, `exact=False` rounds the activations to int8 blocks of 32 as
    llama.cpp does, and `exact=True` keeps them as they are.
    """
    full = weight.to(x.dtype)
    out = x @ full.transpose(0, 1)
    return out if bias is None else out + bias.to(out.dtype)


@linear.check
def _(x: Tensor, weight: Tensor, bias: Tensor | None, exact: bool) -> None:
    w, a = weight._array.shape, x._array.shape
    if len(w) != 2 or not a or a[-1] != w[1]:
        expect(
            False,
            linear,
            f"x of shape (…, k) and weight of shape (n, k), k = {w[-1] if w else '?'}",
            (a, w),
        )
    if bias is not None and bias._array.shape != w[:1]:
        expect(False, linear, f"bias of shape {w[:1]}", bias.shape)


@linear.kernel
def _(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, exact: bool = False) -> Tensor:
    array, w = x._array, weight._array
    shape = array.shape
    n = w.shape[0]
    if x.dtype not in _LINEAR_DTYPES:
        expect(
            x.dtype.kind == "f" and not weight.dtype.is_quantized,
            linear,
            "x of f32, f16 or bf16",
            x.dtype.name,
            DTypeError,
        )
        return linear.meaning(x, weight, bias)
    rows = array if len(shape) == 2 else array.reshape((-1, shape[-1]))
    out = _native.Array.empty((rows.shape[0], n), array.dtype)
    _linear(out, rows, w, None if bias is None else bias._array, 1 if exact else 0)
    return wrap(out if len(shape) == 2 else out.reshape((*shape[:-1], n)))
