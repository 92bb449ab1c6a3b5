"""Large weights at odd addresses of a file: read when they are used, and not kept."""

import copy
import pickle

import numpy as np
import pytest

import tallow as tl
from onnx_made import node, raw, value
from tallow.nn.parameter import DeferredParameter
from tallow.onnx.unread import is_unread

X = np.random.default_rng(0).standard_normal((2, 64), "float32")
W = np.random.default_rng(1).standard_normal((64, 512), "float32")


@pytest.fixture
def model(tmp_path):
    """A model of one matrix, wherever the file has it: of four files, three have it unread."""
    for pad in range(4):
        content = raw(
            [value("x", ("n", 64))], [value("y", ("n", 512))], [node("MatMul", "x w", "y")],
            {"w": tl.from_numpy(W)}, metadata={"pad": "x" * pad},
        )  # fmt: skip
        (tmp_path / "a.onnx").write_bytes(content)
        if content.index(W.tobytes()) % 4:
            return tl.onnx.load(tmp_path / "a.onnx")
    raise AssertionError("no odd address")


def gives(model, w, tolerance=1e-4):
    for _ in range(3):
        np.testing.assert_allclose(model(X).numpy(), X @ w, tolerance, tolerance * 10)


def test_calls_keep_nothing(model):
    weight = model.weights["w"]
    assert is_unread(weight) and (weight.shape, weight.dtype) == ((64, 512), tl.f32)
    assert model.infer_shapes({"n": 3})["y"].shape == (3, 512)
    gives(model, W)
    assert is_unread(model.weights["w"])
    np.testing.assert_array_equal(weight.numpy(), W)  # asked for: it is kept from now on
    assert not is_unread(model.weights["w"]) and model.weights["w"] is weight
    gives(model, W)


def test_writing_and_replacing(model):
    gives(model, W)
    model.weights["w"].mul_(2)
    gives(model, W * 2)
    model.weights["w"] = tl.from_numpy(W * 3)
    gives(model, W * 3)


def test_conversion_is_noticed(model):
    gives(model, W)
    model.to(tl.f16)
    assert is_unread(model.weights["w"]) and model.weights["w"].dtype is tl.f16
    gives(model, W.astype("float16").astype("float32"))
    assert model.weights["w"].numpy().dtype == "float16"
    gives(model, W.astype("float16").astype("float32"))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies(model, copied):
    other = copied(model)
    other.weights["w"].zero_()
    gives(other, W * 0)
    gives(model, W)


def test_state_dicts_and_gradients(model):
    np.testing.assert_array_equal(model.state_dict()["w"].numpy(), W)
    other = tl.onnx.load(model.path)
    assert isinstance(other.weights["w"], DeferredParameter)
    other.requires_grad_()
    y = other(X)
    y.sum().backward()
    np.testing.assert_allclose(
        other.weights["w"].grad.numpy(), np.repeat(X.sum(0)[:, None], 512, 1), 1e-4, 1e-4
    )
    other.requires_grad_(False)
    other.load_state_dict({"w": tl.from_numpy(W * 5)})
    gives(other, W * 5)


def test_quantised_and_saved(model, tmp_path):
    tl.onnx.save(model, tmp_path / "b.onnx")
    gives(tl.onnx.load(tmp_path / "b.onnx"), W)
    assert is_unread(model.weights["w"])
    assert model.quantize("q8_0", activations="float") == ["w"]
    gives(model, model.weights["w"].to(tl.f32).numpy().T, 1e-3)
