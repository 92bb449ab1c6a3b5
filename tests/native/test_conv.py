"""The ways a convolution is computed (product, Winograd, depthwise) against each other.

tests/ops compares small convolutions with torch; here are sizes that reach blocks, bands and
shared packing. f64 always takes the plain product, so f32 of the same numbers must agree with it.
"""

import numpy as np
import pytest

import tallow as tl
from tallow.registry import OPS

# (batch, channels, out_channels, kernel, stride, padding, dilation, groups, side)
LARGE = {
    "winograd": (1, 64, 70, (3, 3), (1, 1), (1, 1), (1, 1), 1, (57, 30)),
    "winograd batch": (3, 32, 24, (3, 3), (1, 1), (0, 2), (1, 1), 1, (9, 7)),
    "winograd groups": (2, 60, 50, (3, 3), (1, 1), (1, 1), (1, 1), 2, (12, 12)),
    "few pixels": (1, 160, 130, (3, 3), (1, 1), (1, 1), (1, 1), 1, (5, 6)),
    "one pixel": (3, 100, 70, (1, 1), (1, 1), (0, 0), (1, 1), 1, (1, 1)),
    "many rows": (1, 40, 300, (1, 1), (1, 1), (0, 0), (1, 1), 1, (11, 13)),
    "stride": (2, 24, 40, (3, 3), (2, 2), (1, 1), (1, 1), 1, (29, 31)),
    "skipped rows": (2, 24, 40, (1, 1), (3, 2), (0, 0), (1, 1), 1, (20, 21)),
    "wide kernel": (1, 3, 16, (7, 7), (2, 2), (3, 3), (1, 1), 1, (60, 61)),
    "dilated": (1, 20, 20, (3, 3), (2, 3), (4, 4), (3, 2), 1, (30, 30)),
    "phases": (2, 13, 24, (2, 2), (2, 2), (0, 0), (1, 1), 1, (30, 46)),
    "phases of one channel": (1, 1, 24, (2, 2), (2, 2), (0, 0), (1, 1), 1, (31, 33)),
    "phases and taps": (2, 26, 40, (4, 4), (2, 2), (1, 1), (1, 1), 2, (33, 50)),
    "phases of unlike taps": (1, 14, 18, (5, 3), (3, 2), (2, 1), (1, 1), 1, (32, 41)),
    "phases of a line": (2, 20, 16, (1, 16), (1, 8), (0, 4), (1, 1), 1, (1, 311)),
    "phases of a long line": (1, 9, 8, (1, 7), (1, 3), (0, 0), (1, 1), 1, (1, 2003)),
    "phases of rows": (1, 10, 12, (6, 1), (2, 1), (7, 0), (1, 1), 1, (28, 30)),
    "phases far inside": (1, 6, 8, (4, 5), (4, 4), (9, 6), (1, 1), 1, (21, 26)),
    "depthwise": (2, 12, 12, (3, 3), (1, 1), (1, 1), (1, 1), 12, (150, 140)),
    "depthwise stride": (2, 12, 24, (5, 3), (2, 2), (2, 1), (1, 1), 12, (33, 150)),
    "depthwise halves": (2, 12, 12, (3, 3), (2, 2), (1, 1), (1, 1), 12, (31, 29)),
    "depthwise small halves": (1, 50, 50, (5, 5), (2, 2), (2, 2), (1, 1), 50, (14, 14)),
    "depthwise bare halves": (2, 12, 12, (4, 4), (1, 2), (0, 0), (1, 1), 12, (70, 301)),
    "depthwise five": (2, 12, 12, (5, 5), (1, 1), (2, 2), (1, 1), 12, (150, 140)),
    "depthwise seven": (2, 12, 24, (7, 7), (1, 1), (3, 1), (1, 1), 12, (29, 23)),
    "depthwise narrow": (3, 7, 7, (7, 7), (1, 1), (3, 3), (1, 1), 7, (7, 7)),
    "depthwise dilated": (2, 12, 12, (3, 3), (3, 2), (1, 1), (2, 3), 12, (40, 41)),
}


def close(got, wanted, dtype):
    scale = np.abs(wanted).max()
    limit = {"f32": 2e-6, "f16": 1e-3, "bf16": 8e-3}[dtype]
    assert np.abs(got.to("f64").numpy() - wanted).max() <= limit * scale


def problem(name, seed=0):
    batch, channels, out_channels, kernel, stride, padding, dilation, groups, side = LARGE[name]
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((batch, channels, *side))
    w = rng.standard_normal((out_channels, channels // groups, *kernel))
    params = (stride, padding, dilation, groups)
    size = [
        (i + 2 * p - d * (k - 1) - 1) // s + 1
        for i, p, d, k, s in zip(side, padding, dilation, kernel, stride, strict=True)
    ]
    g = rng.standard_normal((batch, out_channels, *size))
    return x, w, g, params, (tuple(size), side, kernel)


def three(x, w, g, params, sizes, dtype):
    """The convolution and both its gradients."""
    x, w, g = (tl.from_numpy(a).to("f32").to(dtype) for a in (x, w, g))
    return (
        OPS["nn.convolution"](x, w, None, *params, sizes[0]),
        OPS["nn.convolution_input_grad"](g, w, None, *params, sizes[1]),
        OPS["nn.convolution_weight_grad"](g, x, *params, sizes[2]),
    )


@pytest.mark.parametrize("dtype", ["f32", "f16", "bf16"])
@pytest.mark.parametrize("name", LARGE)
def test_ways_agree_with_f64(name, dtype):
    x, w, g, params, sizes = problem(name)
    x, w, g = (tl.from_numpy(a).to(dtype).to("f64").numpy() for a in (x, w, g))
    for got, wanted in zip(
        three(x, w, g, params, sizes, dtype), three(x, w, g, params, sizes, "f64"), strict=True
    ):
        close(got, wanted.numpy(), dtype)


@pytest.mark.parametrize(
    "name",
    ["winograd", "few pixels", "stride", "phases and taps", "depthwise stride", "depthwise seven"],
)
def test_results_do_not_depend_on_the_threads(name):
    given = problem(name)
    before = tl.num_threads()
    try:
        tl.set_num_threads(1)
        alone = three(*given, "f32")
        tl.set_num_threads(3)
        together = three(*given, "f32")
    finally:
        tl.set_num_threads(before)
    for a, b in zip(alone, together, strict=True):
        assert a.numpy().tobytes() == b.numpy().tobytes()


def test_f64_agrees_with_numpy():
    x, w, _, _, _ = problem("wide kernel")
    padded = np.pad(x, ((0, 0), (0, 0), (3, 3), (3, 3)))
    patches = np.lib.stride_tricks.sliding_window_view(padded, (7, 7), (2, 3))[:, :, ::2, ::2]
    wanted = np.einsum("ncyxij,rcij->nryx", patches, w)
    got = tl.conv2d(tl.from_numpy(x), tl.from_numpy(w), None, 2, 3).numpy()
    assert np.abs(got - wanted).max() < 1e-12 * np.abs(wanted).max()


@pytest.mark.parametrize("name", ["plane_gather", "plane_scatter"])
@pytest.mark.parametrize("bad", [-1, 6, 2**40])
def test_positions_outside_are_refused(name, bad):
    at = tl.tensor([[[0, bad, 2]]])
    gather = name == "plane_gather"
    args = (tl.zeros(1, 1, 6), at) if gather else (tl.zeros(1, 1, 3), at, 6, True)
    with pytest.raises(tl.errors.TallowError, match="outside"):
        OPS[f"nn.{name}"](*args)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda x, w: tl.conv2d(x, w, groups=2), "channels"),
        (lambda x, w: tl.conv2d(x, w, stride=0), "stride"),
        (lambda x, w: tl.conv2d(x, w, padding="some"), "padding"),
        (lambda x, w: tl.conv2d(x, w, padding="same", stride=2), "stride of 1"),
        (lambda x, w: tl.conv2d(x, w, dilation=9), "as large as the kernel"),
        (lambda x, w: tl.conv2d(x, w, tl.zeros(5)), "bias"),
        (lambda x, w: tl.conv2d(x, w.to("f64")), "dtype"),
        (lambda x, w: tl.conv1d(x, w), "shape"),
        (lambda x, w: tl.conv_transpose2d(x, w, output_padding=1), "output_padding"),
        (lambda x, w: tl.max_pool2d(x, 2, padding=2), "half the kernel"),
        (lambda x, w: tl.avg_pool2d(x, 9), "as large as the kernel"),
        (lambda x, w: tl.interpolate(x, 4, mode="linear"), "mode"),
        (lambda x, w: tl.interpolate(x, scale_factor=0.01), "at least one element"),
        (lambda x, w: tl.pixel_shuffle(x, 3), "channels"),
    ],
)
def test_refusals(make, text):
    with pytest.raises(tl.errors.TallowError, match=text):
        make(tl.zeros(2, 4, 6, 6), tl.zeros(4, 4, 3, 3))
