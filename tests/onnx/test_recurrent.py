"""RNN, GRU and LSTM compared with onnxruntime over all options."""

import numpy as np
import pytest

import tallow as tl
from onnx_nodes import check, values
from tallow.errors import ArgumentError, ShapeError, TallowError
from tallow.onnx.operators import find

from .single import model_of

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
STEPS, BATCH, WIDTH, SIZE = 5, 3, 4, 6


def inputs(op, *, ways=1, bias=True, lengths=False, states=False, peephole=False, layout=0):
    rows = GATES[op] * SIZE
    x = values((BATCH, STEPS, WIDTH) if layout else (STEPS, BATCH, WIDTH))
    w, r = values((ways, rows, WIDTH), seed=1), values((ways, rows, SIZE), seed=2)
    b = values((ways, 2 * rows), seed=3) if bias else None
    ends = np.array([5, 2, 3], dtype=np.int32) if lengths else None
    shape = (BATCH, ways, SIZE) if layout else (ways, BATCH, SIZE)
    first = [values(shape, seed=4 + i) if states else None for i in range(1 + (op == "LSTM"))]
    made = [x, w, r, b, ends, *first]
    return [*made, values((ways, 3 * SIZE), seed=6)] if peephole else made


def run(op, given, opset=14, **attributes):
    outputs = (True,) * (3 if op == "LSTM" else 2)
    return check(op, given, opset, outputs, hidden_size=SIZE, **attributes)


@pytest.mark.needs_formats
@pytest.mark.parametrize("lengths", [False, True], ids=["even", "lengths"])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("op", GATES)
def test_directions(op, direction, lengths):
    ways = 2 if direction == "bidirectional" else 1
    run(op, inputs(op, ways=ways, lengths=lengths, states=True), direction=direction)


@pytest.mark.needs_formats
@pytest.mark.parametrize("opset", [7, 14])
@pytest.mark.parametrize("bias", [False, True], ids=["plain", "bias"])
@pytest.mark.parametrize("op", GATES)
def test_usual_forms(op, bias, opset):
    run(op, inputs(op, bias=bias), opset)


@pytest.mark.needs_formats
@pytest.mark.parametrize("lengths", [False, True], ids=["even", "lengths"])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("before", [0, 1])
def test_reset_gate_before_and_behind_the_product(before, direction, lengths):
    ways = 2 if direction == "bidirectional" else 1
    given = inputs("GRU", ways=ways, lengths=lengths, states=True)
    run("GRU", given, linear_before_reset=before, direction=direction)


@pytest.mark.needs_formats
@pytest.mark.parametrize("lengths", [False, True], ids=["even", "lengths"])
@pytest.mark.parametrize("ways", [1, 2])
def test_peepholes(ways, lengths):
    given = inputs("LSTM", ways=ways, lengths=lengths, states=True, peephole=True)
    run("LSTM", given, direction="bidirectional" if ways == 2 else "forward")


@pytest.mark.needs_formats
@pytest.mark.parametrize("peephole", [False, True])
def test_coupled_gates(peephole):
    run("LSTM", inputs("LSTM", peephole=peephole, states=True), input_forget=1)


@pytest.mark.needs_formats
@pytest.mark.parametrize("op", GATES)
def test_clip(op):
    run(op, inputs(op, states=True), clip=0.5)


NAMES = ["Relu", "Tanh", "Sigmoid", "Softsign", "Softplus", "LeakyRelu", "ThresholdedRelu",
         "ScaledTanh", "HardSigmoid", "Elu", "Affine"]  # fmt: skip


@pytest.mark.needs_formats
@pytest.mark.parametrize("name", NAMES)
def test_activations_of_an_rnn(name):
    given = {"activations": [name]}
    if name in NAMES[5:]:
        given |= {"activation_alpha": [0.4]}
    if name in ("ScaledTanh", "HardSigmoid", "Affine"):
        given |= {"activation_beta": [0.3]}
    run("RNN", inputs("RNN"), **given)


@pytest.mark.needs_formats
def test_parameters_of_several_activations():
    run("LSTM", inputs("LSTM", states=True), activations=["HardSigmoid", "ScaledTanh", "Relu"],
        activation_alpha=[0.3, 0.9], activation_beta=[0.4, 0.7])  # fmt: skip
    run("GRU", inputs("GRU", ways=2), activations=["HardSigmoid", "Tanh", "Sigmoid", "Softsign"],
        activation_alpha=[0.3], activation_beta=[0.4], direction="bidirectional")  # fmt: skip


@pytest.mark.needs_formats
@pytest.mark.parametrize("ways", [1, 2])
@pytest.mark.parametrize("op", GATES)
def test_layout(op, ways):
    given = inputs(op, ways=ways, layout=1)
    run(op, given, layout=1, runtime=False, direction="bidirectional" if ways == 2 else "forward")


@pytest.mark.parametrize("dtype", [tl.f64, tl.f16, tl.bf16])
@pytest.mark.parametrize("op", GATES)
def test_dtypes(op, dtype):
    given = [None if x is None else tl.tensor(x) for x in inputs(op, states=True)]
    row = find("", op, 22).function
    cast = [x if x is None or x.dtype.kind != "f" else x.to(dtype) for x in given]
    for got, want in zip(row(*cast), row(*given), strict=True):
        assert got.dtype is dtype
        assert tl.allclose(got.to(tl.f32), want, atol=0.1 if dtype.itemsize < 4 else 1e-5)


BAD = {
    "direction": ("LSTM", {"direction": "up"}, "direction of"),
    "ways": ("GRU", {"direction": "bidirectional"}, "W of shape"),
    "hidden_size": ("LSTM", {"hidden_size": 5}, "hidden_size 6"),
    "activations": ("GRU", {"activations": ["Tanh"]}, "2 activations"),
    "activation": ("RNN", {"activations": ["Cube"]}, "an activation of"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_attributes(case):
    op, attributes, text = BAD[case]
    given = [None if x is None else tl.tensor(x) for x in inputs(op)]
    with pytest.raises(TallowError, match=text):
        find("", op, 14).function(*given, **attributes)
    with pytest.raises(TallowError, match="R of shape"):
        find("", op, 14).function(*given[:2], given[2][:, 1:], *given[3:])


def model_with_lengths(op, **attributes):
    """A model of one operator, by what the reader makes of a file, and its tensors."""
    given = inputs(op, lengths=True)
    arrays = {f"x{i}": x for i, x in enumerate(given) if x is not None}
    file = model_of(op, given, 14, 2, hidden_size=SIZE, **attributes)
    return tl.onnx.load(file.SerializeToString()), arrays


@pytest.mark.needs_formats
@pytest.mark.parametrize("attributes", [{}, {"clip": 3.0}], ids=["kernel", "steps"])
@pytest.mark.parametrize("op", GATES)
def test_lengths_beyond_the_input(op, attributes):
    model, arrays = model_with_lengths(op, **attributes)
    for good in ([5, 2, 3], [0, 5, 5], [1, 4, 2], [5, 5, 5]):  # by steps, and then by a plan
        model.run(arrays | {"x4": np.array(good, np.int32)})
    assert model.stats.replayed
    for bad in ([5, 6, 3], [5, -1, 3]):
        arrays["x4"] = np.array(bad, np.int32)
        text = f"{op}: expected sequence_lens from 0 to 5, .*, got {bad[1]} for sequence 1"
        with pytest.raises(ArgumentError, match=text):
            model.run(arrays)


@pytest.mark.parametrize("op", GATES)
def test_lengths_are_those_of_the_batch(op):
    given = [None if x is None else tl.tensor(x) for x in inputs(op, lengths=True)]
    given[4] = given[4][:2]
    with pytest.raises(ShapeError, match="sequence_lens of shape"):
        find("", op, 14).function(*given)
