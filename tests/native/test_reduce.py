"""Reductions against numpy: every dtype, layout, set of axes and size."""

import numpy as np
import pytest

INTS = ["bool", "uint8", "int8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]
SHAPES = [(), (1,), (1000,), (33, 40), (3, 5, 7), (2, 600, 9), (4, 0), (0,), (5, 1, 300), (140, 50)]
FUNCTIONS = {"sum": np.sum, "mean": np.mean, "prod": np.prod, "amax": np.amax, "amin": np.amin}


def axes_of(ndim):
    return range(1 << ndim)


def split(mask, ndim):
    return tuple(i for i in range(ndim) if mask >> i & 1)


def reduced(shape, mask):
    return tuple(1 if mask >> i & 1 else n for i, n in enumerate(shape))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_floats(call, dtype, rtol, rng, layouts, name, shape):
    x = np.asarray(
        rng.normal(size=shape) if name != "prod" else rng.uniform(0.9, 1.1, size=shape)
    ).astype(dtype)
    for mask in axes_of(x.ndim):
        axes = split(mask, x.ndim)
        count = int(np.prod([shape[i] for i in axes]))
        if count == 0 and name in ("amax", "amin", "mean"):
            continue
        want = FUNCTIONS[name](x.astype(np.float64), axis=axes, keepdims=True)
        for layout, view in layouts(x):
            out = np.full(reduced(shape, mask), 9).astype(dtype)
            call(name, out, view, mask)
            slack = 1e-6 * max(1, count) ** 0.5
            loose = 2 * rtol + (slack if name == "prod" else 0)
            got = out.astype(np.float64)
            np.testing.assert_allclose(
                got, want, rtol=loose, atol=slack, err_msg=f"{layout} {axes}"
            )


@pytest.mark.parametrize("kind", INTS)
@pytest.mark.parametrize("name", ["sum", "prod", "amax", "amin", "mean"])
def test_integers(call, rng, layouts, kind, name):
    for shape in SHAPES:
        low = 0 if kind.startswith(("u", "b")) else -100
        x = np.asarray(rng.integers(low, 2 if kind == "bool" else 100, size=shape)).astype(kind)
        out_kind = {"mean": "float64", "sum": "int64", "prod": "int64"}.get(name, kind)
        for mask in axes_of(x.ndim):
            axes = split(mask, x.ndim)
            if np.prod([shape[i] for i in axes]) == 0 and name in ("amax", "amin", "mean"):
                continue
            with np.errstate(over="ignore"):
                y = x.astype("int64") if name in ("sum", "prod") else x
                want = FUNCTIONS[name](y, axis=axes, keepdims=True)
            for layout, view in layouts(x):
                out = np.zeros(reduced(shape, mask), out_kind)
                call(name, out, view, mask)
                check = np.testing.assert_allclose if name == "mean" else np.testing.assert_equal
                check(out, want.astype(out_kind), err_msg=f"{shape} {layout} {axes}")


@pytest.mark.parametrize("kind", [*INTS, "float16", "float32", "float64"])
def test_any_all(call, rng, layouts, kind):
    for shape in SHAPES:
        x = np.asarray(rng.random(size=shape) < 0.9).astype(kind)
        for mask in axes_of(x.ndim):
            for name, function in {"any": np.any, "all": np.all}.items():
                for layout, view in layouts(x):
                    out = np.zeros(reduced(shape, mask), bool)
                    call(name, out, view, mask)
                    want = function(x, axis=split(mask, x.ndim), keepdims=True)
                    np.testing.assert_equal(out, want, err_msg=f"{name} {shape} {layout} {mask}")


@pytest.mark.parametrize("kind", [*INTS, "float16", "float32", "float64"])
@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_argmax(call, rng, layouts, kind, name):
    for shape in [(1,), (1000,), (33, 40), (3, 5, 7), (2, 600, 9), (40, 1300)]:
        x = rng.integers(0, 2 if kind == "bool" else 50, size=shape).astype(kind)  # many ties
        if kind.startswith("f"):
            x[rng.random(shape) < 0.002] = np.nan
        for axis in range(-1, x.ndim):
            want = getattr(np, name)(x, axis=None if axis < 0 else axis, keepdims=True)
            for layout, view in layouts(x):
                out = np.zeros(want.shape if axis >= 0 else (), np.int64)
                call(name, out, view, axis)
                np.testing.assert_equal(
                    out, want.reshape(out.shape), err_msg=f"{shape} {layout} {axis}"
                )


@pytest.mark.parametrize("name", ["amax", "amin"])
@pytest.mark.parametrize("where", [0, 17, 999])
def test_nan_wins(call, name, where):
    x = np.arange(1000, dtype=np.float32)
    x[where] = np.nan
    for shape, mask in [((1000,), 1), ((1000, 1), 1), ((10, 100), 3)]:
        out = np.zeros((1,) * len(shape), np.float32)
        call(name, out, x.reshape(shape), mask)
        assert np.isnan(out).all()


def test_a_long_sum_keeps_its_digits(call):
    x = np.full(1 << 22, 0.1, np.float32)
    total = np.float64(x[0]) * x.size
    for shape in [(1 << 22,), (1 << 22, 1), (1 << 16, 64), (1 << 20, 4)]:
        out = np.zeros((1, *shape[1:]), np.float32)
        call("sum", out, x.reshape(shape), 1)
        np.testing.assert_allclose(out, total / out.size, rtol=1e-6)


def test_the_number_of_threads_changes_nothing(call, rng):
    from tallow import _native

    before = _native.num_threads()
    for shape, mask in [((1_000_000,), 1), ((1000, 999), 1), ((1000, 999), 2), ((9000, 30), 1)]:
        x, results = rng.normal(size=shape).astype(np.float32), []
        for threads in [1, 2, 3]:
            _native.set_num_threads(threads)
            results.append(np.zeros(reduced(shape, mask), np.float32))
            call("sum", results[-1], x, mask)
        _native.set_num_threads(before)
        np.testing.assert_equal(results[1:], results[:1] * 2)
        np.testing.assert_allclose(
            results[0], x.astype(np.float64).sum(split(mask, x.ndim), keepdims=True), atol=2e-4
        )


@pytest.mark.parametrize("name", ["amax", "amin", "argmax"])
def test_nothing_has_no_extreme(call, name):
    out = np.zeros((1, 3), np.int64 if name == "argmax" else np.float32)
    with pytest.raises(Exception, match="at least one element"):
        call(name, out, np.zeros((0, 3), np.float32), 0 if name == "argmax" else 1)
