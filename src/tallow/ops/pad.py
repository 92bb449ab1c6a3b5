"""Padding, diagonals and triangles: tensors in a larger frame, or with a part replaced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..autograd.views import put_strided, take_strided
from ..device import CPU
from ..dtype import DType, as_dtype, i64
from ..errors import ArgumentError, NoKernelError, UnsupportedCaseError, expect
from ..factories import arange, empty, full, zeros_like
from ..registry import Op, op
from ..tensor import Tensor, has_values, unwrap_tensor
from .elementwise_three import where
from .join import cat, stack
from .shape import axis_of, contiguous_strides
from .strided import diagonal_place

# --- padding --------------------------------------------------------------------------------------


@op
def constant_pad_nd(input: Tensor, pad: Sequence[int], value: Any = 0) -> Tensor:
    """`input` in a frame of `value`.

    `pad` has (before, after) of the last axis, then of the one before it, …; negative numbers cut
    positions off.
    """
    unwrap_tensor(input, constant_pad_nd)
    shape, target, source = list(input.shape), [], []
    for i, (a, b) in enumerate(_sides(pad, input.ndim, constant_pad_nd)):
        n = shape[i]
        shape[i] = n + a + b
        target.append(slice(max(a, 0), max(a, 0) + max(n + min(a, 0) + min(b, 0), 0)))
        source.append(slice(max(-a, 0), max(n + min(b, 0), 0)))
    if shape and min(shape) < 0:
        wanted = f"pads that shape {tuple(input.shape)} allows"
        expect(False, constant_pad_nd, wanted, tuple(pad))
    out = full(shape, value, dtype=input.dtype, device=input.device)
    out[tuple(target)] = input[tuple(source)] if min(pad, default=0) < 0 else input
    return out


@constant_pad_nd.grad
def _(g: Tensor, _input: Tensor, pad: Sequence[int], value: Any) -> Tensor:
    return constant_pad_nd(g, [-n for n in pad], 0)


def _sides(pad: Sequence[int], ndim: int, where: object) -> list[tuple[int, int]]:
    """(before, after) of each axis, the first one first."""
    numbers = [n.__index__() for n in pad]
    if len(numbers) % 2 or len(numbers) > 2 * ndim:
        expect(False, where, f"an even number of pads, at most {2 * ndim}", tuple(pad))
    pairs = list(zip(numbers[::2], numbers[1::2], strict=True))
    return [(0, 0)] * (ndim - len(pairs)) + pairs[::-1]


@op
def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: Any = None) -> Tensor:
    """`input` extended: `pad` has (before, after) of the last axis, then of the one before it, ….

    `mode` is "constant" (`value`), "reflect" (mirrored without the edge), "replicate" (the edge)
    or "circular" (from the other end); the latter three pad all axes but the first two, or all
    but the first. Negative numbers cut positions off.
    """
    known = mode in ("constant", "reflect", "replicate", "circular")
    expect(known, "pad", "constant, reflect, replicate or circular", mode, UnsupportedCaseError)
    if mode == "constant":
        return constant_pad_nd(input, pad, 0 if value is None else value)
    expect(value in (None, 0), "pad", f"no value in mode {mode}", value, ArgumentError)
    out = input
    sides = _sides(pad, input.ndim, "pad")
    axes = [axis for axis in range(input.ndim) if axis >= input.ndim - len(pad) // 2]
    fits = len(pad) >= 2 and len(axes) <= 3 and 1 <= input.ndim - len(axes) <= 2
    text = "pads for all axes but the first one or two"
    expect(fits, "pad", text, (tuple(input.shape), tuple(pad)), UnsupportedCaseError)
    for axis in axes:
        out = _pad_axis(out, axis, *sides[axis], mode)
    return out


def _pad_axis(x: Tensor, axis: int, before: int, after: int, mode: str) -> Tensor:
    n = x.shape[axis]
    limit = {"reflect": n - 1, "replicate": max(before, after) if n else 0, "circular": n}[mode]
    fits = before <= limit and after <= limit and n + before + after >= 0
    expect(fits, "pad", f"pads of at most {limit} on axis {axis} in mode {mode}", (before, after))
    parts = [x.narrow(axis, max(-before, 0), n + min(before, 0) + min(after, 0))]
    if before > 0:
        if mode == "circular":
            parts.insert(0, x.narrow(axis, n - before + min(after, 0), before))
        else:
            parts.insert(0, _edge(x, axis, 1, 0, before, mode))
    if after > 0:
        if mode == "circular":
            parts.append(x.narrow(axis, max(-before, 0), after))
        else:
            parts.append(_edge(x, axis, n - 1 - after, n - 1, after, mode))
    return parts[0] if len(parts) == 1 else cat(parts, axis)


def _edge(x: Tensor, axis: int, start: int, edge: int, count: int, mode: str) -> Tensor:
    if mode == "reflect":
        return x.narrow(axis, start, count).flip(axis)
    return x.narrow(axis, edge, 1).expand([count if i == axis else -1 for i in range(x.ndim)])


@op
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
    if not empty:
        low, high = input.amin().item(), input.amax().item()
        expect(low >= 0, one_hot, "indices of at least 0", low, ArgumentError)
        num_classes = high + 1 if num_classes == -1 else num_classes
        expect(high < num_classes, one_hot, f"indices below {num_classes}", high, ArgumentError)
    return input.unsqueeze(-1).eq(arange(num_classes)).to(i64)


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
        unwrap_tensor(x, made)
        if x.ndim < 2:
            expect(False, made, "at least two axes", x.shape)

    @made.out
    def _(x: Tensor, diagonal: int) -> Any:
        return x.shape, x.dtype

    @made.kernel("clear_triangle")
    def _(out: Tensor, x: Tensor, diagonal: int) -> tuple[Any, ...]:
        rows, columns = x.shape[-2:]
        return out.copy_(x), max(min(int(diagonal), columns), -rows - 1), upper


@op(inplace=True)
def tril(x: Tensor, diagonal: int = 0) -> Tensor:
    """Zeros above the diagonal `diagonal` (0 the main one, positive above it) of each matrix."""
    return _kept(x, diagonal, False)


_triangle(tril, False)


@tril.grad
def _(g: Tensor, _x: Tensor, diagonal: int) -> Tensor:
    return g.tril(diagonal)


@op(inplace=True)
def triu(x: Tensor, diagonal: int = 0) -> Tensor:
    """Zeros below the diagonal `diagonal` (0 the main one, positive above it) of each matrix."""
    return _kept(x, diagonal, True)


_triangle(triu, True)


@triu.grad
def _(g: Tensor, _x: Tensor, diagonal: int) -> Tensor:
    return g.triu(diagonal)


def _indices(row: int, col: int, compare: str, offset: int) -> Tensor:
    place = empty(0).device
    with CPU:  # how many there are must be counted
        mask = getattr(arange(col), compare)(arange(row).unsqueeze(1) + offset)
        found: Tensor = mask.nonzero().t().contiguous()
    return found.to(place)


@op
def tril_indices(
    row: int, col: int, offset: int = 0, *, dtype: DType | str = i64, device: Any = None
) -> Tensor:
    """(2, count): rows and columns of the lower triangle of a (row, col) matrix."""
    expect(row >= 0 and col >= 0, tril_indices, "sizes of at least 0", (row, col))
    return _indices(row, col, "le", offset).to(as_dtype(dtype))


@op
def triu_indices(
    row: int, col: int, offset: int = 0, *, dtype: DType | str = i64, device: Any = None
) -> Tensor:
    """(2, count): rows and columns of the upper triangle of a (row, col) matrix."""
    expect(row >= 0 and col >= 0, triu_indices, "sizes of at least 0", (row, col))
    return _indices(row, col, "ge", offset).to(as_dtype(dtype))


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


# --- a part replaced ------------------------------------------------------------------------------


@op
def replace_strided(
    input: Tensor, src: Tensor, stride: Sequence[int], shift: int, where: str
) -> Tensor:
    """A contiguous copy of `input` with `src` where such strides over the copy would show it."""
    unwrap_tensor(input, where), unwrap_tensor(src, where)
    out: Tensor = empty(input.shape, dtype=input.dtype, device=input.device).copy_(input)
    out.as_strided(src.shape, stride, shift).copy_(src)
    return out


@replace_strided.grad
def _(
    g: Tensor, _input: Tensor, _src: Tensor, stride: Sequence[int], shift: int, where: str
) -> tuple[Any, Any]:
    return (
        lambda: replace_strided(g, g.new_zeros(_src.shape), stride, shift, where),
        lambda: take_strided(g.contiguous(), _src.shape, tuple(stride), shift),
    )


def _replace(x: Tensor, part: Any, src: Tensor, where: Any) -> Tensor:
    """`part(tensor)` is the view of a contiguous tensor that `src` replaces."""
    hole = part(empty(x.shape, dtype=x.dtype, device="meta"))
    expect(src.shape == hole.shape, where, f"src of shape {tuple(hole.shape)}", src.shape)
    return replace_strided(x, src, hole.stride(), hole.storage_offset(), where.__name__)


@op
def diagonal_scatter(
    x: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1
) -> Tensor:
    """A copy of `x` with `src` for its diagonal."""
    shape, strides, shift = diagonal_place(x.shape, contiguous_strides(x.shape), offset, dim1, dim2)
    return _replace(x, lambda a: a.as_strided(shape, strides, shift), src, diagonal_scatter)


@op
def select_scatter(x: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    """A copy of `x` with `src` at one position of axis `dim`."""
    ahead = (slice(None),) * axis_of(dim, x.ndim, select_scatter)
    return _replace(x, lambda a: a[(*ahead, index)], src, select_scatter)


@op
def slice_scatter(
    x: Tensor,
    src: Tensor,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> Tensor:
    """A copy of `x` with `src` at `start:end:step` of axis `dim`."""
    expect(step > 0, slice_scatter, "a step above 0", step, ArgumentError)
    ahead = (slice(None),) * axis_of(dim, x.ndim, slice_scatter)
    key = (*ahead, slice(start, end, step))
    return _replace(x, lambda a: a[key], src, slice_scatter)


@op
def as_strided_scatter(
    x: Tensor,
    src: Tensor,
    size: Sequence[int],
    stride: Sequence[int],
    storage_offset: int | None = None,
) -> Tensor:
    """A copy of contiguous `x` with `src` where `as_strided` would show it."""
    whole = x.is_contiguous()
    expect(whole, as_strided_scatter, "a contiguous tensor", f"strides {x.stride()}")
    shift = 0 if storage_offset is None else storage_offset - x.storage_offset()
    return _replace(x, lambda a: a.as_strided(size, stride, shift), src, as_strided_scatter)


@as_strided_scatter.grad
def _(
    g: Tensor, _x: Any, _src: Any, size: Sequence[int], stride: Sequence[int], at: int | None
) -> tuple[Any, Tensor]:
    g = g.contiguous()
    shift = 0 if at is None else at
    part = g.as_strided(tuple(size), tuple(stride), shift + g.storage_offset())
    # As torch 2.13 has it: the input gets the gradient of what was replaced, and no other.
    return lambda: as_strided_scatter(zeros_like(g), part, size, stride, shift), part


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
