"""Functions of PyTorch's root that are methods of Tensor, or views of it copied; and a few more."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tallow import ops
from tallow.errors import ArgumentError, expect
from tallow.factories import empty, ones, zeros
from tallow.tensor import Tensor

_METHODS = frozenset((
    "get_device", "is_signed", "unsafe_chunk", "unsafe_split", "unsafe_split_with_sizes",
    "nonzero_static",
))  # fmt: skip
_AXES = range  # the name of an argument below


def _copied(made: Any) -> Any:
    return made.clone() if isinstance(made, Tensor) else tuple(part.clone() for part in made)


def __getattr__(name: str) -> Callable[..., Any]:
    view = name.removesuffix("_copy")
    if name.startswith("_") or (name not in _METHODS and view == name):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def call(input: Tensor, *args: Any, **options: Any) -> Any:
        if view == name:
            return getattr(input, name)(*args, **options)
        if view == "alias":
            return input.clone()
        return _copied(getattr(input, view)(*args, **options))

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"`{view}`, copied." if view != name else f"`input.{name}(…)`."
    return call


def fill(input: Tensor, value: Any) -> Tensor:
    """One number in `input`'s shape and dtype."""
    return input.clone().fill_(value)


def empty_permuted(size: Any, physical_layout: Any, **options: Any) -> Tensor:
    """An unset tensor whose axes lie in memory in this order, the outermost first."""
    order = list(physical_layout)
    axes = sorted(order) == list(range(len(size)))
    expect(axes, empty_permuted, f"an order of {len(size)} axes", order, ArgumentError)
    wanted = bool(options.pop("requires_grad", False))
    made = empty([size[axis] for axis in order], **options)
    made = made.permute([order.index(axis) for axis in range(len(order))])
    return made.requires_grad_() if wanted else made


def histogramdd(
    input: Tensor, bins: Any, range: Any = None, weight: Any = None, density: bool = False
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Counts of points (n, d) in the boxes of a grid, and its edges along each of the d axes.

    `bins` are numbers, one or one per axis, or the edges; `range` the lowest and highest edge of
    each axis, one after the other.
    """
    d = input.shape[-1]
    points = input.detach().reshape(-1, d)
    given = [bins] * d if isinstance(bins, int) else list(bins)
    expect(len(given) == d, histogramdd, f"bins of {d} axes", len(given), ArgumentError)
    limits = [None] * d if range is None else [tuple(range[2 * i : 2 * i + 2]) for i in _AXES(d)]
    edges = []
    inside = ones(points.shape[0], dtype="bool")
    place = zeros(points.shape[0], dtype="i64")
    for i in _AXES(d):
        column = points[:, i].contiguous()
        edge = ops.histogram(column, given[i], range=limits[i])[1] if limits[i] else (
            ops.histogram(column, given[i])[1]
        )  # fmt: skip
        count = edge.shape[0] - 1
        found = ops.searchsorted(edge, column, right=True) - 1
        found = ops.where(column == edge[-1], count - 1, found)
        inside = inside & (found >= 0) & (found < count)
        place = place * count + found
        edges.append(edge)
    shape = [edge.shape[0] - 1 for edge in edges]
    kept = place[inside]
    each = ones(points.shape[0], dtype=input.dtype) if weight is None else weight.reshape(-1)
    total = zeros(math.prod(shape), dtype=input.dtype).index_add(0, kept, each[inside])
    total = total.reshape(shape)
    if density:
        total = total / total.sum()
        for i, edge in enumerate(edges):
            total = total / edge.diff().reshape([-1 if j == i else 1 for j in _AXES(d)])
    return total, tuple(edges)


def frobenius_norm(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """The root of the sum of squares along axes, all of them without `dim`."""
    from tallow import linalg

    made: Tensor = linalg.vector_norm(input, 2, dim, keepdim)
    return made


def nuclear_norm(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """The sum of the singular values."""
    from tallow import linalg

    axes = (-2, -1) if dim is None else tuple(dim)
    made: Tensor = linalg.matrix_norm(input, "nuc", axes, keepdim)
    return made


def binomial(count: Tensor, prob: Tensor, generator: Any = None) -> Tensor:
    """Successes among `count` tries of probability `prob` each."""
    from tallow.torch.distributions import Binomial

    made: Tensor = Binomial(count, prob).sample()
    return made


def sym_sum(args: Any) -> Any:
    """The sum of numbers."""
    return sum(args)


def sym_sqrt(a: Any) -> float:
    """The root of a number."""
    return float(a) ** 0.5
