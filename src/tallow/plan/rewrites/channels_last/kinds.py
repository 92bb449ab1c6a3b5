"""Which calls can work on images in channels-last order, and what that saves them."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from tallow.dtype import f32
from tallow.plan.rewrites.channels_last.images import Images, is_image, moved
from tallow.plan.rewrites.graph import Call, Graph, Value
from tallow.plan.rewrites.steps import is_elementwise

_FEW: Final = 4  # channels of an input that is read as it lies: copying takes longer than it saves
_SPATIAL: Final = 0b1100  # axes of height and width, as reductions take them
# Nanoseconds of one core for a product and its sum: on planes, and channels-last.
_CONV: Final = (0.029, 0.020)
_DEPTHWISE: Final = (0.075, 0.040)
_POOLS: Final = ("max_pool", "avg_pool", "repeat_pixels")
_REDUCTIONS: Final = ("mean", "sum", "amax")


class Kind(enum.Enum):
    """What a call wants of its images."""

    FIXED = 0  # planes
    ALIKE = 1  # all in one order
    ANY = 2  # gives no image
    CONV = 3  # all in one order, with another kernel for each
    DEPTHWISE = 4


class Role(NamedTuple):
    """A call as one of images.

    `images` are the places of arguments that are images, the result first if it is one; `free` of
    those that a kernel in channels-last order reads in either. `saved` is in nanoseconds.
    """

    kind: Kind
    images: tuple[int, ...] = ()
    free: tuple[int, ...] = ()
    saved: float = 0.0


_NOT_OURS: Final = Role(Kind.FIXED)


def as_conv_act(call: Call) -> list[Any] | None:
    """Arguments of `conv` as of `conv_act`: out, x, weight, bias, residual, act, and numbers."""
    if call.kernel == "conv":
        return [*call.args[:4], None, 0, *call.args[4:]]
    return call.args if call.kernel == "conv_act" else None


def role_of(graph: Graph, images: Images, fixed: set[int], call: Call) -> Role:
    """The role of a call; convolutions have one where their weight is `fixed`."""
    args = as_conv_act(call)
    if args is not None:
        return _convolution(graph, images, fixed, args)
    if is_elementwise(call.kernel) or call.kernel in ("copy", "elementwise_chain", *_POOLS):
        return _alike(graph, images, call)
    if call.kernel == "index" and call.args[3] >= 2:  # rows or columns of images
        known = all(_is_known(graph, images, call.args[i][1]) for i in (0, 1))
        return Role(Kind.ALIKE, (0, 1)) if known else _NOT_OURS
    if call.kernel in _REDUCTIONS:
        x = call.args[1][1]
        if call.args[2] == _SPATIAL and _is_known(graph, images, x):
            return Role(Kind.ANY, images=(1,), free=(1,))
    return _NOT_OURS


def _is_known(graph: Graph, images: Images, value: int) -> bool:
    """Whether it is an image whose like in channels-last order is known."""
    v = graph.values[value]
    shape = images.shapes.get(v.buffer)
    return shape is not None and is_image(v) and moved(v, shape, v.buffer) is not None


def _are_whole(graph: Graph, images: Images, values: Iterable[int]) -> bool:
    """Whether they show the images of their buffers as they lie, as some kernels want it.

    Mirrored images, and one channel for all, have the same shape.
    """
    found = [graph.values[v] for v in values]
    return all(images.shapes.get(v.buffer) == v.shape and v.contiguous for v in found)


def _alike(graph: Graph, images: Images, call: Call) -> Role:
    found = []
    for i, arg in enumerate(call.args):
        if type(arg) is not tuple:
            continue
        if _is_known(graph, images, arg[1]):
            found.append(i)
        elif i == 0 or not _is_for_all_pixels(graph.values[arg[1]]):
            return _NOT_OURS
    whole = call.kernel != "repeat_pixels" or _are_whole(graph, images, [*call.reads()])
    return Role(Kind.ALIKE, tuple(found)) if whole else _NOT_OURS


def _is_for_all_pixels(value: Value) -> bool:
    """Whether it is one value, or one for each channel, at all pixels."""
    if len(value.shape) != 4:
        return len(value.shape) == 0
    return all(n == 1 or s == 0 for n, s in zip(value.shape[2:], value.strides[2:], strict=True))


def _convolution(graph: Graph, images: Images, fixed: set[int], args: list[Any]) -> Role:
    out, x, weight = (graph.values[args[i][1]] for i in range(3))
    found = (0, 1) if args[4] is None else (0, 1, 4)
    groups = args[-1]
    few = x.shape[1] <= _FEW and groups == 1
    if few and is_image(x) and x.buffer not in images.movable:
        found = (0, *found[2:])  # it may lie in any order, such as a picture's own
    if (
        not all(_is_known(graph, images, args[i][1]) for i in found)
        or not _are_whole(graph, images, [args[i][1] for i in found if i != 1])
        or weight.dtype != f32.code
        or weight.buffer not in fixed
        or args[6] != 1
        or args[9] != 0
        or args[12] != 1
    ):
        return _NOT_OURS
    channels, height, width = weight.shape[1:]
    products = out.size * channels * height * width
    if groups == 1:
        before, after = _CONV
        return Role(Kind.CONV, found, (1,) if few else (), products * (before - after))
    if groups == x.shape[1] == out.shape[1] and weight.contiguous and 1 in found:
        if not _are_whole(graph, images, [args[1][1]]):
            return _NOT_OURS
        before, after = _DEPTHWISE
        return Role(Kind.DEPTHWISE, found, (), products * (before - after))
    return _NOT_OURS
