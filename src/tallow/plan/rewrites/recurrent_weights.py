"""Recurrent weights of few steps are laid out in tiles once.

Tiles make a step twice as fast. A layer of many steps makes them itself, at each call; for one of
few steps, as a stream has them, that would take longer than its products.
"""

from __future__ import annotations

from typing import Final

from tallow.dtype import f32
from tallow.plan.rewrites.graph import Call, Graph, is_kernel
from tallow.plan.rewrites.once import fixed_buffers

_TILE: Final = 16  # units of a tile (nn.recurrent_weight)
# Of a kernel: where its weight stands among the arguments, and how many gates there are.
_KERNELS: Final = {"lstm": (4, 4), "gru": (3, 3)}


def recurrent_weights(graph: Graph) -> int:
    """Give `lstm` and `gru` on weights in rows their tiles, where these follow from weights."""
    if not is_kernel("recurrent_weight"):
        return 0
    fixed = fixed_buffers(graph)
    calls: list[Call] = []
    made: dict[tuple[int, int], int] = {}
    changed = 0
    for call in graph.calls:
        place, gates = _KERNELS.get(call.kernel, (0, 0))
        value = graph.values[call.args[place][1]] if gates else None
        if value is not None and len(value.shape) == 2 and value.size and value.contiguous:
            weight, order = call.args[place][1], call.args[-1]
            if value.buffer in fixed and value.dtype == f32.code:
                key = (weight, order)
                if key not in made:
                    size = value.shape[1]
                    shape = (-(-size // _TILE), size, gates * _TILE)
                    made[key] = graph.temporary(value.dtype, shape)
                    operands = [("value", made[key]), ("value", weight), gates, order]
                    calls.append(Call("recurrent_weight", operands))
                tiles = ("value", made[key])
                call = Call(call.kernel, [*call.args[:place], tiles, *call.args[place + 1 :]])
                changed += 1
        calls.append(call)
    graph.calls = calls
    return changed
