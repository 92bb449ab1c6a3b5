"""Embedding look-up and cache writes against numpy indexing."""

import numpy as np
import pytest

from tallow import _native

CODES = {name: code for code, (name, *_) in enumerate(_native.DTYPES)}


@pytest.mark.parametrize("ids_dtype", [np.int64, np.int32, np.uint32])
@pytest.mark.parametrize("shape", [(), (1,), (3, 4), (0, 2), (2, 700)], ids=str)
def test_embedding(call, dtype, rng, ids_dtype, shape):
    weight = rng.normal(size=(11, 24)).astype(dtype)
    ids = np.asarray(rng.integers(0, 11, size=shape)).astype(ids_dtype)
    for w in (weight, np.asfortranarray(weight)):
        for i in (ids, np.array(ids, order="F")):
            out = np.zeros((*shape, 24), dtype)
            call("embedding", out, i, w)
            np.testing.assert_equal(
                out.astype(np.float64), weight[ids.astype(int)].astype(np.float64)
            )
    out = np.zeros((*shape, 24), np.float64)
    call("embedding", out, ids, weight)
    np.testing.assert_equal(out, weight[ids.astype(int)].astype(np.float64))


@pytest.mark.parametrize("bad", [-1, 11, 2**40])
def test_an_id_out_of_range(call, bad):
    out = np.full((2, 4), 7, np.float32)
    with pytest.raises(Exception, match=rf"expected ids in \[0, 11\), got {bad}"):
        call("embedding", out, np.array([3, bad]), np.zeros((11, 4), np.float32))
    assert (out == 7).all()


@pytest.mark.parametrize("form", ["q4_0", "q4_1", "q5_0", "q5_1", "q8_0"])
@pytest.mark.parametrize("out_dtype", [np.float32, np.float16])
def test_quantised_rows_are_the_dequantised_table(rng, form, out_dtype):
    to = _native.Array.from_strided
    table = _native.Array.empty((9, 64), CODES[form])
    _native.call("quantize", table, to(rng.normal(size=(9, 64)).astype(np.float32)), None)
    floats = np.empty((9, 64), np.float32)
    _native.call("dequantize", to(floats), table)
    ids, out = np.array([[8, 0], [3, 3]]), np.empty((2, 2, 64), out_dtype)
    _native.call("embedding", to(out), to(ids), table)
    np.testing.assert_equal(out, floats[ids].astype(out_dtype))


@pytest.mark.parametrize("cache_dtype", ["float32", "float16"])
def test_kv_write(call, dtype, rng, layouts, cache_dtype):
    k = rng.normal(size=(2, 3, 4, 8)).astype(dtype)
    start = np.array([0, 5])
    for name, view in layouts(k):
        caches = np.full((2, 2, 3, 9, 8), 7, cache_dtype)
        want = caches.copy()
        for b in range(2):
            want[0, b, :, start[b] : start[b] + 4] = k[b]
            want[1, b, :, start[b] : start[b] + 4] = -k[b]
        call("kv_write", caches[0], caches[1], view, -k, start)
        np.testing.assert_equal(caches, want, err_msg=name)


@pytest.mark.parametrize("start", [[0, 6], [-1, 0], [0, 2**62]])
def test_kv_write_beyond_the_capacity_writes_nothing(call, start):
    caches = np.full((2, 2, 3, 9, 8), 7, np.float32)
    k = np.zeros((2, 3, 4, 8), np.float32)
    with pytest.raises(Exception, match="the cache holds 9 positions"):
        call("kv_write", caches[0], caches[1], k, k, np.array(start))
    assert (caches == 7).all()
