"""Cases of the ops in tallow.ops.experts; tests/native/test_experts.py goes on with blocks."""

import numpy as np

from ops.table import Case


def expert_linear(x, weight, ids, bias=0.0, exact=False):
    rows = x[:, None] if x.ndim == 2 else x
    out = np.einsum("tcnk,tck->tcn", weight[ids], np.broadcast_to(rows, (*ids.shape, x.shape[-1])))
    return out + bias[ids] if np.ndim(bias) else out


def expert_outer(g, x, ids, experts):
    rows = np.broadcast_to(x[:, None] if x.ndim == 2 else x, (*ids.shape, x.shape[-1]))
    out = np.zeros((experts, g.shape[-1], x.shape[-1]))
    for t, c in np.ndindex(*ids.shape):
        out[ids[t, c]] += np.outer(g[t, c], rows[t, c])
    return out


CASES = {
    "expert_linear": Case(
        lambda d: [
            d(d.x((3, 6)), d.x((4, 5, 6)), d.ints((3, 2), 0, 4), d.x((4, 5))),
            d(d.x((3, 2, 6)), d.x((4, 5, 6)), d.ints((3, 2), 0, 4)),
            d(d.x((9, 2, 6)), d.x((2, 5, 6)), d.ints((9, 2), 0, 2), d.x((2, 5)), exact=True),
            d(d.x((2, 300)), d.x((4, 5, 300)), d.ints((2, 3), 0, 4, "i32")),
            d(d.x((0, 6)), d.x((4, 5, 6)), d.ints((0, 2), 0, 4)),
            d(d.x((2, 0)), d.x((4, 5, 0)), d.ints((2, 2), 0, 4), d.x((4, 5))),
        ],
        torch=False,
        numpy=expert_linear,
        factor=16,
        hypothesis=False,
    ),
    "expert_outer": Case(
        lambda d: [
            d(d.x((3, 2, 5)), d.x((3, 6)), d.ints((3, 2), 0, 4), 4),
            d(d.x((9, 2, 5)), d.x((9, 2, 6)), d.ints((9, 2), 0, 3), 3),
            d(d.x((0, 2, 5)), d.x((0, 6)), d.ints((0, 2), 0, 3), 3),
        ],
        torch=False,
        numpy=expert_outer,
        factor=16,
        hypothesis=False,
    ),
}
