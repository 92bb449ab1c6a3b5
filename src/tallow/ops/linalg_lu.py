"""LU factors: `A = P @ L @ U`, unpacked and solved with; ops of `tallow.linalg`."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from ..borrowing import from_numpy
from ..dtype import i32, i64
from ..errors import ArgumentError, NoKernelError, expect
from ..factories import empty, zeros
from ..registry import op
from ..tensor import Tensor, has_values
from .elementwise_ternary import where
from .linalg_numpy import check, lapack_many, to_numpy
from .linalg_solve import solve_triangular
from .shape import adjoint


class LU(NamedTuple):
    """`A = P @ L @ U`."""

    P: Tensor
    L: Tensor
    U: Tensor


class FactoredLU(NamedTuple):
    """L and U in one matrix, and with which row (from 1) each row was exchanged."""

    LU: Tensor
    pivots: Tensor


class FactoredLUInfo(NamedTuple):
    """`FactoredLU`, and for each matrix 0 or the first zero on U's diagonal (from 1)."""

    LU: Tensor
    pivots: Tensor
    info: Tensor


@op(result=FactoredLU)
def lu_rows(input: Tensor, pivot: bool) -> FactoredLU:
    """L (below the diagonal) and U in one matrix, and the order of the rows (from 0)."""
    ...


@lu_rows.out
def _(input: Tensor, pivot: bool) -> Any:
    return [(input.shape, input.dtype), (input.shape[:-1], i64)]


@lu_rows.kernel
def _(input: Tensor, pivot: bool) -> FactoredLU:

    def run(a: Any) -> Any:
        import numpy as np

        m, n = a.shape[-2:]
        flat = np.array(a).reshape(math.prod(a.shape[:-2]), m, n)
        order = np.tile(np.arange(m), (len(flat), 1))
        each = np.arange(len(flat))
        for k in range(min(m, n)):
            if pivot and m > k + 1:
                column = flat[:, k:, k]  # LAPACK takes |re| + |im| for the size
                best = k + np.argmax(np.abs(column.real) + np.abs(column.imag), axis=1)
                flat[each, k], flat[each, best] = flat[each, best], flat[each, k]
                order[each, k], order[each, best] = order[each, best], order[each, k]
            below = flat[:, k + 1 :, k]
            top = flat[:, k, k, None]
            below[...] = np.where(top == 0, below, below / np.where(top == 0, 1, top))
            flat[:, k + 1 :, k + 1 :] -= below[:, :, None] * flat[:, k, None, k + 1 :]
        return flat.reshape(a.shape), order.reshape(*a.shape[:-2], m)

    return FactoredLU(*lapack_many("linalg.lu", "matrices", run, input))


@lu_rows.grad
def _(g: Any, _input: Tensor, pivot: bool, out: Any) -> Tensor:
    from .join import cat

    G, F = g[0], out[0]
    m, n = _input.shape[-2:]
    k = min(m, n)
    square, gs = F.narrow(-2, 0, k).narrow(-1, 0, k), G.narrow(-2, 0, k).narrow(-1, 0, k)
    L, U = square.tril(-1) + _eye(k, F), square.triu()
    gL, gU = gs.tril(-1), gs.triu()
    extra = None
    if n > k:  # wide: U = [U1 | U2], and A2 = L U2
        U2, gU2 = F.narrow(-1, k, n - k), G.narrow(-1, k, n - k)
        extra = solve_triangular(adjoint(L), gU2, upper=True, unitriangular=True)
        gL = gL - extra @ adjoint(U2)
    elif m > k:  # tall: L = [L1; L2], and A2 = L2 U
        L2, gL2 = F.narrow(-2, k, m - k), G.narrow(-2, k, m - k)
        extra = solve_triangular(adjoint(U), gL2, upper=False, left=False)
        gU = gU - adjoint(L2) @ extra
    inner = (adjoint(L) @ gL).tril(-1) + (gU @ adjoint(U)).triu()
    inner = solve_triangular(adjoint(L), inner, upper=True, unitriangular=True)
    whole = solve_triangular(adjoint(U), inner, upper=False, left=False)
    if extra is not None:
        whole = cat([whole, extra], -1 if n > k else -2)
    return permutation(out[1], whole.dtype) @ whole


def _eye(n: int, like: Tensor) -> Tensor:
    from .creation import eye

    return eye(n, dtype=like.dtype)


def permutation(order: Tensor, dtype: Any) -> Tensor:
    """P with `A = P @ (L @ U)`, for rows of A taken in this order."""
    from ..factories import arange

    m = order.shape[-1]
    return order.unsqueeze(-2).eq(arange(m).unsqueeze(-1)).to(dtype)


def _exchanges(order: Tensor, count: int) -> Tensor:
    """The order of rows as LAPACK's exchanges, from 1."""
    import numpy as np

    if order.is_meta:
        return empty((*order.shape[:-1], count), dtype=i32, device="meta")
    count_ = math.prod(order.shape[:-1])
    flat = np.array(to_numpy(order, "linalg.lu_factor")).reshape(count_, order.shape[-1])
    out = np.zeros((len(flat), count), np.int32)
    for rows, pivots in zip(flat, out, strict=True):
        now = np.arange(len(rows))
        for k in range(count):
            at = int(np.flatnonzero(now == rows[k])[0])
            now[k], now[at] = now[at], now[k]
            pivots[k] = at + 1
    return from_numpy(out.reshape(*order.shape[:-1], count))


def _order(pivots: Tensor, m: int, where_: object) -> Tensor:
    """LAPACK's exchanges as an order of rows."""
    import numpy as np

    expect(pivots.dtype is i32, where_, "pivots of i32", pivots.dtype.name, NoKernelError)
    if pivots.is_meta:
        return empty((*pivots.shape[:-1], m), dtype=i64, device="meta")
    given = np.array(to_numpy(pivots, where_))
    inside = not given.size or (given.min() >= 1 and given.max() <= m)
    expect(inside, where_, f"pivots in [1, {m}]", "others", ArgumentError)
    flat = given.reshape(math.prod(given.shape[:-1]), given.shape[-1])
    out = np.tile(np.arange(m), (len(flat), 1))
    for rows, exchanges in zip(out, flat, strict=True):
        for k, at in enumerate(exchanges):
            rows[k], rows[at - 1] = rows[at - 1], rows[k]
    return from_numpy(out.reshape(*given.shape[:-1], m))


@op(name="linalg.lu_factor")
def lu_factor(A: Tensor, *, pivot: bool = True) -> FactoredLU:
    """L and U in one matrix (L's unit diagonal left out), and the exchanges of rows, i32 from 1."""
    check(A, lu_factor)
    made, order = lu_rows(A, pivot)
    return FactoredLU(made, _exchanges(order, min(A.shape[-2:])))


@op(name="linalg.lu_factor_ex")
def lu_factor_ex(A: Tensor, *, pivot: bool = True, check_errors: bool = False) -> FactoredLUInfo:
    """`linalg.lu_factor`, with the place (from 1) of the first zero on U's diagonal, or 0."""
    made, pivots = lu_factor(A, pivot=pivot)
    zero = made.detach().diagonal(0, -2, -1) == 0
    info = zeros(A.shape[:-2], dtype=i32)
    if zero.numel():
        info = where(zero.any(-1), zero.to(i32).argmax(-1).to(i32) + 1, info).to(i32)
    if check_errors:
        worst = int(info.amax().item()) if has_values(info) else 0
        expect(
            worst == 0,
            lu_factor_ex,
            "invertible matrices",
            f"a zero pivot at {worst}",
            ArgumentError,
        )
    return FactoredLUInfo(made, pivots, info)


@op(name="linalg.lu")
def lu(A: Tensor, *, pivot: bool = True) -> LU:
    """A permutation P, unit lower triangular L (m, k) and upper triangular U (k, n): A = P @ L @ U.

    Without `pivot` rows are not exchanged and P is empty.
    """
    check(A, lu)
    made, order = lu_rows(A, pivot)
    L, U = _triangles(made)
    return LU(permutation(order, A.dtype) if pivot else A.new_empty((0,)), L, U)


def _triangles(made: Tensor) -> tuple[Tensor, Tensor]:
    m, n = made.shape[-2:]
    k = min(m, n)
    from .creation import eye

    L = made.narrow(-1, 0, k).tril(-1) + eye(m, k, dtype=made.dtype)
    return L, made.narrow(-2, 0, k).triu()


@op
def lu_unpack(
    LU_data: Tensor, LU_pivots: Tensor, unpack_data: bool = True, unpack_pivots: bool = True
) -> LU:
    """P, L and U of what `linalg.lu_factor` gave; what is not asked for is empty."""
    none = LU_data.new_empty((0,))
    L, U = _triangles(LU_data) if unpack_data else (none, none)
    P = none
    if unpack_pivots:
        order = _order(LU_pivots, LU_data.shape[-2], lu_unpack)
        P = permutation(order, LU_data.dtype)
    return LU(P, L, U)


@op(name="linalg.lu_solve")
def linalg_lu_solve(
    LU: Tensor, pivots: Tensor, B: Tensor, *, left: bool = True, adjoint: bool = False
) -> Tensor:
    """X of `A @ X = B` (`X @ A = B` without `left`), A given by `linalg.lu_factor`."""
    check(LU, linalg_lu_solve, square=True)
    n = LU.shape[-1]
    P = permutation(_order(pivots, n, linalg_lu_solve), LU.dtype)
    if not left:  # X A = B is A^H X^H = B^H
        turned = linalg_lu_solve(LU, pivots, B.adjoint(), adjoint=not adjoint)
        return turned.adjoint()
    if adjoint:
        half = solve_triangular(LU.adjoint(), B, upper=False)
        return P @ solve_triangular(LU.adjoint(), half, upper=True, unitriangular=True)
    half = solve_triangular(LU, P.transpose(-2, -1) @ B, upper=False, unitriangular=True)
    return solve_triangular(LU, half, upper=True)


@op
def lu_solve(x: Tensor, LU_data: Tensor, LU_pivots: Tensor) -> Tensor:
    """The solution of `A @ X = x`, A given by `linalg.lu_factor`."""
    return linalg_lu_solve(LU_data, LU_pivots, x)
