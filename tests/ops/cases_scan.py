"""Cases of the ops in tallow.ops.scan."""

import numpy as np

import tallow as tl
from ops.table import ALL, COMPLEX, FLOATS, NUMBERS, Case


def axes(d):
    return [
        d(d.x((4, 5)), 1),
        d(d.x((4, 5)), -2),
        d(d.x((2, 3, 4)), 1),
        d(d.x((3, 0)), 0),
        d(d.x(()), 0),
    ]


def with_zeros(d):
    x = d.nonzero((4, 5))
    x[0, 2] = x[1, 1] = x[1, 3] = x[2, 0] = x[3, 4] = 0
    return [d(x, 1), d(x, 0), d(d.x((2, 3, 4)), 1), d(d.x(()), 0)]


def recurrence(decay, x, dim=-1):
    decay, x = np.moveaxis(decay, dim, 0), np.moveaxis(x, dim, 0)
    out = np.zeros_like(x)
    for i in range(len(x)):
        out[i] = x[i] + (decay[i] * out[i - 1] if i else 0)
    return np.moveaxis(out, 0, dim)


CASES = {
    "cumsum": Case(
        lambda d: [
            *axes(d),
            *([d(d.x((3, 4)), 1, dtype=tl.f64)] if d.dtype not in COMPLEX else []),
        ],
        dtypes=(*ALL, *COMPLEX),
        factor=4,
    ),
    "cumprod": Case(with_zeros, dtypes=NUMBERS, factor=8),
    "nn.cumsum": Case(axes, dtypes=("f32", "f64", "i64"), torch="cumsum", factor=4),
    "nn.cumprod": Case(with_zeros, dtypes=("f32", "f64"), torch="cumprod", factor=8),
    "cummax": Case(
        lambda d: [d(d.distinct((4, 5)), 1), d(d.distinct((4, 5)), -2), d(d.x(()), 0)],
        dtypes=ALL,
    ),
    "cummin": Case(
        lambda d: [d(d.distinct((4, 5)), 1), d(d.distinct((4, 5)), -2), d(d.x(()), 0)],
        dtypes=ALL,
    ),
    "logcumsumexp": Case(
        lambda d: [*axes(d), d(d.x((3, 4), 500, 600), 1)], dtypes=(*FLOATS, *COMPLEX), factor=4
    ),
    "linear_scan": Case(
        lambda d: [d(d.x((4, 5)), d.x((4, 5)), 1), d(d.x((2, 3, 4)), d.x((2, 3, 4)), 1)],
        dtypes=(*FLOATS, *COMPLEX),
        torch=False,
        numpy=recurrence,
        factor=8,
    ),
    "diff": Case(
        lambda d: [
            d(d.x((4, 5))),
            d(d.x((4, 5)), 2, 0),
            d(d.x((4, 5)), 7),
            d(d.x((4, 5)), 1, 1, d.x((4, 2)), d.x((4, 1))),
        ],
        dtypes=ALL,
        factor=4,
    ),
    "trapezoid": Case(
        lambda d: [
            d(d.x((4, 5))),
            d(d.x((4, 5)), dx=0.5, dim=0),
            d(d.x((4, 5)), d.x((5,))),
            d(d.x((4, 5)), d.x((4, 5)), dim=0),
        ],
        factor=8,
    ),
    "cumulative_trapezoid": Case(
        lambda d: [d(d.x((4, 5))), d(d.x((4, 5)), d.x((5,))), d(d.x((4, 5)), dx=2, dim=0)],
        factor=8,
    ),
}
