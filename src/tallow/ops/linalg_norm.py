"""Norms, distances, covariances, and functions of matrices that need no factorisation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..dtype import DType, as_dtype, bool_, f32, f64
from ..errors import ArgumentError, NoKernelError, expect
from ..factories import zeros
from ..registry import op
from ..tensor import Tensor, has_values
from .complexes import real
from .elementwise_ternary import where
from .linalg import conj
from .reduce import centred
from .shape import axes_of, axis_of

Dims = int | Sequence[int] | None
INF = math.inf
_LONG = 1 << 16  # elements of a vector that several threads would share


def _real(dtype: DType) -> DType:
    return f32 if dtype.kind == "c" else dtype


# --- of vectors -----------------------------------------------------------------------------------


@op(cached=True)
def p_norm(input: Tensor, p: float, dims: Sequence[int], keepdim: bool) -> Tensor:
    """The p-norm over the axes `dims`, for finite p; its gradient at 0 is 0.

    For p = 0 the number of elements that are not 0.
    """
    if p == 0:
        count = input.ne(0).to(_real(input.dtype))
        return count.sum(dims, keepdim) if dims else count
    wide = input.to(f32) if input.dtype.itemsize == 2 else input
    size = wide.abs()
    if p == 2:
        total = size.square().sum(dims, keepdim).sqrt() if dims else size
    elif p == 1:
        total = size.sum(dims, keepdim) if dims else size
    else:
        total = (size.pow(p).sum(dims, keepdim) if dims else size.pow(p)).pow(1 / p)
    return total.to(_real(input.dtype))


@p_norm.out
def _(input: Tensor, p: float, dims: Sequence[int], keepdim: bool) -> Any:
    shape, kind = input.shape, _real(input.dtype)
    if keepdim:
        return [1 if i in dims else n for i, n in enumerate(shape)], kind
    return [n for i, n in enumerate(shape) if i not in dims], kind


def _of_rows(input: Tensor, p: float, dims: Sequence[int], keepdim: bool) -> bool:
    """Whether these are 2-norms of vectors without gaps, many or short enough for one thread."""
    end = input.ndim - 1
    if p != 2 or len(dims) != 1 or dims[0] != end or keepdim:
        return False
    n = input.shape[end]
    return n > 0 and input.stride(end) == 1 and (n <= _LONG or input.numel() >= 2 * n)


@p_norm.kernel("vecdot", dtypes=(f32,), when=_of_rows)
def _(input: Tensor, p: float, dims: Sequence[int], keepdim: bool) -> tuple[Any, ...]:
    return input, input, True


@p_norm.grad
def _(
    g: Tensor, input: Tensor, p: float, dims: Sequence[int], keepdim: bool, out: Tensor
) -> Tensor:
    if p == 0:
        return g.new_zeros(input.shape)
    if not keepdim:
        for axis in sorted(dims):
            g, out = g.unsqueeze(axis), out.unsqueeze(axis)
    safe = where(out == 0, 1.0, out)
    if p == 2:
        whole: Tensor = input * (g / safe)
        return whole
    if p == 1:
        return g * input.sgn()
    size = input.abs()
    size = where(size == 0, 1.0, size)
    slope: Tensor = input * size.pow(p - 2) * (g / safe.pow(p - 1))
    return slope


@op(name="linalg.vector_norm", cached=True)
def vector_norm(
    x: Tensor, ord: Any = 2, dim: Dims = None, keepdim: bool = False, *,
    dtype: DType | str | None = None,
) -> Tensor:  # fmt: skip
    """The `ord`-norm (a number, inf, -inf) over `dim` (all axes by default), of a float tensor."""
    if type(dim) is int and ord == 2 and dtype is None and type(x) is Tensor and x.dtype is f32:
        end = x.ndim - 1
        if dim in (-1, end) and end >= 0:  # the usual one, without detours
            norms = p_norm(x, 2.0, (end,), False)
            return norms.unsqueeze(-1) if keepdim else norms
    expect(x.dtype.kind in "fc", vector_norm, "a float tensor", x.dtype.name, NoKernelError)
    x = x if dtype is None else x.to(as_dtype(dtype))
    p = float(ord)
    axes = tuple(range(x.ndim)) if dim is None else axes_of(dim, x.ndim, vector_norm)
    axes = axes or tuple(range(x.ndim))
    axes = tuple(sorted(axes)) if x.ndim else ()
    if math.isinf(p) or p < 0:
        filled = all(x.shape[axis] for axis in axes)
        expect(filled, vector_norm, f"elements for the norm of order {p}", x.shape)
    if math.isinf(p):
        size = x.abs()
        if not axes:
            return size
        return size.amax(axes, keepdim) if p > 0 else size.amin(axes, keepdim)
    if keepdim and p == 2 and axes == (x.ndim - 1,):
        return p_norm(x, p, axes, False).unsqueeze(-1)
    return p_norm(x, p, axes, keepdim)


@op(name="linalg.matrix_norm")
def matrix_norm(
    A: Tensor, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False, *,
    dtype: DType | str | None = None,
) -> Tensor:  # fmt: skip
    """A norm of matrices in the axes `dim`: "fro", "nuc", inf, -inf, 1, -1, 2 or -2."""
    expect(A.dtype.kind in "fc", matrix_norm, "a float tensor", A.dtype.name, NoKernelError)
    A = A if dtype is None else A.to(as_dtype(dtype))
    expect(A.ndim >= 2, matrix_norm, "at least two axes", A.shape)
    i, j = axes_of(dim, A.ndim, matrix_norm)
    if ord == "fro":
        return p_norm(A, 2.0, tuple(sorted((i, j))), keepdim)
    known = ord == "nuc" or (not isinstance(ord, str) and abs(ord) in (1, 2, INF))
    expect(known, matrix_norm, "fro, nuc, inf, -inf, 1, -1, 2 or -2", ord, ArgumentError)
    if ord == "nuc" or abs(ord) == 2:
        from .linalg_eigen import svdvals

        values = svdvals(A.movedim((i, j), (-2, -1)))
        if ord == "nuc" or (ord > 0 and not values.shape[-1]):
            out = values.sum(-1)
        else:
            out = values.amax(-1) if ord > 0 else values.amin(-1)
        return _kept(out, i, j) if keepdim else out
    if abs(ord) == INF:
        i, j = j, i
    # The sums over axis i, of which the extreme along j.
    size = A.abs().sum(i, True)
    if ord > 0 and not size.shape[j]:
        out = size.sum(j, True)
    else:
        out = size.amax(j, True) if ord > 0 else size.amin(j, True)
    return out if keepdim else out.squeeze((i, j))


def _kept(out: Tensor, i: int, j: int) -> Tensor:
    first, last = sorted((i, j))
    return out.unsqueeze(first).unsqueeze(last)


@op(name="linalg.norm", cached=True)
def linalg_norm(
    A: Tensor, ord: Any = None, dim: Any = None, keepdim: bool = False, *,
    dtype: DType | str | None = None,
) -> Tensor:  # fmt: skip
    """A norm of vectors or matrices, by `ord` and how many axes `dim` names."""
    if dim is not None:
        dim = (dim,) if hasattr(dim, "__index__") else tuple(dim)
        expect(len(dim) in (1, 2) or ord is None, linalg_norm, "one or two axes", dim)
    if ord is None:
        if keepdim and dim is None:
            return vector_norm(A, 2, None, True, dtype=dtype)
        return vector_norm(A, 2, dim, keepdim, dtype=dtype)
    if dim is None:
        expect(A.ndim in (1, 2), linalg_norm, "one or two axes", A.shape)
        dim = tuple(range(A.ndim))
    if len(dim) == 1:
        expect(not isinstance(ord, str), linalg_norm, "a number for vectors", ord, ArgumentError)
        return vector_norm(A, ord, dim, keepdim, dtype=dtype)
    return matrix_norm(A, ord, dim, keepdim, dtype=dtype)


@op(cached=True)
def norm(
    x: Tensor, p: Any = "fro", dim: Dims = None, keepdim: bool = False,
    dtype: DType | str | None = None,
) -> Tensor:  # fmt: skip
    """The p-norm of all elements or over `dim`; "fro" is 2, "nuc" the sum of singular values."""
    if p == 2 and dtype is None:
        return vector_norm(x, p, dim, keepdim)
    if p == "nuc":
        axes = (-2, -1) if dim is None else dim
        expect(dim is not None or x.ndim == 2, norm, "two axes", x.shape)
        return matrix_norm(x, "nuc", axes, keepdim, dtype=dtype)
    known = p in ("fro", None) or not isinstance(p, str)
    expect(known, norm, '"fro", "nuc" or a number', p, ArgumentError)
    return vector_norm(x, 2 if p in ("fro", None) else p, dim, keepdim, dtype=dtype)


@op(inplace=True)
def renorm(x: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    """Slices along `dim` whose p-norm is above `maxnorm`, scaled down to it."""
    axis = axis_of(dim, x.ndim, renorm)
    expect(x.ndim > 1, renorm, "at least two axes", x.shape)
    expect(p > 0, renorm, "p above 0", p, ArgumentError)
    expect(maxnorm >= 0, renorm, "maxnorm of 0 or more", maxnorm, ArgumentError)
    others = tuple(i for i in range(x.ndim) if i != axis)
    norms = vector_norm(x, p, others, True)
    return x * where(norms > maxnorm, maxnorm / (norms + 1e-7), 1.0)


@op
def cdist(
    x1: Tensor, x2: Tensor, p: float = 2.0,
    compute_mode: str | None = "use_mm_for_euclid_dist_if_necessary",
) -> Tensor:  # fmt: skip
    """p-norm distances of each row of `x1` (…, n, k) and each of `x2` (…, m, k): (…, n, m).

    `compute_mode` is taken for compatibility: distances always come from the differences.
    """
    expect(
        x1.ndim >= 2 and x2.ndim >= 2, cdist, "matrices or batches of them", (x1.shape, x2.shape)
    )
    same = x1.shape[-1] == x2.shape[-1]
    expect(same, cdist, "rows of one length", (x1.shape, x2.shape))
    expect(p >= 0, cdist, "p of at least 0", p, ArgumentError)
    difference = x1.unsqueeze(-2) - x2.unsqueeze(-3)
    if not difference.shape[-1]:
        return difference.sum(-1)
    return vector_norm(difference, p, -1)


# --- products of vectors in an axis ---------------------------------------------------------------


def _cross(a: Tensor, b: Tensor, dim: int, where: object) -> Tensor:
    expect(a.ndim == b.ndim, where, f"tensors of {a.ndim} axes", b.shape)
    axis = axis_of(dim, a.ndim, where)
    fits = a.ndim > 0 and a.shape[axis] == 3 and b.shape[axis] == 3
    expect(fits, where, f"vectors of length 3 along axis {axis}", (a.shape, b.shape))
    return a.roll(-1, axis) * b.roll(-2, axis) - a.roll(-2, axis) * b.roll(-1, axis)


@op(name="linalg.cross")
def linalg_cross(input: Tensor, other: Tensor, *, dim: int = -1) -> Tensor:
    """The cross products of the 3-vectors along `dim`."""
    return _cross(input, other, dim, linalg_cross)


@op
def cross(x: Tensor, other: Tensor, dim: int | None = None) -> Tensor:
    """The cross products of the 3-vectors along `dim`, the first axis of length 3 by default."""
    if dim is None:
        found = [i for i, n in enumerate(x.shape) if n == 3]
        expect(len(found) > 0, cross, "an axis of length 3", x.shape)
        dim = found[0]
    return _cross(x, other, dim, cross)


@op(name="linalg.vecdot")
def vecdot(x: Tensor, y: Tensor, *, dim: int = -1) -> Tensor:
    """Products of `x` (conjugated) and `y` summed along `dim`."""
    out = conj(x) * y
    return out.sum(dim).to(out.dtype)


@op(name="linalg.diagonal")
def linalg_diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """A view of the diagonals of matrices in the last two axes."""
    return A.diagonal(offset, dim1, dim2)


# --- covariance -----------------------------------------------------------------------------------


@op
def cov(
    x: Tensor, *, correction: int = 1, fweights: Tensor | None = None,
    aweights: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Covariances of the rows (variables) of `x` over its columns (observations).

    `fweights` says how often each observation counts, `aweights` how much.
    """
    expect(x.ndim <= 2, cov, "at most two axes", x.shape)
    expect(x.dtype.kind != "b", cov, "numbers", x.dtype.name, NoKernelError)
    rows = x.reshape(1, -1) if x.ndim < 2 else x
    rows = rows if rows.dtype.kind in "fc" else rows.to(f32)
    n = rows.shape[1]
    weight: Tensor | None = None
    for name, w, kinds in (("fweights", fweights, "iu"), ("aweights", aweights, "f")):
        if w is None:
            continue
        expect(w.ndim <= 1 and w.numel() == n, cov, f"{name} of shape ({n},)", w.shape)
        expect(w.dtype.kind in kinds, cov, f"{name} of another kind", w.dtype.name, NoKernelError)
        least = w.amin().item() if has_values(w) else 0
        expect(least >= 0, cov, f"{name} of at least 0", least, ArgumentError)
        weight = w if weight is None else weight * w
    if weight is None:
        h = centred(rows, 1)
        scaled, count = h, float(max(n - correction, 0))
        out = (h @ conj(scaled).transpose(0, 1) / count).to(rows.dtype)
    else:
        total = weight.sum()
        h = rows - (rows * weight).sum(1, True) / total
        h = h - (h * weight).sum(1, True) / total
        lost: Any = correction
        if correction != 0 and aweights is not None:
            lost = (weight * aweights).sum() / total * correction
        weighted = h * weight
        turned = conj(h).to(weighted.dtype).transpose(0, 1)
        out = weighted @ turned / (total - lost).maximum(0)
    return out.squeeze() if x.ndim < 2 else out.squeeze((0, 1)) if x.shape[0] == 1 else out


@op
def corrcoef(x: Tensor) -> Tensor:
    """Correlations of the rows of `x` over its columns."""
    expect(x.ndim <= 2, corrcoef, "at most two axes", x.shape)
    c = x.cov()
    if not c.ndim:
        return c / c
    deviation = real(c.diagonal()).sqrt()
    out = c / deviation.unsqueeze(1) / deviation
    return out if c.dtype.kind == "c" else out.clamp(-1, 1)


# --- functions of square matrices -----------------------------------------------------------------


@op
def matrix_exp(x: Tensor) -> Tensor:
    """The exponential of square matrices: a Taylor polynomial of the scaled matrix, squared back.

    Moler & Van Loan 2003, method 3.
    """
    square = x.ndim >= 2 and x.shape[-1] == x.shape[-2]
    expect(square, matrix_exp, "square matrices", x.shape)
    expect(x.dtype.kind in "fc", matrix_exp, "a float tensor", x.dtype.name, NoKernelError)
    n = x.shape[-1]
    if not x.numel():
        return x.clone()
    if x.dtype.kind == "f" and x.dtype is not f64:  # squaring multiplies what rounding leaves
        return x.to(f64).matrix_exp().to(x.dtype)
    size = x.detach().abs().sum(-1).amax().to(f64).item() if has_values(x) else 0.0
    expect(math.isfinite(size), matrix_exp, "finite elements", size, ArgumentError)
    halvings = max(0, math.ceil(math.log2(size))) if size > 1 else 0
    scaled = x * 0.5**halvings
    one = _identity(x, n)
    terms = 18
    out = one + scaled / terms
    for k in range(terms - 1, 0, -1):  # Horner's scheme
        out = one + (scaled @ out) / k
    for _ in range(halvings):
        out = out @ out
    return out


def _identity(x: Tensor, n: int) -> Tensor:
    from .creation import eye

    return eye(n, dtype=x.dtype)


@op(name="linalg.matrix_exp")
def linalg_matrix_exp(A: Tensor) -> Tensor:
    """The exponential of square matrices."""
    return A.matrix_exp()


@op
def matrix_power(x: Tensor, n: int) -> Tensor:
    """Square matrices to the power of an integer, by squaring; a negative one inverts first."""
    square = x.ndim >= 2 and x.shape[-1] == x.shape[-2]
    expect(square, matrix_power, "square matrices", x.shape)
    if n == 0:
        nowhere = zeros(x.shape, dtype=bool_)
        one: Tensor = where(nowhere, x, _identity(x, x.shape[-1]))  # has a gradient, of zeros
        return one
    if n < 0:
        from .linalg_factor import inv

        x, n = inv(x), -n
    out: Any = None
    while True:
        if n & 1:
            out = x if out is None else out @ x
        n >>= 1
        if not n:
            return out.clone() if out is x else out
        x = x @ x


@op(name="linalg.matrix_power")
def linalg_matrix_power(A: Tensor, n: int) -> Tensor:
    """Square matrices to the power of an integer."""
    return A.matrix_power(n)
