"""Householder's reflectors: QR as LAPACK keeps it, and products of what it keeps."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..dtype import bool_
from ..errors import GradError, expect
from ..factories import zeros
from ..registry import op
from ..tensor import Tensor
from .elementwise_ternary import where
from .linalg_numpy import check, lapack_many
from .shape import adjoint


class Reflectors(NamedTuple):
    """R on and above the diagonal with the reflectors below it (m, n), and their factors (k)."""

    a: Tensor
    tau: Tensor


@op(result=Reflectors)
def qr_reflectors(input: Tensor) -> Reflectors:
    """The two parts of `geqrf`."""
    ...


@qr_reflectors.check
def _(input: Tensor) -> None:
    check(input, geqrf)


@qr_reflectors.out
def _(input: Tensor) -> Any:
    batch, dtype, k = input.shape[:-2], input.dtype, min(input.shape[-2:])
    return [(input.shape, dtype), ((*batch, k), dtype)]


@qr_reflectors.kernel
def _(input: Tensor) -> Reflectors:
    def run(a: Any) -> Any:
        import numpy as np

        packed, tau = np.linalg.qr(a, "raw")
        return np.ascontiguousarray(np.swapaxes(packed, -1, -2)), tau

    return Reflectors(*lapack_many("geqrf", "matrices", run, input))


@qr_reflectors.grad
def _(g: Any, input: Tensor) -> Tensor:
    raise GradError("geqrf: expected a matrix without gradient, which has no rule (see linalg.qr)")


@op
def geqrf(x: Tensor) -> Reflectors:
    """The QR factorisation as LAPACK keeps it; `linalg.householder_product` makes Q of it."""
    return qr_reflectors(x)


@op(name="linalg.householder_product")
def householder_product(A: Tensor, tau: Tensor) -> Tensor:
    """The first n columns of `H_1 @ … @ H_k`, H_i = 1 - tau_i v_i v_i.mH, v_i column i of A."""
    check(A, householder_product)
    m, n = A.shape[-2:]
    k = tau.shape[-1] if tau.ndim else 0
    fits = m >= n >= k and tau.shape[:-1] == A.shape[:-2]
    expect(fits, householder_product, "A (…, m, n), tau (…, k), m >= n >= k", (A.shape, tau.shape))
    from .creation import eye

    vectors = A.tril(-1) + eye(m, n, dtype=A.dtype)
    out = eye(m, n, dtype=A.dtype).expand(A.shape)
    for i in range(k - 1, -1, -1):
        v = vectors.narrow(-1, i, 1)
        weight = tau.narrow(-1, i, 1).unsqueeze(-1)
        out = out - (v * weight) @ (adjoint(v) @ out)
    if not k:  # with a gradient, of zeros
        out = where(zeros(A.shape, dtype=bool_), A, out)
    return out


@op
def orgqr(x: Tensor, input2: Tensor) -> Tensor:
    """`linalg.householder_product`."""
    return householder_product(x, input2)


@op
def ormqr(
    x: Tensor, tau: Tensor, other: Tensor, left: bool = True, transpose: bool = False
) -> Tensor:
    """`Q @ other`, or `other @ Q` without `left`, of the whole Q (m, m) that `geqrf` keeps.

    `transpose` takes Q's conjugate transpose.
    """
    check(x, ormqr)
    check(other, ormqr)
    m, n, k = *x.shape[-2:], tau.shape[-1] if tau.ndim else 0
    fits = k == min(m, n) and tau.shape[:-1] == x.shape[:-2] == other.shape[:-2]
    expect(fits, ormqr, "batches of one shape, min(m, n) factors", (x.shape, tau.shape))
    length = other.shape[-2 if left else -1]
    expect(length == m, ormqr, f"another matrix of {m} {'rows' if left else 'columns'}", length)
    from .creation import eye

    vectors = x.tril(-1) + eye(m, n, dtype=x.dtype)
    forward = left == transpose  # Q is H_1 @ … @ H_k: which of them meets `other` first
    out = other
    for i in range(k) if forward else range(k - 1, -1, -1):
        v = vectors.narrow(-1, i, 1)
        weight = tau.narrow(-1, i, 1).unsqueeze(-1)
        weight = weight.conj() if transpose else weight
        if left:
            out = out - (v * weight) @ (adjoint(v) @ out)
        else:
            out = out - (out @ v) @ (adjoint(v) * weight)
    return out
