"""`weights="resident"`: the same model on memory of its own."""

from pathlib import Path

import numpy as np
import pytest

import tallow as tl
from tallow.errors import ArgumentError

MODELS = Path(__file__).parents[1] / "golden" / "models"
FILES = ["llama/llama.q8_0.gguf", "llama", "qwen2", "qwen3"]


def logits(model):
    return model(tl.tensor([[1, 2, 3, 4]])).logits.numpy()


@pytest.mark.parametrize("name", FILES)
def test_results_are_those_of_mapped_weights(name):
    mapped = tl.models.load(MODELS / name)
    resident = tl.models.load(MODELS / name, weights="resident")
    np.testing.assert_array_equal(logits(resident), logits(mapped))


def test_weights_stand_in_one_block_of_memory():
    model = tl.models.load(MODELS / "llama", weights="resident")
    parameters = list(model.parameters())
    begins = [p.data_ptr() for p in parameters]
    assert all(begin % 64 == 0 for begin in begins)
    total = sum(-(-p.nbytes // 64) * 64 for p in parameters)
    buffers = sum(-(-b.nbytes // 64) * 64 for b in model.buffers())
    last = max(begins) + parameters[begins.index(max(begins))].nbytes
    assert last - min(begins) <= total + buffers


def test_tied_weights_stay_one_tensor():
    model = tl.models.load(MODELS / "llama3", weights="resident")
    assert model.config.tie_word_embeddings
    paths = [p for p, _ in model.named_parameters(remove_duplicate=False) if "embed" in p]
    assert len({id(model.get_parameter(p)) for p in paths}) == 1


def test_writing_to_a_weight_leaves_the_others_alone():
    model = tl.models.load(MODELS / "llama", weights="resident")
    first, second = list(model.parameters())[:2]
    kept = second.numpy().copy()
    with tl.no_grad():
        first.fill_(3.0)
    assert (first.numpy() == 3).all()
    np.testing.assert_array_equal(second.numpy(), kept)


def test_the_file_may_go_away(tmp_path):
    path = tmp_path / "model.gguf"
    path.write_bytes((MODELS / FILES[0]).read_bytes())
    model = tl.models.load(path, weights="resident")
    expected = logits(tl.models.load(MODELS / FILES[0]))
    path.write_bytes(b"")
    np.testing.assert_array_equal(logits(model), expected)


def test_shapes_alone_stay_shapes():
    model = tl.models.load(MODELS / "llama", weights="resident", device="meta")
    assert {p.device.type for p in model.parameters()} == {"meta"}


def test_another_word_is_refused():
    with pytest.raises(ArgumentError, match=r"load: expected weights of .*, got 'pinned'"):
        tl.models.load(MODELS / "llama", weights="pinned")
