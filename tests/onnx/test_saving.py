"""Models written back to ONNX with the weights that they have."""

import io

import numpy as np
import pytest

import tallow as tl
from onnx_made import graph, node, raw, value
from tallow.errors import FormatError, ModelError
from tallow.formats.onnx import Function, Graph, Node, open_onnx
from tallow.formats.onnx.tensors import StoredTensor
from tallow.formats.onnx.writing import OnnxModel, stored, write_onnx

X = np.random.default_rng(0).standard_normal((3, 32), "float32")


def network(**more):
    """A product, an optional input, a branch, attributes with tensors."""
    w = np.random.default_rng(1).standard_normal((32, 64), "float32")
    inner = graph([], [value("i", None)], [node("Add", "h v", "i")], {"v": tl.ones(64)})
    other = graph([], [value("j", None)], [node("Identity", "h", "j")])
    return raw(
        [value("x", ("n", 32)), value("b", (64,)), value("c", (), "bool")],
        [value("y", ("n", 64)), value("s", ("n", 64), "int64")],
        [
            node("MatMul", "x w", "m"), node("Add", "m b", "h"),
            node("If", "c", "y", then_branch=inner, else_branch=other),
            node("Shape", "h", "hs"),
            Node("ConstantOfShape", "", "", ["hs"], ["s"], {"value": stored("", tl.tensor([7]))}),
        ],
        {"w": tl.from_numpy(w), "b": tl.zeros(64)},
        producer="maker 3", metadata={"key": "value"}, **more,
    )  # fmt: skip


def written(model, **options):
    file = io.BytesIO()
    assert tl.onnx.save(model, file, **options) == []
    return file.getvalue()


def call(model, **more):
    return [[v.numpy() for v in model.run({"x": X, "c": c} | more).values()] for c in (True, False)]


def test_a_model_with_other_weights_comes_back(tmp_path):
    model = tl.onnx.load(network())
    before = call(model)
    model.weights["w"].mul_(2)
    model.weights["b"] = tl.ones(64)
    model.weights["v"].add_(1)
    want = call(model)
    assert tl.onnx.save(model, tmp_path / "m.onnx") == [str(tmp_path / "m.onnx")]
    other = tl.onnx.load(tmp_path / "m.onnx")
    np.testing.assert_equal(call(other), want)
    assert not np.array_equal(want[0][0], before[0][0])
    np.testing.assert_equal(
        call(other, b=np.zeros(64, "float32")), call(model, b=np.zeros(64, "float32"))
    )
    assert (other.info.producer, other.metadata) == ("maker 3", {"key": "value"})
    assert other.inputs == model.inputs and other.optional_inputs == model.optional_inputs
    assert other.opsets == model.opsets and [*other.weights] == [*model.weights]


def test_a_model_is_written_over_its_own_file(tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(network())
    model = tl.onnx.load(path)
    model.weights["b"] = tl.ones(64)
    tl.onnx.save(model, path)
    np.testing.assert_equal(call(tl.onnx.load(path)), call(model))


def test_external_data(tmp_path):
    model = tl.onnx.load(network())
    paths = tl.onnx.save(model, tmp_path / "m.onnx", external_data=True)
    assert paths == [str(tmp_path / "m.onnx"), str(tmp_path / "m.onnx.data")]
    np.testing.assert_equal(call(tl.onnx.load(tmp_path / "m.onnx")), call(model))


def test_weights_have_the_dtypes_and_layout_of_the_file_again():
    model = tl.onnx.load(network())
    model.quantize("q8_0", activations="float")
    other = tl.onnx.load(written(model))
    assert (other.weights["w"].dtype, tuple(other.weights["w"].shape)) == (tl.f32, (32, 64))
    for got, want in zip(call(other), call(model), strict=True):
        np.testing.assert_allclose(got[0], want[0], 1e-4, 1e-4)
    half = tl.onnx.load(written(tl.onnx.load(network()).to(tl.f16)))
    assert half.weights["w"].dtype is tl.f32
    np.testing.assert_equal(call(half), call(tl.onnx.load(network()).to(tl.f16)))


def test_values_on_the_host_are_written():
    """Strings and elements below a byte, whose last byte is not full."""
    given = Graph(
        "main",
        [node("Identity", "t", "u"), node("Identity", "q", "r"), node("Identity", "z", "y")],
        [], [value("u", (2,), "string"), value("r", (3,), "int4"), value("y", (1,), "complex128")],
        {"t": StoredTensor("t", 8, (2,), ["ä".encode(), b"b"]),
         "q": StoredTensor("q", 22, (3,), bytes([0x7F, 0x08])),
         "z": StoredTensor("z", 15, (1,), np.array([1 + 2j]).tobytes())},
    )  # fmt: skip
    file = io.BytesIO()
    write_onnx(file, OnnxModel(given, {"": 21}))
    found = tl.onnx.load(written(tl.onnx.load(file.getvalue()))).run({})
    assert found["u"].tolist() == ["ä", "b"]
    assert found["r"].astype("int8").tolist() == [-1, 7, -8]
    assert found["y"].tolist() == [1 + 2j]


def test_functions_are_inlined():
    def content(opset):
        twice = Function(
            "Twice", "own", "", ["a"], ["b"], {}, [node("Add", "a a", "b")], {"": opset}
        )
        return raw([value("x", (2,))], [value("y", (2,))],
                   [node("Twice", "x", "h", "own"), node("Relu", "h", "y")],
                   opsets={"": 17, "own": 1}, functions=[twice])  # fmt: skip

    other = tl.onnx.load(written(tl.onnx.load(content(17))))
    assert other([-1, 2]).tolist() == [0, 4]
    assert not open_onnx(written(other)).functions
    with pytest.raises(ModelError, match=r"one opset of ai\.onnx, got 13 and 17 \(of a function\)"):
        written(tl.onnx.load(content(13)))


def test_a_path_that_cannot_be_written(tmp_path):
    with pytest.raises(FormatError, match="a file that can be written"):
        tl.onnx.save(tl.onnx.load(network()), tmp_path / "none" / "m.onnx")
    assert not [*tmp_path.iterdir()]


@pytest.mark.needs_formats
def test_onnxruntime_runs_what_was_written():
    import onnxruntime

    import onnx

    model = tl.onnx.load(network())
    model.weights["w"].mul_(3)
    content = written(model)
    onnx.checker.check_model(onnx.load_from_string(content), full_check=True)
    session = onnxruntime.InferenceSession(content)
    for c in (True, False):
        want = session.run(None, {"x": X, "c": np.array(c)})
        for got, each in zip(model.run({"x": X, "c": c}).values(), want, strict=True):
            np.testing.assert_allclose(got.numpy(), each, 1e-4, 1e-4)
