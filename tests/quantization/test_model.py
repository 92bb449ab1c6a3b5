"""Whole models through the Python interface: experts, slabs, progress, errors before writing."""

from __future__ import annotations

import pytest

import tallow as tl
from tallow.conversion import Content, Entry
from tallow.errors import ArgumentError, ModelError
from tallow.formats.gguf import Typed, open_gguf
from tallow.formats.imatrix import ImportanceMatrix
from tallow.ops import quantize
from tallow.quantization import file_type, plan_model, quantize_model
from tallow.tensor import tobytes

EXPERTS, ROWS, COLUMNS = 3, 5, 256
NAME = "blk.0.ffn_up_exps.weight"


def content(**tensors: tl.Tensor) -> Content:
    entries = {
        name: Entry(name, x.dtype.name, tuple(x.shape), lambda x=x: x)
        for name, x in tensors.items()
    }
    metadata = {"general.architecture": Typed("str", "llama"), "llama.block_count": Typed("u32", 1)}
    return Content("memory", entries, metadata)


@pytest.fixture
def experts():
    tl.manual_seed(1)
    return tl.randn(EXPERTS, ROWS, COLUMNS)


@pytest.mark.parametrize("slab", [1, 2 * COLUMNS, 1 << 22])
def test_each_expert_has_its_own_importance(experts, tmp_path, monkeypatch, slab):
    monkeypatch.setattr("tallow.quantization.model.SLAB", slab)
    sums, counts = tl.rand(EXPERTS, COLUMNS) * 100, (10, 20, 30)
    matrix = ImportanceMatrix(chunk_size=32)
    matrix.add(NAME, sums, counts)
    source, out = content(**{NAME: experts}), tmp_path / "out.gguf"
    plan = plan_model(source, file_type("q4_k_s"), has_imatrix=True)
    quantize_model(source, plan, out, importance=matrix)
    with open_gguf(out) as made:
        found = bytes(made.data(NAME))
        assert made.tensors[NAME].shape == (EXPERTS, ROWS, COLUMNS)
    wanted = [quantize(experts[i], "q4_k", sums[i] / counts[i]) for i in range(EXPERTS)]
    assert found == b"".join(tobytes(part) for part in wanted)
    assert found != tobytes(quantize(experts, "q4_k"))


def test_slabs_do_not_matter(experts, tmp_path, monkeypatch):
    files = []
    for slab in (1, 700, 1 << 22):
        monkeypatch.setattr("tallow.quantization.model.SLAB", slab)
        source, out = content(**{NAME: experts}), tmp_path / f"{slab}.gguf"
        quantize_model(source, plan_model(source, file_type("q5_k_m")), out)
        files.append(out.read_bytes())
    assert len(set(files)) == 1


def test_progress_counts_the_source(experts, tmp_path):
    class Watch:
        total = done = 0
        finished = False

        def start(self, description, total_bytes):
            self.total = total_bytes

        def advance(self, n):
            self.done += n

        def finish(self):
            self.finished = True

    watch = Watch()
    source = content(**{NAME: experts, "output_norm.weight": tl.ones(7)})
    quantize_model(
        source, plan_model(source, file_type("q8_0")), tmp_path / "o.gguf", progress=watch
    )
    assert watch.finished
    assert watch.done == watch.total == experts.nbytes + 28


def test_numbers_beyond_the_scales(tmp_path):
    source = content(**{NAME: tl.full((2, 4, 256), 1e30)})
    plan = plan_model(source, file_type("q4_0"))
    with pytest.raises(ModelError, match=NAME):
        quantize_model(source, plan, tmp_path / "out.gguf")
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_when_the_plan_cannot_be_done(experts, tmp_path):
    source = content(**{NAME: experts})
    plan = plan_model(source, file_type("iq1_s"))
    with pytest.raises(ArgumentError, match="importance matrix"):
        quantize_model(source, plan, tmp_path / "out.gguf")
    matrix = ImportanceMatrix()
    matrix.add("blk.0.ffn_down_exps.weight", tl.ones(4), 1)
    with pytest.raises(ArgumentError, match=NAME):
        quantize_model(source, plan, tmp_path / "out.gguf", importance=matrix)
    whole = content(**{NAME: experts.to(tl.i32)})
    with pytest.raises(ModelError, match="expected floats"):
        quantize_model(whole, plan_model(whole, file_type("q8_0")), tmp_path / "out.gguf")
    assert list(tmp_path.iterdir()) == []
