"""Inverses, Cholesky and QR factors by LAPACK through numpy, with their gradients.

Gradients: Giles 2008 (An extended collection of matrix derivative results), Murray 2016
(Cholesky), Walter & Lehmann 2018 (QR).
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

from ..errors import ArgumentError, GradError, expect
from ..factories import zeros
from ..registry import op
from ..tensor import Tensor
from .complexes import real
from .elementwise_ternary import where
from .linalg_numpy import check, lapack, lapack_many, to_numpy
from .shape import adjoint


class QR(NamedTuple):
    """`A = Q @ R`."""

    Q: Tensor
    R: Tensor


class Checked(NamedTuple):
    """A result, and for each matrix 0 or where LAPACK stopped."""

    result: Tensor
    info: Tensor


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
    mirrored = low + adjoint(low) + (real(middle).to(M.dtype)).diag_embed()
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
