"""What exporters write for one operation, and what only looks like it, for random graphs."""

import numpy as np

from onnx_random import Value, broadcast


def scalar(b, number, x):
    """A constant number, mostly the one that is meant, in a shape of exporters."""
    if b.draw.integer(0, 7) == 0:
        number = number * 1.25 + 0.5
    shape = b.draw.pick([(), (1,), (1, 1)] if x.shape else [()])
    return Value(b.constant(np.full(shape, number, x.dtype)), x.dtype, shape, abs(number) + 1, 0)


def pair(b, op, x, y, bound=None):
    """A node of two operands, the second a constant, now and then the other way round."""
    shape = broadcast(x.shape, y.shape)
    given = [y, x] if op in ("Add", "Mul") and b.draw.integer(0, 1) else [x, y]
    return b.node(op, given, shape, x.dtype, x.bound * y.bound if bound is None else bound)


def some(b, fits=lambda v: True):
    x = b.any(lambda v: v.is_float and fits(v))
    return None if x is None else b.calm(x)


def gelu(b):
    x = some(b)
    if x is None:
        return None
    op, factor = b.draw.pick([("Div", 2**0.5), ("Mul", 0.5**0.5)])
    scaled = pair(b, op, x, scalar(b, factor, x), x.bound * 2)
    erf = b.node("Erf", [scaled], scaled.shape, bound=1)
    plus = pair(b, "Add", erf, scalar(b, 1, x), 4)
    if b.draw.integer(0, 1):
        half = pair(b, "Mul", x, scalar(b, 0.5, x), x.bound)
        return product(b, half, plus)
    return pair(b, "Mul", product(b, x, plus), scalar(b, 0.5, x), x.bound * 4)


def product(b, x, y, op="Mul"):
    given = [y, x] if op == "Mul" and b.draw.integer(0, 1) else [x, y]
    return b.node(op, given, broadcast(x.shape, y.shape), x.dtype, x.bound * y.bound + 4)


def layer_norm(b):
    x = some(
        b,
        lambda v: (
            v.shape
            and isinstance(v.shape[-1], int)
            and v.shape[-1] > 0
            and not any(str(d).startswith("k") or d == 0 for d in v.shape)
        ),
    )
    if x is None:
        return None
    axis = b.draw.pick([-1, -1, -1, len(x.shape) - 1, 0])
    axes = b.constant(np.array([axis]))
    where = axis % len(x.shape)
    small = [1 if i == where else d for i, d in enumerate(x.shape)]
    mean = b.node("ReduceMean", [x, axes], small, keepdims=1)
    d = b.node("Sub", [x, mean], x.shape, bound=x.bound * 2)
    if b.draw.integer(0, 1):
        square = b.node("Pow", [d, b.constant(np.array(2, x.dtype))], x.shape, bound=d.bound**2)
    else:
        square = b.node("Mul", [d, d], x.shape, bound=d.bound**2)
    variance = b.node("ReduceMean", [square, axes], small, keepdims=1)
    epsilon = Value(b.constant(np.array(0.1, x.dtype)), x.dtype, (), 1, 0)
    root = b.node(
        "Sqrt", [pair(b, "Add", variance, epsilon, d.bound**2 + 1)], small, bound=d.bound + 1
    )
    made = b.node("Div", [d, root], x.shape, bound=16)
    width = b.draw.pick([x.shape[-1:], (1, *x.shape[-1:]), ()])
    made = pair(b, "Mul", made, b.numbers(width, x.dtype), 32)
    return pair(b, "Add", made, b.numbers(b.draw.pick([x.shape[-1:], ()]), x.dtype), 40)


def swish(b):
    x = some(b)
    if x is None:
        return None
    kind = b.draw.integer(0, 2)
    if kind == 0:
        return product(b, x, b.node("Sigmoid", [x], x.shape, bound=1))
    if kind == 1:
        alpha = b.draw.pick([1 / 6, 0.2])
        return product(b, x, b.node("HardSigmoid", [x], x.shape, bound=1, alpha=alpha, beta=0.5))
    plus = pair(b, "Add", x, scalar(b, 3, x), x.bound + 5)
    low, high = (b.constant(np.array(n, x.dtype)) for n in (0, b.draw.pick([6, 6, 5])))
    clip = b.node("Clip", [plus, low, high], plus.shape, bound=6)
    six = scalar(b, 6, x)
    if b.draw.integer(0, 1):
        return pair(b, "Div", product(b, x, clip), six, x.bound * 6)
    return product(b, x, pair(b, "Div", clip, six, 6))


def dense(b):
    """Rows times a constant matrix, of any dtype, and something added."""
    x = b.any(
        lambda v: (
            v.dtype in ("float32", "float64", "int64", "int32")
            and len(v.shape) in (1, 2, 3)
            and isinstance(v.shape[-1], int)
            and v.shape[-1] > 0
            and v.bound < 1e3
        )
    )
    if x is None:
        return None
    k, m = x.shape[-1], b.draw.integer(1, 3)
    w = b.numbers((k, m), x.dtype)
    bound = x.bound * w.bound * k + 4
    grain = x.grain * w.grain
    made = b.node("MatMul", [x, w], (*x.shape[:-1], m), bound=bound, grain=grain)
    shape = b.draw.pick([(m,), (1, m), (), (1,)] if len(x.shape) > 1 else [(m,), ()])
    c = b.numbers(shape, x.dtype)
    given = [c, made] if b.draw.integer(0, 1) else [made, c]
    made = b.node("Add", given, made.shape, x.dtype, bound=bound + 4, grain=min(grain, c.grain))
    if made.dtype in ("float32", "float64") and b.draw.integer(0, 1):
        made = b.node(b.draw.pick(["Relu", "Tanh", "Sigmoid"]), [made], made.shape)
    return made


def attention(b):
    """Softmax of scaled products of a value with itself, with a mask or without."""
    x = some(
        b,
        lambda v: (
            len(v.shape) > 1
            and isinstance(v.shape[-1], int)
            and v.shape[-1] > 0
            and not any(str(d).startswith("k") or d == 0 for d in v.shape)
        ),
    )
    if x is None:
        return None
    r = len(x.shape)
    perm = [*range(r - 2), r - 1, r - 2]
    k = b.node("Transpose", [x], [x.shape[a] for a in perm], perm=perm)
    square = (*x.shape[:-1], x.shape[-2])
    scores = b.node("MatMul", [x, k], square, bound=x.bound**2 * x.shape[-1])
    if b.draw.integer(0, 1):
        scores = pair(b, b.draw.pick(["Mul", "Div"]), scores, scalar(b, b.draw.pick([0.5, 2.0]), x))
    if len(scores.shape) > r:
        return None
    if b.draw.integer(0, 1):
        mask = b.numbers(b.draw.pick([(), (1, 1), (1,) * r]), x.dtype)
        scores = pair(b, "Add", scores, mask, scores.bound + 4)
    axis = b.draw.pick([-1, -1, r - 1, r - 2, 0])
    soft = b.node("Softmax", [scores], square, bound=1, axis=axis)
    made = b.node("MatMul", [soft, x], x.shape, x.dtype, bound=x.bound * 8)
    if b.draw.integer(0, 3) == 0:
        b.node("Neg", [soft], square, bound=1)
    return made


def channels(b):
    """A convolution of images with constants added and multiplied for each channel."""
    from onnx_random import is_image

    x = b.any(is_image)
    if x is None:
        return None
    spatial, count, out = len(x.shape) - 2, x.shape[1], b.draw.integer(1, 3)
    w = b.numbers((out, count, *[1] * spatial), "float32")
    bound = x.bound * w.bound * count + 4
    made = b.node("Conv", [x, w], (x.shape[0], out, *x.shape[2:]), bound=bound)
    for op in b.draw.pick([["Add"], ["Mul"], ["Mul", "Add"], ["Add", "Mul"], []]):
        shape = b.draw.pick([(1, out, *[1] * spatial), (out, *[1] * spatial), ()])
        made = pair(b, op, made, b.numbers(shape, "float32"), bound * 8)
    if b.draw.integer(0, 1):
        return b.node(b.draw.pick(["Relu", "Sigmoid", "HardSwish"]), [made], made.shape)
    return product(b, made, b.node("Sigmoid", [made], made.shape, bound=1))


MOTIFS = [gelu, layer_norm, swish, dense, attention, channels]
