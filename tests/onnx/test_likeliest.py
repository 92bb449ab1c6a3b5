"""Classifiers that give the place and the probability of their most likely class."""

import numpy as np
import pytest

import tallow as tl
from onnx_made import node, raw, value
from tallow.errors import FormatError
from tallow.onnx.likeliest import likeliest


def classifier(outputs=("p",)):
    draw = np.random.default_rng(0)
    weights = {
        "w": tl.tensor(draw.standard_normal((8, 50)).astype(np.float32)),
        "b": tl.tensor(draw.standard_normal(50).astype(np.float32)),
    }
    nodes = [
        node("MatMul", "x w", "m"), node("Add", "m b", "s"), node("Softmax", "s", "p", axis=-1)
    ]  # fmt: skip
    made = [value(name, ["n", "t", 50]) for name in outputs]
    return raw([value("x", ["n", "t", 8])], made, nodes, weights)


def test_as_the_largest_of_all():
    file = classifier()
    whole, model = tl.onnx.load(file), likeliest(file)
    draw = np.random.default_rng(1)
    for _ in range(4):  # computed, planned, replayed
        x = draw.standard_normal((2, 5, 8)).astype(np.float32)
        probability = whole(x).numpy()
        place, sure = (each.numpy() for each in model(x))
        assert np.array_equal(place, probability.argmax(-1))
        np.testing.assert_allclose(sure, probability.max(-1), rtol=1e-5)
    assert model.stats.replayed > 0
    assert [each.shape for each in model.outputs] == [("n", "t"), ("n", "t")]


def test_models_of_several_outputs_are_refused():
    with pytest.raises(FormatError, match="one output"):
        likeliest(classifier(("p", "s")))
