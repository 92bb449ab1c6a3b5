"""Zeros around an image as the padding of the convolution that reads it."""

import pytest

import tallow as tl
from plan.rewriting import calls, draw

PADS = ["pads"]


def check(fn, *examples, rewrites=PADS):
    """The kernels of the rewritten plan, which gives what the function gives on other inputs."""
    plan = tl.capture(fn, *[x.clone() for x in examples], rewrites=rewrites)
    tolerance = 1e-6 if rewrites == PADS else 2e-5  # by Winograd's way
    for seed in (0.3, 1.1):
        given = [draw(*x.shape, seed=seed) for x in examples]
        wanted = fn(*[x.clone() for x in given])
        got = plan(*given)
        assert got.shape == wanted.shape
        assert (got - wanted).abs().max().item() <= tolerance * wanted.abs().max().item()
    return calls(plan)


@pytest.mark.parametrize("rewrites", [PADS, True], ids=["alone", "all"])
@pytest.mark.parametrize("frame", [(0, 1, 0, 1), (1, 2, 2, 0), (0, 5, 7, 0), (3, 0)], ids=str)
@pytest.mark.parametrize("groups", [1, 2, 32])
@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (3, 1), (3, 2), (5, 2), (7, 4)])
def test_a_frame_of_zeros(frame, groups, kernel, stride, rewrites):
    weight = draw(32, 32 // groups, kernel, kernel)

    def fn(t):
        framed = tl.pad(t, frame)
        return tl.conv2d(framed, weight, stride=stride, padding=kernel // 2, groups=groups).relu()

    assert "pad" not in check(fn, draw(2, 32, 13, 11), rewrites=rewrites)


def test_other_numbers_of_axes():
    line, cube = draw(4, 3, 5), draw(4, 3, 2, 3, 2)
    assert check(lambda t: tl.conv1d(tl.pad(t, (2, 1)), line), draw(2, 3, 20)) == ["conv"]
    frame = (1, 0, 2, 1, 0, 3)
    assert check(lambda t: tl.conv3d(tl.pad(t, frame), cube), draw(1, 3, 4, 5, 6)) == ["conv"]


STAYING = {
    "another value": lambda t, w: tl.conv2d(tl.pad(t, (0, 1, 0, 1), value=1.0), w),
    "another mode": lambda t, w: tl.conv2d(tl.pad(t, (1, 1, 1, 1), mode="reflect"), w),
    "cut off before": lambda t, w: tl.conv2d(tl.pad(t, (-1, 1, 0, 0)), w),
    "cut off behind": lambda t, w: tl.conv2d(tl.pad(t, (1, -1, 0, 0)), w),
    "channels": lambda t, w: tl.conv2d(tl.pad(t[:, :2], (0, 0, 0, 0, 0, 1)), w),
    "samples": lambda t, w: tl.conv2d(tl.pad(t, (0, 0, 0, 0, 0, 0, 1, 0)), w),
    "as a weight": lambda t, w: tl.conv2d(t, tl.pad(t[:, :, :2, :2], (0, 1, 0, 1))),
}


@pytest.mark.parametrize("fn", STAYING.values(), ids=STAYING)
def test_what_is_no_padding_stays(fn):
    weight = draw(4, 3, 3, 3)
    made = check(lambda t: fn(t, weight), draw(2, 3, 8, 9))
    assert [name for name in made if name != "copy"] == ["pad", "conv"]


def test_what_others_read_stays():
    weight = draw(3, 3, 1, 1)

    def fn(t):
        framed = tl.pad(t, (0, 1, 0, 1))
        return tl.conv2d(framed, weight) + framed

    assert check(fn, draw(2, 3, 8, 9)) == ["pad", "conv", "add"]


def test_what_is_written_before_the_convolution_stays():
    weight = draw(3, 3, 1, 1)

    def fn(t):
        x = t * 2
        framed = tl.pad(x, (0, 1, 0, 1))
        x.add_(1)
        return tl.conv2d(framed, weight) + x.sum()

    assert "pad" in check(fn, draw(2, 3, 8, 9))
