"""Convolutions whose result lies channels-last, beside sums in float64 and `conv_act`."""

import math
from dataclasses import dataclass

import numpy as np
import pytest

import tallow as tl
from tallow.errors import TallowError

ACTS = {
    1: lambda x: x * (1 + np.vectorize(math.erf, otypes=[float])(x / math.sqrt(2))) / 2,
    2: lambda x: x / (1 + np.exp(-2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    3: lambda x: x / (1 + np.exp(-1.702 * x)),
    4: lambda x: np.maximum(x, 0),
    5: lambda x: x / (1 + np.exp(-x)),
    6: lambda x: np.clip(x, 0, 6),
    7: lambda x: x * np.clip(x + 3, 0, 6) / 6,
    8: lambda x: np.clip(x + 3, 0, 6) / 6,
    9: lambda x: 1 / (1 + np.exp(-x)),
}


@dataclass(frozen=True)
class Form:
    """Sizes of one convolution; pairs are (y, x)."""

    x: tuple[int, int, int, int]
    filters: int
    kernel: tuple[int, int] = (3, 3)
    stride: tuple[int, int] = (1, 1)
    offset: tuple[int, int] = (-1, -1)
    dilation: tuple[int, int] = (1, 1)
    out: tuple[int, int] | None = None  # else by a padding of -offset on both sides

    @property
    def size(self):
        if self.out is not None:
            return self.out
        return tuple(
            max(0, (n - 2 * o - d * (k - 1) - 1) // s + 1)
            for n, k, s, o, d in zip(
                self.x[2:], self.kernel, self.stride, self.offset, self.dilation, strict=True
            )
        )

    @property
    def numbers(self):
        return (*self.stride, *self.offset, *self.dilation)


CASES = {
    "three channels by two": Form((1, 3, 33, 47), 16, stride=(2, 2)),
    "both taps of both axes": Form((2, 24, 9, 14), 12, (2, 2), offset=(0, 0)),
    "odd eights": Form((1, 12, 11, 13), 24),
    "five eights": Form((1, 8, 10, 10), 40),
    "a rest of four": Form((1, 7, 12, 9), 36, stride=(2, 1)),
    "one channel of each": Form((1, 1, 6, 5), 1),
    "three of seventeen": Form((2, 5, 7, 7), 17, stride=(1, 3)),
    "eight": Form((1, 16, 9, 21), 8),
    "a rest of one behind eights": Form((1, 6, 9, 9), 9, (1, 5), offset=(0, -2)),
    "parts of the depth": Form((1, 96, 8, 9), 48, stride=(2, 2)),
    "parts that divide a tap": Form((2, 70, 3, 4), 25, (3, 4), offset=(-1, -2)),
    "many filters of few pixels": Form((1, 32, 7, 7), 200),
    "dilated by four": Form((1, 32, 15, 15), 32, offset=(-4, -4), dilation=(4, 4)),
    "one tap": Form((1, 30, 13, 11), 18, (1, 1), offset=(0, 0)),
    "one tap by two": Form((2, 20, 13, 11), 33, (1, 1), (2, 2), (0, 0)),
    "one pixel": Form((3, 50, 1, 1), 10),
    "one output": Form((2, 9, 5, 6), 30, (5, 6), offset=(0, 0)),
    "a kernel beyond the image": Form((1, 4, 3, 3), 20, (7, 5), offset=(-3, -2)),
    "nothing of the image": Form((1, 4, 3, 3), 20, offset=(-9, 40), out=(3, 4)),
    "an offset into the image": Form((1, 4, 9, 9), 5, offset=(2, 3), out=(6, 8)),
    "past its end": Form((1, 4, 6, 6), 5, stride=(2, 2), offset=(0, 0), out=(5, 4)),
    "many strips": Form((1, 8, 60, 70), 16),
    "an image that comes from memory": Form((1, 192, 110, 100), 20, (1, 1), offset=(0, 0)),
    "images in a strip": Form((9, 8, 4, 5), 16),
    "no image": Form((0, 8, 4, 5), 16),
    "no channel": Form((2, 0, 4, 5), 16),
    "no filter": Form((2, 3, 4, 5), 0),
    "no row": Form((2, 3, 0, 5), 6, offset=(-1, -1), out=(2, 5)),
    "no output": Form((2, 3, 4, 5), 6, out=(0, 5)),
}


def last(shape, fill=np.nan):
    """An array of (N, C, H, W) in the order of (N, H, W, C)."""
    n, c, h, w = shape
    return np.full((n, h, w, c), fill, np.float32).transpose(0, 3, 1, 2)


def drawn(form, seed=0):
    rng = np.random.default_rng(seed)
    depth = form.x[1] * math.prod(form.kernel)
    x = rng.standard_normal(form.x, np.float32)
    w = rng.standard_normal((form.filters, form.x[1], *form.kernel), np.float32)
    b = rng.standard_normal(form.filters, np.float32)
    residual = last((form.x[0], form.filters, *form.size))
    residual[...] = rng.standard_normal(residual.shape, np.float32)
    return x, w / np.float32(math.sqrt(max(depth, 1))), b, residual


def exact(form, x, w, b=None, residual=None, act=0):
    """Tap by tap, in float64."""
    out = np.zeros((form.x[0], form.filters, *form.size))
    rows, columns = (np.arange(n) for n in form.size)
    for ty, tx in np.ndindex(*form.kernel):
        y = rows * form.stride[0] + form.offset[0] + ty * form.dilation[0]
        at = columns * form.stride[1] + form.offset[1] + tx * form.dilation[1]
        in_y, in_x = (y >= 0) & (y < form.x[2]), (at >= 0) & (at < form.x[3])
        if in_y.any() and in_x.any():
            seen = x[:, :, y[in_y]][:, :, :, at[in_x]].astype(float)
            out[:, :, np.ix_(in_y, in_x)[0], np.ix_(in_y, in_x)[1]] += np.einsum(
                "nchw,mc->nmhw", seen, w[:, :, ty, tx].astype(float)
            )
    if b is not None:
        out += b[:, None, None]
    if residual is not None:
        out += residual
    return ACTS[act](out) if act else out


def packed(call, w):
    filters, channels, high, wide = w.shape
    made = np.full((-(-filters // 16), channels * high * wide, 16), np.nan, np.float32)
    call("conv_last_weight", made, w)
    return made


def computed(call, form, x, w, b=None, residual=None, act=0):
    out = last((form.x[0], form.filters, *form.size))
    weight = packed(call, w)
    call("conv_last", out, x, weight, b, residual, act, *form.numbers, *form.kernel)
    return out


def orders(x):
    """The same numbers in other orders of memory."""
    yield x
    yield np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    yield np.ascontiguousarray(x[..., ::-1, ::-1])[..., ::-1, ::-1]
    wide = np.repeat(np.repeat(x, 2, 1), 3, 3)
    yield wide[:, ::2, :, ::3]


@pytest.mark.parametrize("case", CASES)
def test_as_in_f64(call, case):
    form = CASES[case]
    x, w, b, residual = drawn(form)
    wanted = exact(form, x, w, b, residual, 4)
    plain = exact(form, x, w)
    first = None
    for view in orders(x):
        got = computed(call, form, view, w, b, residual, 4)
        np.testing.assert_allclose(got, wanted, rtol=0, atol=2e-5)
        np.testing.assert_allclose(computed(call, form, view, w), plain, rtol=0, atol=2e-5)
        first = got if first is None else first
        assert got.tobytes() == first.tobytes()


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("case", ["odd eights", "a rest of four", "many filters of few pixels"])
def test_activations_come_last(call, case, act):
    form = CASES[case]
    x, w, b, residual = drawn(form)
    for given in (residual, None):
        got = computed(call, form, 4 * x, w, b, given, act)
        np.testing.assert_allclose(got, exact(form, 4 * x, w, b, given, act), rtol=0, atol=1e-4)


@pytest.mark.parametrize("case", ["odd eights", "parts of the depth", "three channels by two"])
def test_as_conv_act(call, case):
    form = CASES[case]
    x, w, b, residual = drawn(form)
    shape = (form.x[0], form.filters, *form.size)
    wanted = np.empty(shape, np.float32)
    sy, sx, oy, ox, dy, dx = form.numbers
    numbers = (1, sy, sx, 0, oy, ox, 1, dy, dx, 1)
    call("conv_act", wanted, x, w, b, np.ascontiguousarray(residual), 7, *numbers)
    got = computed(call, form, x, w, b, residual, 7)
    np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-5)


def test_every_number_of_filters(call):
    for filters in range(1, 60):
        form = Form((1, 5, 6, 7), filters)
        x, w, b, residual = drawn(form, filters)
        got = computed(call, form, x, w, b, residual, 6)
        wanted = exact(form, x, w, b, residual, 6)
        np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-5)


def test_expanded_operands(call):
    form = Form((2, 6, 9, 8), 20)
    x, w, _, _ = drawn(form)
    x = np.broadcast_to(x[:1, :, :1], form.x)
    w = np.broadcast_to(w[:, :1], w.shape)
    np.testing.assert_allclose(computed(call, form, x, w), exact(form, x, w), rtol=0, atol=2e-5)


def test_weights_of_any_strides_pack_alike(call):
    for shape in [(24, 5, 3, 2), (16, 1, 1, 1), (3, 40, 1, 5), (0, 4, 3, 3), (5, 0, 3, 3)]:
        w = np.random.default_rng(0).standard_normal(shape, np.float32)
        made = packed(call, w)
        # (panel, (ky, kx, c), filter of the panel), zero where there is none
        rows = np.zeros((made.shape[0] * 16, made.shape[1]), np.float32)
        rows[: shape[0]] = w.transpose(0, 2, 3, 1).reshape(shape[0], made.shape[1])
        wanted = rows.reshape(made.shape[0], 16, made.shape[1]).transpose(0, 2, 1)
        np.testing.assert_array_equal(made, wanted)
        for view in orders(w):
            assert packed(call, view).tobytes() == made.tobytes()


@pytest.mark.parametrize(
    "case", ["many strips", "many filters of few pixels", "parts of the depth", "images in a strip"]
)
def test_each_number_of_threads_gives_the_same_bits(call, case):
    form = CASES[case]
    x, w, b, residual = drawn(form)
    before, made = tl.num_threads(), set()
    try:
        for threads in (1, 2, 3, 7):
            tl.set_num_threads(threads)
            made.add(computed(call, form, x, w, b, residual, 9).tobytes())
    finally:
        tl.set_num_threads(before)
    assert len(made) == 1


def test_an_image_does_not_depend_on_those_beside_it(call):
    form = CASES["images in a strip"]
    x, w, b, residual = drawn(form)
    together = computed(call, form, x, w, b, residual, 4)
    for i in range(form.x[0]):
        one = Form((1, *form.x[1:]), form.filters)
        alone = computed(call, one, x[i : i + 1], w, b, residual[i : i + 1], 4)
        assert alone.tobytes() == together[i : i + 1].tobytes()


def test_nan_stays(call):
    form = Form((1, 4, 5, 5), 9, (1, 1), offset=(0, 0))
    x, w, _, _ = drawn(form)
    x[0, 0, 2, 3] = np.nan
    for act in (0, 4, 6, 7):
        got = computed(call, form, x, w, act=act)
        assert np.isnan(got[0, :, 2, 3]).all()
        assert np.isnan(got).sum() == 9


def valid(**changes):
    """The arguments of a call, some of them others."""
    form = Form((1, 4, 6, 5), 20)
    x, _, bias, residual = drawn(form)
    made = {"out": last((1, 20, 6, 5)), "x": x, "weight": np.zeros((2, 36, 16), np.float32)}
    made |= {"bias": bias, "residual": residual, "act": 0}
    made |= dict(
        zip(["sy", "sx", "oy", "ox", "dy", "dx", "kh", "kw"], (*form.numbers, 3, 3), strict=True)
    )
    assert changes.keys() <= made.keys()
    return [*(made | changes).values()]


WRONG = [
    ("channels-last", {"out": np.zeros((1, 20, 6, 5), np.float32)}),
    ("channels-last", {"out": last((1, 21, 6, 5))[:, :20]}),
    ("lies as", {"residual": np.zeros((1, 20, 6, 5), np.float32)}),
    ("lies as", {"residual": last((1, 20, 6, 4))}),
    ("lies as", {"residual": last((1, 20, 6, 5)).astype(float)}),
    *(
        ("conv_last_weight gave", {"weight": np.zeros(shape, np.float32)})
        for shape in [(1, 36, 16), (3, 36, 16), (2, 35, 16), (2, 36, 15), (2, 576)]
    ),
    ("conv_last_weight gave", {"weight": np.zeros((2, 36, 32), np.float32)[..., ::2]}),
    ("conv_last_weight gave", {"weight": np.zeros((2, 36, 16))}),
    ("conv_last_weight gave", {"kh": 4}),
    ("conv_last_weight gave", {"kh": 2**32, "kw": 2**32}),
    ("kernel", {"kh": 0}),
    ("kernel", {"kw": -3}),
    ("kernel", {"kw": 2**62, "dx": 4}),
    ("bias", {"bias": np.zeros(19, np.float32)}),
    ("bias", {"bias": np.zeros(40, np.float32)[::2]}),
    ("bias", {"bias": np.zeros(20)}),
    ("activation", {"act": 10}),
    ("activation", {"act": -1}),
    ("positive", {"sy": 0}),
    ("positive", {"dx": -1}),
    ("2\\^40", {"sx": 2**41}),
    ("2\\^40", {"oy": -(2**63)}),
    ("shapes", {"x": np.zeros((2, 4, 6, 5), np.float32)}),
    ("4 axes", {"x": np.zeros((4, 6, 5), np.float32)}),
    ("f32", {"x": np.zeros((1, 4, 6, 5))}),
]


@pytest.mark.parametrize(("text", "changes"), WRONG)
def test_refusals(call, text, changes):
    call("conv_last", *valid())
    with pytest.raises(TallowError, match=text):
        call("conv_last", *valid(**changes))


def test_a_result_on_memory_that_is_read_is_refused(call):
    flat = np.zeros(2 * 36 * 16, np.float32)
    out = flat[:600].reshape(1, 6, 5, 20).transpose(0, 3, 1, 2)
    shared = {
        "x": out[:, :4],
        "residual": out,
        "bias": out[0, :, 0, 0],
        "weight": flat.reshape(2, 36, 16),
    }
    for name, array in shared.items():
        with pytest.raises(TallowError, match="of its own"):
            call("conv_last", *valid(**{"out": out, name: array}))


@pytest.mark.parametrize(
    ("out", "w"),
    [
        ((2, 36, 16), (33, 4, 3, 3)),
        ((2, 36, 15), (20, 4, 3, 3)),
        ((2, 35, 16), (20, 4, 3, 3)),
        ((2, 36, 16), (20, 36)),
        ((72, 16), (20, 4, 3, 3)),
    ],
)
def test_packing_refuses_other_shapes(call, out, w):
    with pytest.raises(TallowError, match="conv_last_weight: expected"):
        call("conv_last_weight", np.zeros(out, np.float32), np.zeros(w, np.float32))
