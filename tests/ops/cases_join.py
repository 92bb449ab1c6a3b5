"""Cases of `tallow.ops.join`: tensors joined, repeated and turned round."""

import numpy as np

from ops.table import ALL, Case

MATRICES = [(), (3,), (4, 6), (2, 3, 4)]


def joined(*shapes):
    """One sample: the tensors of these shapes in a list."""
    return Case(lambda d: [d([d.x(shape) for shape in group]) for group in shapes], ALL)


def grown():
    return Case(
        lambda d: [*(d(d.x(s)) for s in MATRICES), d([d.x(()), d.x((2, 3))])], ALL, hypothesis=False
    )


CASES = {
    "concat": Case(lambda d: [d([d.x((2, 3)), d.x((0,)), d.x((1, 3))])], ALL),
    "concatenate": Case(lambda d: [d([d.x((2, 3)), d.x((2, 1))], -1)], ALL),
    "atleast_1d": grown(),
    "atleast_2d": grown(),
    "atleast_3d": grown(),
    "hstack": joined([(2, 3), (2, 1)], [(3,), (2,)], [(), ()]),
    "vstack": joined([(2, 3), (1, 3)], [(3,), (3,)]),
    "row_stack": Case(lambda d: [d([d.x((3,)), d.x((2, 3))])], ALL, torch="vstack"),
    "dstack": joined([(2, 3), (2, 3)], [(3,), (3,)], [(2, 3, 1), (2, 3, 2)]),
    "column_stack": joined([(3,), (3, 2)], [(), ()]),
    "block_diag": Case(
        lambda d: [d(d.x((2, 3)), d.x((1, 2))), d(d.x(()), d.x((3,)), d.x((0, 1)))],
        ALL,
        hypothesis=False,
    ),
    "meshgrid": Case(
        lambda d: [
            d(d.x((3,)), d.x((4,)), indexing="ij"),
            d(d.x((3,)), d.x((4,)), d.x((2,)), indexing="xy"),
            d([d.x((3,)), d.x(())], indexing="xy"),
        ],
        ALL,
        hypothesis=False,
    ),
    "cartesian_prod": Case(
        lambda d: [d(d.x((3,)), d.x((2,))), d(d.x((3,)))], ALL, hypothesis=False
    ),
    "combinations": Case(
        lambda d: [
            d(d.x((4,))),
            d(d.x((3,)), 3),
            d(d.x((3,)), 2, True),
            d(d.x((1,)), 2),
            d(d.x((2,)), 0),
        ],
        ALL,
        hypothesis=False,
    ),
    "repeat": Case(
        lambda d: [
            d(d.x((2, 3)), 2, 3),
            d(d.x((2, 3)), (2, 1, 1)),
            d(d.x((2, 3)), 1, 1),
            d(d.x((2, 3)), 0, 2),
            d(d.x(()), 3),
        ],
        ALL,
        hypothesis=False,
    ),
    "tile": Case(lambda d: [d(d.x((2, 3)), (2,)), d(d.x((3,)), (2, 2))], ALL, hypothesis=False),
    "repeat_interleave": Case(
        lambda d: [
            d(d.x((2, 3)), 2),
            d(d.x((2, 3)), 3, -1),
            d(d.x((2, 3)), np.array([2, 0, 1]), 1),
            d(d.x((3,)), np.array([2])),
            d(d.x((2, 3)), 0, 0),
        ],
        ALL,
        hypothesis=False,
    ),
    "flip": Case(
        lambda d: [d(d.x((4, 6)), (0,)), d(d.x((2, 3, 4)), (0, -1)), d(d.x((2, 3)), ())],
        ALL,
        hypothesis=False,
    ),
    "fliplr": Case(lambda d: [d(d.x((4, 6)))], ALL),
    "flipud": Case(lambda d: [d(d.x((4, 6))), d(d.x((3,)))], ALL),
    "roll": Case(
        lambda d: [
            d(d.x((4, 6)), 2),
            d(d.x((4, 6)), -1, 1),
            d(d.x((4, 6)), (1, -8), (0, 1)),
            d(d.x((0, 2)), 1, 0),
        ],
        ALL,
        hypothesis=False,
    ),
    "rot90": Case(
        lambda d: [d(d.x((2, 3)), k) for k in range(-1, 5)] + [d(d.x((2, 3, 4)), 1, (2, 0))], ALL
    ),
}
