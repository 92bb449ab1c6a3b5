"""Kernels of 3 × 3 are transformed for Winograd's way once, not at each run.

A transformed kernel takes 16/9 of the memory of the plain one for tiles of 2 × 2 results, 4 times
as much for tiles of 4 × 4. With it at hand the way pays for smaller images, too, where the
convolution itself would take products: there results differ in their last bits, with tiles of 4 × 4
by some 2e-6 of the largest element (3.5 times as much as with tiles of 2 × 2). Of a dilated kernel
each grid of every d-th row and column has tiles of its own.
"""

from __future__ import annotations

from typing import Any

from tallow.dtype import f32
from tallow.plan.rewrites.graph import Call, Graph, is_kernel
from tallow.plan.rewrites.once import fixed_buffers

_LANES = 8  # tiles, or results, that are computed together
_STRIP, _FEW = 6, 4  # rows of weights, of a strip and of a last one
_READING = 1  # what reading weights takes, in the time of their products with as many columns
_FEWEST = 16  # channels in and out, below which transforming tiles costs more than it saves
# Where numbers stand in the arguments of conv_act: steps, offsets, dilations of three axes, groups.
_NUMBERS = 6


def winograd(graph: Graph) -> int:
    """Give `conv` and `conv_act` on weights of 3 × 3 a transformed weight.

    The weight must follow from weights alone, be f32, and the result contiguous.
    """
    if not is_kernel("conv_transformed"):
        return 0  # vectors too short for it
    fixed = fixed_buffers(graph)
    calls: list[Call] = []
    made: dict[Any, int] = {}  # of weights, tiles and groups
    before = len(graph.calls)
    for call in graph.calls:
        args = _as_conv_act(call)
        side = 0 if args is None else _tile(graph, args)
        if args is None or side == 0 or graph.buffer_of(args[2][1]) not in fixed:
            calls.append(call)
            continue
        key = weight, side, groups = args[2][1], side, args[-1]
        if key not in made:
            rows, channels = graph.values[weight].shape[:2]
            shape = ((side + 2) ** 2, groups * _rows_of_strips(rows // groups), channels)
            made[key] = graph.temporary(f32.code, shape)
            operands = [("value", made[key]), ("value", weight), groups]
            calls.append(Call("winograd_weight", operands))
        changed = [*args[:2], ("value", made[key]), *args[3:]]
        calls.append(Call("conv_transformed", changed))
    graph.calls = calls
    return len(calls) - before


def _rows_of_strips(rows: int) -> int:
    rest = rows % _STRIP
    return rows - rest + (0 if rest == 0 else _FEW if rest <= _FEW else _STRIP)


def _as_conv_act(call: Call) -> list[Any] | None:
    if call.kernel == "conv":
        return [*call.args[:4], None, 0, *call.args[4:]]
    return call.args if call.kernel == "conv_act" else None


def _tile(graph: Graph, args: list[Any]) -> int:
    """Results along a side of the tiles that multiply least; 0 if the kernel does not fit."""
    out, x, weight = (graph.values[args[i][1]] for i in range(3))
    if any(v.dtype != f32.code or len(v.shape) != 4 for v in (out, x, weight)):
        return 0
    sz, sy, sx, oz, _, _, dz, dy, dx, groups = args[_NUMBERS:]
    if weight.shape[2:] != (3, 3) or (sz, sy, sx, oz, dz) != (1, 1, 1, 0, 1):
        return 0
    rows, channels = weight.shape[0] // groups, weight.shape[1]
    batch, _, high, wide = out.shape
    if not out.contiguous or min(rows, channels) < _FEWEST or out.size == 0:
        return 0
    if min(high // dy, wide // dx) < 3:
        return 0

    def cost(elements: int, columns: int) -> int:
        return elements * (-(-columns // _LANES) + _READING)

    def cost_of(side: int) -> int:
        tiles = [d * -(-length // (d * side)) for d, length in ((dy, high), (dx, wide))]
        return cost((side + 2) ** 2, batch * tiles[0] * tiles[1])

    best = min((2, 4), key=cost_of)
    return best if cost_of(best) < 0.8 * cost(9, batch * high * wide) else 0
