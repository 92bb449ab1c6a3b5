"""Singular values and eigenvalues by LAPACK through numpy, with their gradients.

Gradients: Giles 2008 (An extended collection of matrix derivative results), Seeger et al. 2017
(SVD, symmetric eigenproblems).
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

from ..dtype import complex64, f64
from ..errors import ArgumentError, NoKernelError, expect
from ..registry import op
from ..tensor import Tensor
from .complexes import real
from .elementwise_ternary import where
from .linalg_numpy import FINITE, check, lapack, lapack_many, real_dtype
from .shape import adjoint


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
    slope = slope - (back @ V) * real(slope.diagonal(0, -2, -1)).unsqueeze(-2)
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
