"""Arrays in several orders of memory."""

import numpy as np

import tallow as tl


def views_of(x):
    """The same numbers in other orders of memory."""
    yield tl.from_numpy(x)
    yield tl.from_numpy(np.ascontiguousarray(np.moveaxis(x, 1, -1))).movedim(-1, 1)
    yield tl.from_numpy(np.repeat(x, 2, -1))[..., ::2]
    yield tl.from_numpy(np.ascontiguousarray(x[..., ::-1])).flip(-1)
