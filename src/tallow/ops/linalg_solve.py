"""Linear equations: solve, triangular systems, LU, least squares; ops of `tallow.linalg`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..dtype import f32, f64, i32, i64
from ..errors import ArgumentError, NoKernelError, expect
from ..factories import zeros
from ..registry import op
from ..tensor import Tensor, broadcast_shapes, has_values
from .linalg_factor import inv
from .linalg_numpy import FINITE, check, lapack, lapack_many, real_dtype, solution
from .linalg_rank import pinv, pinv_gradient
from .shape import adjoint


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


@op
def solve_matrices(A: Tensor, B: Tensor) -> Tensor:
    """X of `A @ X = B`."""
    ...


@solve_matrices.out
def _(A: Tensor, B: Tensor) -> Any:
    return solution(A, B)


@solve_matrices.kernel
def _(A: Tensor, B: Tensor) -> Tensor:
    import numpy as np

    return lapack("linalg.solve", "invertible matrices", np.linalg.solve, A, B)


@solve_matrices.grad
def _(g: Tensor, A: Tensor, _B: Tensor, out: Tensor) -> tuple[Any, Any]:
    gB = solve_matrices(adjoint(A), g)
    return lambda: -(gB @ adjoint(out)), gB


def _same_dtype(A: Tensor, B: Tensor, where_: object) -> None:
    expect(A.dtype is B.dtype, where_, f"B of {A.dtype.name}", B.dtype.name, NoKernelError)


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


@op
def solve_triangles(A: Tensor, B: Tensor, upper: bool, unitriangular: bool) -> Tensor:
    """X of `A @ X = B` by substitution, reading one triangle of A."""
    ...


@solve_triangles.out
def _(A: Tensor, B: Tensor, upper: bool, unitriangular: bool) -> Any:
    return solution(A, B)


@solve_triangles.kernel
def _(A: Tensor, B: Tensor, upper: bool, unitriangular: bool) -> Tensor:

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
        off = 1 if unitriangular else 0
        return full.triu(off) if upper else full.tril(-off)

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
    broadcast_shapes(A.shape[:-2], B.shape[:-2], solve_triangular)
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


@cholesky_solve.grad
def _(g: Tensor, x: Tensor, L: Tensor, upper: bool, out: Tensor) -> tuple[Any, Any]:
    back = cholesky_solve(g, L, upper)

    def of_factor() -> Tensor:
        return _of_factor(L, back @ adjoint(out), upper).sum_to_size(L.shape)

    return back.sum_to_size(x.shape), of_factor


def _of_factor(L: Tensor, slope: Tensor, upper: bool) -> Tensor:
    """The gradient of the factor of A, given A^-1 times the gradient of A^-1's product with it.

    Of all of L, as in torch, though one triangle is read: the other's is that of L @ L.mH.
    """
    both = slope + adjoint(slope)
    return -(L @ both if upper else both @ L)


@op
def cholesky_inverse(x: Tensor, upper: bool = False) -> Tensor:
    """The inverse of A = x @ x.mH (x.mH @ x if `upper`)."""
    from .creation import eye

    check(x, cholesky_inverse, square=True)
    return cholesky_solve(eye(x.shape[-1], dtype=x.dtype).expand(x.shape), x, upper)


@cholesky_inverse.grad
def _(g: Tensor, x: Tensor, upper: bool, out: Tensor) -> Tensor:
    return _of_factor(x, out @ g @ out, upper)


# --- least squares --------------------------------------------------------------------------------


@op(result=LeastSquares)
def least_squares(A: Tensor, B: Tensor, rcond: float) -> LeastSquares:
    """Solutions, ranks and singular values of each matrix of a batch."""
    ...


@least_squares.out
def _(A: Tensor, B: Tensor, rcond: float) -> Any:
    real, batch, k = real_dtype(A.dtype), A.shape[:-2], min(A.shape[-2:])
    return [solution(A, B), ((0,), A.dtype), (batch, i64), ((*batch, k), real)]


@least_squares.kernel
def _(A: Tensor, B: Tensor, rcond: float) -> LeastSquares:

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
    if m > n and driver != "gelsy" and (not has_values(rank) or rank.amin().item() == n):
        left = (A @ x - rhs).abs().square().sum(-2)
    return LeastSquares(
        x.squeeze(-1) if vector else x,
        left,
        zeros(0, dtype=rank.dtype) if driver == "gels" else rank,
        values.detach() if driver in ("gelsd", "gelss") else none,
    )
