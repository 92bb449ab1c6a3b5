"""Several views of one tensor: unbind, split, chunk and their kin."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from ..autograd.views import as_slices
from ..errors import ArgumentError, DTypeError, IndexRangeError, expect
from ..registry import op
from ..tensor import Tensor
from .join import cat, stack
from .shape import axis_of


@op(view=True)
def unbind(x: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """The views along axis `dim`."""
    ...


@unbind.view("basic_index")
def _(x: Tensor, dim: int) -> Any:
    shape = x.shape
    if not shape:
        expect(False, unbind, "at least one axis", "a 0-d tensor", IndexRangeError)
    axis = axis_of(dim, len(shape), unbind)
    ahead = (slice(None),) * axis
    return [(x, (*ahead, i) if ahead else i) for i in range(shape[axis])]


@unbind.grad
def _(g: Any, _x: Tensor, dim: int) -> Tensor:
    parts = [g] if isinstance(g, Tensor) else list(g)
    return stack(parts, dim)


@op(view=True)
def split(x: Tensor, split_size: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of `split_size` positions each (the last may be shorter), or of the listed sizes."""
    ...


@split.view("narrow")
def _(x: Tensor, split_size: Any, dim: int) -> Any:
    ndim = x.ndim
    if not ndim:
        expect(False, split, "at least one axis", "a 0-d tensor")
    axis = axis_of(dim, ndim, split)
    n = x.size(axis)
    given: list[Any] = []
    if hasattr(split_size, "__index__"):
        size = split_size.__index__()
        good = size > 0 or (size == 0 and n == 0)
        expect(good, split, "a positive split_size", split_size)
        whole = n - n % size if size else 0
        given = [(x, axis, start, size) for start in range(0, whole, size or 1)]
        return given if n == whole > 0 else [*given, (x, axis, whole, n - whole)]
    sizes = list(split_size)
    if sum(sizes) != n or (sizes and min(sizes) < 0):
        expect(False, split, f"sizes that add up to {n}", sizes)
    start = 0
    for size in sizes:
        given.append((x, axis, start, size))
        start += size
    return given


@split.grad
def _(g: Any, _x: Tensor, split_size: Any, dim: int) -> Tensor:
    parts = [g] if isinstance(g, Tensor) else list(g)
    return cat(parts, dim)


@op
def split_with_sizes(x: Tensor, split_sizes: Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Views of the listed sizes along axis `dim`."""
    return x.split(split_sizes, dim)


@op(cached=True)
def chunk(x: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most `chunks` views of equal length (the last may be shorter) along axis `dim`."""
    shape = x.shape
    expect(len(shape) > 0, chunk, "at least one axis", "a 0-d tensor")
    expect(chunks > 0, chunk, "a positive number of chunks", chunks, ArgumentError)
    n = shape[axis_of(dim, len(shape), chunk)]
    return x.split(-(-n // chunks) if n else [0] * chunks, dim)


@op
def tensor_split(x: Tensor, indices_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Views along axis `dim`: so many of nearly equal length, or cut at the listed indices."""
    expect(x.ndim > 0, tensor_split, "at least one axis", "a 0-d tensor")
    n = x.shape[axis_of(dim, x.ndim, tensor_split)]
    if isinstance(indices_or_sections, Tensor):
        integers = indices_or_sections.dtype.kind in "iu" and indices_or_sections.ndim <= 1
        given = (indices_or_sections.dtype.name, indices_or_sections.shape)
        expect(integers, tensor_split, "integers of at most one axis", given, DTypeError)
        indices_or_sections = indices_or_sections.tolist()
    if hasattr(indices_or_sections, "__index__"):
        count = indices_or_sections.__index__()
        most = 1 << 20  # each is a tensor, empty or not
        fits = 0 < count <= most
        expect(fits, tensor_split, f"a number of sections from 1 to {most}", count, ArgumentError)
        return as_slices(x.split([n // count + (i < n % count) for i in range(count)], dim), x)
    edges = [0, *(i.__index__() for i in indices_or_sections), n]
    ranges = [slice(a, b).indices(n) for a, b in itertools.pairwise(edges)]
    return tuple(x.narrow(dim, a, max(b - a, 0)) for a, b, _ in ranges)


def _xsplit(x: Tensor, parts: Any, dim: int, where: object) -> tuple[Tensor, ...]:
    known = hasattr(parts, "__index__") or isinstance(parts, list | tuple)
    expect(known, where, "a number of sections or a list of indices", parts, DTypeError)
    if hasattr(parts, "__index__"):
        n = x.shape[dim]
        even = parts > 0 and n % parts == 0
        expect(even, where, f"a number of sections that divides {n}", parts)
    return x.tensor_split(parts, dim)


@op
def hsplit(x: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """Views along the second axis (the first of a 1-d tensor)."""
    expect(x.ndim >= 1, hsplit, "at least one axis", x.shape)
    return _xsplit(x, indices_or_sections, 0 if x.ndim == 1 else 1, hsplit)


@op
def vsplit(x: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """Views along the first axis of at least two."""
    expect(x.ndim >= 2, vsplit, "at least two axes", x.shape)
    return _xsplit(x, indices_or_sections, 0, vsplit)


@op
def dsplit(x: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """Views along the third axis."""
    expect(x.ndim >= 3, dsplit, "at least three axes", x.shape)
    return _xsplit(x, indices_or_sections, 2, dsplit)
