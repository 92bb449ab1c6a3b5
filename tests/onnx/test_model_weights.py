"""Weights of models: listed, replaced, converted, quantised, trained."""

import copy
import pickle

import numpy as np
import pytest

import tallow as tl
from onnx_made import graph, node, raw, value
from tallow.errors import ArgumentError, DTypeError, ModelError


def drawn(*shape):
    return tl.from_numpy(np.random.default_rng(len(shape)).standard_normal(shape, "float32"))


def weights():
    return {
        "fc1.weight": drawn(64, 96), "forward": drawn(96), "fc2.weight": drawn(32, 96),
        "fc2.bias": drawn(32), "inputs": tl.tensor([1, -1]), "training": drawn(1),
    }  # fmt: skip


def perceptron(given=None):
    """Two layers; some weights are called as a module's own attributes are."""
    return raw(
        [value("x", ("n", 64))], [value("y", ("n", 32)), value("t", (1, 2), "int64")],
        [
            node("MatMul", "x fc1.weight", "a"), node("Add", "a forward", "b"),
            node("Relu", "b", "c"), node("Gemm", "c fc2.weight fc2.bias", "d", transB=1),
            node("Mul", "d training", "y"), node("Unsqueeze", "inputs axes", "t"),
        ],
        (given or weights()) | {"axes": tl.tensor([0])},
    )  # fmt: skip


def expected(x, w):
    w = {n: v.numpy() for n, v in w.items()}
    hidden = np.maximum(x @ w["fc1.weight"] + w["forward"], 0)
    return (hidden @ w["fc2.weight"].T + w["fc2.bias"]) * w["training"]


X = np.random.default_rng(0).standard_normal((5, 64), "float32")


def agrees(model, w, tolerance=1e-4):
    """Whether three calls, the first step by step, give what `w` must."""
    for _ in range(3):
        np.testing.assert_allclose(model(X)[0].numpy(), expected(X, w), tolerance, tolerance * 10)


def test_weights_have_the_names_of_the_file():
    w = weights()
    model = tl.onnx.load(perceptron())
    assert [n for n, _ in model.named_parameters()] == [n for n in w if n != "inputs"]
    assert [n for n, _ in model.named_buffers()] == ["inputs", "axes"]
    assert {*model.state_dict()} == {*model.weights} == {*w, "axes"}
    assert len(model.weights) == 7
    assert not any(p.requires_grad for p in model.parameters())
    assert model.get_parameter("fc1.weight") is model.weights["fc1.weight"]
    assert model.get_buffer("inputs") is model.weights["inputs"]
    assert model.training is False and [i.name for i in model.inputs] == ["x"]
    agrees(model, w)
    assert model.eval()(X)[1].tolist() == [[1, -1]]


def test_what_follows_from_a_weight_is_computed_anew():
    w = weights()
    model = tl.onnx.load(perceptron())
    agrees(model, w)
    w["fc2.bias"] = drawn(32) * 3
    model.weights["fc2.bias"] = w["fc2.bias"]
    agrees(model, w)
    w["forward"] = drawn(96) * 2
    setattr(model, "forward", tl.nn.Parameter(w["forward"], requires_grad=False))  # noqa: B010
    agrees(model, w)
    w["fc1.weight"] = w["fc1.weight"] * 0.5
    model.weights["fc1.weight"].mul_(0.5)
    agrees(model, w)
    model.weights["inputs"].add_(tl.tensor([1, 1]))  # folded: t is a constant
    assert model(X)[1].tolist() == [[2, 0]]
    model.inputs_ = 1  # an attribute that is no weight
    assert model(X)[1].tolist() == [[2, 0]]


@pytest.mark.parametrize("assign", [False, True])
def test_state_dicts(tmp_path, assign):
    w = {n: v * 2 for n, v in weights().items()}
    tl.save(tl.onnx.load(perceptron(w)).state_dict(), tmp_path / "w.pt")
    model = tl.onnx.load(perceptron())
    agrees(model, weights())
    found = model.load_state_dict(tl.load(tmp_path / "w.pt"), assign=assign)
    assert not found.missing_keys and not found.unexpected_keys
    agrees(model, w)
    assert model(X)[1].tolist() == [[2, -2]]
    with pytest.raises(ModelError, match=r"fc9\.weight: expected no such name"):
        model.load_state_dict({**model.state_dict(), "fc9.weight": drawn(1)})
    with pytest.raises(ModelError, match=r"fc2\.bias"):
        model.load_state_dict({**model.state_dict(), "fc2.bias": drawn(31)})


def test_names_that_are_none():
    model = tl.onnx.load(perceptron())
    with pytest.raises(ArgumentError, match=r"got 'fc1\.wieght'; close ones are 'fc1\.weight'"):
        model.weights["fc1.wieght"] = drawn(64, 96)
    with pytest.raises(DTypeError, match=r"a Tensor for 'fc1\.weight', got list"):
        model.weights["fc1.weight"] = [1]
    with pytest.raises(ArgumentError, match="the graph needs it"):
        del model.weights["fc1.weight"]


def test_converted_weights_are_used_in_the_types_of_the_graph():
    """`to(f16)` halves what is kept and rounds it; inputs, outputs and arithmetic stay f32."""
    model = tl.onnx.load(perceptron()).to(tl.f16)
    w = weights()
    assert {v.dtype for n, v in model.weights.items() if n in w and n != "inputs"} == {tl.f16}
    assert model.weights["inputs"].dtype is tl.i64
    assert model(X)[0].dtype is tl.f32
    agrees(model, {n: v.to(tl.f16).to(v.dtype) for n, v in w.items()})
    agrees(model.float(), {n: v.to(tl.f16).to(v.dtype) for n, v in w.items()})


@pytest.mark.parametrize(
    ("dtype", "activations", "tolerance"),
    [
        ("q8_0", "int8", 0.015),
        ("q8_0", "float", 0.01),
        ("q4_0", "float", 0.2),
        ("q4_1", "int8", 0.2),
    ],
)
def test_quantised_products(dtype, activations, tolerance):
    """Within a part of the largest result that the bits allow, and not equal."""
    w = weights()
    model = tl.onnx.load(perceptron())
    assert model.quantize(dtype, activations=activations) == ["fc1.weight", "fc2.weight"]
    one, two = model.weights["fc1.weight"], model.weights["fc2.weight"]
    assert (one.dtype.name, tuple(one.shape)) == (dtype, (96, 64))  # rows of blocks
    assert (two.dtype.name, tuple(two.shape)) == (dtype, (32, 96))
    want = expected(X, w)
    for _ in range(3):
        off = np.abs(model(X)[0].numpy() - want).max() / np.abs(want).max()
        assert 0 < off < tolerance
    if activations == "float":  # nothing is rounded but the weights
        w["fc1.weight"], w["fc2.weight"] = one.to(tl.f32).transpose(0, 1), two.to(tl.f32)
        agrees(model, w, 1e-3)
    other = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(other(X)[0].numpy(), model(X)[0].numpy())


def test_what_is_quantised():
    """Matrices that products alone use; of other uses, sizes and graphs none."""
    w = {"a": drawn(64, 32), "b": drawn(64, 32), "c": drawn(63, 32), "d": drawn(64, 32),
         "e": drawn(64, 32), "m": drawn(64, 32)}  # fmt: skip
    inner = graph([], [value("i", None)], [node("MatMul", "x m", "i")], {"m": w.pop("m")})
    ys = [value(y, None) for y in "pqrstu"] + [value("e", None)]
    given = raw(
        [value("x", (5, 64)), value("z", (5, 63)), value("k", (), "bool")], ys,
        [
            node("MatMul", "x a", "p"), node("MatMul", "x b", "q"), node("MatMul", "z c", "r"),
            node("Gemm", "x d", "s", alpha=2.0), node("MatMul", "x e", "t"),
            node("Transpose", "b", "bt"),
            node("If", "k", "u", then_branch=inner, else_branch=inner),
        ],
        w,
    )  # fmt: skip
    model = tl.onnx.load(given)
    feeds = {"x": X, "z": X[:, :63].copy(), "k": True}
    before = [v.numpy() for v in model.run(feeds).values()]
    names = model.quantize("q8_0", activations="float")
    assert names == ["a", "m", "If_u/m"]
    for got, want in zip(model.run(feeds).values(), before, strict=True):
        np.testing.assert_allclose(got.numpy(), want, atol=0.02 * np.abs(want).max())
    with pytest.raises(ArgumentError, match=r"matrices of MatMul or Gemm, .* got \['b'\]"):
        model.quantize("q8_0", ["b"])
    with pytest.raises(DTypeError, match="a dtype of blocks, got f16"):
        model.quantize("f16")
    model.weights["a"] = drawn(64, 32).to(tl.q8_0)
    with pytest.raises(
        ModelError, match=r"weight 'a': expected \(32, 64\) in blocks, got \(64, 32\)"
    ):
        model.run(feeds)


def test_weights_of_sub_graphs():
    then = graph([], [value("a", None)], [node("Add", "x w", "a")], {"w": tl.tensor([1.0])})
    other = graph([], [value("a", None)], [node("Add", "x w", "a")], {"w": tl.tensor([2.0])})
    model = tl.onnx.load(
        raw([value("x", (1,)), value("c", (), "bool")], [value("y", (1,))],
            [node("If", "c", "y", then_branch=then, else_branch=other)])
    )  # fmt: skip
    assert [*model.weights] == ["w", "If_y/w"]

    def call(m):
        return [m([0.0], c)[0].item() for c in (True, False)]

    assert [call(model) for _ in range(3)] == [[1, 2]] * 3
    model.weights["If_y/w"] = tl.tensor([5.0])
    assert [call(model) for _ in range(3)] == [[1, 5]] * 3
    assert call(copy.deepcopy(model)) == [1, 5]


def test_gradients_of_weights_and_inputs():
    """Checked against differences."""
    model = tl.onnx.load(perceptron()).requires_grad_()
    x = tl.from_numpy(X).requires_grad_()
    loss = model(x)[0].square().mean()
    loss.backward()
    step = 1e-2
    with tl.no_grad():
        for tensor in (*(p for p in model.parameters()), x):
            way = tensor.grad / tensor.grad.norm()
            tensor.add_(way, alpha=step)
            up = model(x)[0].square().mean().item()
            tensor.sub_(way, alpha=2 * step)
            down = model(x)[0].square().mean().item()
            tensor.add_(way, alpha=step)
            assert (up - down) / (2 * step) == pytest.approx(tensor.grad.norm().item(), rel=2e-2)


@pytest.mark.needs_torch
def test_gradients_equal_torch():
    import torch

    w = {n: torch.tensor(v.numpy(), requires_grad=v.dtype is tl.f32) for n, v in weights().items()}
    x = torch.tensor(X, requires_grad=True)
    hidden = torch.relu(x @ w["fc1.weight"] + w["forward"])
    y = torch.nn.functional.linear(hidden, w["fc2.weight"], w["fc2.bias"]) * w["training"]
    y.square().mean().backward()

    model = tl.onnx.load(perceptron()).requires_grad_()
    own = tl.from_numpy(X).requires_grad_()
    model(own)[0].square().mean().backward()
    np.testing.assert_allclose(own.grad.numpy(), x.grad.numpy(), 1e-4, 1e-4)
    for name, each in model.named_parameters():
        np.testing.assert_allclose(each.grad.numpy(), w[name].grad.numpy(), 1e-4, 1e-3)


def test_training_changes_what_the_model_gives():
    model = tl.onnx.load(perceptron()).requires_grad_()
    optimizer = tl.optim.SGD(model.parameters(), lr=1e-4)
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        loss = model(X)[0].square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses == sorted(losses, reverse=True)
    with tl.no_grad():
        assert model(X)[0].square().mean().item() < losses[-1]
        assert model.stats.stepped
