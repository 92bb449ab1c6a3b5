"""Cases of `tallow.ops.pad`: frames, diagonals, triangles, replaced parts."""

import numpy as np

from ops.table import ALL, FLOATS, NUMBERS, WIDE, Case

PADS = [
    ((4, 6), (1, 2)),
    ((4, 6), (1, 0, -2, 3)),
    ((3,), (-1, -1)),
    ((2, 3, 4), (0, 0, 1, 1, 2, 2)),
]


def padded(mode, *shapes_and_pads):
    return lambda d: [d(d.x(s), p, mode) for s, p in shapes_and_pads]


def frames(d):
    yield from (d(d.x(s), p) for s, p in PADS)
    yield d(d.x((4, 6)), (1, 1), "constant", 2)
    yield from padded("reflect", ((2, 5), (1, 4)), ((1, 2, 4, 3), (2, 1, 0, 3)))(d)
    yield from padded("replicate", ((2, 5), (7, 1)), ((1, 2, 4, 3), (2, -1, 0, 3)))(d)
    yield from padded("circular", ((1, 2, 5), (5, 2)), ((1, 2, 4, 3), (2, 1, 4, 3)))(d)


def triangles(**more):
    return Case(
        lambda d: [d(d.x((4, 6)), k) for k in (0, 1, -2, 7)] + [d(d.x((2, 3, 3)))], ALL, **more
    )


def replaced(x, src, _size, stride, shift):
    out = np.ascontiguousarray(x).copy()
    flat = out.reshape(-1)[shift:]
    view = np.lib.stride_tricks.as_strided(flat, src.shape, [s * flat.itemsize for s in stride])
    view[...] = src
    return out


CASES = {
    "constant_pad_nd": Case(lambda d: [d(d.x(s), p, 1) for s, p in PADS], ALL),
    "pad": Case(frames, FLOATS, torch="nn.functional.pad", hypothesis=False),
    "nn.one_hot": Case(
        lambda d: [d(d.ints((2, 3), 0, 5), 5), d(d.ints((), 0, 2), 2)],
        dtypes=("i64",),
        torch="nn.functional.one_hot",
        hypothesis=False,
    ),
    "one_hot": Case(
        lambda d: [d(d.ints((2, 3), 0, 5), 6), d(d.ints((4,), 0, 3))], hypothesis=False
    ),
    "tril": triangles(),
    "triu": triangles(),
    "tril_indices": Case(lambda d: [d(4, 6), d(4, 3, 1), d(3, 3, offset=-1), d(0, 2)], ("i64",)),
    "triu_indices": Case(lambda d: [d(4, 6), d(4, 3, 1), d(3, 3, offset=-1), d(0, 2)], ("i64",)),
    "diag_embed": Case(
        lambda d: [d(d.x((2, 3))), d(d.x((2, 3)), 1, 0, 2), d(d.x((3,)), -2), d(d.x((2, 0)))], ALL
    ),
    "diag": Case(
        lambda d: [d(d.x((3,)), 1), d(d.x((4, 6)), -1), d(d.x((4, 6)))], ALL, hypothesis=False
    ),
    "diagflat": Case(lambda d: [d(d.x((2, 3))), d(d.x((2,)), -1)], ALL),
    "trace": Case(lambda d: [d(d.x((4, 6))), d(d.x((3, 0)))], NUMBERS),
    "diagonal_scatter": Case(
        lambda d: [d(d.x((4, 6)), d.x((4,))), d(d.x((2, 3, 4)), d.x((3, 2)), 1, 0, 2)],
        ALL,
        hypothesis=False,
    ),
    "select_scatter": Case(lambda d: [d(d.x((4, 6)), d.x((4,)), 1, -2)], ALL, hypothesis=False),
    "slice_scatter": Case(
        lambda d: [d(d.x((4, 6)), d.x((4, 2)), 1, 1, 5, 2), d(d.x((4, 6)), d.x((1, 6)), 0, -1)],
        ALL,
        hypothesis=False,
    ),
    "as_strided_scatter": Case(
        lambda d: [d(d.x((4, 6)), d.x((2, 3)), (2, 3), (12, 2), 1)],
        ALL,
        layouts=False,
        hypothesis=False,
        gradient=False,  # torch's is that of the input where it was replaced: test_numbers
        numpy=replaced,
    ),
    "vander": Case(
        lambda d: [d(d.x((4,))), d(d.x((3,)), 5), d(d.x((3,)), 2, True), d(d.x((3,)), 0)],
        torch=False,
        numpy=np.vander,
        factor=4,
        note="torch's gradient trips over its own change in place",
    ),
    "linalg.vander": Case(lambda d: [d(d.x((4,))), d(d.x((2, 3)), N=5)], WIDE),
}
