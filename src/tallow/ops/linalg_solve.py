"""Linear equations: solve, triangular systems, LU, least squares; rows of `tallow.linalg`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from ..dtype import bool_, f32, f64, i32
from ..errors import ArgumentError, DTypeError, expect
from ..registry import op, primitive
from ..tensor import Tensor, broadcast_shapes, from_numpy, zeros
from .elementwise import where
from .linalg_lapack import inv
from .linalg_numpy import FINITE, check, lapack, lapack_many, to_numpy
from .linalg_rank import pinv, pinv_gradient
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


class LeastSquares(NamedTuple):
    """The solution, what is left (squared), the rank and the singular values."""

    solution: Tensor
    residuals: Tensor
    rank: Tensor
    singular_values: Tensor


class TriangularSolution(NamedTuple):
    """The solution, and the matrix as it was given."""

    solution: Tensor
    cloned_coefficient: Tensor


class Solved(NamedTuple):
    """The solution, and for each matrix 0 or 1 where it is singular."""

    result: Tensor
    info: Tensor


# --- square systems -------------------------------------------------------------------------------


@primitive
def solve_matrices(A: Tensor, B: Tensor) -> Tensor:
    """X of `A @ X = B`."""
    import numpy as np

    return lapack("linalg.solve", "invertible matrices", np.linalg.solve, A, B)


@solve_matrices.grad
def _(g: Tensor, A: Tensor, _B: Tensor, out: Tensor) -> tuple[Any, Any]:
    gB = solve_matrices(adjoint(A), g)
    return lambda: -(gB @ adjoint(out)), gB


def _same_dtype(A: Tensor, B: Tensor, where_: object) -> None:
    expect(A.dtype is B.dtype, where_, f"B of {A.dtype.name}", B.dtype.name, DTypeError)


@op(name="linalg.solve")
def solve(A: Tensor, B: Tensor, *, left: bool = True) -> Tensor:
    """X of `A @ X = B`, or of `X @ A = B` without `left`; B (…, n, k), or (…, n) for vectors."""
    check(A, solve, square=True)
    _same_dtype(A, B, solve)
    vector = B.ndim == 1 or (A.ndim - 1 == B.ndim and B.shape == A.shape[:-1])
    if vector:
        expect(left, solve, "left=True for vectors", left, ArgumentError)
        B = B.unsqueeze(-1)
    n = A.shape[-1]
    expect(B.shape[-2 if left else -1] == n, solve, f"B of {n} rows", B.shape)
    broadcast_shapes(A.shape[:-2], B.shape[:-2], solve)
    out = solve_matrices(A, B) if left else adjoint(solve_matrices(adjoint(A), adjoint(B)))
    return out.squeeze(-1) if vector else out


@op(name="linalg.solve_ex")
def solve_ex(A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False) -> Solved:
    """`linalg.solve`, with zeros for `info`: a singular matrix is refused all the same."""
    return Solved(solve(A, B, left=left), zeros(A.shape[:-2], dtype=i32))


@op(name="linalg.tensorsolve")
def tensorsolve(A: Tensor, B: Tensor, dims: Sequence[int] | None = None) -> Tensor:
    """X of `tensordot(A, X, X.ndim) = B`, the axes `dims` of A moved to its end first."""
    if dims is not None:
        A = A.movedim(tuple(dims), tuple(range(A.ndim - len(dims), A.ndim)))
    shape = A.shape[B.ndim :]
    n = B.numel()
    expect(A.numel() == n * n, tensorsolve, f"a tensor of {n} x {n} elements", A.shape)
    return solve(A.reshape(n, n), B.reshape(n)).reshape(shape)


@op(name="linalg.tensorinv")
def tensorinv(A: Tensor, ind: int = 2) -> Tensor:
    """The inverse of the map that `tensordot(A, _, ind)` is."""
    expect(ind > 0, tensorinv, "ind above 0", ind, ArgumentError)
    n = 1
    for size in A.shape[:ind]:
        n *= size
    expect(A.numel() == n * n, tensorinv, f"a tensor of {n} x {n} elements", A.shape)
    return inv(A.reshape(n, n)).reshape(A.shape[ind:] + A.shape[:ind])


# --- triangular systems ---------------------------------------------------------------------------

_BLOCK = 64


@primitive
def solve_triangles(A: Tensor, B: Tensor, upper: bool, unitriangular: bool) -> Tensor:
    """X of `A @ X = B` by substitution, reading one triangle of A."""

    def run(a: Any, b: Any) -> Any:
        import numpy as np

        n = a.shape[-1]
        batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        a = np.broadcast_to(a, (*batch, n, n))
        x = np.array(np.broadcast_to(b, (*batch, *b.shape[-2:])), order="C")
        starts = range(0, n, _BLOCK)
        for start in reversed(starts) if upper else starts:
            stop = min(start + _BLOCK, n)
            rows = range(stop - 1, start - 1, -1) if upper else range(start, stop)
            for i in rows:
                done = slice(i + 1, stop) if upper else slice(start, i)
                x[..., i, :] -= (a[..., i : i + 1, done] @ x[..., done, :])[..., 0, :]
                if not unitriangular:
                    x[..., i, :] /= a[..., i, i, None]
            rest = slice(0, start) if upper else slice(stop, n)
            x[..., rest, :] -= a[..., rest, start:stop] @ x[..., start:stop, :]
        return x

    return lapack("linalg.solve_triangular", "matrices", run, A, B)


@solve_triangles.grad
def _(
    g: Tensor, A: Tensor, _B: Tensor, upper: bool, unitriangular: bool, out: Tensor
) -> tuple[Any, Any]:
    gB = solve_triangles(adjoint(A), g, not upper, unitriangular)

    def matrix() -> Tensor:
        full = -(gB @ adjoint(out))
        return full.triu(int(unitriangular)) if upper else full.tril(-int(unitriangular))

    return matrix, gB


@op(name="linalg.solve_triangular")
def solve_triangular(
    A: Tensor, B: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Tensor:
    """X of `A @ X = B` (`X @ A = B` without `left`) for triangular A, whose other half is not read.

    With `unitriangular` the diagonal counts as ones. A zero on it gives inf or NaN.
    """
    check(A, solve_triangular, square=True)
    check(B, solve_triangular)
    _same_dtype(A, B, solve_triangular)
    n = A.shape[-1]
    expect(B.shape[-2 if left else -1] == n, solve_triangular, f"B of {n} rows", B.shape)
    if left:
        return solve_triangles(A, B, upper, unitriangular)
    turned = solve_triangles(A.transpose(-2, -1), B.transpose(-2, -1), not upper, unitriangular)
    return turned.transpose(-2, -1)


@op
def triangular_solve(
    x: Tensor, A: Tensor, upper: bool = True, transpose: bool = False, unitriangular: bool = False
) -> TriangularSolution:
    """The solution of `A @ X = x` (with A transposed if `transpose`), and A."""
    given = A.transpose(-2, -1) if transpose else A
    turned = upper != transpose
    out = solve_triangular(given, x, upper=turned, unitriangular=unitriangular)
    return TriangularSolution(out, A.clone())


@op
def cholesky_solve(x: Tensor, L: Tensor, upper: bool = False) -> Tensor:
    """X of `A @ X = x`, where A = L @ L.mH (L.mH @ L if `upper`)."""
    check(x, cholesky_solve)
    lower = adjoint(L) if upper else L
    half = solve_triangular(lower, x, upper=False)
    return solve_triangular(adjoint(lower), half, upper=True)


@op
def cholesky_inverse(x: Tensor, upper: bool = False) -> Tensor:
    """The inverse of A = x @ x.mH (x.mH @ x if `upper`)."""
    from .creation import eye

    check(x, cholesky_inverse, square=True)
    return cholesky_solve(eye(x.shape[-1], dtype=x.dtype).expand(x.shape), x, upper)


# --- LU -------------------------------------------------------------------------------------------


@primitive
def lu_rows(input: Tensor, pivot: bool) -> FactoredLU:
    """L (below the diagonal) and U in one matrix, and the order of the rows (from 0)."""

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
    from ..tensor import arange

    m = order.shape[-1]
    return order.unsqueeze(-2).eq(arange(m).unsqueeze(-1)).to(dtype)


def _exchanges(order: Tensor, count: int) -> Tensor:
    """The order of rows as LAPACK's exchanges, from 1."""
    import numpy as np

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

    expect(pivots.dtype is i32, where_, "pivots of i32", pivots.dtype.name, DTypeError)
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
        worst = int(info.amax().item()) if info.numel() else 0
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


# --- least squares --------------------------------------------------------------------------------


@primitive
def least_squares(A: Tensor, B: Tensor, rcond: float) -> LeastSquares:
    """Solutions, ranks and singular values of each matrix of a batch."""

    def run(a: Any, b: Any) -> Any:
        import numpy as np

        u, s, vh = np.linalg.svd(a, full_matrices=False)
        kept = s > rcond * s.max(-1, initial=0, keepdims=True)
        inverses = np.where(kept, 1 / np.where(kept, s, 1), 0).astype(s.dtype)
        middle = inverses[..., None] * (u.conj().swapaxes(-1, -2) @ b)
        return vh.conj().swapaxes(-1, -2) @ middle, kept.sum(-1), s

    x, rank, values = lapack_many("linalg.lstsq", FINITE, run, A, B)
    return LeastSquares(x, x.new_empty((0,)), rank, values)


@least_squares.grad
def _(g: Any, A: Tensor, B: Tensor, rcond: float) -> tuple[Any, Any]:
    P = pinv(A)
    return lambda: pinv_gradient(g[0] @ adjoint(B), A, P), lambda: adjoint(P) @ g[0]


@op(name="linalg.lstsq")
def lstsq(
    A: Tensor, B: Tensor, rcond: float | None = None, *, driver: str | None = None
) -> LeastSquares:
    """X that makes `A @ X - B` least: solution, residuals, rank, singular_values.

    Always by singular values, of which those below `rcond` times the largest count as 0.
    Residuals (squared) are given when A is tall and of full rank; `singular_values` for the
    drivers gelsd and gelss, no `rank` for gels, as in PyTorch.
    """
    check(A, lstsq)
    known = driver in (None, "gels", "gelsy", "gelsd", "gelss")
    expect(known, lstsq, "gels, gelsy, gelsd or gelss", driver, ArgumentError)
    _same_dtype(A, B, lstsq)
    vector = A.ndim - 1 == B.ndim and B.shape == A.shape[:-1]
    rhs = B.unsqueeze(-1) if vector else B
    fits = rhs.ndim >= 2 and rhs.shape[-2] == A.shape[-2]
    expect(fits, lstsq, f"B of {A.shape[-2]} rows", B.shape)
    m, n = A.shape[-2:]
    limit = max(m, n) * (2.2e-16 if A.dtype is f64 else 1.2e-7) if rcond is None else rcond
    x, _, rank, values = least_squares(A, rhs, float(limit))
    none = A.new_empty((0,), dtype=f64 if A.dtype is f64 else f32)
    left = x.abs().reshape(x.numel()).narrow(0, 0, 0)
    if m > n and driver != "gelsy" and (not rank.numel() or rank.amin().item() == n):
        left = (A @ x - rhs).abs().square().sum(-2)
    return LeastSquares(
        x.squeeze(-1) if vector else x,
        left,
        zeros(0, dtype=rank.dtype) if driver == "gels" else rank,
        values.detach() if driver in ("gelsd", "gelss") else none,
    )


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
