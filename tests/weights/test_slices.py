"""Parts of tensors and selections of them: slices, ranks, names, merging."""

from __future__ import annotations

import re

import numpy as np
import pytest

import tallow as tl
from tallow.borrowing import from_buffer
from tallow.errors import ArgumentError, DTypeError, ModelError, ShapeError
from tallow.formats.gguf import save_gguf
from tallow.formats.safetensors import Stored, save_safetensors
from tallow.nn import Linear, Module
from tallow.tensor import tobytes
from tallow.weights import WeightSource, fill, open_weights

RNG = np.random.default_rng(21)
W = RNG.standard_normal((8, 64)).astype(np.float32)
CUBE = np.arange(2 * 6 * 4).reshape(2, 6, 4)


@pytest.fixture
def source(tmp_path):
    tensors = {"w": tl.from_numpy(W), "cube": tl.from_numpy(CUBE), "scalar": tl.tensor(1.0)}
    save_safetensors(tensors, tmp_path / "m.safetensors")
    return open_weights(tmp_path / "m.safetensors")


def blocks(dtype, rows, columns):
    size = {"q4_0": (32, 18), "q4_k": (256, 144), "q8_0": (32, 34)}[dtype]
    raw = RNG.integers(0, 60, rows * columns // size[0] * size[1], dtype=np.uint8)
    return from_buffer(raw, dtype, (rows, columns))


@pytest.fixture
def quantised(tmp_path):
    tensors = {dtype: blocks(dtype, 6, 512) for dtype in ("q4_0", "q4_k", "q8_0")}
    save_gguf(tensors, tmp_path / "m.gguf")
    return open_weights(tmp_path / "m.gguf"), tensors


def inside(part, whole):
    start = whole.data_ptr()
    return start <= part.data_ptr() < start + whole.nbytes


def test_equal_parts_are_views_of_the_file(source):
    whole = source.take("w")
    for count in (1, 2, 4, 8):
        for index in range(count):
            rows, columns = 8 // count, 64 // count
            part = source.take_slice("w", 0, index, count)
            np.testing.assert_array_equal(part.numpy(), W[index * rows : (index + 1) * rows])
            assert inside(part, whole)
            assert part.is_contiguous()
            part = source.take_slice("w", -1, index, count)
            np.testing.assert_array_equal(
                part.numpy(), W[:, index * columns : (index + 1) * columns]
            )
            assert inside(part, whole)
    np.testing.assert_array_equal(source.take_slice("cube", 1, 2, 3).numpy(), CUBE[:, 4:6])
    assert source.take_slice("w", 0, 0, 2, dtype="f16", device="cpu").dtype is tl.f16


def test_ranges(source):
    np.testing.assert_array_equal(source.take_range("w", 1, 3, 60).numpy(), W[:, 3:60])
    assert source.take_range("w", 0, 8, 8).shape == (0, 64)
    for start, stop in ((-1, 2), (3, 2), (0, 9)):
        with pytest.raises(ShapeError, match=r"m\.safetensors: w: expected a range within 0 to 8"):
            source.take_range("w", 0, start, stop)


def test_slices_that_do_not_exist(source):
    with pytest.raises(ShapeError, match="axis 0 of 8 to divide into 3 equal parts of elements"):
        source.take_slice("w", 0, 0, 3)
    with pytest.raises(ArgumentError, match="a part from 0 to 1, got 2"):
        source.take_slice("w", 0, 2, 2)
    with pytest.raises(ArgumentError, match="a part from 0"):
        source.take_slice("w", 0, 0, 0)
    for name, dim in (("w", 2), ("w", -3), ("scalar", 0)):
        with pytest.raises(ShapeError, match=f"{name}: expected an axis of shape"):
            source.take_slice(name, dim, 0, 1)
    with pytest.raises(ModelError, match="zz: expected a tensor of this name"):
        source.take_slice("zz", 0, 0, 1)
    with pytest.raises(ArgumentError, match="device"):
        source.take("w", device="tpu")


@pytest.mark.parametrize("dtype", ["q4_0", "q4_k", "q8_0"])
def test_blocks_divide_at_their_borders(quantised, dtype):
    source, tensors = quantised
    floats = tensors[dtype].to(tl.f32).numpy()
    whole = source.take(dtype)
    rows = source.take_slice(dtype, 0, 1, 3)
    np.testing.assert_array_equal(rows.to("f32").numpy(), floats[2:4])
    columns = source.take_slice(dtype, 1, 1, 2)
    np.testing.assert_array_equal(columns.to("f32").numpy(), floats[:, 256:])
    assert inside(rows, whole)
    assert inside(columns, whole)
    block = 256 if dtype == "q4_k" else 32
    with pytest.raises(
        ShapeError, match=f"equal parts of whole blocks of {block} elements of {dtype}"
    ):
        source.take_slice(dtype, 1, 0, 512 // block * 2)
    with pytest.raises(ShapeError, match=f"a range of whole blocks of {block} elements"):
        source.take_range(dtype, 1, 0, 16)
    layer = Linear(256, 6, bias=False)
    fill(layer, source.shard(1, 2, {dtype: 1}).select(dtype).rename({dtype: "weight"}))
    layer.exact = True
    x = RNG.standard_normal((3, 256)).astype(np.float32)
    found = layer(tl.from_numpy(x)).detach().numpy()
    expected = x.astype(float) @ floats[:, 256:].T
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_info_of_parts(source):
    whole = source.info("cube")
    rows = source.shard(1, 2, {"cube": 0}).info("cube")
    assert (rows.shape, rows.nbytes, rows.offset) == ((1, 6, 4), 192, whole.offset + 192)
    inner = source.shard(2, 3, lambda name: 1 if name == "cube" else None).info("cube")
    assert (inner.shape, inner.nbytes, inner.offset) == ((2, 2, 4), 128, whole.offset + 4 * 4 * 8)
    assert source.shard(0, 2, {"w": 0}).info("cube") == whole


def test_a_shard_of_a_shard(source):
    halves = source.shard(1, 2, {"w": 0})
    quarter = halves.shard(0, 2, {"w": 1}).shard(1, 2, {"w": 0})
    np.testing.assert_array_equal(quarter.take("w").numpy(), W[6:8, :32])
    assert quarter.info("w").shape == (2, 32)
    np.testing.assert_array_equal(quarter.take_slice("w", 1, 1, 2).numpy(), W[6:8, 16:32])


def test_shards_of_all_ranks_are_the_whole(quantised):
    source, tensors = quantised
    for dim in (0, 1):
        parts = [source.shard(rank, 2, {".*": dim}) for rank in range(2)]
        for name, tensor in tensors.items():
            both = [part.take(name).to("f32").numpy() for part in parts]
            np.testing.assert_array_equal(np.concatenate(both, dim), tensor.to("f32").numpy())


def test_ranks_and_axes_that_make_no_sense(source):
    for rank, world in ((2, 2), (-1, 2), (0, 0)):
        with pytest.raises(ArgumentError, match="expected a rank from 0"):
            source.shard(rank, world, {})
    with pytest.raises(ModelError) as caught:
        source.shard(0, 5, {".*": 0})
    for name, text in (
        ("w", "axis 0 of 8"),
        ("cube", "axis 0 of 2"),
        ("scalar", "an axis of shape"),
    ):
        assert re.search(f"m.safetensors: {name}: expected {text}", str(caught.value))


class Parallel(Module):
    """The first rank of two: rows of one projection, columns of the next."""

    def __init__(self):
        self.up = Linear(64, 4, bias=False)
        self.down = Linear(4, 64, bias=False)


def test_a_model_of_parts_is_filled(tmp_path):
    up, down = W, np.ascontiguousarray(W.T)
    save_safetensors(
        {"up.weight": tl.from_numpy(up), "down.weight": tl.from_numpy(down)}, tmp_path / "m"
    )
    source = open_weights(tmp_path / "m")
    dims = {r"up\.weight": 0, r"down\.weight": 1}
    x = RNG.standard_normal((2, 64)).astype(np.float32)
    total = np.zeros((2, 64), np.float32)
    for rank in range(2):
        model = Parallel()
        fill(model, source.shard(rank, 2, dims))
        total += model.down(model.up(tl.from_numpy(x))).detach().numpy()
    np.testing.assert_allclose(total, x @ up.T @ down.T, rtol=1e-4, atol=1e-3)
    with pytest.raises(ModelError, match=r"found f32 of shape \(2, 64\) \(0 to 2 of axis 0 of"):
        fill(Parallel(), source.shard(0, 4, dims))


def test_select(source):
    assert source.select("w").names() == ["w"]
    assert sorted(source.select(r"[ws].*").names()) == ["scalar", "w"]
    assert source.select(re.compile("CUBE", re.IGNORECASE)).names() == ["cube"]
    assert source.select(["w", "cube"]).names() == ["w", "cube"]
    assert len(source.select([])) == 0
    with pytest.raises(ModelError, match=r"names that match 'x\.\*', found none among 3"):
        source.select("x.*")
    with pytest.raises(ModelError) as caught:
        source.select(["w", "p", "q"])
    assert "m.safetensors: p" in str(caught.value)
    assert "m.safetensors: q" in str(caught.value)


def test_merge(source, quantised):
    more, tensors = quantised
    both = source.merge(more, open_weights({"extra": tl.ones(2)}))
    assert set(both.names()) == {"w", "cube", "scalar", *tensors, "extra"}
    assert tobytes(both.take("q4_0")) == tobytes(tensors["q4_0"])
    assert both.where("q4_0").endswith("m.gguf: q4_0")
    assert both.where("w").endswith("m.safetensors: w")
    assert len(source) == 3, "the sources stay as they are"
    assert both.scope("q4").names() == []
    with pytest.raises(ModelError) as caught:
        source.merge(open_weights({"w": tl.ones(2), "cube": tl.ones(2)}))
    for name in ("w", "cube"):
        assert f"{name}: expected once, found in " in str(caught.value)


def test_metadata_of_merged_sources(tmp_path):
    save_safetensors({"a": tl.ones(1)}, tmp_path / "a", {"x": "1", "y": "1"})
    save_safetensors({"b": tl.ones(1)}, tmp_path / "b", {"y": "2", "z": "2"})
    both = open_weights(tmp_path / "a").merge(open_weights(tmp_path / "b"))
    assert dict(both.metadata) == {"x": "1", "y": "1", "z": "2"}


def test_two_names_may_not_become_one(source):
    with pytest.raises(ModelError, match="rename: expected one same, found "):
        source.rename(lambda name: "same")


def test_closing(source):
    kept = source.take("w")
    with source:
        pass
    assert kept.shape == (8, 64)
    with pytest.raises(ArgumentError, match="closed"):
        source.take("w")


def test_bytes_are_not_taken_for_numbers(tmp_path):
    raw = {"s": tl.tensor(np.arange(8, dtype=np.uint8))}
    save_safetensors(raw, tmp_path / "m", stored={"s": Stored("F8_E8M0", (8,))})
    source = open_weights(tmp_path / "m")
    assert source.take("s", "u8").tolist() == list(range(8))
    with pytest.raises(DTypeError, match="expected u8 for F8_E8M0, which is only kept as bytes"):
        source.take("s", "f32")
    layer = Linear(8, 1)
    with pytest.raises(ModelError, match=r"F8_E8M0 of shape \(8,\), kept as bytes"):
        fill(layer, source.rename({"s": "weight"}))


def test_an_empty_source():
    source = open_weights({})
    assert source.names() == []
    assert isinstance(source, WeightSource)
    source.prefetch()
