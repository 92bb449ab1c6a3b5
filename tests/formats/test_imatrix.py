"""Importance matrices: files laid out by hand and by the `gguf` package, and round trips."""

import struct
from pathlib import Path

import gguf
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tallow as tl
from tallow.errors import ArgumentError, FormatError, ShapeError
from tallow.formats.gguf import Typed, open_gguf, save_gguf
from tallow.formats.imatrix import ImportanceMatrix, open_imatrix, save_imatrix

GOLDEN = Path(__file__).parents[1] / "golden" / "imatrix"  # by llama-imatrix, both from one run
SUMS = {
    "blk.0.attn_q.weight": (np.array([[3, 0.5, 7, 100]], np.float32), [7]),
    "blk.0.ffn_up_exps.weight": (np.arange(12, dtype=np.float32).reshape(3, 4), [5, 0, 11]),
}


def dat(entries, chunks=3, dataset="wiki.txt"):
    """The older layout: name → (chunks, values)."""
    raw = struct.pack("<i", len(entries))
    for name, (calls, values) in entries.items():
        name = name.encode()
        raw += struct.pack("<i", len(name)) + name + struct.pack("<ii", calls, len(values))
        raw += np.asarray(values, "<f4").tobytes()
    if chunks is not None:
        raw += struct.pack("<i", chunks)
    if dataset is not None:
        raw += struct.pack("<i", len(dataset)) + dataset.encode()
    return raw


def gguf_file(path, entries, **changes):
    """The newer layout, by the `gguf` package; axes of length 1 at the end are left out by ggml."""
    writer = gguf.GGUFWriter(path, "")
    writer.kv_data[0].clear()
    keys = {
        "general.type": ("imatrix", "STRING"),
        "imatrix.datasets": (["a.txt", "b.txt"], "ARRAY"),
        "imatrix.chunk_count": (2, "UINT32"),
        "imatrix.chunk_size": (8, "UINT32"),
    }
    for key, (value, kind) in {**keys, **changes}.items():
        if value is not None:
            writer.add_key_value(key, value, gguf.GGUFValueType[kind])
    for name, (sums, counts) in entries.items():
        counts = np.array(counts, np.float32).reshape(-1, 1)
        one = len(counts) == 1
        writer.add_tensor(f"{name}.in_sum2", sums.reshape(-1) if one else sums)
        writer.add_tensor(f"{name}.counts", counts.reshape(-1) if one else counts)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def expected(sums, counts):
    counts = np.array(counts, np.float32)[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(counts > 0, sums / counts, np.float32(1))


def test_gguf_layout(tmp_path):
    matrix = open_imatrix(gguf_file(tmp_path / "i.gguf", SUMS))
    assert (matrix.datasets, matrix.chunk_count, matrix.chunk_size) == (["a.txt", "b.txt"], 2, 8)
    assert [*matrix] == [*SUMS]
    assert len(matrix) == 2
    assert "blk.0.attn_q.weight" in matrix
    assert "blk.0.attn_k.weight" not in matrix
    with pytest.raises(KeyError):
        matrix.values("blk.0.attn_k.weight")
    for name, (sums, counts) in SUMS.items():
        np.testing.assert_array_equal(matrix.entries[name].sums.numpy(), sums)
        assert matrix.entries[name].counts == tuple(counts)
        values = matrix.values(name).numpy()
        wanted = expected(sums, counts)
        np.testing.assert_array_equal(values, wanted[0] if len(counts) == 1 else wanted)
    assert repr(matrix) == "ImportanceMatrix(2 weights, 2 × 8 tokens)"


@pytest.mark.parametrize("chunk_size", [1, 100, 512])
def test_dat_layout(chunk_size):
    values = {"a": (3, [3, 1.5, 0]), "b": (0, [7, 8, 9])}
    matrix = open_imatrix(dat(values), chunk_size=chunk_size)
    assert (matrix.datasets, matrix.chunk_count) == (["wiki.txt"], 3)
    np.testing.assert_allclose(matrix.values("a").numpy(), [1, 0.5, 0], rtol=1e-7)
    np.testing.assert_allclose(matrix.values("b").numpy(), [7, 8, 9], rtol=1e-7)
    assert matrix.entries["a"].counts == (3 * chunk_size,)


def test_dat_files_of_former_times_end_earlier():
    assert open_imatrix(dat({"a": (1, [2])}, None, None)).datasets == []
    matrix = open_imatrix(dat({"a": (1, [2])}, 9, None))
    assert (matrix.datasets, matrix.chunk_count) == ([], 9)
    assert open_imatrix(dat({"a": (1, [2])}, 9, "")).datasets == []


def test_gguf_is_written_as_it_was_read(tmp_path):
    path = gguf_file(tmp_path / "i.gguf", SUMS)
    save_imatrix(open_imatrix(path), tmp_path / "again.gguf")
    with open_gguf(path) as old, open_gguf(tmp_path / "again.gguf") as new:
        assert new.metadata.typed_items() == old.metadata.typed_items()
        assert new.tensors == {name: old.tensors[name] for name in new.tensors}
        for name in old.tensors:
            assert new.data(name) == old.data(name)


@pytest.mark.parametrize("suffix", ["gguf", "dat"])
def test_files_of_llama_imatrix_are_written_byte_for_byte(tmp_path, suffix):
    matrix = open_imatrix(GOLDEN / "llama.gguf")
    save_imatrix(matrix, tmp_path / f"again.{suffix}")
    assert (tmp_path / f"again.{suffix}").read_bytes() == (GOLDEN / f"llama.{suffix}").read_bytes()
    older = open_imatrix(GOLDEN / "llama.dat", chunk_size=matrix.chunk_size)
    assert [*older] == [*matrix]
    assert (older.chunk_count, older.datasets) == (matrix.chunk_count, matrix.datasets)
    for name in matrix:
        np.testing.assert_allclose(
            older.values(name).numpy(), matrix.values(name).numpy(), rtol=1e-6
        )


def test_dat_as_llama_imatrix_writes_it(tmp_path):
    """The mean times the number of chunks, rounded up; ones where nothing was seen."""
    matrix = open_imatrix(
        gguf_file(tmp_path / "i.gguf", {**SUMS, "z": (np.ones((1, 2), "f4"), [0])})
    )
    save_imatrix(matrix, tmp_path / "i.dat")
    attn, experts = (expected(*SUMS[name]) for name in SUMS)
    wanted = {
        "blk.0.attn_q.weight": (1, attn.reshape(-1)),
        "blk.0.ffn_up_exps.weight": (2, (experts * np.float32(2)).reshape(-1)),
    }
    assert (tmp_path / "i.dat").read_bytes() == dat(wanted, 2, "b.txt")
    again = open_imatrix(tmp_path / "i.dat", chunk_size=8)
    for name in again:
        np.testing.assert_array_equal(
            again.values(name).numpy(), matrix.values(name).view(-1).numpy()
        )


def test_format_by_name_or_by_argument(tmp_path):
    matrix = open_imatrix(dat({"a": (1, [2])}))
    save_imatrix(matrix, tmp_path / "x.dat")
    save_imatrix(matrix, tmp_path / "x.anything", format="dat")
    save_imatrix(matrix, tmp_path / "y.dat", format="gguf")
    save_imatrix(matrix, tmp_path / "y")
    assert (tmp_path / "x.dat").read_bytes() == (tmp_path / "x.anything").read_bytes()
    assert (tmp_path / "y.dat").read_bytes() == (tmp_path / "y").read_bytes()
    assert (tmp_path / "y").read_bytes()[:4] == b"GGUF"
    with pytest.raises(ArgumentError, match="format of gguf, dat, got 'npy'"):
        save_imatrix(matrix, tmp_path / "z", format="npy")
    with pytest.raises(ArgumentError, match="at least one weight"):
        save_imatrix(ImportanceMatrix(), tmp_path / "z")


def test_adding_is_summing():
    x, y = np.random.default_rng(0).standard_normal((2, 50, 6)).astype(np.float32) ** 2
    matrix = ImportanceMatrix(chunk_size=10)
    matrix.add("w", tl.from_numpy(x.sum(0)), 50)
    matrix.add("w", tl.from_numpy(y.sum(0)), [50])
    assert matrix.entries["w"].counts == (100,)
    means = np.concatenate([x, y]).mean(0)
    np.testing.assert_allclose(matrix.values("w").numpy(), means, rtol=1e-5)


def test_add_takes_no_memory_of_the_caller():
    sums = tl.ones(3)
    matrix = ImportanceMatrix()
    matrix.add("w", sums, 1)
    sums.fill_(9)
    assert matrix.values("w").tolist() == [1, 1, 1]


def test_merge(tmp_path):
    matrix = open_imatrix(gguf_file(tmp_path / "i.gguf", SUMS))
    other = ImportanceMatrix(datasets=["c.txt"], chunk_size=8)
    other.add("blk.0.attn_q.weight", tl.ones(4), 90)
    other.add("blk.0.ffn_up_exps.weight", tl.ones(12), 2)  # one count for all experts
    other.add("new", tl.ones(2), 1)
    matrix.merge(other)
    assert matrix.datasets == ["a.txt", "b.txt", "c.txt"]
    assert matrix.chunk_count == 97 // 8
    assert matrix.entries["blk.0.ffn_up_exps.weight"].counts == (7, 2, 13)
    assert matrix.entries["blk.0.attn_q.weight"].sums.tolist() == [[4, 1.5, 8, 101]]
    assert matrix.values("new").tolist() == [1, 1]


@pytest.mark.parametrize(
    ("sums", "counts", "error"),
    [
        (tl.ones(3), 1, ShapeError),
        (tl.ones(4), [1, 1], None),
        (tl.ones(4), [], ShapeError),
        (tl.ones(0), 1, ShapeError),
        (tl.ones(4), [1, 1, 1], ShapeError),
        (tl.ones(4), -1, ArgumentError),
        (tl.tensor([1, 2, 3, -1.0]), 1, ArgumentError),
        (tl.tensor([1, 2, 3, float("nan")]), 1, ArgumentError),
        (tl.tensor([1, 2, 3, float("inf")]), 1, ArgumentError),
    ],
)
def test_what_cannot_be_added(sums, counts, error):
    matrix = ImportanceMatrix()
    matrix.add("w", tl.ones(4), 1)
    if error is None:
        matrix.add("w", sums, counts)
        with pytest.raises(ShapeError, match="2 counts, got 4"):
            matrix.add("w", sums, [1, 1, 1, 1])
        return
    with pytest.raises(error, match=r"ImportanceMatrix.add: 'w': expected"):
        matrix.add("w", sums, counts)
    assert matrix.entries["w"].counts == (1,)


def test_sums_that_grow_beyond_f32():
    matrix = ImportanceMatrix()
    matrix.add("w", tl.full((2,), 3e38, "f32"), 1)
    with pytest.raises(ArgumentError, match="sums that f32 can hold"):
        matrix.add("w", tl.full((2,), 3e38, "f32"), 1)
    assert matrix.entries["w"].counts == (1,)


@pytest.mark.parametrize("size", [0, -1, 2**31])
def test_chunk_size_must_be_positive(size):
    with pytest.raises(ArgumentError, match="positive chunk_size"):
        open_imatrix(dat({"a": (1, [2])}), chunk_size=size)


FINITE = st.floats(0, 2.0**60, width=32)
ENTRIES = st.dictionaries(
    st.text("abc.0123_", min_size=1, max_size=12),
    st.integers(1, 4).flatmap(
        lambda rows: st.tuples(
            st.lists(FINITE, min_size=3 * rows, max_size=3 * rows),
            st.lists(st.integers(0, 10_000), min_size=rows, max_size=rows),
        )
    ),
    min_size=1,
    max_size=4,
)


@given(ENTRIES, st.lists(st.text(max_size=9), max_size=3), st.integers(1, 4096))
@settings(max_examples=100, deadline=None)
def test_round_trip(tmp_path_factory, entries, datasets, chunk_size):
    matrix = ImportanceMatrix(datasets=datasets, chunk_count=5, chunk_size=chunk_size)
    for name, (sums, counts) in entries.items():
        matrix.add(name, tl.tensor(sums, "f32"), counts)
    folder = tmp_path_factory.mktemp("imatrix")
    save_imatrix(matrix, folder / "i.gguf")
    again = open_imatrix((folder / "i.gguf").read_bytes())
    assert (again.datasets, again.chunk_count, again.chunk_size) == (datasets, 5, chunk_size)
    assert [*again] == sorted(entries)
    for name in entries:
        assert again.entries[name].counts == matrix.entries[name].counts
        assert again.entries[name].sums.tolist() == matrix.entries[name].sums.tolist()
    if not any(any(counts) for _, counts in entries.values()):
        with pytest.raises(ArgumentError, match="that has seen a token"):
            save_imatrix(matrix, folder / "i.dat")
        return
    save_imatrix(matrix, folder / "i.dat")
    again = open_imatrix(folder / "i.dat", chunk_size=chunk_size)
    assert [*again] == [name for name in sorted(entries) if any(entries[name][1])]
    for name in again:
        np.testing.assert_allclose(
            again.values(name).numpy(), matrix.values(name).view(-1).numpy(), rtol=1e-6
        )


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"general.type": ("model", "STRING")}, "general.type"),
        ({"general.type": (None, "")}, "general.type"),
        ({"imatrix.datasets": ("a", "STRING")}, "imatrix.datasets"),
        ({"imatrix.chunk_count": (1, "INT32")}, "imatrix.chunk_count"),
        ({"imatrix.chunk_size": (None, "")}, "imatrix.chunk_size"),
        ({"imatrix.chunk_size": (0, "UINT32")}, "imatrix.chunk_size"),
    ],
)
def test_gguf_files_that_are_no_importance_matrix(tmp_path, changes, field):
    with pytest.raises(FormatError) as caught:
        open_imatrix(gguf_file(tmp_path / "i.gguf", SUMS, **changes))
    assert caught.value.field == f"metadata {field}"


KEYS = {
    "general.type": "imatrix",
    "imatrix.datasets": Typed("arr[str]", ()),
    "imatrix.chunk_count": 1,
    "imatrix.chunk_size": 8,
}


@pytest.mark.parametrize(
    ("tensors", "field"),
    [
        ({}, "tensor count"),
        ({"w": tl.ones(3)}, "tensor count"),
        ({"w.in_sum2": tl.ones(3)}, "tensor 'w.counts'"),
        ({"w.counts": tl.ones(3)}, "tensor 'w.counts'"),
        ({"w.in_sum2": tl.ones(3).half(), "w.counts": tl.ones(1)}, "tensor 'w.in_sum2'"),
        ({"w.in_sum2": tl.ones(3), "w.counts": tl.ones(1).double()}, "tensor 'w.counts'"),
        ({"w.in_sum2": tl.ones(3), "w.counts": tl.ones(2)}, "tensor 'w.in_sum2'"),
        ({"w.in_sum2": tl.ones(3), "w.counts": tl.ones(0)}, "tensor 'w.counts'"),
        ({"w.in_sum2": tl.ones(0), "w.counts": tl.ones(1)}, "tensor 'w.in_sum2'"),
        ({"w.in_sum2": tl.ones(3), "w.counts": -tl.ones(1)}, "tensor 'w.counts'"),
        ({"w.in_sum2": tl.ones(3), "w.counts": tl.ones(1) / 0}, "tensor 'w.counts'"),
        ({"w.in_sum2": -tl.ones(3), "w.counts": tl.ones(1)}, "tensor 'w.in_sum2'"),
        ({"w.in_sum2": tl.ones(3) / 0, "w.counts": tl.ones(1)}, "tensor 'w.in_sum2'"),
    ],
)
def test_tensors_that_make_no_sense(tmp_path, tensors, field):
    save_gguf(tensors, tmp_path / "i.gguf", KEYS)
    with pytest.raises(FormatError) as caught:
        open_imatrix(tmp_path / "i.gguf")
    assert caught.value.field == field
