"""Operators of shapes and positions for graphs composed at random."""

import numpy as np

from onnx_random import FLOATS


def ints(b, *values):
    """The name of a constant of i64."""
    return b.constant(np.array(values, "int64"))


def known(v):
    return v.shape and all(isinstance(d, int) and d > 0 for d in v.shape)


def transpose(b):
    x = b.any(lambda v: len(v.shape) > 1)
    if x is None:
        return None
    axes = [*range(len(x.shape))]
    i, j = b.draw.integer(0, len(axes) - 1), b.draw.integer(0, len(axes) - 1)
    axes[i], axes[j] = axes[j], axes[i]
    return b.node("Transpose", [x], [x.shape[a] for a in axes], grain=x.grain, perm=axes)


def reshape(b):
    """Lengths as constants, with 0 and -1, or computed from the value's own shape."""
    x = b.any(lambda v: len(v.shape) > 1)
    if x is None:
        return None
    kind = b.draw.integer(0, 3)
    at = b.draw.integer(0, len(x.shape))
    if kind == 0:
        axes = ints(b, at)
        made = b.node("Unsqueeze", [x, axes], (*x.shape[:at], 1, *x.shape[at:]), grain=x.grain)
        return (
            b.node("Squeeze", [made, axes], x.shape, grain=x.grain)
            if b.draw.integer(0, 1)
            else made
        )
    rest = x.shape[1:]
    if not all(isinstance(d, int) for d in rest) or 0 in rest:
        return None
    flat = (x.shape[0], int(np.prod(rest)))
    if kind == 1:
        return b.node("Flatten", [x], flat, grain=x.grain, axis=1)
    if kind == 2:
        return b.node("Reshape", [x, ints(b, 0, flat[1])], flat, grain=x.grain)
    lengths = b.node("Shape", [x], (len(x.shape),), "int64", 64, 1)
    first = b.node("Gather", [lengths, ints(b, 0)], (1,), grain=1)
    wanted = b.node("Concat", [first, ints(b, -1)], (2,), grain=1, axis=0)
    return b.node("Reshape", [x, wanted], flat, grain=x.grain)


def join(b):
    x = b.any(lambda v: v.shape)
    if x is None:
        return None
    axis = b.draw.integer(0, len(x.shape) - 1)
    y = b.any(
        lambda v: (
            v.dtype == x.dtype
            and len(v.shape) == len(x.shape)
            and all(
                p == q or (i == axis and isinstance(p, int))
                for i, (p, q) in enumerate(zip(v.shape, x.shape, strict=True))
            )
        )
    )
    if y is None or not isinstance(x.shape[axis], int) or not isinstance(y.shape[axis], int):
        return None
    shape = [*x.shape]
    shape[axis] += y.shape[axis]
    grain = min(x.grain, y.grain)
    return b.node("Concat", [x, y], shape, bound=max(x.bound, y.bound), grain=grain, axis=axis)


def split(b):
    x = b.any(lambda v: any(isinstance(d, int) and d > 1 for d in v.shape))
    if x is None:
        return None
    axis = b.draw.pick([i for i, d in enumerate(x.shape) if isinstance(d, int) and d > 1])
    left = b.draw.integer(1, x.shape[axis] - 1)
    sizes = (left, x.shape[axis] - left)
    names = b.node("Split", [x, ints(b, *sizes)], None, outputs=2, axis=axis)
    made = [
        b.add(
            name, x.dtype, [n if i == axis else d for i, d in enumerate(x.shape)], x.bound, x.grain
        )
        for name, n in zip(names, sizes, strict=True)
    ]
    return made[b.draw.integer(0, 1)]


def cut(b):
    x = b.any(lambda v: v.shape)
    if x is None:
        return None
    axis = b.draw.integer(0, len(x.shape) - 1)
    length = x.shape[axis]
    if not isinstance(length, int):  # all of it, the other way round
        given = [ints(b, -1), ints(b, -(2**62)), ints(b, axis), ints(b, -1)]
        return b.node("Slice", [x, *given], x.shape, grain=x.grain)
    start, step = b.draw.integer(0, max(length - 1, 0)), b.draw.integer(1, 2)
    shape = [*x.shape]
    shape[axis] = len(range(start, length, step))
    given = [ints(b, start), ints(b, 2**62), ints(b, axis - len(x.shape)), ints(b, step)]
    return b.node("Slice", [x, *given], shape, grain=x.grain)


def gather(b):
    x = b.any(lambda v: any(isinstance(d, int) and d > 0 for d in v.shape))
    if x is None:
        return None
    axis = b.draw.pick([i for i, d in enumerate(x.shape) if isinstance(d, int) and d > 0])
    n = x.shape[axis]
    if b.draw.integer(0, 1):
        at = b.constant(np.array(b.draw.integer(-n, n - 1)))
        shape = [d for i, d in enumerate(x.shape) if i != axis]
        return b.node("Gather", [x, at], shape, grain=x.grain, axis=axis)
    index = [b.draw.integer(-n, n - 1) for _ in range(b.draw.integer(1, 3))]
    shape = [len(index) if i == axis else d for i, d in enumerate(x.shape)]
    return b.node("Gather", [x, ints(b, *index)], shape, grain=x.grain, axis=axis)


def scatter(b):
    x = b.any(lambda v: known(v) and v.is_float)
    if x is None:
        return None
    axis = b.draw.integer(0, len(x.shape) - 1)
    n = x.shape[axis]
    shape = [1 if i == axis else d for i, d in enumerate(x.shape)]
    index = np.full(shape, b.draw.integer(-n, n - 1))
    if b.draw.integer(0, 1):
        return b.node("GatherElements", [x, b.constant(index)], shape, grain=x.grain, axis=axis)
    updates = b.numbers(shape, x.dtype)
    return b.node(
        "ScatterElements",
        [x, b.constant(index), updates],
        x.shape,
        bound=x.bound + 2,
        grain=min(x.grain, 0.5),
        axis=axis,
        reduction=b.draw.pick(["none", "add"]),
    )


def spread(b):
    x = b.any(lambda v: v.dtype in FLOATS and len(v.shape) in (1, 2, 3))
    if x is None:
        return None
    kind = b.draw.integer(0, 3)
    if kind == 0:
        ahead = ints(b, 2, *[1] * len(x.shape))
        return b.node("Expand", [x, ahead], (2, *x.shape), grain=x.grain)
    if kind == 1 and isinstance(x.shape[-1], int):
        counts = ints(b, *[1] * (len(x.shape) - 1), 2)
        return b.node("Tile", [x, counts], (*x.shape[:-1], x.shape[-1] * 2), grain=x.grain)
    if kind == 2 and isinstance(x.shape[-1], int):
        pads = ints(b, *[0] * (len(x.shape) - 1), 1, *[0] * len(x.shape))
        return b.node("Pad", [x, pads], (*x.shape[:-1], x.shape[-1] + 1), grain=x.grain)
    from onnx import numpy_helper

    lengths = b.node("Shape", [x], (len(x.shape),), "int64", 64, 1)
    value = numpy_helper.from_array(np.array([0.5], x.dtype))
    return b.node("ConstantOfShape", [lengths], x.shape, x.dtype, 1, 0.5, value=value)


def positions(b):
    """0, 1, … for an axis, as floats."""
    x = b.any(lambda v: len(v.shape) in (1, 2, 3))
    if x is None:
        return None
    lengths = b.node("Shape", [x], (len(x.shape),), "int64", 64, 1)
    first = b.node("Gather", [lengths, b.constant(np.array(0))], (), grain=1)
    zero, one = b.constant(np.array(0)), b.constant(np.array(1))
    made = b.node("Range", [zero, first, one], (x.shape[0],), "int64", 64, 1)
    return b.node("Cast", [made], made.shape, "float32", 64, 1, to=1)


def chosen(b):
    """Rows where a condition holds: their number depends on elements."""
    x = b.any(lambda v: v.dtype == "float32" and v.exact and len(v.shape) == 1)
    if x is None:
        return None
    length = f"k{b.root.names}"
    zero = b.constant(np.array(0, "float32"))
    test = b.node("Greater", [x, zero], x.shape, "bool", 1, 1)
    if b.draw.integer(0, 1):
        return b.node("Compress", [x, test], (length,), grain=x.grain, axis=0)
    found = b.node("NonZero", [test], (1, length), "int64", 64, 1)
    found = b.node("Squeeze", [found, ints(b, 0)], (length,), grain=1)
    return b.node("Gather", [x, found], (length,), grain=x.grain)


def largest(b):
    x = b.any(
        lambda v: (
            v.dtype == "float32"
            and v.exact
            and v.shape
            and isinstance(v.shape[-1], int)
            and v.shape[-1] > 0
        )
    )
    if x is None:
        return None
    k = b.draw.integer(1, x.shape[-1])
    names = b.node("TopK", [x, ints(b, k)], None, outputs=2)
    return b.add(names[0], x.dtype, (*x.shape[:-1], k), x.bound, x.grain)
