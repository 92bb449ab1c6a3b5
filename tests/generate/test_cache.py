"""KVCache: growing, cutting, forking, saving."""

from __future__ import annotations

import pytest

import tallow as tl
from tallow.errors import ArgumentError, ContextError, FormatError, ModelError, ShapeError
from tallow.generate import KVCache

IDS = [5, 9, 200, 31, 77, 3, 120, 64, 90, 11]


def step(model, cache, ids):
    return model(tl.tensor([ids], dtype=tl.i64), cache, last_only=True).tolist()


def filled(model, ids, **options):
    cache = KVCache(model.config, **options)
    step(model, cache, ids)
    return cache


def test_grows_by_doubling_up_to_the_context(model):
    cache = KVCache(model.config, capacity=3)
    assert cache.capacity == 0
    assert cache.nbytes == 0
    seen = []
    for token in range(64):
        step(model, cache, [token])
        seen.append(cache.capacity)
    assert sorted(set(seen)) == [3, 6, 12, 24, 48, 64]
    assert cache.nbytes == 2 * 2 * 2 * 64 * 16 * 4
    with pytest.raises(ContextError):
        step(model, cache, [1])
    assert "64 of 64 positions" in repr(cache)


def test_a_huge_context_takes_no_memory():
    from dataclasses import replace

    from tallow.models import DecoderConfig

    small = DecoderConfig(16, 8, 8, 1, 1, 1, 8)
    cache = KVCache(replace(small, max_position_embeddings=2**31 - 1))
    cache.begin(1, 10)
    assert cache.capacity == 256


def test_cut_and_go_on(model):
    expected = step(model, filled(model, IDS[:6]), IDS[6:])
    cache = filled(model, IDS[:6])
    step(model, cache, [1, 2, 3])
    cache.cut(6)
    assert cache.length == 6
    assert step(model, cache, IDS[6:]) == expected
    cache.cut(99)
    assert cache.length == 10
    cache.reset()
    assert cache.length == 0
    with pytest.raises(ArgumentError):
        cache.cut(-1)


def test_fork_is_independent(model):
    cache = filled(model, IDS[:6])
    cache.tokens = IDS[:6]
    fork = cache.fork()
    assert fork.tokens == IDS[:6]
    expected = step(model, cache, IDS[6:])
    step(model, cache, [1, 2, 3])
    assert step(model, fork, IDS[6:]) == expected
    assert KVCache(model.config).fork().length == 0


@pytest.mark.parametrize("dtype", [tl.f32, tl.f16])
def test_save_and_load(model, tmp_path, dtype):
    cache = filled(model, IDS[:6], dtype=dtype)
    cache.tokens = IDS[:6]
    cache.save(tmp_path / "cache")
    loaded = KVCache.load(tmp_path / "cache", model.config)
    assert (loaded.length, loaded.tokens, loaded.dtype) == (6, IDS[:6], dtype)
    assert step(model, loaded, IDS[6:]) == step(model, cache, IDS[6:])
    KVCache(model.config).save(tmp_path / "empty")
    assert KVCache.load(tmp_path / "empty", model.config).length == 0


def test_load_refuses_what_does_not_fit(model, tmp_path):
    from dataclasses import replace

    filled(model, IDS).save(tmp_path / "cache")
    for other in ({"num_hidden_layers": 3}, {"head_dim": 8}, {"max_position_embeddings": 4}):
        with pytest.raises(ModelError, match="expected keys and values"):
            KVCache.load(tmp_path / "cache", replace(model.config, **other))
    tl.formats.safetensors.save_safetensors({"a": tl.zeros(1)}, tmp_path / "other")
    with pytest.raises(ModelError, match="format"):
        KVCache.load(tmp_path / "other", model.config)
    metadata = {"format": "tallow.kv_cache.1", "state": '{"length": -1}', "tokens": "[]"}
    tl.formats.safetensors.save_safetensors({"a": tl.zeros(1)}, tmp_path / "other", metadata)
    with pytest.raises(FormatError, match="state"):
        KVCache.load(tmp_path / "other", model.config)


def test_arguments(model):
    for options in ({"batch": 0}, {"capacity": 0}, {"dtype": tl.i8}):
        with pytest.raises(ArgumentError):
            KVCache(model.config, **options)
    with pytest.raises(ShapeError, match="batch of 2"):
        step(model, KVCache(model.config, batch=2), [1])
