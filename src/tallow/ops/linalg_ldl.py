"""LDL factors of symmetric matrices, with Bunch's and Kaufman's pivots; ops of `tl.linalg`."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from ..dtype import i32
from ..errors import ArgumentError, GradError, LinAlgError, NoKernelError, expect
from ..registry import op
from ..tensor import Tensor, has_values
from .linalg_numpy import check, lapack_many, solution, to_numpy

_ALPHA = (1 + math.sqrt(17)) / 8  # below this share of the column, a diagonal entry is no pivot


class FactoredLDL(NamedTuple):
    """L below D's diagonal blocks in one matrix, and LAPACK's exchanges (from 1).

    A negative exchange stands twice: a block of two rows, of which the second was exchanged.
    """

    LD: Tensor
    pivots: Tensor


class FactoredLDLInfo(NamedTuple):
    """`FactoredLDL`, and for each matrix 0 or the first zero on D's diagonal (from 1)."""

    LD: Tensor
    pivots: Tensor
    info: Tensor


def _size(a: Any) -> Any:
    return abs(a.real) + abs(a.imag)  # LAPACK's measure of a complex number


def _choose(a: Any, k: int) -> tuple[int, int]:
    """How many rows the block at `k` has, 0 for none of use, and with which row to exchange."""
    below = _size(a[k + 1 :, k])
    here, largest = _size(a[k, k]), below.max(initial=0)
    if max(here, largest) == 0 or here != here:
        return 0, k
    if here >= _ALPHA * largest:
        return 1, k
    best = k + 1 + int(below.argmax())
    row = _size(a[best, k:])
    row[best - k] = 0
    widest = row.max()
    if here >= _ALPHA * largest * (largest / widest):
        return 1, k
    return (1 if _size(a[best, best]) >= _ALPHA * widest else 2), best


def _factor(a: Any, pivots: Any, hermitian: bool) -> int:
    """Factor the whole symmetric matrix in place; the place of the first zero pivot, or 0."""
    import numpy as np

    turned = np.conj if hermitian else np.asarray
    n, k, info = len(a), 0, 0
    while k < n:
        size, other = _choose(a, k)
        last = k + max(size, 1) - 1
        if other != last:
            a[[last, other], k:] = a[[other, last], k:]
            a[k:, [last, other]] = a[k:, [other, last]]
        pivots[k : last + 1] = other + 1 if last == k else -other - 1
        if size == 0:
            info = info or k + 1
        else:
            block, columns = a[k : last + 1, k : last + 1], a[last + 1 :, k : last + 1]
            scaled = np.linalg.solve(block.T, columns.T).T if size == 2 else columns / block
            rest = a[last + 1 :, last + 1 :]
            rest -= scaled @ turned(columns).T
            # The triangles round apart, and what parts them would grow from block to block.
            rest[...] = np.tril(rest) + turned(np.tril(rest, -1)).T
            if hermitian and np.iscomplexobj(rest):
                np.einsum("ii->i", rest).imag = 0
            a[last + 1 :, k : last + 1] = scaled
        k = last + 1
    return info


@op(result=FactoredLDLInfo)
def ldl_parts(input: Tensor, hermitian: bool) -> FactoredLDLInfo:
    """The factors, exchanges and first zero pivots of matrices by their lower triangles."""
    ...


@ldl_parts.check
def _(input: Tensor, hermitian: bool) -> None:
    check(input, ldl_factor, square=True)


@ldl_parts.out
def _(input: Tensor, hermitian: bool) -> Any:
    shape = input.shape
    return [(shape, input.dtype), (shape[:-1], i32), (shape[:-2], i32)]


@ldl_parts.kernel
def _(input: Tensor, hermitian: bool) -> FactoredLDLInfo:
    def run(a: Any) -> Any:
        import numpy as np

        n, many = a.shape[-1], math.prod(a.shape[:-2])
        below = np.tril(a, -1)
        other = below.conj() if hermitian else below
        diagonal = np.einsum("...ii->...i", a)
        whole = below + np.swapaxes(other, -1, -2)
        np.einsum("...ii->...i", whole)[...] = diagonal.real if hermitian else diagonal
        flat = whole.reshape(many, n, n)
        pivots, info = np.zeros((many, n), np.int32), np.zeros(many, np.int32)
        for at in range(many):
            info[at] = _factor(flat[at], pivots[at], hermitian)
        shape = a.shape[:-2]
        return np.tril(flat).reshape(a.shape), pivots.reshape(*shape, n), info.reshape(shape)

    return FactoredLDLInfo(*lapack_many("linalg.ldl_factor", "matrices", run, input))


@ldl_parts.grad
def _(g: Any, input: Tensor, hermitian: bool) -> Tensor:
    raise GradError("linalg.ldl_factor: expected a matrix without gradient, which has no rule")


@op(name="linalg.ldl_factor_ex")
def ldl_factor_ex(
    A: Tensor, *, hermitian: bool = False, check_errors: bool = False
) -> FactoredLDLInfo:
    """`linalg.ldl_factor`, with the place (from 1) of the first zero on D's diagonal, or 0."""
    made = ldl_parts(A, hermitian)
    if check_errors and has_values(made.info):
        worst = int(made.info.amax().item())
        said = f"a zero pivot at {worst}"
        expect(worst == 0, ldl_factor_ex, "invertible matrices", said, LinAlgError)
    return made


@op(name="linalg.ldl_factor")
def ldl_factor(A: Tensor, *, hermitian: bool = False) -> FactoredLDL:
    """L and D, in blocks of one or two rows, of symmetric matrices; their lower triangles count.

    `hermitian` takes the upper triangle of complex matrices for the conjugate of the lower one.
    """
    made = ldl_factor_ex(A, hermitian=hermitian, check_errors=True)
    return FactoredLDL(made.LD, made.pivots)


def _blocks(pivots: Any) -> list[tuple[int, int, int]]:
    """First row, last row and the row that the last was exchanged with, of each block."""
    out, k = [], 0
    while k < len(pivots):
        last = k + (pivots[k] < 0)
        paired = last == k or (last < len(pivots) and pivots[last] == pivots[k])
        other = abs(int(pivots[k])) - 1
        fits = paired and last <= other < len(pivots)
        expect(fits, "linalg.ldl_solve", "pivots of ldl_factor", "others", ArgumentError)
        out.append((k, int(last), other))
        k = int(last) + 1
    return out


def _solve(a: Any, pivots: Any, b: Any, hermitian: bool) -> None:
    """Solve in place: down through L, by D's blocks, and up through L transposed."""
    import numpy as np

    blocks = _blocks(pivots)
    for k, last, other in blocks:
        b[[last, other]] = b[[other, last]]
        b[last + 1 :] -= a[last + 1 :, k : last + 1] @ b[k : last + 1]
        block = np.tril(a[k : last + 1, k : last + 1])
        if last > k:
            block[0, 1] = block[1, 0].conj() if hermitian else block[1, 0]
            b[k : last + 1] = np.linalg.solve(block, b[k : last + 1])
        else:
            b[k] /= block[0, 0].real if hermitian else block[0, 0]
    for k, last, other in reversed(blocks):
        columns = a[last + 1 :, k : last + 1]
        b[k : last + 1] -= (columns.conj() if hermitian else columns).T @ b[last + 1 :]
        b[[last, other]] = b[[other, last]]


@op
def ldl_solutions(LD: Tensor, pivots: Tensor, B: Tensor, hermitian: bool) -> Tensor:
    """The solutions of batches that fit each other."""
    ...


@ldl_solutions.check
def _(LD: Tensor, pivots: Tensor, B: Tensor, hermitian: bool) -> None:
    check(LD, ldl_solve, square=True)
    check(B, ldl_solve)
    n = LD.shape[-1]
    expect(B.dtype is LD.dtype, ldl_solve, LD.dtype.name, B.dtype.name, NoKernelError)
    expect(B.shape[-2] == n, ldl_solve, f"B of {n} rows", f"shape {B.shape}")
    expect(pivots.dtype is i32, ldl_solve, "pivots of i32", pivots.dtype.name, NoKernelError)
    expect(pivots.shape == LD.shape[:-1], ldl_solve, f"pivots of shape {LD.shape[:-1]}",
           f"shape {pivots.shape}")  # fmt: skip


@ldl_solutions.out
def _(LD: Tensor, pivots: Tensor, B: Tensor, hermitian: bool) -> Any:
    return solution(LD, B)


@ldl_solutions.kernel
def _(LD: Tensor, pivots: Tensor, B: Tensor, hermitian: bool) -> Tensor:
    def run(a: Any, b: Any) -> Any:
        import numpy as np

        shape, wide = np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), np.result_type(a, np.float64)
        n, columns, many = a.shape[-1], b.shape[-1], math.prod(shape)
        out = np.array(np.broadcast_to(b, (*shape, n, columns)), wide)
        exchanges = np.broadcast_to(to_numpy(pivots, ldl_solve), (*shape, n)).reshape(many, n)
        factors = np.broadcast_to(a.astype(wide), (*shape, n, n)).reshape(many, n, n)
        flat = out.reshape(many, n, columns)
        for at in range(many):
            _solve(factors[at], exchanges[at], flat[at], hermitian)
        return (flat.reshape(*shape, n, columns),)

    return lapack_many("linalg.ldl_solve", "invertible matrices", run, LD, B)[0]


@ldl_solutions.grad
def _(g: Tensor, LD: Tensor, pivots: Tensor, B: Tensor, hermitian: bool) -> tuple[Any, Any, Any]:
    raise GradError("linalg.ldl_solve: expected matrices without gradient, which have no rule")


@op(name="linalg.ldl_solve")
def ldl_solve(LD: Tensor, pivots: Tensor, B: Tensor, *, hermitian: bool = False) -> Tensor:
    """X of `A @ X = B`, A given by `linalg.ldl_factor`."""
    return ldl_solutions(LD, pivots, B, hermitian)
