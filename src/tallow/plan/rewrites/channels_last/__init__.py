"""Images between convolutions lie channels-last (NHWC) in memory where that saves time.

There a pixel's channels follow each other: a convolution reads its input where it lies, writes
whole lines of the cache, and rows have no ends. What works element by element, and pools, work in
either order; Winograd's way takes planes. Where the orders meet, images are copied.
"""

from __future__ import annotations

from typing import Any, Final

from tallow import _native
from tallow.dtype import f32
from tallow.plan.rewrites.channels_last.images import Images, images_of, moved, nchw
from tallow.plan.rewrites.channels_last.kinds import Kind, Role, as_conv_act, role_of
from tallow.plan.rewrites.channels_last.orders import turned_images
from tallow.plan.rewrites.graph import Call, Graph, Uses, Value, modes_of
from tallow.plan.rewrites.once import fixed_buffers

__all__ = ["channels_last"]

_KERNELS: Final = ("conv_last", "conv_last_weight", "conv_depthwise_last")
_LANES: Final = 16  # channels out of a panel of conv_last's weight


def channels_last(graph: Graph) -> int:
    """Lay images out anew; convolutions on them get kernels, and weights, for that order."""
    if not set(_KERNELS) <= set(dict(_native.kernel_names())):
        return 0
    uses = Uses(graph)
    if uses.writes_outside:
        return 0
    fixed = fixed_buffers(graph, uses)
    images = images_of(graph, uses, fixed)
    if not images.movable:
        return 0
    roles = [role_of(graph, images, fixed, call) for call in graph.calls]
    turned = turned_images(graph, uses, images, roles)
    if turned:
        _Rewriting(graph, uses, images, turned).run(roles)
    return len(turned)


class _Rewriting:
    """The calls of a plan, one after another, on images in their new order.

    A turned buffer has a twin in NHWC, which is written in its place. Its readers in the other
    order keep the old buffer, which is then a copy; readers in NHWC of a buffer that was not turned
    read a twin that is one.
    """

    def __init__(self, graph: Graph, uses: Uses, images: Images, turned: set[int]) -> None:
        self._graph, self._uses, self._shapes, self._turned = graph, uses, images.shapes, turned
        self._calls: list[Call] = []
        self._twins: dict[int, int] = {}
        self._copied: set[int] = set()  # whose images lie in both orders
        self._weights: dict[tuple[str, int], int] = {}

    def run(self, roles: list[Role]) -> None:
        """Change the graph."""
        graph = self._graph
        for at, (call, role) in enumerate(zip(graph.calls, roles, strict=True)):
            self._calls.append(self._changed(call, role))
            for b in {graph.buffer_of(v) for v in call.writes()} & self._turned:
                if b in self._uses.results and self._uses.writers[b][-1] == at:
                    self._provide(b, False)
        graph.calls = self._calls

    def _changed(self, call: Call, role: Role) -> Call:
        """The call on images in the order that it wants, after the copies that it needs."""
        graph, turned = self._graph, self._turned
        beside = {*role.images, 0} if role.kind is not Kind.FIXED else set()
        for i, (mode, arg) in enumerate(zip(modes_of(call.kernel), call.args, strict=True)):
            if type(arg) is tuple and mode != "out" and i not in beside:
                self._provide(graph.buffer_of(arg[1]), False)
        if role.kind is Kind.FIXED:
            return call
        last = graph.buffer_of(call.args[0][1]) in turned
        args = [*((as_conv_act(call) if last else None) or call.args)]
        for i in role.images:
            buffer = graph.buffer_of(args[i][1])
            either = i in role.free and (last or role.kind is Kind.ANY)
            wanted = buffer in turned if either else last
            if modes_of(call.kernel)[i] != "out":
                self._provide(buffer, wanted)
            if wanted:
                args[i] = ("value", self._as_last(args[i][1]))
        if last and role.kind is Kind.CONV:
            return self._convolution(args)
        if last and role.kind is Kind.DEPTHWISE:
            return self._depthwise(args)
        return Call(call.kernel, args)

    def _provide(self, buffer: int, last: bool) -> None:
        """Have the images of a buffer in this order, too."""
        is_last = buffer in self._turned
        if buffer not in self._shapes or is_last == last or buffer in self._copied:
            return
        self._copied.add(buffer)
        shape = self._shapes[buffer]
        planes = self._graph.value(Value(buffer, 0, f32.code, shape, nchw(shape)))
        twin = self._as_last(planes)
        to, source = (twin, planes) if last else (planes, twin)
        self._calls.append(Call("copy", [("value", to), ("value", source)]))

    def _as_last(self, value: int) -> int:
        """The like of a value on the twin of its buffer."""
        graph = self._graph
        v = graph.values[value]
        shape = self._shapes[v.buffer]
        if v.buffer not in self._twins:
            n, c, h, w = shape
            whole = graph.temporary(f32.code, (n, h, w, c))
            self._twins[v.buffer] = graph.buffer_of(whole)
        found = moved(v, shape, self._twins[v.buffer])
        assert found is not None
        return graph.value(found)

    def _convolution(self, args: list[Any]) -> Call:
        weight = args[2][1]
        key = ("conv_last", weight)
        if key not in self._weights:
            rows, *rest = self._graph.values[weight].shape
            depth = rest[0] * rest[1] * rest[2]
            shape = (-(-rows // _LANES), depth, _LANES)
            self._weights[key] = self._graph.temporary(f32.code, shape)
            operands = [("value", self._weights[key]), ("value", weight)]
            self._calls.append(Call("conv_last_weight", operands))
        return Call("conv_last", self._arguments(args, self._weights[key]))

    def _depthwise(self, args: list[Any]) -> Call:
        """Its weight is (taps, channels)."""
        weight = args[2][1]
        key = ("conv_depthwise_last", weight)
        if key not in self._weights:
            graph = self._graph
            value = graph.values[weight]
            rows, _, height, width = value.shape
            taps = height * width
            turned = value._replace(shape=(taps, rows), strides=(1, taps))
            self._weights[key] = graph.temporary(f32.code, (taps, rows))
            operands = [("value", self._weights[key]), ("value", graph.value(turned))]
            self._calls.append(Call("copy", operands))
        return Call("conv_depthwise_last", self._arguments(args, self._weights[key]))

    def _arguments(self, args: list[Any], weight: int) -> list[Any]:
        """Of the kernels: out, x, weight, bias, residual, act, then pairs of numbers by axis."""
        height, width = self._graph.values[args[2][1]].shape[2:]
        _, sy, sx, _, oy, ox, _, dy, dx, _ = args[6:]
        numbers = [sy, sx, oy, ox, dy, dx, height, width]
        return [*args[:2], ("value", weight), *args[3:6], *numbers]
