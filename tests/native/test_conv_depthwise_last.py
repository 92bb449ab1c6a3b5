"""Depthwise convolutions of images whose channels lie next to each other, beside `conv_act`."""

import numpy as np
import pytest

import tallow as tl
from tallow import _native
from tallow.errors import TallowError

# images, channels, height, width; kernel; strides; paddings; dilations
CASES = {
    "three": ((1, 40, 14, 14), (3, 3), (1, 1), (1, 1), (1, 1)),
    "three, halved": ((2, 32, 13, 15), (3, 3), (2, 2), (1, 1), (1, 1)),
    "five": ((1, 24, 7, 7), (5, 5), (1, 1), (2, 2), (1, 1)),
    "five, halved": ((2, 16, 9, 11), (5, 5), (2, 2), (2, 2), (1, 1)),
    "seven": ((1, 17, 8, 30), (7, 7), (1, 1), (3, 3), (1, 1)),
    "seven, halved": ((1, 8, 15, 16), (7, 7), (2, 2), (3, 3), (1, 1)),
    "one axis halved": ((1, 48, 6, 33), (3, 3), (2, 1), (1, 1), (1, 1)),
    "the other halved": ((1, 48, 6, 33), (3, 3), (1, 2), (1, 1), (1, 1)),
    "a stride of three": ((1, 12, 11, 16), (3, 3), (3, 3), (0, 2), (1, 1)),
    "dilations": ((2, 20, 12, 13), (3, 5), (1, 2), (2, 4), (2, 3)),
    "even kernels": ((1, 36, 9, 10), (2, 4), (1, 1), (1, 2), (1, 1)),
    "one pixel": ((3, 64, 1, 1), (3, 3), (1, 1), (1, 1), (1, 1)),
    "kernels beyond the image": ((1, 16, 2, 3), (7, 7), (1, 1), (5, 6), (1, 1)),
    "pixels that see nothing": ((1, 16, 3, 3), (3, 3), (1, 1), (6, 5), (1, 1)),
    "few channels": ((2, 3, 9, 8), (3, 3), (1, 1), (1, 1), (1, 1)),
    "one channel": ((2, 1, 9, 8), (5, 5), (1, 1), (2, 2), (1, 1)),
    "blocks of channels": ((1, 1001, 10, 9), (3, 3), (1, 1), (1, 1), (1, 1)),
    "bands of rows": ((2, 9, 70, 150), (3, 3), (1, 1), (1, 1), (1, 1)),
    "no image": ((0, 16, 5, 5), (3, 3), (1, 1), (1, 1), (1, 1)),
    "an empty image": ((2, 16, 0, 5), (3, 3), (1, 1), (2, 2), (1, 1)),
    "a far dilation": ((1, 16, 4, 5), (3, 3), (1, 1), (2**20, 2**20), (2**20, 2**20)),
}


def last(x):
    """The same numbers in other memory: channels next to each other."""
    return tl.from_numpy(np.ascontiguousarray(x.transpose(0, 2, 3, 1))).permute(0, 3, 1, 2)


def drawn(case, bias, residual):
    """The arrays of a problem: x, weight, bias, residual; and the shape of the result."""
    (n, c, *size), kernel, strides, paddings, dilations = CASES[case]
    axes = zip(size, kernel, strides, paddings, dilations, strict=True)
    result = [max(0, (i + 2 * p - d * (k - 1) - 1) // s + 1) for i, k, s, p, d in axes]
    rng = np.random.default_rng(len(case))
    draw = lambda *shape: rng.standard_normal(shape).astype("f")  # noqa: E731
    x, weight = draw(n, c, *size), draw(c, 1, *kernel)
    shape = n, c, *result
    return x, weight, draw(c) if bias else None, draw(*shape) if residual else None, shape


def by_conv_act(case, arrays, act):
    _, _, strides, paddings, dilations = CASES[case]
    x, weight, bias, residual, shape = arrays
    given = [None if a is None else tl.from_numpy(a) for a in (x, weight, bias, residual)]
    out = tl.zeros(*shape)
    numbers = [*strides, 0, *(-p for p in paddings), 1, *dilations, shape[1]]
    _native.call(
        "conv_act", out._array, *(a if a is None else a._array for a in given), act, 1, *numbers
    )
    return out.numpy()


def run(case, arrays, act, **changed):
    """The kernel on the arrays, of which some may be changed."""
    _, kernel, strides, paddings, dilations = CASES[case]
    x, weight, bias, residual, shape = arrays
    given = {
        "out": last(np.full(shape, np.nan, "f")),
        "x": last(x),
        "weight": tl.from_numpy(
            np.ascontiguousarray(weight.reshape(len(weight), kernel[0] * kernel[1]).T)
        ),
        "bias": None if bias is None else tl.from_numpy(bias),
        "residual": None if residual is None else last(residual),
    }
    given |= {name: value for name, value in changed.items() if name in given}
    numbers = dict(zip(("sy", "sx", "oy", "ox", "dy", "dx", "kh", "kw"), 8 * [0], strict=True))
    numbers |= {"sy": strides[0], "sx": strides[1], "oy": -paddings[0], "ox": -paddings[1]}
    numbers |= {"dy": dilations[0], "dx": dilations[1], "kh": kernel[0], "kw": kernel[1]}
    numbers |= {name: value for name, value in changed.items() if name in numbers}
    _native.call(
        "conv_depthwise_last",
        *(a if a is None else a._array for a in given.values()),
        act,
        *numbers.values(),
    )
    return given["out"].numpy()


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_as_channels_apart(case, bias, residual):
    arrays = drawn(case, bias, residual)
    for act in (0, 4, 7):
        np.testing.assert_allclose(
            run(case, arrays, act), by_conv_act(case, arrays, act), rtol=2e-5, atol=2e-5
        )


@pytest.mark.parametrize("act", range(10))
@pytest.mark.parametrize("case", ["three", "blocks of channels", "few channels"])
def test_every_activation(case, act):
    arrays = drawn(case, bias=True, residual=True)
    wanted = by_conv_act(case, arrays, act)
    np.testing.assert_allclose(run(case, arrays, act), wanted, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("act", [0, 5])
def test_bits_do_not_depend_on_threads(threads, act):
    before = tl.num_threads()
    try:
        for case in ("three", "bands of rows", "blocks of channels"):
            arrays = drawn(case, bias=True, residual=False)
            tl.set_num_threads(2)
            wanted = run(case, arrays, act)
            tl.set_num_threads(threads)
            np.testing.assert_array_equal(run(case, arrays, act), wanted)
    finally:
        tl.set_num_threads(before)


@pytest.mark.parametrize("act", [0, 4, 6])
def test_nan_and_infinity_stay_where_they_are(act):
    x, *rest = drawn("three", bias=True, residual=False)
    x[0, 3, 5, 5], x[0, 4, 0, 0] = np.nan, np.inf
    arrays = (x, *rest)
    wanted = by_conv_act("three", arrays, act)
    assert np.isnan(wanted).any()
    np.testing.assert_allclose(run("three", arrays, act), wanted, rtol=2e-5, atol=2e-5)


def _wrong():
    shape = 1, 40, 14, 14
    apart = tl.zeros(*shape)
    yield {"x": apart}
    yield {"out": apart}
    yield {"residual": apart}
    yield {"residual": last(np.zeros((1, 40, 14, 13), "f"))}
    yield {"x": last(np.zeros((2, 40, 14, 14), "f"))}
    yield {"x": last(np.zeros((1, 41, 14, 14), "f"))}
    yield {"x": last(np.zeros(shape, "d"))}
    yield {"x": last(np.zeros((1, 40, 14, 28), "f"))[..., ::2]}
    yield {"x": last(np.zeros((1, 1, 1, 1), "f")).expand(1, 40, 2**25, 2**25)}
    yield {"weight": tl.zeros(9, 41)}
    yield {"weight": tl.zeros(8, 40)}
    yield {"weight": tl.zeros(40, 9).transpose(0, 1)}
    yield {"weight": tl.zeros(40, 1, 3, 3)}
    yield {"bias": tl.zeros(41)}
    yield {"bias": tl.zeros(80)[::2]}
    yield {"bias": tl.zeros(40, dtype="f64")}
    yield {"act": 10}
    yield {"act": -1}
    for name in ("sy", "sx", "dy", "dx", "kh", "kw"):
        for value in (0, -1, 2**41, -(2**63), 2**63 - 1):
            yield {name: value}
    for name in ("oy", "ox"):
        for value in (2**41, -(2**63), 2**63 - 1):
            yield {name: value}
    yield {"kh": 2**33, "kw": 2**31}
    yield {"kh": 2**32, "kw": 2**32}


@pytest.mark.parametrize("wrong", list(_wrong()), ids=lambda wrong: next(iter(wrong)))
def test_what_does_not_fit_is_refused(wrong):
    arrays = drawn("three", bias=True, residual=True)
    with pytest.raises(TallowError, match="conv_depthwise_last: "):
        run("three", arrays, **{"act": 0, **wrong})


@pytest.mark.parametrize("name", ["x", "residual"])
def test_a_result_on_an_operand_is_refused(name):
    """Results at the ends of rows and of channels are computed twice."""
    arrays = drawn("three", bias=True, residual=True)
    shared = last(np.zeros((1, 40, 14, 14), "f"))
    with pytest.raises(TallowError, match="conv_depthwise_last: .* of its own"):
        run("three", arrays, 0, **{"out": shared, name: shared})


def test_offsets_beyond_the_image_read_nothing():
    arrays = drawn("three", bias=True, residual=False)
    for far in ({"oy": 2**40}, {"ox": -(2**40)}, {"oy": -(2**40), "ox": 2**40}):
        wanted = np.broadcast_to(arrays[2][:, None, None], arrays[-1])
        np.testing.assert_array_equal(run("three", arrays, 0, **far), wanted)
    # With strides and dilations so far apart that only some elements lie inside.
    x = arrays[0]
    found = run("three", arrays, 0, sy=2**40, sx=2**40, dy=2**40, dx=2**40, oy=0, ox=0)
    first = arrays[1][:, 0, 0, 0] * x[0, :, 0, 0] + arrays[2]
    np.testing.assert_allclose(found[0, :, 0, 0], first, rtol=1e-6)
    np.testing.assert_array_equal(
        found[0, :, 1:, 1:], np.broadcast_to(arrays[2][:, None, None], (40, 13, 13))
    )


def test_no_channels():
    arrays = [np.zeros(shape, "f") for shape in ((2, 0, 5, 5), (0, 1, 3, 3), (0,), (2, 0, 5, 5))]
    assert run("three", (*arrays, (2, 0, 5, 5)), 7).shape == (2, 0, 5, 5)
