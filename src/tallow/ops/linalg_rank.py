"""Determinants, pseudo-inverses, ranks and condition numbers: ops of `tallow.linalg`."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..dtype import complex64, f32, f64
from ..registry import op
from ..tensor import Tensor, has_values
from .elementwise_ternary import where
from .linalg_eigen import eigh_factors, eigvalsh, svd_factors, svdvals
from .linalg_factor import inv, inv_ex
from .linalg_numpy import check, lapack, lapack_many, real_dtype
from .shape import adjoint


class SignLog(NamedTuple):
    """The sign (or phase) and the logarithm of the size of a determinant."""

    sign: Tensor
    logabsdet: Tensor


# --- determinants ---------------------------------------------------------------------------------


@op(name="linalg.det")
def linalg_det(A: Tensor) -> Tensor:
    """The determinants of square matrices."""
    ...


@linalg_det.check
def _(A: Tensor) -> None:
    check(A, linalg_det, square=True)


@linalg_det.out
def _(A: Tensor) -> Any:
    return A.shape[:-2], A.dtype


@linalg_det.kernel
def _(A: Tensor) -> Tensor:
    import numpy as np

    return lapack(linalg_det, "matrices", np.linalg.det, A)


@linalg_det.grad
def _(g: Tensor, A: Tensor, out: Tensor) -> Any:
    from .linalg import conj

    weight = (g * conj(out)).unsqueeze(-1).unsqueeze(-1)
    if not A.numel():
        return A.new_zeros(A.shape)
    if not has_values(out) or out.detach().abs().amin().item() > 0:
        return weight * adjoint(inv(A))
    # Singular: the adjugate from singular values, each left out of the product in turn.
    U, S, Vh = svd_factors(A, False)
    k = S.shape[-1]
    from .creation import eye

    others = where(eye(k, dtype="bool"), 1.0, S.unsqueeze(-2)).prod(-1)
    phase = conj(linalg_det(U) * linalg_det(Vh)) * g
    return phase.unsqueeze(-1).unsqueeze(-1) * ((U * others.unsqueeze(-2)) @ Vh)


@op
def det(x: Tensor) -> Tensor:
    """The determinants of square matrices."""
    return linalg_det(x)


@op(result=SignLog)
def slogdet_parts(input: Tensor) -> SignLog:
    """Sign and logarithm of the size of determinants."""
    ...


@slogdet_parts.out
def _(input: Tensor) -> Any:
    batch, dtype = input.shape[:-2], input.dtype
    return [(batch, dtype), (batch, real_dtype(dtype))]


@slogdet_parts.kernel
def _(input: Tensor) -> SignLog:
    import numpy as np

    run = lambda a: np.linalg.slogdet(a)  # noqa: E731
    return SignLog(*lapack_many("linalg.slogdet", "matrices", run, input))


@slogdet_parts.grad(copied=("out",))
def _(g: Any, A: Tensor, out: Any) -> Tensor:
    weight = g[1]
    if A.dtype.kind == "c":
        turn = g[0].conj() * out[0]
        weight = weight.to(complex64) - (turn - turn.conj()) * 0.5
    slope: Tensor = weight.unsqueeze(-1).unsqueeze(-1) * adjoint(inv(A))
    return slope


@op(name="linalg.slogdet")
def linalg_slogdet(A: Tensor) -> SignLog:
    """Sign and logarithm of the size of the determinants of square matrices (0 and -inf)."""
    check(A, linalg_slogdet, square=True)
    return SignLog(*slogdet_parts(A))


@op
def slogdet(x: Tensor) -> SignLog:
    """Sign and logarithm of the size of the determinants of square matrices."""
    return linalg_slogdet(x)


@op
def logdet(x: Tensor) -> Tensor:
    """The logarithms of the determinants; NaN where one is negative."""
    sign, size = linalg_slogdet(x)
    return size + sign.log()


# --- pseudo-inverse and rank ----------------------------------------------------------------------


def _cutoff(values: Tensor, shape: tuple[int, ...], atol: Any, rtol: Any) -> Tensor:
    """Below this a singular value counts as 0."""
    if atol is None and rtol is None:
        rtol = max(shape[-2:]) * (2.220446049250313e-16 if values.dtype is f64 else 1.1920929e-07)
    elif rtol is None:
        rtol = 0.0
        if not isinstance(atol, Tensor) and atol == 0:
            rtol = max(shape[-2:]) * (
                2.220446049250313e-16 if values.dtype is f64 else 1.1920929e-07
            )
    largest = values.amax(-1) if values.shape[-1] else values.new_zeros(values.shape[:-1])
    relative = largest * rtol
    limit: Tensor = relative if atol is None else relative.maximum(atol)
    return limit


@op
def pseudo_inverse(input: Tensor, atol: Any, rtol: Any, hermitian: bool) -> Tensor:
    """The pseudo-inverse; smaller singular values count as 0."""
    if not input.numel():
        return input.new_empty((*input.shape[:-2], input.shape[-1], input.shape[-2]))
    if hermitian:
        values, V = eigh_factors(input, "L")
        limit = _cutoff(values.abs(), input.shape, atol, rtol).unsqueeze(-1)
        kept = values.abs() > limit
        inverses: Tensor = where(kept, 1 / where(kept, values, 1.0), 0.0)
        return (V * inverses.unsqueeze(-2)) @ adjoint(V)
    U, S, Vh = svd_factors(input, False)
    kept = _cutoff(S, input.shape, atol, rtol).unsqueeze(-1) < S
    inverses = where(kept, 1 / where(kept, S, 1.0), 0.0)
    return (adjoint(Vh) * inverses.unsqueeze(-2)) @ adjoint(U)


@pseudo_inverse.grad
def _(g: Tensor, A: Tensor, atol: Any, rtol: Any, hermitian: bool, out: Tensor) -> Tensor:
    return pinv_gradient(g, A, out)


def pinv_gradient(g: Tensor, A: Tensor, P: Tensor) -> Tensor:
    """The gradient through a pseudo-inverse P of A (Golub & Pereyra 1973)."""
    Ph, gh = adjoint(P), adjoint(g)
    first = gh @ P @ Ph
    second = Ph @ P @ gh
    return -(Ph @ g @ Ph) + first - A @ (P @ first) + second - (second @ P) @ A


@op(name="linalg.pinv")
def pinv(
    A: Tensor, rcond: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None
) -> Tensor:
    """The Moore-Penrose inverses of matrices.

    Singular values not above max(atol, rtol * the largest) count as 0; by default rtol is the
    larger size times the resolution of the dtype.
    """
    check(A, pinv, square=hermitian)
    return pseudo_inverse(A, atol, rcond if rtol is None else rtol, hermitian)


@op
def pinverse(x: Tensor, rcond: float = 1e-15) -> Tensor:
    """`linalg.pinv` with a tolerance relative to the largest singular value."""
    return pinv(x, rtol=rcond)


@op(name="linalg.matrix_rank")
def matrix_rank(
    A: Tensor, tol: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None
) -> Tensor:
    """How many singular values of each matrix are above max(atol, rtol * the largest); i64."""
    check(A, matrix_rank, square=hermitian)
    A = A.detach()
    values = eigvalsh(A).abs() if hermitian else svdvals(A)
    if tol is not None:
        atol, rtol = tol, 0.0
    limit = _cutoff(values, A.shape, atol, rtol)
    return (values > limit.unsqueeze(-1)).sum(-1)


@op(name="linalg.cond")
def cond(A: Tensor, p: Any = None) -> Tensor:
    """The condition numbers of matrices in the norm `p`, the 2-norm by default."""
    from .linalg_norm import matrix_norm

    check(A, cond)
    if p is None or p in (2, -2):
        values = svdvals(A)
        if not values.shape[-1]:
            return values.new_zeros(values.shape[:-1])
        largest, least = values.select(-1, 0), values.select(-1, -1)
        return least / largest if p == -2 else largest / least
    check(A, cond, square=True)
    if not A.numel():
        return A.new_zeros(A.shape[:-2]).to(f64 if A.dtype is f64 else f32)
    out, info = inv_ex(A)
    back: Tensor = where(info == 0, matrix_norm(out, p), float("inf"))
    return matrix_norm(A, p) * back
