"""Cases of the ops in tallow.ops.sort and tallow.ops.search."""

import numpy as np

from ops.table import ALL, NUMBERS, WIDE, Case


def lines(d, **options):
    return [
        d(d.distinct((4, 5)), 1, **options),
        d(d.distinct((4, 5)), dim=-2, **options),
        d(d.distinct((2, 3, 4)), 1, **options),
        d(d.distinct((70,)), **options),
        d(d.x(()), 0, **options),
    ]


def quantiles(d):
    return [
        *(
            d(d.distinct((4, 5)), 0.3, 1, interpolation=how)
            for how in ("linear", "lower", "higher", "midpoint", "nearest")
        ),
        d(d.distinct((4, 5)), np.array([0.05, 0.37, 0.93], np.dtype(NUMPY(d))), 0, True),
        d(d.distinct((2, 3, 4)), np.array([0.1, 0.9], np.dtype(NUMPY(d))), 1),
        d(d.distinct((7,)), 0.5),
        d(d.distinct((2, 3)), 0.25, None, True),
    ]


def NUMPY(d):
    return {"f32": np.float32, "f64": np.float64}[d.dtype]


def sorted_x(d, shape):
    return np.sort(d.x(shape), -1)


ORDER = [name for name in ALL if name != "bool"]


def places(edges, values, _sorter, right):
    side = "right" if right else "left"
    rows = np.broadcast_to(edges, (len(values), edges.shape[-1]))
    pairs = zip(rows, values, strict=True)
    return np.array([np.searchsorted(row, wanted, side) for row, wanted in pairs])


CASES = {
    "sort": Case(
        lambda d: [*lines(d), *lines(d, descending=True), d(d.x((6, 7)), stable=True)], dtypes=ORDER
    ),
    "argsort": Case(lambda d: [*lines(d), *lines(d, descending=True)], dtypes=ORDER),
    "msort": Case(lambda d: [d(d.x((4, 5))), d(d.x((3,)))], dtypes=ALL, hypothesis=False),
    "topk": Case(
        lambda d: [
            d(d.distinct((4, 5)), 3),
            d(d.distinct((4, 5)), 2, 0, False),
            d(d.distinct((200,)), 5),
            d(d.distinct((2, 3, 4)), 2, 1),
        ],
        dtypes=("f32", "f64", "bf16", "i32", "i64", "u8"),
        hypothesis=False,
    ),
    "kthvalue": Case(
        lambda d: [
            d(d.distinct((4, 5)), 3),
            d(d.distinct((4, 5)), 2, 0, True),
            d(d.x(()), 1),
        ],
        dtypes=NUMBERS,
        hypothesis=False,
    ),
    "median": Case(
        lambda d: [
            d(d.distinct((4, 5))),
            d(d.distinct((4, 5)), 1),
            d(d.distinct((4, 6)), -1, True),
        ],
        dtypes=NUMBERS,
    ),
    "nanmedian": Case(lambda d: [d(d.distinct((4, 5))), d(d.distinct((4, 5)), 1)], dtypes=NUMBERS),
    "median_of": Case(
        lambda d: [d(d.distinct((4, 5)), -1, 1, False)],
        torch=lambda x, which, dim, keepdim: x.median(dim, keepdim),
    ),
    "mode": Case(
        lambda d: [d(d.x((4, 9)), 1), d(d.x((4, 5)), 0, True)],
        dtypes=("i32", "i64", "u8"),
        gradient=False,
    ),
    "quantile": Case(quantiles, dtypes=WIDE, factor=8, hypothesis=False),
    "nanquantile": Case(quantiles, dtypes=WIDE, factor=8, hypothesis=False),
    "unique": Case(
        lambda d: [
            d(d.x((4, 5)), True, True, True),
            d(np.concatenate([d.x((2, 3))] * 2), True, True, True, dim=0),
            d(d.x((2, 4, 3)), True, True, dim=1),
            d(d.x((3,))),
        ],
        dtypes=ALL,
        gradient=False,
    ),
    "unique_consecutive": Case(
        lambda d: [
            d(d.x((20,), 0, 2), True, True),
            d(np.repeat(d.x((2, 3)), 2, 0), return_inverse=True, return_counts=True, dim=0),
        ],
        dtypes=ALL,
        gradient=False,
    ),
    "searchsorted": Case(
        lambda d: [
            d(sorted_x(d, (9,)), d.x((3, 4))),
            d(sorted_x(d, (3, 9)), d.x((3, 4)), right=True),
            d(sorted_x(d, (9,)), d.x((4,)), side="right", out_int32=True),
        ],
        dtypes=NUMBERS,
        gradient=False,
        hypothesis=False,
    ),
    "nn.searchsorted": Case(
        lambda d: [
            d(sorted_x(d, (9,)), d.x((3, 4)), None, False),
            d(sorted_x(d, (3, 9)), d.x((3, 4)), np.tile(np.arange(9), (3, 1)), True),
        ],
        dtypes=NUMBERS,
        torch=False,
        numpy=places,
        gradient=False,
        hypothesis=False,
    ),
    "nn.row_order": Case(
        lambda d: [d(d.x((9, 2), 0, 2)), d(d.x((0, 3)))],
        dtypes=ALL,
        torch=False,
        numpy=lambda rows: np.lexsort(rows.T[::-1]),
        gradient=False,
        layouts=False,
        hypothesis=False,
    ),
    "bucketize": Case(
        lambda d: [d(d.x((3, 4)), sorted_x(d, (9,))), d(d.x((4,)), sorted_x(d, (5,)), right=True)],
        dtypes=NUMBERS,
        gradient=False,
        hypothesis=False,
    ),
    "isin": Case(
        lambda d: [d(d.x((3, 4)), d.x((5,))), d(d.x((3, 4)), d.x((0,)), invert=True)],
        dtypes=NUMBERS,
        gradient=False,
    ),
    "bincount": Case(
        lambda d: [
            d(d.ints((9,), 0, 5)),
            d(d.ints((9,), 0, 5), d.floats((9,)), 8),
            d(d.ints((0,), 0, 5)),
        ],
        dtypes=WIDE,
        gradient=False,
        hypothesis=False,
    ),
    "histc": Case(
        lambda d: [d(d.x((40,)), 7), d(d.x((4, 10)), 5, -1, 2)], dtypes=WIDE, gradient=False
    ),
    "histogram": Case(
        lambda d: [
            d(d.x((40,)), 7),
            d(d.x((4, 10)), 5, range=(-1, 2), density=True),
            d(d.x((9,)), sorted_x(d, (4,))),
        ],
        dtypes=WIDE,
        gradient=False,
        hypothesis=False,
        factor=4,
    ),
}
