"""Convolutions whose patches are packed by way of planes, beside those in f64, which are not."""

import numpy as np
import pytest

import tallow as tl
import tallow.nn.functional as F

# images, channels, height, width; filters, kernel; stride, padding, dilation, groups
CASES = {
    "rows of whole panels": ((1, 3, 21, 64), (13, 7, 7), 2, 3, 1, 1),
    "panels over several rows": ((1, 20, 28, 28), (50, 3, 3), 2, 1, 1, 1),
    "a last panel of one vector": ((1, 5, 14, 14), (7, 3, 3), 2, 1, 1, 1),
    "small images in one line": ((5, 6, 14, 14), (64, 3, 3), 2, 1, 1, 1),
    "rows and columns apart": ((2, 4, 15, 40), (6, 1, 5), (3, 2), (1, 0), 1, 1),
    "a dilation": ((3, 4, 20, 20), (5, 3, 3), (2, 1), (3, 2), (2, 3), 1),
    "groups": ((2, 12, 17, 17), (8, 3, 3), 2, 1, 1, 4),
    "many channels": ((2, 70, 9, 9), (3, 3, 3), 2, 0, 1, 1),
    "patches": ((2, 3, 32, 32), (10, 16, 16), 16, 0, 1, 1),
    "more padding than image": ((1, 2, 3, 3), (4, 2, 2), 2, 5, 1, 1),
    "an upright line": ((2, 40, 70, 1), (9, 5, 1), 1, 0, 1, 1),
    "an upright line with borders": ((3, 24, 33, 1), (8, 4, 1), (2, 1), (3, 0), (2, 1), 2),
    "one row": ((4, 3, 1, 50), (9, 1, 4), 2, 1, 1, 1),
}


def _views(x):
    """The same numbers in other orders of memory."""
    yield tl.from_numpy(x)
    yield tl.from_numpy(np.ascontiguousarray(x.transpose(0, 2, 3, 1))).permute(0, 3, 1, 2)
    yield tl.from_numpy(np.repeat(x, 2, -1))[..., ::2]
    yield tl.from_numpy(np.ascontiguousarray(x[..., ::-1])).flip(-1)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_as_in_f64(case, bias):
    shape, (filters, *kernel), stride, padding, dilation, groups = CASES[case]
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape)
    w = rng.standard_normal((filters, shape[1] // groups, *kernel)) / np.sqrt(np.prod(kernel))
    b = rng.standard_normal(filters) if bias else None
    rest = stride, padding, dilation, groups
    exact = F.conv2d(*(None if a is None else tl.from_numpy(a) for a in (x, w, b)), *rest).numpy()
    w, b = (None if a is None else tl.from_numpy(a.astype("f")) for a in (w, b))
    for view in _views(x.astype("f")):
        np.testing.assert_allclose(F.conv2d(view, w, b, *rest).numpy(), exact, rtol=0, atol=3e-5)


def test_a_line_along_any_axis_is_the_same():
    rng = np.random.default_rng(2)
    x, w = (tl.from_numpy(rng.standard_normal(s).astype("f")) for s in [(2, 8, 40), (5, 8, 3)])
    wanted = F.conv1d(x, w, None, 2, 1, 2).numpy()
    for axis in range(3):
        shape = [1, 1, 1]
        shape[axis] = -1
        given = [[1, 1, 1], [0, 0, 0], [1, 1, 1]]  # stride, padding, dilation
        for number, values in zip((2, 1, 2), given, strict=True):
            values[axis] = number
        found = F.conv3d(x.reshape(2, 8, *shape), w.reshape(5, 8, *shape), None, *given)
        np.testing.assert_array_equal(found.numpy().reshape(wanted.shape), wanted)


@pytest.mark.parametrize("images", [1, 3])
def test_act_and_residual_of_a_compiled_convolution(images):
    rng = np.random.default_rng(1)
    x, w, y = (
        tl.from_numpy(rng.standard_normal(shape).astype("f"))
        for shape in [(images, 8, 15, 15), (10, 8, 3, 3), (images, 10, 8, 8)]
    )

    def run(x, y):
        return F.silu(F.conv2d(x, w, None, 2, 1)), (F.conv2d(x, w, None, 2, 1) + y).relu()

    with tl.no_grad():
        wanted = run(x, y)
        compiled = tl.compile(run)
        for _ in range(3):
            for got, exact in zip(compiled(x, y), wanted, strict=True):
                np.testing.assert_allclose(got.numpy(), exact.numpy(), rtol=1e-5, atol=1e-5)
