"""Operators that users register."""

import pickle
import subprocess
import sys

import numpy as np
import pytest

import tallow as tl
from onnx_made import node, raw, value
from tallow.errors import ArgumentError, ModelError
from tallow.onnx.operators import table

X = np.array([[1, 2], [3, 4]], "float32")


@pytest.fixture(autouse=True)
def same_table_after():
    before = {key: [*rows] for key, rows in table._OWN.items()}
    yield
    table._OWN.clear()
    table._OWN.update(before)


def one(op_type, domain="", opset=17, inputs="x", **attributes):
    return raw(
        [value("x", ("n", 2))], [value("y", None)],
        [node(op_type, inputs, "y", domain, **attributes)], {"w": tl.tensor([1.0, 2.0])},
        {"": opset, **({domain: 1} if domain else {})},
    )  # fmt: skip


def test_an_operator_of_a_domain_of_its_own():
    @tl.onnx.operator("Power", domain="my.domain")
    def power(x, w=None, *, exponent: int = 2, lambda_: float = 0.0):
        return x**exponent * (1 if w is None else w) + lambda_

    for given, want in (
        (one("Power", "my.domain"), X**2),
        (one("Power", "my.domain", inputs="x w", exponent=3, **{"lambda": 0.5}),
         X**3 * [1, 2] + 0.5),
    ):  # fmt: skip
        model = tl.onnx.load(given)
        for _ in range(3):
            np.testing.assert_allclose(model(X).numpy(), want)
        assert model.stats.replayed == 1
        assert model.outputs[0].shape == ("n", 2)
    with pytest.raises(ModelError, match=r"my\.domain\.Other of opset 1.*tallow\.onnx\.operator"):
        tl.onnx.load(one("Other", "my.domain"))


def test_several_results_and_numbers():
    @tl.onnx.operator("Parts", domain="my.domain", reads=("count",))
    def parts(x, count):
        return x[:count], x[count:]

    model = tl.onnx.load(
        raw([value("x", ("n",)), value("c", (), "int64")], [value("a", None), value("b", None)],
            [node("Parts", "x c", "a b", "my.domain")], opsets={"": 17, "my.domain": 1})
    )  # fmt: skip
    for count in (1, 2, 1, 2, 1, 2):
        a, b = model([5, 6, 7], count)
        assert (a.tolist(), b.tolist()) == ([5, 6, 7][:count], [5, 6, 7][count:])


def test_ours_are_replaced_only_when_asked():
    with pytest.raises(ArgumentError, match=r"ai\.onnx\.Relu, which has one from opset .*replace"):
        tl.onnx.operator("Relu", since=7)(lambda x: x)
    np.testing.assert_allclose(tl.onnx.load(one("Relu"))(-X).numpy(), 0 * X)
    old = tl.onnx.load(one("Relu"))

    @tl.onnx.operator("Relu", since=15, until=18, replace=True)
    def relu(x):
        return x * 10

    for opset, want in ((14, X), (17, X * 10), (19, X)):
        model = tl.onnx.load(one("Relu", opset=opset))
        for _ in range(3):
            np.testing.assert_allclose(model(X).numpy(), want)
    np.testing.assert_allclose(old(X).numpy(), X)  # loaded before


def test_a_replaced_operator_is_not_fused_away():
    """Passes know MatMul as a product; this one is none."""

    @tl.onnx.operator("MatMul", since=1, replace=True)
    def difference(a, b):
        return a - b

    model = tl.onnx.load(one("MatMul", inputs="x w"))
    for _ in range(3):
        np.testing.assert_allclose(model(X).numpy(), X - [1, 2])
    assert model.quantize() == []


def test_models_with_own_operators_are_pickled_by_name():
    tl.onnx.operator("Twice", domain="my.domain")(lambda x: x * 2)
    raw_model = pickle.dumps(tl.onnx.load(one("Twice", "my.domain")))
    np.testing.assert_allclose(pickle.loads(raw_model)(X).numpy(), 2 * X)
    table.forget("my.domain", "Twice")
    with pytest.raises(ModelError, match=r"my\.domain\.Twice of opset 1 is registered"):
        pickle.loads(raw_model)


def test_models_are_unpickled_in_another_process(tmp_path):
    (tmp_path / "m").write_bytes(pickle.dumps(tl.onnx.load(one("Relu"))))
    load = "import pickle, sys; m = pickle.load(open(sys.argv[1], 'rb'))"
    code = f"{load}; print(m([[-1., 2.]]).tolist())"
    found = subprocess.run([sys.executable, "-c", code, tmp_path / "m"], capture_output=True)
    assert found.stdout.decode().strip() == "[[0.0, 2.0]]", found.stderr.decode()
