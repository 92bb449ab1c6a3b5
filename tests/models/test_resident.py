"""`weights="resident"`: the same model on memory of its own."""

from pathlib import Path

import numpy as np
import pytest

import tallow as tl
from tallow.errors import ArgumentError
from tallow.nn.parameter import fill
from tallow.tensor import tobytes
from tallow.weights.resident import keep_resident

MODELS = Path(__file__).parents[1] / "golden" / "models"
FILES = ["llama/llama.q8_0.gguf", "llama", "qwen2", "qwen3"]


def logits(model):
    return model(tl.tensor([[1, 2, 3, 4]])).logits.numpy()


@pytest.mark.parametrize("name", FILES)
def test_results_are_those_of_mapped_weights(name):
    mapped = tl.models.load(MODELS / name)
    resident = tl.models.load(MODELS / name, weights="resident")
    np.testing.assert_array_equal(logits(resident), logits(mapped))


def quantized(dtype):
    """A model whose matrices came in no file; its head is the table of embeddings."""
    model = tl.models.load(MODELS / "llama3")
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2 and "norm" not in name:
            fill(parameter, parameter.detach().to(dtype))
    return model


@pytest.mark.parametrize("length", [1, 2, 5, 16, 17, 60])
@pytest.mark.parametrize("dtype", ["q4_0", "q4_1", "q8_0"])
def test_results_of_interleaved_rows_are_those_of_plain_ones(dtype, length):
    ids = tl.tensor([[i % 100 + 1 for i in range(length)]])
    model = quantized(dtype)
    wanted = model(ids).logits.numpy()
    state = {name: value.to(tl.f32).numpy() for name, value in model.state_dict().items()}
    keep_resident(model)
    for _ in range(2):
        np.testing.assert_array_equal(model(ids).logits.numpy(), wanted)
        np.testing.assert_array_equal(tl.compile(model)(ids).logits.numpy(), wanted)
        for name, value in model.state_dict().items():
            assert value.dtype.name in (dtype, "f32")
            np.testing.assert_array_equal(value.to(tl.f32).numpy(), state[name])
        keep_resident(model)


@pytest.mark.parametrize("dtype", ["q4_0", "q8_0"])
def test_rows_alone_are_kept_by_name(dtype):
    model, ids = quantized(dtype), tl.tensor([[1, 2, 3]])
    wanted = model(ids).logits.numpy()
    keep_resident(model, interleaved=False)
    np.testing.assert_array_equal(model(ids).logits.numpy(), wanted)


def test_float_activations_read_rows():
    mapped = tl.models.load(MODELS / FILES[0], activations="float")
    resident = tl.models.load(MODELS / FILES[0], activations="float", weights="resident")
    np.testing.assert_array_equal(logits(resident), logits(mapped))
    first, second = (next(m.parameters()) for m in (mapped, resident))
    assert first.data_ptr() != second.data_ptr()


def test_interleaved_weights_have_the_bytes_of_the_file():
    mapped = tl.models.load(MODELS / FILES[0]).state_dict()
    resident = tl.models.load(MODELS / FILES[0], weights="resident").state_dict()
    assert mapped.keys() == resident.keys()
    for name, value in mapped.items():
        assert tobytes(resident[name]) == tobytes(value)


def test_a_loaded_state_takes_the_place_of_interleaved_weights():
    model, ids = quantized("q4_0"), tl.tensor([[1, 2, 3]])
    keep_resident(model)
    with tl.no_grad():
        for layer in model.model.layers:
            other = layer.self_attn.v_proj.weight.to(tl.f32) * 2
            layer.self_attn.v_proj.weight.copy_(other.to("q4_0"))
    changed = model(ids).logits.numpy()
    again = quantized("q4_0")
    again.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(again(ids).logits.numpy(), changed)
    assert (changed != quantized("q4_0")(ids).logits.numpy()).any()


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
