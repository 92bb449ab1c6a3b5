"""Buffers of a plan that hold images, and their views in channels-last order.

An image is (N, C, H, W). In channels-last order (NHWC) it has the same shape, but lies in memory as
(N, H, W, C) would.
"""

from __future__ import annotations

from typing import NamedTuple

from tallow.dtype import f32
from tallow.plan.rewrites.graph import Graph, Uses, Value

Shape = tuple[int, ...]
_ITEM = 4  # bytes of an element


class Images(NamedTuple):
    """By buffer: the shape of the images that fill it."""

    shapes: dict[int, Shape]
    movable: set[int]  # every call that writes it writes a view that has its like in NHWC


def strides_of(shape: Shape, order: Shape) -> Shape:
    """Strides with the axes of `order` from the outermost in memory to the innermost."""
    strides, step = [0] * len(shape), 1
    for axis in reversed(order):
        strides[axis] = step
        step *= shape[axis]
    return tuple(strides)


def nhwc(shape: Shape) -> Shape:
    """Strides of images in channels-last order."""
    return strides_of(shape, (0, 2, 3, 1))


def nchw(shape: Shape) -> Shape:
    """Strides of images as planes."""
    return strides_of(shape, (0, 1, 2, 3))


def is_image(value: Value) -> bool:
    """Whether it is f32 of four axes with several pixels, each an element of its own."""
    if value.dtype != f32.code or len(value.shape) != 4 or value.size == 0:
        return False
    height, width = value.shape[2:]
    across = zip(value.shape[2:], value.strides[2:], strict=True)
    return height * width > 1 and all(n == 1 or stride != 0 for n, stride in across)


def moved(value: Value, shape: Shape, buffer: int) -> Value | None:
    """The view that shows in NHWC what `value` shows of images of `shape`; else None."""
    if value.dtype != f32.code or len(value.shape) != 4 or value.offset % _ITEM:
        return None
    place = value.offset // _ITEM
    offset, strides = 0, []
    rows = zip(value.shape, value.strides, nchw(shape), nhwc(shape), shape, strict=True)
    for length, stride, before, after, most in rows:
        start, place = divmod(place, before)
        times, rest = divmod(stride, before)
        if length > 1 and (rest or not 0 <= start + times * (length - 1) < most):
            return None
        strides.append(times * after if length > 1 else after)
        offset += start * after
    return Value(buffer, _ITEM * offset, value.dtype, value.shape, tuple(strides))


def images_of(graph: Graph, uses: Uses, fixed: set[int]) -> Images:
    """The images of a plan that writes nothing outside.

    A buffer counts if it follows from inputs, all writes come before all reads, and it is seen as
    images of one shape.
    """
    shapes: dict[int, Shape] = {}
    torn: set[int] = set()  # seen in two shapes
    seen = {v for call in graph.calls for _, v in call.arrays()} | {*graph.outputs}
    for v in seen:
        value = graph.values[v]
        if not is_image(value) or not value.contiguous or not graph.whole(v):
            continue
        if value.shape[1] > 1 and shapes.setdefault(value.buffer, value.shape) != value.shape:
            torn.add(value.buffer)
    for b in [*shapes]:
        role, writers, readers = graph.buffers[b].role, uses.writers[b], uses.readers[b]
        ordered = not writers or not readers or writers[-1] < readers[0]
        known = (role == "input") if not writers else role in ("temporary", "output")
        if b in fixed or b in torn or b in uses.parts or not ordered or not known:
            del shapes[b]
    movable = {b for b, shape in shapes.items() if _is_movable(graph, uses, b, shape)}
    return Images(shapes, movable)


def _is_movable(graph: Graph, uses: Uses, buffer: int, shape: Shape) -> bool:
    written = [
        graph.values[v]
        for at in dict.fromkeys(uses.writers[buffer])
        for v in graph.calls[at].writes()
        if graph.buffer_of(v) == buffer
    ]
    return bool(written) and all(moved(value, shape, buffer) is not None for value in written)
