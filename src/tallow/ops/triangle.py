"""Triangles and diagonals of matrices, powers as columns, one-hot rows."""

from __future__ import annotations

from typing import Any

from ..autograd.views import put_strided
from ..device import CPU
from ..dtype import UNQUANTIZED, DType, as_dtype, bool_, i64
from ..errors import ArgumentError, NoKernelError, expect
from ..factories import arange, empty, full
from ..registry import Op, op
from ..tensor import Tensor, has_values, unwrap_tensor
from .elementwise_ternary import where
from .join import stack
from .shape import axis_of, contiguous_strides
from .strided import diagonal_place

# --- triangles ------------------------------------------------------------------------------------


def _kept(x: Tensor, diagonal: int, upper: bool) -> Tensor:
    """`x` on one side of a diagonal, zeros on the other."""
    rows, columns = (arange(n, device=x.device) for n in x.shape[-2:])
    at = rows.unsqueeze(1) + int(diagonal)
    return where(columns.ge(at) if upper else columns.le(at), x, 0).to(x.dtype)


def _triangle(made: Op[..., Any], upper: bool) -> None:
    """What the two triangles share."""

    @made.check
    def _(x: Tensor, diagonal: int) -> None:
        if type(x) is not Tensor:
            unwrap_tensor(x, made)
        if x.ndim < 2:
            expect(False, made, "at least two axes", x.shape)

    @made.out
    def _(x: Tensor, diagonal: int) -> Any:
        return x.shape, x.dtype

    @made.kernel("triangle", dtypes=UNQUANTIZED)
    def _(x: Tensor, diagonal: int) -> tuple[Any, ...]:
        shape = x.shape
        return x, max(min(int(diagonal), shape[-1]), -shape[-2] - 1), upper


@op(inplace=True, cached=True)
def tril(x: Tensor, diagonal: int = 0) -> Tensor:
    """Zeros above the diagonal `diagonal` (0 the main one, positive above it) of each matrix."""
    return _kept(x, diagonal, False)


_triangle(tril, False)


@tril.grad
def _(g: Tensor, _x: Tensor, diagonal: int) -> Tensor:
    return g.tril(diagonal)


@op(inplace=True, cached=True)
def triu(x: Tensor, diagonal: int = 0) -> Tensor:
    """Zeros below the diagonal `diagonal` (0 the main one, positive above it) of each matrix."""
    return _kept(x, diagonal, True)


_triangle(triu, True)


@triu.grad
def _(g: Tensor, _x: Tensor, diagonal: int) -> Tensor:
    return g.triu(diagonal)


def _indices(row: int, col: int, triangle: Any, offset: int) -> Tensor:
    place = empty(0).device
    with CPU:  # how many there are must be counted
        inside = triangle(full((row, col), True, dtype=bool_), offset)
        found: Tensor = inside.nonzero().t().contiguous()
    return found.to(place)


@op
def tril_indices(
    row: int, col: int, offset: int = 0, *, dtype: DType | str = i64, device: Any = None
) -> Tensor:
    """(2, count): rows and columns of the lower triangle of a (row, col) matrix."""
    expect(row >= 0 and col >= 0, tril_indices, "sizes of at least 0", (row, col))
    return _indices(row, col, tril, offset).to(as_dtype(dtype))


@op
def triu_indices(
    row: int, col: int, offset: int = 0, *, dtype: DType | str = i64, device: Any = None
) -> Tensor:
    """(2, count): rows and columns of the upper triangle of a (row, col) matrix."""
    expect(row >= 0 and col >= 0, triu_indices, "sizes of at least 0", (row, col))
    return _indices(row, col, triu, offset).to(as_dtype(dtype))


# --- diagonals ------------------------------------------------------------------------------------


@op
def diag_embed(x: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """The last axis on the diagonal of two new axes, zeros beside it."""
    expect(x.ndim >= 1, diag_embed, "at least one axis", x.shape)
    n = x.ndim + 1
    i, j = axis_of(dim1, n, diag_embed), axis_of(dim2, n, diag_embed)
    expect(i != j, diag_embed, "two different axes", (dim1, dim2))
    size, rest = x.shape[-1] + abs(offset), iter(x.shape[:-1])
    shape = [size if axis in (i, j) else next(rest) for axis in range(n)]
    _, strides, shift = diagonal_place(shape, contiguous_strides(shape), offset, i, j)
    return put_strided(x, tuple(shape), x.shape, strides, shift)


@op
def diag(x: Tensor, diagonal: int = 0) -> Tensor:
    """A matrix with the vector `x` on its diagonal; of a matrix, the diagonal (copied)."""
    expect(x.ndim in (1, 2), diag, "a vector or a matrix", x.shape)
    return x.diag_embed(diagonal) if x.ndim == 1 else x.diagonal(diagonal).clone()


@op
def diagflat(x: Tensor, offset: int = 0) -> Tensor:
    """A matrix with all elements of `x` on its diagonal."""
    return x.reshape(-1).diag_embed(offset)


@op
def trace(x: Tensor) -> Tensor:
    """The sum of the diagonal of a matrix."""
    expect(x.ndim == 2, trace, "a matrix", x.shape)
    return x.diagonal().sum()


# --- rows of a pattern ----------------------------------------------------------------------------


@op(name="nn.one_hot")
def labels_as_rows(input: Tensor, num_classes: int) -> Tensor:
    """Labels of i64 from 0 to `num_classes` - 1 as `one_hot` gives them."""
    return input.unsqueeze(-1).eq(arange(num_classes)).to(i64)


@labels_as_rows.out
def _(input: Tensor, num_classes: int) -> Any:
    return (*input.shape, num_classes), i64


@labels_as_rows.kernel("one_hot", dtypes=(i64,))
def _(input: Tensor, num_classes: int) -> tuple[Any, ...]:
    return (input,)


@op(cached=True)
def one_hot(input: Tensor, num_classes: int = -1) -> Tensor:
    """A last axis of `num_classes` (the largest index and one, without), 1 at the index, else 0."""
    integers = input.dtype is i64
    expect(integers, one_hot, "indices of i64", input.dtype.name, NoKernelError)
    empty = not input.numel()
    if num_classes <= 0:
        auto = num_classes == -1 and not empty
        expect(auto, one_hot, "a positive num_classes", num_classes, ArgumentError)
    if num_classes > 0 and not has_values(input):
        return input.unsqueeze(-1).eq(arange(num_classes)).to(i64)
    if num_classes > 0 and not empty:
        try:
            return labels_as_rows(input, num_classes)
        except ArgumentError:
            pass  # told below, by its name
    if not empty:
        low, high = input.amin().item(), input.amax().item()
        expect(low >= 0, one_hot, "indices of at least 0", low, ArgumentError)
        num_classes = high + 1 if num_classes == -1 else num_classes
        expect(high < num_classes, one_hot, f"indices below {num_classes}", high, ArgumentError)
    return input.unsqueeze(-1).eq(arange(num_classes)).to(i64)


@op
def vander(input: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """Powers of a vector as columns, (n, N): from the highest down, or up if `increasing`."""
    expect(input.ndim == 1, vander, "a vector", input.shape)
    out = _powers(input, input.shape[0] if N is None else N, vander)
    return out if increasing else out.flip(-1)


def _powers(x: Tensor, count: int, where: object) -> Tensor:
    """The powers 0 to count - 1 along a new last axis."""
    fits = 0 <= count <= _MOST_POWERS
    expect(fits, where, f"a number of columns from 0 to {_MOST_POWERS}", count, ArgumentError)
    if x.dtype.kind in "biu":
        x = x.to(i64)
    if count == 0:
        return x.new_empty((*x.shape, 0))
    columns = [x.new_ones(x.shape)]
    for _ in range(count - 1):
        columns.append(columns[-1] * x)
    return stack(columns, -1)


_MOST_POWERS = 1 << 20  # each is a tensor of its own until they are stacked


@op(name="linalg.vander")
def linalg_vander(input: Tensor, N: int | None = None) -> Tensor:
    """Powers 0, 1, … of the last axis along a new one."""
    expect(input.ndim >= 1 or N is not None, linalg_vander, "at least one axis", input.shape)
    x = input if input.ndim else input.reshape(1)
    return _powers(x, x.shape[-1] if N is None else N, linalg_vander)
