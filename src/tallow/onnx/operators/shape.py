"""Shapes and orders of axes: Reshape, Transpose, Expand, Slice, Concat, Split and their kin."""

from __future__ import annotations

import math

from tallow import ops
from tallow.errors import ArgumentError, expect
from tallow.onnx.operators.moving import axes_in, axis_in, moves, whole
from tallow.onnx.operators.table import operator
from tallow.tensor import Tensor, broadcast_shapes


@operator("Reshape", since=5, reads=("shape",), host=True)
@moves(0)
def reshape(data: Tensor, shape: list[int], *, allowzero: int = 0) -> Tensor:
    """The elements in another shape: 0 keeps a length, -1 is what remains."""
    given = whole(shape)
    good = given.count(-1) <= 1 and min(given, default=0) >= -1
    expect(good, "Reshape", "lengths of at least 0, and at most one -1", given)
    if allowzero:
        both = 0 in given and -1 in given
        expect(not both, "Reshape", "no -1 beside a 0 with allowzero", given)
        return data.reshape(given)
    old = data.shape
    kept = [i for i, length in enumerate(given) if length == 0]
    fits = all(i < len(old) for i in kept)
    expect(fits, "Reshape", f"zeros in the first {len(old)} places", given)
    made = [old[i] if length == 0 else length for i, length in enumerate(given)]
    if -1 in made and 0 in made:
        # Lengths that are kept take no part, so that an empty batch has what every batch has.
        at = made.index(-1)
        rest = math.prod(length for i, length in enumerate(old) if i not in kept)
        known = math.prod(length for i, length in enumerate(made) if i != at and i not in kept)
        made[at] = rest // known if known else 0
    return data.reshape(made)


@operator("Flatten", since=1, host=True)
@moves()
def flatten(x: Tensor, *, axis: int = 1) -> Tensor:
    """A matrix: the axes before `axis`, and the others."""
    n = x.ndim
    expect(-n <= axis <= n, "Flatten", f"an axis in [{-n}, {n}]", axis)
    at = axis + n if axis < 0 else axis
    return x.reshape(math.prod(x.shape[:at]), math.prod(x.shape[at:]))


@operator("Squeeze", since=13, reads=("axes",), host=True)
@moves(0)
def squeeze(data: Tensor, axes: list[int] | None = None) -> Tensor:
    """Without axes of length 1: all, or those named."""
    shape = data.shape
    if axes is None:
        return data.reshape([length for length in shape if length != 1])
    gone = axes_in(whole(axes), data.ndim, "Squeeze")
    single = all(shape[axis] == 1 for axis in gone)
    expect(single, "Squeeze", "axes of length 1", f"{axes} of shape {shape}")
    for axis in sorted(gone, reverse=True):
        data = data.squeeze(axis)
    return data


@operator("Squeeze", since=1, until=12, host=True)
@moves()
def squeeze_1(data: Tensor, *, axes: list[int] | None = None) -> Tensor:
    """Squeeze with its axes as an attribute."""
    return squeeze(data, axes)


@operator("Unsqueeze", since=13, reads=("axes",), host=True)
@moves(0)
def unsqueeze(data: Tensor, axes: list[int]) -> Tensor:
    """With new axes of length 1, at these places of the result."""
    given = whole(axes)
    for axis in sorted(axes_in(given, data.ndim + len(given), "Unsqueeze")):
        data = data.unsqueeze(axis)
    return data


@operator("Unsqueeze", since=1, until=12, host=True)
@moves()
def unsqueeze_1(data: Tensor, *, axes: list[int]) -> Tensor:
    """Unsqueeze with its axes as an attribute."""
    return unsqueeze(data, axes)


@operator("Transpose", since=1, host=True)
@moves()
def transpose(data: Tensor, *, perm: list[int] | None = None) -> Tensor:
    """The axes in another order; in the reverse one without `perm`."""
    n = data.ndim
    if perm is None:
        return data.permute([*range(n - 1, -1, -1)])
    expect(len(perm) == n, "Transpose", f"a perm of {n} axes", perm)
    return data.permute(axes_in(perm, n, "Transpose"))


@operator("Expand", since=8, reads=("shape",), host=True)
@moves(0)
def expand(x: Tensor, shape: list[int]) -> Tensor:
    """Broadcast with a shape, which may be broadcast, too."""
    given = whole(shape)
    expect(min(given, default=0) >= 0, "Expand", "lengths of at least 0", given)
    made = broadcast_shapes(x.shape, tuple(given), "Expand")
    return x if made == x.shape else x.expand(made)


@operator("Tile", since=6, reads=("repeats",), host=True)
@moves(0)
def tile(x: Tensor, repeats: list[int]) -> Tensor:
    """Repeated along each axis."""
    given = whole(repeats)
    good = len(given) == x.ndim and min(given, default=0) >= 0
    expect(good, "Tile", f"{x.ndim} repeats of at least 0", given)
    return x if all(n == 1 for n in given) else x.repeat(given)


@operator("Concat", since=4, host=True)
@moves()
def concat(*xs: Tensor, axis: int) -> Tensor:
    """Tensors behind each other along an axis."""
    expect(len(xs) > 0, "Concat", "at least one input", 0, ArgumentError)
    at, first = axis_in(axis, xs[0].ndim, "Concat"), xs[0]
    for x in xs:
        fits = x.ndim == first.ndim and x.dtype is first.dtype
        fits = fits and all(i == at or x.shape[i] == n for i, n in enumerate(first.shape))
        if not fits:
            wanted = f"tensors as {first.dtype.name} {first.shape} but for axis {at}"
            expect(False, "Concat", wanted, f"{x.dtype.name} {x.shape}")
    return first if len(xs) == 1 else ops.cat(xs, at)


def _parts(x: Tensor, sizes: list[int], axis: int, count: int) -> tuple[Tensor, ...]:
    at = axis_in(axis, x.ndim, "Split")
    good = len(sizes) == count and sum(sizes) == x.shape[at] and min(sizes, default=0) >= 0
    expect(good, "Split", f"{count} sizes that add up to {x.shape[at]}", sizes)
    return x.split(sizes, at)


@operator("Split", since=2, until=12, host=True)
@moves()
def split_2(
    x: Tensor, *, split: list[int] | None = None, axis: int = 0, outputs: int
) -> tuple[Tensor, ...]:
    """Split with its sizes as an attribute."""
    return split_13(x, split, axis=axis, outputs=outputs)


@operator("Split", since=13, until=17, reads=("split",), host=True)
@moves(0)
def split_13(
    x: Tensor, split: list[int] | None = None, *, axis: int = 0, outputs: int
) -> tuple[Tensor, ...]:
    """Parts of the given sizes, or as many of one size as there are outputs."""
    if split is not None:
        return _parts(x, whole(split), axis, outputs)
    n = x.shape[axis_in(axis, x.ndim, "Split")]
    return _parts(x, [n // outputs] * outputs, axis, outputs)


@operator("Split", since=18, reads=("split",), host=True)
@moves(0)
def split_18(
    x: Tensor, split: list[int] | None = None, *, num_outputs: int | None = None, axis: int = 0,
    outputs: int,
) -> tuple[Tensor, ...]:  # fmt: skip
    """Parts of the given sizes, or `num_outputs` of one size, of which the last may be smaller."""
    if split is not None:
        both = num_outputs is not None
        expect(not both, "Split", "either split or num_outputs", "both", ArgumentError)
        return _parts(x, whole(split), axis, outputs)
    count = outputs if num_outputs is None else num_outputs
    expect(count == outputs, "Split", f"num_outputs of {outputs}", count, ArgumentError)
    n = x.shape[axis_in(axis, x.ndim, "Split")]
    size = -(-n // count)
    return _parts(x, [*[size] * (count - 1), n - size * (count - 1)], axis, outputs)


@operator("Slice", since=10, reads=("starts", "ends", "axes", "steps"), host=True)
@moves(0)
def slice_(
    data: Tensor, starts: list[int], ends: list[int], axes: list[int] | None = None,
    steps: list[int] | None = None,
) -> Tensor:  # fmt: skip
    """A view from starts to ends in steps; bounds are cut off as those of Python's slices."""
    first, last = whole(starts), whole(ends)
    chosen = axes_in([*range(len(first))] if axes is None else whole(axes), data.ndim, "Slice")
    by = [1] * len(first) if steps is None else whole(steps)
    same = len(first) == len(last) == len(chosen) == len(by)
    expect(same, "Slice", "as many ends, axes and steps as starts", (first, last, chosen, by))
    expect(0 not in by, "Slice", "steps that are not 0", by, ArgumentError)
    key = [slice(None)] * data.ndim
    for axis, *bounds in zip(chosen, first, last, by, strict=True):
        key[axis] = slice(*bounds)
    return data[tuple(key)] if key else data


@operator("Slice", since=1, until=9, host=True)
@moves()
def slice_1(
    data: Tensor, *, starts: list[int], ends: list[int], axes: list[int] | None = None
) -> Tensor:
    """Slice with its bounds as attributes."""
    return slice_(data, starts, ends, axes)
