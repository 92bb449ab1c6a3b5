"""The backward kernels of the norms and of softmax against their formulas in float64."""

import numpy as np
import pytest

SHAPES = [(4, 576), (3, 5, 33), (7,), (130, 64), (2, 0, 8), (0, 4), (600, 40), (1100, 3)]


def wide(x):
    return np.asarray(x, np.float64)


def expected(g, x, weight, eps, centred):
    """The gradients of x, weight and bias."""
    g, x, weight = wide(g), wide(x), 1.0 if weight is None else wide(weight)
    h = x - x.mean(-1, keepdims=True) if centred else x
    scale = 1 / np.sqrt((h * h).mean(-1, keepdims=True) + eps)
    unit, inner = h * scale, g * weight
    middle = inner - inner.mean(-1, keepdims=True) if centred else inner
    dx = scale * (middle - unit * (inner * unit).mean(-1, keepdims=True))
    rows = tuple(range(x.ndim - 1))
    return dx, (g * unit).sum(rows), g.sum(rows)


def sums_like(x):
    return np.full(x.shape[-1], 9, np.float64 if x.dtype == np.float64 else np.float32)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("name", ["layer_norm_backward", "rms_norm_backward"])
def test_norm_backward(call, dtype, rtol, rng, name, shape, weighted):
    x, g = ((1 + rng.normal(size=shape)).astype(dtype) for _ in range(2))
    w = (1 + 0.3 * rng.normal(size=shape[-1])).astype(dtype) if weighted else None
    want = expected(g, x, w, 1e-5, name.startswith("layer"))
    gaps = [np.concatenate([v, v], -1)[..., : shape[-1]] for v in (g, x)]
    for views in ((g, x), gaps):
        got = [np.full_like(x, 9), sums_like(x), sums_like(x)]
        call(name, *got, *views, w, 1e-5)
        for one, right in zip(got, want, strict=True):
            scale = max(1.0, np.abs(right).max(initial=0))
            np.testing.assert_allclose(wide(one), right, rtol=0, atol=8 * rtol * scale)


def test_only_wanted_gradients_are_written(call, rng):
    x = rng.normal(size=(40, 24)).astype(np.float32)
    want = expected(x, x, None, 1e-5, True)
    for wanted in ([1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 1]):
        got = [np.full_like(x, 9), sums_like(x), sums_like(x)]
        outputs = [o if wants else o[:0] for o, wants in zip(got, wanted, strict=True)]
        call("layer_norm_backward", *outputs, x, x, None, 1e-5)
        for one, right, wants in zip(got, want, wanted, strict=True):
            if wants:
                np.testing.assert_allclose(one, right, atol=1e-5)
            else:
                assert (one == 9).all()


def test_the_number_of_threads_changes_nothing(call, rng):
    from tallow import _native

    before = _native.num_threads()
    x, g = (rng.normal(size=(3000, 200)).astype(np.float32) for _ in range(2))
    results = []
    for threads in (1, 2, 3):
        _native.set_num_threads(threads)
        results.append([np.zeros_like(x), sums_like(x), sums_like(x)])
        call("layer_norm_backward", *results[-1], g, x, None, 1e-5)
    _native.set_num_threads(before)
    for other in results[1:]:
        for one, first in zip(other, results[0], strict=True):
            np.testing.assert_array_equal(one, first)


def test_norm_backward_refuses(call):
    x = np.ones((2, 8), np.float32)
    sums = np.ones(8, np.float32)
    with pytest.raises(Exception, match="expected g like x"):
        call("layer_norm_backward", x.copy(), sums, sums, x[:1], x, None, 1e-5)
    with pytest.raises(Exception, match=r"of shape \(8,\) and dtype f32"):
        call("layer_norm_backward", x.copy(), sums[:4], sums, x, x, None, 1e-5)
    with pytest.raises(Exception, match="without gaps"):
        call(
            "layer_norm_backward", x.copy(), sums, sums, np.ones((2, 16), "f")[:, ::2], x, None, 1.0
        )


@pytest.mark.parametrize("log", [0, 1])
@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((5,), 0),
        ((3, 33), 1),
        ((3, 33), 0),
        ((4, 6, 5), -2),
        ((4, 6, 50), 1),
        ((2, 0), 1),
        ((0, 3), 1),
        ((), 0),
        ((300, 70), 0),
        ((700, 700), 0),
    ],
    ids=str,
)
def test_softmax_and_backward(call, dtype, rtol, rng, layouts, shape, axis, log):
    if dtype.itemsize == 8 and len(shape) and shape[0] == 700:
        pytest.skip("slow in double, and the same code")
    x, g = (np.asarray(3 * rng.normal(size=shape)).astype(dtype) for _ in range(2))
    along = {"axis": axis, "keepdims": True} if shape else {}
    e = np.exp(wide(x) - wide(x).max(**along, initial=-np.inf))
    y = e / e.sum(**along)
    y = (np.log(y) if log else y).astype(dtype)
    p = np.exp(wide(y)) if log else wide(y)
    want = wide(g) - p * wide(g).sum(**along)
    if not log:
        want = p * (wide(g) - (p * wide(g)).sum(**along))
    for (name, gv), (_, yv) in zip(layouts(g), layouts(y), strict=True):
        dx = np.full_like(x, 9)
        call("softmax_backward", dx, gv, yv, axis, log)
        scale = max(1.0, np.abs(want).max(initial=0))
        np.testing.assert_allclose(wide(dx), want, rtol=0, atol=4 * rtol * scale, err_msg=name)
        out = np.full_like(x, 9)
        call("softmax", out, layouts_of(layouts, x)[name], axis, log)
        np.testing.assert_allclose(wide(out), wide(y), rtol=3 * rtol, atol=1e-6, err_msg=name)


def layouts_of(layouts, x):
    return dict(layouts(x))
