"""RMS norm, layer norm, softmax against numpy in float64."""

import numpy as np
import pytest

SHAPES = [(1, 576), (3, 5, 33), (7,), (2, 1), (130, 64), (2, 0, 8), (0, 4), (600, 40)]


def wide(x):
    return np.asarray(x, np.float64)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("weighted", ["own", "f32", None], ids=str)
def test_rms_norm(call, dtype, rtol, rng, layouts, shape, weighted):
    x = rng.normal(size=shape).astype(dtype)
    w = (1 + 0.3 * rng.normal(size=shape[-1])).astype(np.float32 if weighted == "f32" else dtype)
    want = wide(x) / np.sqrt((wide(x) ** 2).mean(-1, keepdims=True) + 1e-5)
    if weighted:
        want = want * wide(w)
    for name, view in layouts(x):
        out = np.full_like(x, 9)
        call("rms_norm", out, view, w if weighted else None, 1e-5)
        np.testing.assert_allclose(wide(out), want, rtol=2 * rtol, atol=1e-7, err_msg=name)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_layer_norm(call, dtype, rtol, rng, layouts, shape, bias):
    x = (3 + rng.normal(size=shape)).astype(dtype)
    w, b = ((1 + 0.3 * rng.normal(size=shape[-1])).astype(dtype) for _ in range(2))
    h = wide(x) - wide(x).mean(-1, keepdims=True)
    want = h / np.sqrt((h**2).mean(-1, keepdims=True) + 1e-5) * wide(w) + (wide(b) if bias else 0)
    for name, view in layouts(x):
        out = np.full_like(x, 9)
        call("layer_norm", out, view, w, b if bias else None, 1e-5)
        np.testing.assert_allclose(wide(out), want, rtol=2 * rtol, atol=8 * rtol, err_msg=name)


def test_norm_refuses_weights_of_another_length(call):
    x = np.ones((2, 8), np.float32)
    with pytest.raises(Exception, match=r"expected weights of shape \(8,\)"):
        call("rms_norm", x.copy(), x, np.ones(4, np.float32), 1e-5)


@pytest.mark.parametrize("log", [0, 1])
@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((5,), 0),
        ((3, 33), 1),
        ((3, 33), 0),
        ((4, 6, 5), -2),
        ((2, 0), 1),
        ((0, 3), 1),
        ((), 0),
        ((300, 70), 1),
    ],
    ids=str,
)
def test_softmax(call, dtype, rtol, rng, layouts, shape, axis, log):
    x = np.asarray(4 * rng.normal(size=shape)).astype(dtype)
    if x.size:
        h = wide(x) - wide(x).max(axis if shape else None, keepdims=bool(shape))
        total = np.exp(h).sum(axis if shape else None, keepdims=bool(shape))
        want = h - np.log(total) if log else np.exp(h) / total
    else:
        want = wide(x)
    for name, view in layouts(x):
        out = np.full_like(x, 9)
        call("softmax", out, view, axis, log)
        np.testing.assert_allclose(
            wide(out), want, rtol=2 * rtol, atol=4e-7 if log else 1e-7, err_msg=name
        )


def test_softmax_in_place_and_at_the_edges(call):
    inf, nan = np.inf, np.nan
    x = np.array(
        [[1000, 1000], [-inf, 0], [-inf, -inf], [nan, 0], [inf, 0], [-3e38, 3e38]], np.float32
    )
    call("softmax", x, x, 1, 0)
    np.testing.assert_equal(
        x, np.array([[0.5, 0.5], [0, 1], [nan, nan], [nan, nan], [nan, nan], [0, 1]], np.float32)
    )
