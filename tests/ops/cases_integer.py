"""Cases of the ops in tallow.ops.integer, against numpy's products in 64 bits."""

from itertools import product

import numpy as np

import tallow as tl
from ops.table import Case
from tallow.ops.integer import int8_columns, int8_rows


def ended(sums, scale, bias, zero, dtype):
    """What follows the sums, as the op's docstring says."""
    scale = None if scale is None else np.asarray(scale, "f4")
    sums = sums.astype(np.int32)
    if dtype is tl.i32:
        return sums
    if dtype is tl.f32:
        return (sums.astype(np.float32) * scale + (0 if bias is None else bias)).astype("f4")
    low, high = (0, 255) if dtype is tl.u8 else (-128, 127)
    if bias is not None:
        sums = sums + bias
    found = np.rint(sums.astype(np.float32) * scale) + (0 if zero is None else float(zero))
    return found.clip(low, high).astype("u1" if dtype is tl.u8 else "i1")


def without(x, zero):
    return x.astype(np.int64) - (0 if zero is None else zero.astype(np.int64))


def matmul(a, b, a_zero, b_zero, scale, bias, zero, dtype, packed=None):
    return ended(without(a, a_zero) @ without(b, b_zero), scale, bias, zero, dtype)


def conv(
    x, w, x_zero, w_zero, scale, bias, zero, dtype, stride, padding, dilation, groups, size,
    packed=None,
):  # fmt: skip
    axes = len(size)
    each = (-1, *(1,) * axes)
    x = without(x, x_zero)
    w = without(w, w_zero if w_zero is None or not w_zero.ndim else w_zero.reshape(*each, 1))
    out = np.zeros((x.shape[0], w.shape[0], *size), np.int64)
    per, rows = w.shape[1], w.shape[0] // groups
    for at in product(*map(range, size)):
        for t in product(*map(range, w.shape[2:])):
            p = [
                a * s - o + k * d
                for a, s, o, k, d in zip(at, stride, padding, t, dilation, strict=True)
            ]
            if not all(0 <= v < n for v, n in zip(p, x.shape[2:], strict=True)):
                continue
            for g in range(groups):
                part = x[(slice(None), slice(g * per, (g + 1) * per), *p)]
                rs = slice(g * rows, (g + 1) * rows)
                out[(slice(None), rs, *at)] += part @ w[(rs, slice(None), *t)].T
    scale, bias = (v if v is None or not v.ndim else v.reshape(each) for v in (scale, bias))
    return ended(out, scale, bias, zero, dtype)


def bytes_of(d, shape, kind="u1"):
    info = np.iinfo(kind)
    return d.rng.integers(info.min, info.max + 1, shape, kind)


def floats(d, shape=(), low=0.001, high=0.002):
    return np.asarray(d.rng.uniform(low, high, shape), "f4")


def longs(d, shape):
    return d.rng.integers(-900, 900, shape, "i4")


def products(d):
    a, b = bytes_of(d, (5, 37)), bytes_of(d, (37, 19), "i1")
    extremes = np.full((3, 8), 255, "u1"), np.full((8, 70), -128, "i1")
    zero, many = np.uint8(131), bytes_of(d, (19,), "i1")
    plain = (None, None, None, None, None, tl.i32)
    return [
        d(a, b, *plain),
        d(*extremes, *plain),
        d(bytes_of(d, (4, 6), "i1"), bytes_of(d, (6, 33), "i1"), *plain),
        d(bytes_of(d, (2, 4, 6), "i1"), bytes_of(d, (2, 6, 3)), *plain),
        d(bytes_of(d, (2, 1, 4, 6)), bytes_of(d, (3, 6, 5)), *plain),
        d(a, b, np.asarray(zero), many, None, None, None, tl.i32),
        d(a, b, bytes_of(d, (5, 1)), np.asarray(np.int8(-7)), None, None, None, tl.i32),
        d(a, b, np.asarray(zero), None, floats(d, (19,)), floats(d, (19,)), None, tl.f32),
        d(a, b, np.asarray(zero), many, floats(d), None, None, tl.f32),
        d(a, b, np.asarray(zero), many, floats(d), longs(d, 19), np.asarray(zero), tl.u8),
        d(a, b, np.asarray(zero), None, floats(d, (19,)), None, np.asarray(np.int8(3)), tl.i8),
        d(a, b, np.asarray(zero), many, None, None, None, tl.i32, columns(b, many)),
        d(a, b, np.asarray(zero), None, floats(d), None, None, tl.f32, packed=columns(b, None)),
        d(bytes_of(d, (0, 7)), bytes_of(d, (7, 3)), *plain),
        d(bytes_of(d, (2, 0)), bytes_of(d, (0, 3)), *plain),
    ]


def ranges(d):
    x = floats(d, (3, 37), -2, 5)
    return [
        d(x),
        d(x[:, :1]),
        d(x + 9),
        d(-x - 9),
        d(np.zeros((2, 3), "f4")),
        d(np.asarray(x[0, 0])),
        d(x.T),
        d(floats(d, (2, 70, 131), -3e38, 1)),
        d(floats(d, (1,), 1e-40, 2e-40)),
    ]


def dynamic(x):
    """As ONNX's DynamicQuantizeLinear says, in f32."""
    low, high = min(x.min(), np.float32(0)), max(x.max(), np.float32(0))
    scale = (high - low) / np.float32(255) if high > low else np.float32(1)
    zero = np.rint(-low / scale).clip(0, 255)
    whole = (np.rint(x / scale) + zero).clip(0, 255)
    return whole.astype("u1"), np.asarray(scale), np.asarray(zero, "u1")


def convolutions(d):
    x, w = bytes_of(d, (2, 4, 7, 9)), bytes_of(d, (6, 4, 3, 3), "i1")
    zero, plain = np.asarray(np.uint8(128)), (None, None, None, tl.i32)
    ones, one = (1, 1), ((1, 1), (0, 0), (1, 1), 1)
    many, pair = bytes_of(d, (6,), "i1"), bytes_of(d, (6, 2, 3, 3))
    ended = (floats(d, (6,), 0.0003, 0.0006), longs(d, 6), zero, tl.u8)
    return [
        d(x, w, zero, None, *plain, *one, (5, 7)),
        d(x, w, zero, many, *plain, ones, ones, ones, 1, (7, 9)),
        d(x, w, zero, many, *ended, ones, ones, ones, 1, (7, 9)),
        d(x, w, zero, None, *ended, (2, 3), (1, 2), (2, 1), 1, (3, 4)),
        d(x, bytes_of(d, (6, 4, 1, 1), "i1"), zero, None, *ended, *one, (7, 9)),
        d(x, w, zero, many, *ended, ones, ones, ones, 1, (7, 9), rows(w, many, 1)),
        d(x, pair, zero, None, *plain, ones, ones, ones, 2, (7, 9), rows(pair, None, 2)),
        d(x, bytes_of(d, (6, 2, 3, 3)), zero, zero, *plain, ones, ones, ones, 2, (7, 9)),
        d(x, bytes_of(d, (4, 1, 3, 3), "i1"), None, None, *plain, (2, 1), ones, ones, 4, (4, 9)),
        d(
            bytes_of(d, (1, 3, 12), "i1"),
            bytes_of(d, (5, 3, 4), "i1"),
            None,
            None,
            floats(d),
            None,
            None,
            tl.i8,
            (1,),
            (0,),
            (2,),
            1,
            (6,),
        ),
    ]


def columns(b, zero):
    return int8_columns(tl.tensor(b), None if zero is None else tl.tensor(zero)).numpy()


def rows(w, zero, groups):
    return int8_rows(tl.tensor(w), None if zero is None else tl.tensor(zero), groups).numpy()


def _size_of(out):
    """Bytes of no meaning: what they are shows in the products that take them."""
    return out.new_full((1,), out.numel(), dtype=tl.i64)


def _case(samples, numpy, output=None):
    return Case(
        samples, output=output, dtypes=("f32",), torch=False, numpy=numpy, gradient=False,
        hypothesis=False, wide=False,
    )  # fmt: skip


PACKED_COLUMNS = [((37, 20), 2 * (512 + 2 * 1024)), ((64, 16), 512 + 2 * 1024)]
PACKED_ROWS = [((6, 40), 2, 2 * (6 * (2 * 64 + 4) + 64)), ((5, 3, 3, 3), 1, 8 * 68 + 64)]

SIZES = {shape: size for shape, _, size in PACKED_ROWS}
CASES = {
    "nn.int8_columns": _case(
        lambda d: [d(bytes_of(d, shape, "i1"), None) for shape, _ in PACKED_COLUMNS],
        lambda b, zero: np.asarray([dict(PACKED_COLUMNS)[b.shape]]),
        _size_of,
    ),
    "nn.int8_rows": _case(
        lambda d: [d(bytes_of(d, shape), None, groups) for shape, groups, _ in PACKED_ROWS],
        lambda w, zero, groups: np.asarray([SIZES[w.shape]]),
        _size_of,
    ),
    "nn.quantize_dynamic": _case(ranges, dynamic),
    "nn.matmul_int8": _case(products, matmul),
    "nn.conv_int8": _case(convolutions, conv),
}
