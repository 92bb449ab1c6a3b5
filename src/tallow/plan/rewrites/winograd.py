"""Kernels of 3 × 3 are transformed for Winograd's way once, not at each run.

The transformed kernel takes 16/9 of the memory of the plain one. With it at hand the way pays for
smaller images, too, where the convolution itself would take products: there results differ in their
last bits.
"""

from __future__ import annotations

from typing import Any

from tallow import _native
from tallow.dtype import f32
from tallow.plan.rewrites.graph import Call, Graph, Uses
from tallow.plan.rewrites.once import fixed_buffers

_LANES = 16  # tiles, or results, that are computed together
_FEWEST = 24  # channels in and out, below which transforming tiles costs more than it saves
# Where numbers stand in the arguments of conv_act: steps, offsets, dilations of three axes, groups.
_NUMBERS = 6


def winograd(graph: Graph) -> int:
    """Give `conv` and `conv_act` on weights of 3 × 3 a transformed weight.

    The weight must follow from weights alone, be f32, and the result contiguous.
    """
    if "conv_transformed" not in dict(_native.kernel_names()):
        return 0  # vectors too short for it
    uses = Uses(graph)
    fixed = fixed_buffers(graph, uses)
    calls: list[Call] = []
    made: dict[Any, int] = {}  # of weights
    before = len(graph.calls)
    for call in graph.calls:
        args = _as_conv_act(call)
        if args is None or not _pays(graph, args) or graph.buffer_of(args[2][1]) not in fixed:
            calls.append(call)
            continue
        weight = args[2][1]
        if weight not in made:
            rows, channels = graph.values[weight].shape[:2]
            made[weight] = graph.temporary(f32.code, (16, rows, channels))
            operands = [("value", made[weight]), ("value", weight)]
            calls.append(Call("winograd_weight", operands))
        changed = [*args[:2], ("value", made[weight]), *args[3:]]
        calls.append(Call("conv_transformed", changed))
    graph.calls = calls
    return len(calls) - before


def _as_conv_act(call: Call) -> list[Any] | None:
    if call.kernel == "conv":
        return [*call.args[:4], None, 0, *call.args[4:]]
    return call.args if call.kernel == "conv_act" else None


def _pays(graph: Graph, args: list[Any]) -> bool:
    """Whether the kernel takes these arguments, and multiplies less with them."""
    out, x, weight = (graph.values[args[i][1]] for i in range(3))
    if any(v.dtype != f32.code or len(v.shape) != 4 for v in (out, x, weight)):
        return False
    sz, sy, sx, oz, _, _, dz, dy, dx, groups = args[_NUMBERS:]
    if weight.shape[2:] != (3, 3) or (sz, sy, sx, oz, dz, dy, dx) != (1, 1, 1, 0, 1, 1, 1):
        return False
    rows, channels = weight.shape[0] // groups, weight.shape[1]
    batch, _, high, wide = out.shape
    if not out.contiguous or min(rows, channels) < _FEWEST or min(high, wide) < 3 or out.size == 0:
        return False
    tiles = -(-batch * -(-high // 2) * -(-wide // 2) // _LANES)
    return bool(16 * tiles < 0.8 * 9 * -(-batch * high * wide // _LANES))
