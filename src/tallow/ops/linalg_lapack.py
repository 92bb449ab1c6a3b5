"""Factorisations by LAPACK through numpy, with their gradients: ops of `tallow.linalg`.

Gradients: Giles 2008 (An extended collection of matrix derivative results), Murray 2016
(Cholesky), Walter & Lehmann 2018 (QR), Seeger et al. 2017 (SVD, symmetric eigenproblems).
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

from ..dtype import complex64, f64
from ..errors import ArgumentError, GradError, NoKernelError, expect
from ..factories import zeros
from ..registry import op
from ..tensor import Tensor
from .complexes import real
from .elementwise_three import where
from .linalg_numpy import FINITE, check, lapack, lapack_many, real_dtype, to_numpy
from .shape import adjoint


class QR(NamedTuple):
    """`A = Q @ R`."""

    Q: Tensor
    R: Tensor


class SVD(NamedTuple):
    """`A = U @ diag(S) @ Vh`."""

    U: Tensor
    S: Tensor
    Vh: Tensor


class SVDTransposed(NamedTuple):
    """`A = U @ diag(S) @ V.mH`, as `tl.svd` gives it."""

    U: Tensor
    S: Tensor
    V: Tensor


class Eigen(NamedTuple):
    """`A @ eigenvectors = eigenvectors * eigenvalues`."""

    eigenvalues: Tensor
    eigenvectors: Tensor


class Checked(NamedTuple):
    """A result, and for each matrix 0 or where LAPACK stopped."""

    result: Tensor
    info: Tensor


def _real(x: Tensor) -> Tensor:
    return real(x)


def _divided(a: Tensor, b: Tensor) -> Tensor:
    """`a / b` where 0 / 0 is 0: what does not depend on a degenerate pair has no part in it."""
    nothing = (b == 0).bitwise_and(a == 0)
    out: Tensor = a / where(nothing, 1.0, b)
    return out


def _differences(x: Tensor) -> Tensor:
    """`x_j - x_i`, with ones on the diagonal."""
    from .creation import eye

    n = x.shape[-1]
    return x.unsqueeze(-2) - x.unsqueeze(-1) + eye(n, dtype=x.dtype)


def _without_diagonal(x: Tensor) -> Tensor:
    return x - x.diagonal(0, -2, -1).diag_embed()


# --- inverse --------------------------------------------------------------------------------------


@op(name="linalg.inv")
def inv(A: Tensor) -> Tensor:
    """The inverses of square matrices; ArgumentError for a singular one."""
    ...


@inv.check
def _(A: Tensor) -> None:
    check(A, inv, square=True)


@inv.out
def _(A: Tensor) -> Any:
    return A.shape, A.dtype


@inv.kernel
def _(A: Tensor) -> Tensor:
    import numpy as np

    return lapack(inv, "invertible matrices", np.linalg.inv, A)


@inv.grad
def _(g: Tensor, _A: Tensor, out: Tensor) -> Tensor:
    back = adjoint(out)
    return -(back @ g @ back)


@op
def inverse(x: Tensor) -> Tensor:
    """The inverses of square matrices; ArgumentError for a singular one."""
    return inv(x)


@op(name="linalg.inv_ex")
def inv_ex(A: Tensor, *, check_errors: bool = False) -> Checked:
    """The inverses, with `info` above 0 (and NaN instead) where a matrix is singular."""
    check(A, inv_ex, square=True)
    good = _each_works("inv", A)
    if good is None or check_errors:
        return Checked(inv(A), zeros(A.shape[:-2], dtype="i32"))
    from .creation import eye

    mask = good.unsqueeze(-1).unsqueeze(-1)
    out = inv(where(mask, A, eye(A.shape[-1], dtype=A.dtype)))
    return Checked(where(mask, out, float("nan")), (~good).to("i32"))


def _each_works(name: str, A: Tensor) -> Tensor | None:
    """Which matrices of a batch `numpy.linalg.name` takes; None when all of them."""
    import numpy as np

    from ..factories import tensor

    if A.is_meta:
        return None
    run, a = getattr(np.linalg, name), to_numpy(A.detach(), name)
    try:
        run(a)
        return None
    except np.linalg.LinAlgError:
        flat = a.reshape(-1, *a.shape[-2:])
        works = []
        for matrix in flat:
            try:
                run(matrix)
                works.append(True)
            except np.linalg.LinAlgError:
                works.append(False)
        return tensor(works).reshape(A.shape[:-2])


# --- Cholesky -------------------------------------------------------------------------------------


@op
def lower_cholesky(input: Tensor) -> Tensor:
    """L of `L @ L.mH`, from the lower triangle of positive definite matrices."""
    ...


@lower_cholesky.out
def _(input: Tensor) -> Any:
    return input.shape, input.dtype


@lower_cholesky.kernel
def _(input: Tensor) -> Tensor:
    import numpy as np

    wanted = "positive definite matrices"
    return lapack("linalg.cholesky", wanted, np.linalg.cholesky, input)


@lower_cholesky.grad
def _(g: Tensor, _input: Tensor, out: Tensor) -> Tensor:
    from .linalg_solve import solve_triangular

    inner = (adjoint(out) @ g).tril()
    inner = inner - inner.diagonal(0, -2, -1).diag_embed() * 0.5
    upper = adjoint(out)
    half = solve_triangular(upper, inner, upper=True)
    whole = solve_triangular(out, half, upper=False, left=False)
    return (whole + adjoint(whole)) * 0.5


@op(name="linalg.cholesky")
def linalg_cholesky(A: Tensor, *, upper: bool = False) -> Tensor:
    """L of `A = L @ L.mH` of positive definite matrices, or its adjoint if `upper`."""
    check(A, linalg_cholesky, square=True)
    return adjoint(lower_cholesky(adjoint(A))) if upper else lower_cholesky(A)


@op
def cholesky(x: Tensor, upper: bool = False) -> Tensor:
    """`linalg.cholesky`."""
    return linalg_cholesky(x, upper=upper)


@op(name="linalg.cholesky_ex")
def cholesky_ex(A: Tensor, *, upper: bool = False, check_errors: bool = False) -> Checked:
    """`linalg.cholesky`, with `info` above 0 (and NaN instead) where A is not positive definite."""
    check(A, cholesky_ex, square=True)
    good = _each_works("cholesky", adjoint(A) if upper else A)
    if good is None or check_errors:
        return Checked(linalg_cholesky(A, upper=upper), zeros(A.shape[:-2], dtype="i32"))
    from .creation import eye

    mask = good.unsqueeze(-1).unsqueeze(-1)
    out = linalg_cholesky(where(mask, A, eye(A.shape[-1], dtype=A.dtype)), upper=upper)
    return Checked(where(mask, out, float("nan")), (~good).to("i32"))


# --- QR -------------------------------------------------------------------------------------------


@op(result=QR)
def qr_factors(input: Tensor, complete: bool) -> QR:
    """Q (m, k) and R (k, n), k = min(m, n), or m if `complete`."""
    ...


@qr_factors.out
def _(input: Tensor, complete: bool) -> Any:
    *batch, m, n = input.shape
    k = m if complete else min(m, n)
    return [((*batch, m, k), input.dtype), ((*batch, k, n), input.dtype)]


@qr_factors.kernel
def _(input: Tensor, complete: bool) -> QR:
    import numpy as np

    mode = "complete" if complete else "reduced"
    return QR(
        *lapack_many("linalg.qr", "matrices", lambda a: np.linalg.qr(a, cast(Any, mode)), input)
    )


@qr_factors.grad
def _(g: Any, _input: Tensor, complete: bool, out: Any) -> Tensor:
    gQ, gR = g
    Q, R = out
    m, n = _input.shape[-2:]
    if complete and m > n:
        raise GradError("linalg.qr: expected mode reduced for a gradient of tall matrices")
    if m >= n:
        return _qr_tall(gQ, gR, Q, R)
    # Wide: A = [X | Y], R = [U | V]; X = QU is square, and Y = QV.
    U, gU = R.narrow(-1, 0, m), gR.narrow(-1, 0, m)
    Y, gV = _part(Q, R, m, n), gR.narrow(-1, m, n - m)
    from .join import cat

    gX = _qr_tall(gQ + Y @ adjoint(gV), gU, Q, U)
    return cat([gX, Q @ gV], -1)


def _part(Q: Tensor, R: Tensor, m: int, n: int) -> Tensor:
    return Q @ R.narrow(-1, m, n - m)


def _qr_tall(gQ: Tensor, gR: Tensor, Q: Tensor, R: Tensor) -> Tensor:
    from .linalg_solve import solve_triangular

    M = R @ adjoint(gR) - adjoint(gQ) @ Q
    low = M.tril(-1)
    middle = M.diagonal(0, -2, -1)
    mirrored = low + adjoint(low) + (_real(middle).to(M.dtype)).diag_embed()
    return solve_triangular(adjoint(R), gQ + Q @ mirrored, upper=False, left=False)


@op(name="linalg.qr")
def linalg_qr(A: Tensor, mode: str = "reduced") -> QR:
    """Orthogonal Q and upper triangular R with `A = Q @ R`; `mode` reduced, complete or r."""
    check(A, linalg_qr)
    known = mode in ("reduced", "complete", "r")
    expect(known, linalg_qr, "reduced, complete or r", mode, ArgumentError)
    out = qr_factors(A, mode == "complete")
    return QR(A.new_empty((0,)), out[1]) if mode == "r" else QR(*out)


@op
def qr(x: Tensor, some: bool = True) -> QR:
    """`linalg.qr`, reduced or (with `some=False`) complete."""
    return linalg_qr(x, "reduced" if some else "complete")


# --- singular values ------------------------------------------------------------------------------


@op(result=SVD)
def svd_factors(input: Tensor, full_matrices: bool) -> SVD:
    """U, S and Vh."""
    ...


@svd_factors.out
def _(input: Tensor, full_matrices: bool) -> Any:
    *batch, m, n = input.shape
    k, dtype = min(m, n), input.dtype
    left, right = (m, n) if full_matrices else (k, k)
    values = (*batch, k), real_dtype(dtype)
    return [((*batch, m, left), dtype), values, ((*batch, right, n), dtype)]


@svd_factors.kernel
def _(input: Tensor, full_matrices: bool) -> SVD:
    import numpy as np

    return SVD(*lapack_many("linalg.svd", FINITE, lambda a: np.linalg.svd(a, full_matrices), input))


@svd_factors.grad
def _(g: Any, _input: Tensor, full_matrices: bool, out: Any) -> Tensor:
    m, n = _input.shape[-2:]
    k = min(m, n)
    gU, gS, gVh = g[0].narrow(-1, 0, k), g[1], g[2].narrow(-2, 0, k)
    U, S, Vh = out[0].narrow(-1, 0, k), out[1], out[2].narrow(-2, 0, k)
    V, gV = adjoint(Vh), adjoint(gVh)
    squares = _differences(S * S)
    row, column = S.unsqueeze(-2), S.unsqueeze(-1)
    left, right = adjoint(U) @ gU, adjoint(V) @ gV
    skew_u, skew_v = left - adjoint(left), right - adjoint(right)
    inner = _divided(_without_diagonal(skew_u), squares) * row
    inner = inner + column * _divided(_without_diagonal(skew_v), squares)
    inner = inner + gS.to(inner.dtype).diag_embed()
    if U.dtype.kind == "c":  # the phases that U and V share
        inner = inner + (skew_u.diagonal(0, -2, -1) / (S * 2)).diag_embed()
    if m > k:
        inner_u = U @ inner + _divided(gU - U @ left, row)
    else:
        inner_u = U @ inner
    whole = inner_u @ Vh
    if n > k:
        whole = whole + _divided(U, row) @ (gVh - adjoint(right) @ Vh)
    out_: Tensor = whole
    return out_


@op(name="linalg.svd")
def linalg_svd(A: Tensor, full_matrices: bool = True, *, driver: str | None = None) -> SVD:
    """`A = U @ diag(S) @ Vh`, S descending; U (m, m), Vh (n, n), or (m, k), (k, n), k = min(m, n).

    Gradients are right where the function does not depend on the signs (phases) of U and V, and
    singular values are distinct.
    """
    check(A, linalg_svd)
    return SVD(*svd_factors(A, full_matrices))


@op(name="linalg.svdvals")
def svdvals(A: Tensor, *, driver: str | None = None) -> Tensor:
    """The singular values of matrices, in descending order."""
    ...


@svdvals.check
def _(A: Tensor, driver: str | None) -> None:
    check(A, svdvals)


@svdvals.out
def _(A: Tensor, driver: str | None) -> Any:
    *batch, m, n = A.shape
    return (*batch, min(m, n)), real_dtype(A.dtype)


@svdvals.kernel
def _(A: Tensor, *, driver: str | None = None) -> Tensor:
    import numpy as np

    return lapack(svdvals, FINITE, lambda a: np.linalg.svd(a, compute_uv=False), A)


@svdvals.grad(copied=("A",))
def _(g: Tensor, A: Tensor, driver: str | None) -> Tensor:
    U, _, Vh = svd_factors(A, False)
    return (U * g.unsqueeze(-2)) @ Vh


@op
def svd(x: Tensor, some: bool = True, compute_uv: bool = True) -> SVDTransposed:
    """U, S and V with `x = U @ diag(S) @ V.mH`."""
    check(x, svd)
    if not compute_uv:
        m, n = x.shape[-2:]
        return SVDTransposed(
            x.new_zeros((*x.shape[:-2], m, m)), svdvals(x), x.new_zeros((*x.shape[:-2], n, n))
        )
    U, S, Vh = svd_factors(x, not some)
    return SVDTransposed(U, S, adjoint(Vh))


# --- eigenvalues ----------------------------------------------------------------------------------


@op(result=Eigen)
def eigh_factors(input: Tensor, UPLO: str) -> Eigen:
    """Ascending eigenvalues and orthonormal eigenvectors, from one triangle."""
    ...


@eigh_factors.out
def _(input: Tensor, UPLO: str) -> Any:
    return [(input.shape[:-1], real_dtype(input.dtype)), (input.shape, input.dtype)]


@eigh_factors.kernel
def _(input: Tensor, UPLO: str) -> Eigen:
    import numpy as np

    run = lambda a: np.linalg.eigh(a, cast(Any, UPLO))  # noqa: E731
    return Eigen(*lapack_many("linalg.eigh", FINITE, run, input))


@eigh_factors.grad
def _(g: Any, _input: Tensor, UPLO: str, out: Any) -> Tensor:
    values, V = out
    inner = _divided(_without_diagonal(adjoint(V) @ g[1]), _differences(values))
    slope: Tensor = V @ (inner + g[0].to(inner.dtype).diag_embed()) @ adjoint(V)
    return slope


def _uplo(UPLO: str, where_: object) -> str:
    expect(UPLO.upper() in ("L", "U"), where_, "L or U", UPLO, ArgumentError)
    return UPLO.upper()


@op(name="linalg.eigh")
def eigh(A: Tensor, UPLO: str = "L") -> Eigen:
    """Eigenvalues (ascending) and eigenvectors of symmetric or Hermitian matrices.

    Only the lower (`UPLO` "L") or upper triangle is read.
    """
    check(A, eigh, square=True)
    return Eigen(*eigh_factors(A, _uplo(UPLO, eigh)))


@op(name="linalg.eigvalsh")
def eigvalsh(A: Tensor, UPLO: str = "L") -> Tensor:
    """The eigenvalues of symmetric or Hermitian matrices, in ascending order."""
    ...


@eigvalsh.check
def _(A: Tensor, UPLO: str) -> None:
    check(A, eigvalsh, square=True)
    _uplo(UPLO, eigvalsh)


@eigvalsh.out
def _(A: Tensor, UPLO: str) -> Any:
    return A.shape[:-1], real_dtype(A.dtype)


@eigvalsh.kernel
def _(A: Tensor, UPLO: str = "L") -> Tensor:
    import numpy as np

    return lapack(eigvalsh, FINITE, lambda a: np.linalg.eigvalsh(a, cast(Any, UPLO.upper())), A)


@eigvalsh.grad
def _(g: Tensor, A: Tensor, UPLO: str) -> Tensor:
    _, V = eigh_factors(A, UPLO.upper())
    return (V * g.unsqueeze(-2)) @ adjoint(V)


@op(result=Eigen)
def eig_factors(input: Tensor) -> Eigen:
    """Complex eigenvalues and eigenvectors of length 1."""
    ...


@eig_factors.out
def _(input: Tensor) -> Any:
    return [(input.shape[:-1], complex64), (input.shape, complex64)]


@eig_factors.kernel
def _(input: Tensor) -> Eigen:
    import numpy as np

    def run(a: Any) -> Any:
        values, vectors = np.linalg.eig(a)
        return values.astype(np.complex64), vectors.astype(np.complex64)

    return Eigen(*lapack_many("linalg.eig", FINITE, run, input))


@eig_factors.grad
def _(g: Any, _input: Tensor, out: Any) -> Tensor:
    from .linalg_solve import solve

    values, V = out
    back = adjoint(V)
    slope = back @ g[1]
    slope = slope - (back @ V) * _real(slope.diagonal(0, -2, -1)).unsqueeze(-2)
    inner = _divided(_without_diagonal(slope), _differences(values).conj())
    return solve(back, (inner + g[0].diag_embed()) @ back)


@op(name="linalg.eig")
def eig(A: Tensor) -> Eigen:
    """Eigenvalues and eigenvectors of square matrices, complex64; of f64 they are refused."""
    check(A, eig, square=True)
    fits = A.dtype is not f64
    expect(fits, eig, "f32 or complex64 (there is no complex128)", A.dtype.name, NoKernelError)
    return Eigen(*eig_factors(A))


@op(name="linalg.eigvals")
def eigvals(A: Tensor) -> Tensor:
    """The eigenvalues of square matrices, complex64; of f64 they are refused."""
    check(A, eigvals, square=True)
    fits = A.dtype is not f64
    expect(fits, eigvals, "f32 or complex64 (there is no complex128)", A.dtype.name, NoKernelError)
    return eig_factors(A)[0]
