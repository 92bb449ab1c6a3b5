"""Exports without a runtime: names, types, sizes as nodes, and what is refused."""

from __future__ import annotations

import io

import pytest

import tallow as tl
from models.golden_families import Case
from tallow import nn
from tallow.errors import ArgumentError, CaptureError, ModelError
from tallow.formats.onnx import open_onnx
from tallow.nn import functional as F


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.up = nn.Linear(4, 8)
        self.down = nn.Linear(8, 4)

    def forward(self, x, scale=None):
        return self.down(F.relu(self.up(x)))


class Of(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *args):
        return self.function(*args)


def kinds(graph):
    """The operators of the nodes that are no constants."""
    return [node.op_type for node in graph.nodes if node.op_type != "Constant"]


def constant(graph, name):
    (node,) = [each for each in graph.nodes if each.outputs == [name]]
    return node.attributes["value"].value().tolist()


BATCH = {"x": {0: "batch"}}


def exported(module, examples, **options):
    made = io.BytesIO()
    assert tl.onnx.export(module, examples, made, **options) == []
    return open_onnx(made.getvalue())


def test_names_types_and_weights():
    model = Mlp()
    file = exported(model, tl.randn(2, 4), dynamic=BATCH)
    graph = file.graph
    assert (file.opsets, file.ir_version, file.producer) == (
        {"": 17},
        8,
        f"tallow {tl.__version__}",
    )
    assert file.metadata == {"module": "Mlp"}
    assert [(i.name, i.type.elem_type, i.type.shape) for i in graph.inputs] == [
        ("x", 1, ("batch", 4))
    ]
    assert [(o.name, o.type.shape) for o in graph.outputs] == [("output", ("batch", 4))]
    weights = dict(model.named_parameters())
    assert graph.initializers.keys() == weights.keys()
    for name, weight in weights.items():
        assert graph.initializers[name].value().tolist() == weight.tolist()
    names = {node.name for node in graph.nodes}
    assert {"up/MatMul", "up/Add", "Relu", "down/MatMul"} <= names
    assert len(names) == len(graph.nodes)


def test_a_family_says_what_it_is():
    case = Case("bert")
    dynamic = {name: {0: "b", 1: "n"} for name in case.inputs}
    file = exported(case.load(), case.inputs, dynamic=dynamic)
    assert file.metadata == {"module": "BertModel", "model_type": "bert"}
    shapes = {each.name: each.type.shape for each in file.graph.outputs}
    assert shapes["last_hidden_state"][:2] == ("b", "n")
    assert not any(node.op_type in ("Loop", "If") for node in file.graph.nodes)


@pytest.mark.parametrize("opset", [17, 18, 19, 20, 21])
def test_opsets(opset):
    file = exported(Of(lambda x: F.gelu(x).mean(-1)), tl.randn(2, 3), opset=opset)
    nodes = {node.op_type: node for node in file.graph.nodes}
    assert file.opsets == {"": opset}
    assert ("Gelu" in nodes) == (opset >= 20)
    assert ("axes" in nodes["ReduceMean"].attributes) == (opset < 18)


def test_shapes_stay_where_nothing_varies():
    def heads(x):
        return x.reshape(x.shape[0], x.shape[1], 2, 3).transpose(1, 2)

    graph = exported(Of(heads), tl.randn(2, 5, 6), dynamic={"args": {}}, input_names=["args"]).graph
    assert kinds(graph) == ["Reshape", "Transpose"]
    both = {"x": {0: "b", 1: "n"}}
    graph = exported(Of(heads), tl.randn(2, 5, 6), dynamic=both, input_names=["x"]).graph
    assert kinds(graph) == ["Reshape", "Transpose"]
    (reshape,) = [node for node in graph.nodes if node.op_type == "Reshape"]
    assert constant(graph, reshape.inputs[1]) == [0, 0, 2, 3]


def test_a_training_module_is_exported_as_it_predicts():
    model = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5)).train()
    graph = exported(model, tl.randn(2, 3)).graph
    assert model.training
    assert set(kinds(graph)) == {"Transpose", "MatMul", "Add"}


def test_outputs_that_are_inputs_weights_or_twice_the_same():
    def several(x):
        y = x + 1
        return {"x": x, "y": y, "again": y, "one": tl.ones(2)}

    graph = exported(Of(several), tl.randn(2, 3), input_names=["given"]).graph
    assert [o.name for o in graph.outputs] == ["x", "y", "again", "one"]
    assert sorted(kinds(graph)) == ["Add", "Identity", "Identity", "Identity"]


def test_tensors_written_in_place():
    def steps(x):
        y = x * 2
        y += 1
        y[:, 1:] = x[:, :1]
        y[0, 0].fill_(5)
        return y

    with pytest.raises(ModelError, match="written in place or viewed by other means"):
        exported(Of(steps), tl.randn(2, 3))


def test_what_is_refused(tmp_path):
    x = tl.randn(2, 4)
    refused = [
        ({"opset": 9}, "an opset of 17 to 21, got 9"),
        ({"input_names": ["a", "b"]}, "1 different input names"),
        ({"output_names": []}, r"1 output names, for \['output'\]"),
        ({"dynamic": {"y": {0: "b"}}}, r"dynamic axes of \['x'\], got 'y'"),
        ({"dynamic": {"x": {2: "b"}}}, r"an axis of x \(2, 4\), got 2"),
        ({"dynamic": {"x": {0: "b", 1: "b"}}}, "'b' to be 2 in every example, got 4"),
        (
            {"dynamic": BATCH, "sizes": {"batch": (1, 2)}},
            "three different sizes or more for 'batch'",
        ),
        ({"sizes": {"batch": (1, 2, 3)}}, r"sizes of \[\], got \['batch'\]"),
    ]
    for options, message in refused:
        with pytest.raises(ArgumentError, match=message):
            tl.onnx.export(Mlp(), x, tmp_path / "a.onnx", **options)
    for examples, message in (({}, "at least one tensor"), (3, "a mapping, got int")):
        with pytest.raises(ArgumentError, match=message):
            tl.onnx.export(Mlp(), examples, tmp_path / "a.onnx")
    with pytest.raises(ArgumentError, match="a Module, got function"):
        tl.onnx.export(lambda x: x, x, tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_expressed_is_named(tmp_path):
    path = tmp_path / "a.onnx"
    x = tl.randn(2, 3)
    with pytest.raises(CaptureError, match="item"):
        tl.onnx.export(Of(lambda x: x * x.sum().item()), x, path)
    with pytest.raises(ModelError, match="ops that ONNX can express, got lgamma in function"):
        tl.onnx.export(Holding(Of(lambda x: x.lgamma())), x, path)
    with pytest.raises(ModelError, match="the same calls at every size, got relu"):
        tl.onnx.export(
            Of(lambda x: (x * 2).relu() if len(x) > 2 else x.relu()), x, path,
            dynamic=BATCH, input_names=["x"],
        )  # fmt: skip
    with pytest.raises(ModelError, match="arguments that differ between sizes as integers do"):
        tl.onnx.export(Of(lambda x: x * (1 / len(x))), x, path, dynamic=BATCH, input_names=["x"])
    assert not list(tmp_path.iterdir())


class Holding(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


SIZES = {
    "sums": lambda b, n: 2 * n - 1 + b, "products": lambda b, n: b * n * 3 + 2,
    "square": lambda b, n: n * n, "half": lambda b, n: n // 2, "up": lambda b, n: (n + 1) // 2,
    "before": lambda b, n: (n + 3) // 4, "third": lambda b, n: n // 3,
    "thirds": lambda b, n: -(-n // 3),
    "shifted": lambda b, n: (n - 1) // 2 + 1, "half_more": lambda b, n: n // 2 + 4,
}  # fmt: skip


@pytest.mark.parametrize("name", SIZES)
def test_integers_that_follow_from_sizes(name):
    rule = SIZES[name]
    made = io.BytesIO()
    module = Of(lambda x: tl.arange(rule(*x.shape)))
    dynamic = {"x": {0: "b", 1: "n"}}
    tl.onnx.export(module, tl.ones(2, 4), made, input_names=["x"], dynamic=dynamic)
    loaded = tl.onnx.load(made.getvalue())
    for b in (1, 2, 6):
        for n in range(1, 26):
            assert loaded.run({"x": tl.ones(b, n)})["output"].shape == (rule(b, n),)


def test_integers_that_follow_otherwise_are_refused():
    module = Of(lambda x: tl.arange(x.shape[1] // 3 * 2 + x.shape[1] % 3 * 5))
    with pytest.raises(ModelError, match="sums, products and whole quotients"):
        exported(module, tl.ones(2, 4), input_names=["x"], dynamic={"x": {0: "b", 1: "n"}})


def test_an_error_leaves_modules_and_tensors_as_they_were():
    call, put = nn.Module.__call__, tl.Tensor.__setitem__
    with pytest.raises(ModelError):
        exported(Holding(Of(lambda x: x.lgamma())), tl.ones(2, 3))
    assert nn.Module.__call__ is call and tl.Tensor.__setitem__ is put
    x = tl.ones(2)
    x[0] = 3
    assert (x + 1).tolist() == [4, 2]


@pytest.mark.parametrize(("layer", "kind"), [(nn.LSTM(4, 3, 2), "LSTM"), (nn.GRU(4, 3, 2), "GRU")])
def test_recurrent_layers_are_nodes_for_any_length(layer, kind, tmp_path):
    path = str(tmp_path / "model.onnx")
    tl.onnx.export(layer, tl.randn(5, 2, 4), path, dynamic={"input": {0: "time", 1: "batch"}})
    model = tl.onnx.load(path)
    found = kinds(open_onnx(path).graph)
    assert found.count(kind) == 2 and "MatMul" not in found
    for steps, batch in ((1, 1), (9, 3)):
        x = tl.randn(steps, batch, 4)
        with tl.no_grad():
            want = layer(x)[0]
        got = model.run({"input": x})
        assert tl.allclose(next(iter(got.values())), want, atol=1e-6)
