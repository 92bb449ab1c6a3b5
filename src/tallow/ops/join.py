"""Tensors joined and repeated: these copy."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from ..borrowing import from_numpy
from ..dtype import i64
from ..errors import ArgumentError, NoKernelError, expect
from ..factories import arange, joined, tensor, zeros
from ..registry import op
from ..tensor import Tensor
from .shape import axis_of, flat, flat_tensors

# --- one after the other --------------------------------------------------------------------------


@op
def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors joined along an existing axis; dtypes are promoted.

    Tensors of shape (0,) are left out whatever the shape of the others, as in PyTorch.
    """
    return joined(tensors, dim, "cat")


@cat.grad
def _(g: Tensor, _tensors: Any, dim: int) -> tuple[list[Any]]:
    entries: list[Any] = []
    at = 0
    axis = dim % g.ndim
    for x in _tensors:
        if x.shape == (0,) and g.ndim > 1:
            entries.append(None)
            continue
        entries.append(_part(g, axis, at, x.shape[axis]))
        at += x.shape[axis]
    return (entries,)


def _part(g: Tensor, axis: int, start: int, length: int) -> Any:
    return lambda: g.narrow(axis, start, length)


@op
def concat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """`cat` under another name."""
    return cat(tensors, dim)


@op
def concatenate(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """`cat` under NumPy's name."""
    return cat(tensors, dim)


@op
def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors joined along a new axis."""
    if not len(tensors):
        expect(False, stack, "at least one tensor", "none")
    ndim = getattr(tensors[0], "ndim", 0)  # what is no tensor is refused further on
    return joined(tensors, axis_of(dim, ndim + 1, stack), "stack", grow=True)


@stack.grad
def _(g: Tensor, _tensors: Any, dim: int) -> tuple[list[Any]]:
    return ([_position(g, dim, i) for i in range(len(_tensors))],)


def _position(g: Tensor, dim: int, i: int) -> Any:
    return lambda: g.select(dim, i)


@op
def atleast_1d(*tensors: Any) -> Any:
    """Tensors with new leading axes where they have none; one tensor, or a tuple of several."""
    return _each(tensors, lambda x: x if x.ndim else x.reshape(1))


@op
def atleast_2d(*tensors: Any) -> Any:
    """Tensors of at least two axes, new ones in front."""
    return _each(
        tensors, lambda x: x if x.ndim > 1 else x.unsqueeze(0) if x.ndim else x.reshape(1, 1)
    )


@op
def atleast_3d(*tensors: Any) -> Any:
    """Tensors of at least three axes: a matrix gets one behind, a vector one on each side."""

    def grow(x: Tensor) -> Tensor:
        if x.ndim > 2:
            return x
        if x.ndim == 2:
            return x.unsqueeze(-1)
        return x.reshape(1, -1, 1)

    return _each(tensors, grow)


def _each(tensors: Sequence[Any], change: Any) -> Any:
    if len(tensors) == 1 and isinstance(tensors[0], Tensor):
        return change(tensors[0])
    return tuple(change(x) for x in flat_tensors(tensors))


@op
def hstack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors joined along the second axis; vectors along their only one."""
    grown = [atleast_1d(x) for x in tensors]
    return cat(grown, 0 if grown and grown[0].ndim == 1 else 1)


@op
def vstack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors joined along the first axis; vectors count as rows."""
    return cat([atleast_2d(x) for x in tensors], 0)


@op
def row_stack(tensors: Sequence[Tensor]) -> Tensor:
    """`vstack` under NumPy's other name."""
    return vstack(tensors)


@op
def dstack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors joined along the third axis."""
    return cat([atleast_3d(x) for x in tensors], 2)


@op
def column_stack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors joined along the second axis; vectors count as columns."""
    return hstack([x.reshape(x.numel(), 1) if x.ndim <= 1 else x for x in tensors])


@op
def block_diag(*tensors: Any) -> Tensor:
    """The matrices along the diagonal of a larger one; numbers and vectors count as rows."""
    given = flat_tensors(tensors)
    for x in given:
        expect(x.ndim <= 2, block_diag, "tensors of at most two axes", x.shape)
    blocks = [atleast_2d(x) for x in given] or [zeros(1, 0)]
    width = sum(x.shape[1] for x in blocks)
    rows, at = [], 0
    for x in blocks:
        n, m = x.shape
        parts = [x.new_zeros((n, at)), x, x.new_zeros((n, width - at - m))]
        rows.append(cat(parts, 1))
        at += m
    return cat(rows, 0)


# --- products of sets -----------------------------------------------------------------------------


@op
def meshgrid(*tensors: Any, indexing: str | None = None) -> tuple[Tensor, ...]:
    """Coordinates of a grid, a tensor for each axis; `indexing` is "ij" or "xy"."""
    given = list(flat_tensors(tensors))
    known = indexing in (None, "ij", "xy")
    expect(known, meshgrid, '"ij" or "xy"', indexing, ArgumentError)
    expect(len(given) > 0, meshgrid, "at least one tensor", "none")
    for x in given:
        expect(x.ndim <= 1, meshgrid, "tensors of at most one axis", x.shape)
        expect(x.dtype is given[0].dtype, meshgrid, "one dtype", x.dtype.name, NoKernelError)
    swap = indexing == "xy" and len(given) >= 2
    if swap:
        given[:2] = given[1::-1]
    shape = [x.numel() for x in given]
    made = [
        x.reshape([-1 if i == axis else 1 for i in range(len(given))]).expand(shape)
        for axis, x in enumerate(given)
    ]
    if swap:
        made[:2] = made[1::-1]
    return tuple(made)


@op
def cartesian_prod(*tensors: Any) -> Tensor:
    """All rows with one element of each vector, the last varying fastest: (count, vectors)."""
    given: Sequence[Tensor] = flat_tensors(tensors)
    for x in given:
        expect(x.ndim == 1, cartesian_prod, "vectors", x.shape)
    if len(given) == 1:
        return given[0]
    return stack([x.reshape(-1) for x in meshgrid(*given)], 1)


@op
def combinations(x: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All choices of `r` elements of a vector, in order: (count, r)."""
    expect(x.ndim == 1, combinations, "a vector", x.shape)
    expect(r >= 0, combinations, "r of at least 0", r, ArgumentError)
    if r == 0:
        return x.narrow(0, 0, 0)
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    rows = list(choose(range(x.shape[0]), r))
    if not rows:
        return x.narrow(0, 0, 0).unsqueeze(1).expand(0, r)
    return x.index_select(0, tensor(list(itertools.chain(*rows)), dtype=i64)).reshape(-1, r)


# --- repeated -------------------------------------------------------------------------------------


@op(cached=True)
def repeat(x: Tensor, *counts_: Any, repeats: Any = None) -> Tensor:
    """A copy with the whole tensor repeated along each axis; new axes come in front."""
    counts = [n.__index__() for n in (flat(counts_) if repeats is None else repeats)]
    ahead = len(counts) - x.ndim
    expect(ahead >= 0, repeat, f"at least {x.ndim} numbers", tuple(counts))
    expect(min(counts, default=0) >= 0, repeat, "numbers of at least 0", tuple(counts))
    shape = (1,) * ahead + x.shape
    if all(n == 1 for n in counts):
        return x.reshape(shape).clone()
    apart = [n for size in shape for n in (1, size)]
    expanded = [n for pair in zip(counts, shape, strict=True) for n in pair]
    whole = [n * size for n, size in zip(counts, shape, strict=True)]
    # contiguous(): where only axes of length 1 grow, the reshaped one would be a view of stride 0.
    return x.reshape(apart).expand(expanded).contiguous().reshape(whole)


@op(cached=True)
def tile(x: Tensor, *counts_: Any, dims: Any = None) -> Tensor:
    """`repeat` that also takes fewer numbers than axes: those in front count as 1."""
    counts = list(flat(counts_) if dims is None else dims)
    return x.repeat([1] * (x.ndim - len(counts)) + counts)


@op(cached=True)
def repeat_interleave(
    x: Tensor, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None
) -> Tensor:
    """Each position of axis `dim` (of the flat tensor, without) repeated, by a number or tensor.

    A tensor of counts alone gives the positions, each as often as it says.
    """
    if repeats is None:
        return arange(x.numel()).repeat_interleave(x, 0)
    source, axis = (
        (x.reshape(-1), 0) if dim is None else (x, axis_of(dim, x.ndim, "repeat_interleave"))
    )
    source = source if source.ndim else source.reshape(1)
    n = source.shape[axis]
    if isinstance(repeats, Tensor) and repeats.numel() == 1 and n != 1:
        repeats = repeats.item()
    if not isinstance(repeats, Tensor):
        count = repeats.__index__()
        expect(count >= 0, repeat_interleave, "a number of at least 0", count, ArgumentError)
        shape = [*source.shape[: axis + 1], count, *source.shape[axis + 1 :]]
        expanded = source.unsqueeze(axis + 1).expand(shape)
        expanded = expanded.clone() if count == 1 else expanded.contiguous()  # never a view
        return expanded.flatten(axis, axis + 1)
    integers = repeats.dtype.kind in "iu"
    expect(integers, repeat_interleave, "integers", repeats.dtype.name, NoKernelError)
    fits = repeats.ndim <= 1 and repeats.numel() == n
    expect(fits, repeat_interleave, f"{n} counts along one axis", repeats.shape)
    import numpy as np

    counts = repeats.reshape(-1).cpu().numpy()
    least = int(counts.min(initial=0))
    expect(least >= 0, repeat_interleave, "counts of at least 0", least, ArgumentError)
    positions = from_numpy(np.repeat(np.arange(n), counts)).to(source.device)
    return source.index_select(axis, positions)
