"""Shape inference: numbers at given lengths, expressions at others, or unknown."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import tallow as tl
from onnx_made import graph, node, raw, value
from tallow.errors import ArgumentError, ShapeError
from tallow.onnx.lengths import Solver, fraction

spec = importlib.util.spec_from_file_location(
    "real_models", Path(__file__).with_name("real_models.py")
)
real = importlib.util.module_from_spec(spec)
spec.loader.exec_module(real)

NEAR = (0, 1, 2, 3, 4, 5, 6, 7, 9, 11, 13, 15, 31, 33, 49, 57, 61, 62, 63, 64, 192)


@pytest.mark.parametrize(
    ("of", "text"),
    [
        (lambda n: n, "n"),
        (lambda n: 3 * n - 2, "3*n - 2"),
        (lambda n: (n + 1) // 2, "(n + 1)//2"),
        (lambda n: (n - 3) // 2 + 1, "(n - 1)//2"),
        (lambda n: n // 32, "n//32"),
        (lambda n: -(-n // 32), "(n + 31)//32"),
        (lambda n: n // 4 + 2, "n//4 + 2"),
        (lambda n: n * 3 // 2, "(3*n)//2"),
        (lambda n: 4 * -(-n // 4), "4*((n + 3)//4)"),
        (lambda n: 6 * (n // 2) + 1, "6*(n//2) + 1"),
        (lambda n: ((n - 1) // 2 // 2 - 1) // 2 + 1, "(n + 3)//8"),
        (lambda n: n * n, None),
        (lambda n: n % 5, None),
    ],
)
def test_fractions(of, text):
    assert fraction("n", {64 + step: of(64 + step) for step in NEAR}) == text
    if text:
        assert all(eval(text, {"n": n}) == of(n) for n in range(64, 400))


def test_a_model_that_takes_few_lengths():
    """What divides at all of them divides; else the lengths that were there decide."""
    assert fraction("n", {64: 16, 128: 32, 256: 64}) == "n/4"
    assert fraction("n", {64: 16, 127: 32, 128: 32, 256: 64}) == "(n + 3)//4"
    assert fraction("n", {64: 16}) is None


def test_several_names():
    def run(lengths):
        a, b = lengths["a"], lengths["b"]
        return {"x": ("float", (a, b, a * b * 2, 2 * a - b + 1, 7, -(-a // 2), a * b // 2))}

    kind, shape = Solver(["a", "b"], run).solve()["x"]
    assert kind == "float"
    assert shape == ("a", "b", "2*a*b", "2*a - b + 1", 7, "(a + 1)//2", None)


def test_names_that_must_be_equal():
    def run(lengths):
        return {"x": ("float", (lengths["a"],))} if lengths["a"] == lengths["b"] else None

    assert Solver(["a", "b"], run).solve() == {"x": ("float", ("a",))}
    assert Solver(["a"], lambda lengths: None).solve() == {}


def flattened():
    """y = x of (batch, n, 4) with its last axes as one, the usual way: by Shape and Concat."""
    return raw(
        [value("x", ("batch", "n", 4))], [value("y", None)],
        [
            node("Shape", "x", "s"), node("Gather", "s zero", "b", axis=0),
            node("Unsqueeze", "b axes", "b1"), node("Concat", "b1 minus", "to", axis=0),
            node("Reshape", "x to", "f"), node("Concat", "f f", "y", axis=1),
        ],
        {"zero": tl.tensor(0), "axes": tl.tensor([0]), "minus": tl.tensor([-1])},
    )  # fmt: skip


def test_lengths_are_given_or_named():
    model = tl.onnx.load(flattened())
    assert [(o.name, o.dtype, o.shape) for o in model.outputs] == [("y", tl.f32, ("batch", "8*n"))]
    found = model.infer_shapes({"batch": 2, "n": 5})
    assert {n: found[n].shape for n in ("s", "b", "to", "f", "y")} == {
        "s": (3,), "b": (), "to": (2,), "f": (2, 20), "y": (2, 40)
    }  # fmt: skip
    assert found["s"].dtype is tl.i64 and found["zero"].shape == ()
    assert model.infer_shapes({"n": 5})["y"].shape == ("batch", 40)
    assert model(np.zeros((3, 5, 4), "float32")).shape == (3, 40)
    with pytest.raises(ArgumentError, match=r"lengths of \['batch', 'n'\], got \['m'\]"):
        model.infer_shapes({"m": 1})


def test_lengths_without_a_name():
    x = value("x", (None, 3))
    model = tl.onnx.load(raw([x], [value("y", None)], [node("Transpose", "x", "y")]))
    assert model.outputs[0].shape == (3, "x.shape[0]")
    assert model.infer_shapes({"x.shape[0]": 7})["y"].shape == (3, 7)


def test_lengths_that_do_not_fit():
    x, y = value("x", ("a", 3)), value("y", ("b", 3))
    model = tl.onnx.load(raw([x, y], [value("z", None)], [node("Add", "x y", "z")]))
    assert model.infer_shapes({"a": 2, "b": 1})["z"].shape == (2, 3)
    with pytest.raises(ShapeError, match="Add"):
        model.infer_shapes({"a": 2, "b": 3})
    assert model.outputs[0].shape == ("a", 3)  # the two must change together


def test_unknown_where_elements_decide():
    model = tl.onnx.load(
        raw([value("x", ("n",)), value("c", (1,), "int64")], [value("y", None), value("z", None)],
            [node("NonZero", "x", "i"), node("Expand", "x c", "y"), node("Relu", "x", "z")])
    )  # fmt: skip
    found = model.infer_shapes()
    assert "i" not in found and "y" not in found
    assert [o.shape for o in model.outputs] == [None, ("n",)]
    assert model.infer_shapes({"n": 1}, {"c": [4]})["y"].shape == (4,)


@pytest.mark.parametrize("same", [True, False])
def test_branches(same):
    """What both branches of an If have in common; the one that is taken, if that is known."""
    then = graph([], [value("a", None)], [node("Relu", "x", "a")], name="then")
    other = graph([], [value("b", None)], [node("Relu" if same else "Transpose", "x", "b")])
    model = tl.onnx.load(
        raw([value("x", ("n", 2)), value("c", (), "bool")], [value("y", None)],
            [node("If", "c", "y", then_branch=then, else_branch=other)])
    )  # fmt: skip
    assert model.outputs[0].shape == (("n", 2) if same else None)
    assert model.infer_shapes({"n": 5}, {"c": False})["y"].shape == ((5, 2) if same else (2, 5))


def test_inference_computes_nothing_large():
    """Weights are not read, and results have no memory."""
    x, w = value("x", (1 << 20, 1 << 12)), tl.zeros(1 << 12, 8)
    y = value("y", None)
    model = tl.onnx.load(
        raw([x], [y], [node("MatMul", "x w", "h"), node("Relu", "h", "y")], {"w": w})
    )
    assert model.outputs[0].shape == (1 << 20, 8)


def lengths_of(model, feeds):
    """The lengths that the names of a model's inputs have in feeds."""
    from tallow.onnx.shapes import name_of

    return {
        name_of(info, axis): feeds[info.name].shape[axis]
        for info in model.inputs
        for axis, n in enumerate(info.shape)
        if not isinstance(n, int)
    }


@pytest.mark.needs_formats
@pytest.mark.needs_network
@pytest.mark.parametrize("name", sorted(real.MODELS.keys() - {"lore-process"}))
def test_real_models_have_the_shapes_of_onnx(name):
    """Wherever onnx.shape_inference gives a number it is ours; outputs are as they come.

    Two inputs of lore-process call different lengths by one name.
    """
    import onnx

    row = real.MODELS[name]
    path = real.fetched(row.ref)
    model = tl.onnx.load(path)
    feeds = row.feeds(row.sizes[0])
    lengths = lengths_of(model, feeds)
    scalars = {n: x for n, x in feeds.items() if x.ndim == 0}
    found = model.infer_shapes(lengths, scalars)
    theirs = onnx_shapes(onnx.load(path), model, lengths)
    known = {n: shape for n, shape in theirs.items() if n in found}
    for each, shape in known.items():
        ours = found[each].shape
        assert len(ours) == len(shape), each
        assert all(b is None or a == b for a, b in zip(ours, shape, strict=True)), each
    whole = {n for n, shape in theirs.items() if None not in shape}
    assert len(whole & known.keys()) >= SHARE.get(name, 0.99) * len(whole)
    for output, got in model.run(feeds).items():
        assert output not in found or found[output].shape == tuple(got.shape)


# Where lengths depend on elements (of durations), little is known behind.
SHARE = {"piper-joe": 0.6}


def onnx_shapes(file, model, lengths):
    """What onnx infers from inputs of these lengths; None for a length that it does not know."""
    import onnx
    from tallow.onnx.shapes import name_of

    infos = {each.name: each for each in model.inputs}
    for each in file.graph.input:
        if each.name in infos:
            for axis, dim in enumerate(each.type.tensor_type.shape.dim):
                name = name_of(infos[each.name], axis)
                if name in lengths and not isinstance(infos[each.name].shape[axis], int):
                    dim.dim_value = lengths[name]
    for each in file.graph.output:
        each.type.tensor_type.ClearField("shape")
    del file.graph.value_info[:]
    made = onnx.shape_inference.infer_shapes(file, data_prop=True)
    return {
        each.name: [
            d.dim_value if d.HasField("dim_value") else None
            for d in each.type.tensor_type.shape.dim
        ]
        for each in [*made.graph.value_info, *made.graph.output]
        if each.type.tensor_type.HasField("shape")
    }
