"""Models: inputs in every form, what is refused, outputs, copies and threads."""

import copy
import pickle
import threading

import numpy as np
import pytest

import tallow as tl
from onnx_made import node, raw, value
from tallow.errors import ArgumentError, DTypeError, ShapeError

ROWS = np.arange(6, dtype="float32").reshape(2, 3)
W = np.array([1, 2, 3], "float32")


def adder(**more):
    """z = relu(x + y) + w, with a third input that passes."""
    return raw(
        [value("x", ("batch", 3)), value("y", ("batch", 3)), value("s", (), "int64")],
        [value("z", ("batch", 3)), value("t", (), "int64")],
        [node("Add", "x y", "a"), node("Relu", "a", "r"), node("Add", "r w", "z"),
         node("Identity", "s", "t")],
        {"w": tl.tensor([1.0, 2.0, 3.0])},
        **more,
    )  # fmt: skip


def expected(x, y):
    return np.maximum(x + y, 0) + W


@pytest.mark.parametrize(
    "given",
    [ROWS, tl.from_numpy(ROWS), ROWS.tolist(), [list(map(int, row)) for row in ROWS.tolist()],
     ROWS.T.copy().T, [*ROWS]],
    ids=["numpy", "tensor", "lists", "integers", "strides", "arrays"],
)  # fmt: skip
def test_inputs_in_every_form(given):
    model = tl.onnx.load(adder())
    for _ in range(3):
        found = model.run({"x": given, "y": -ROWS + 1, "s": 7})
        assert [*found] == ["z", "t"]
        np.testing.assert_array_equal(found["z"].numpy(), expected(ROWS, 1 - ROWS))
        assert found["t"].dtype is tl.i64 and found["t"].item() == 7
        assert found["t"].shape == ()


def test_calls_by_position_and_by_name():
    model = tl.onnx.load(adder())
    z, t = model(ROWS, s=np.array(3), y=ROWS)
    np.testing.assert_array_equal(z.numpy(), expected(ROWS, ROWS))
    assert t.item() == 3
    assert [*model.run({"x": ROWS, "y": ROWS, "s": 1}, ["t"])] == ["t"]
    with pytest.raises(ArgumentError, match=r"forward: expected each input once, got two values"):
        model(ROWS, ROWS, 1, x=ROWS)
    with pytest.raises(ArgumentError, match=r"expected the inputs \['x', 'y', 's'\], got 4"):
        model(ROWS, ROWS, 1, 2)
    with pytest.raises(ArgumentError, match=r"outputs of \['z', 't'\], got \['u'\]"):
        model.run({"x": ROWS, "y": ROWS, "s": 1}, ["u"])


def test_what_the_file_says():
    model = tl.onnx.load(adder(producer="maker 1.0", metadata={"a": "b"}))
    assert [(i.name, i.dtype, i.shape) for i in model.inputs] == [
        ("x", tl.f32, ("batch", 3)), ("y", tl.f32, ("batch", 3)), ("s", tl.i64, ()),
    ]  # fmt: skip
    assert model.metadata == {"a": "b"} and model.opsets == {"": 17}
    assert "x, y, s → z, t; 4 nodes, 1 weights" in repr(model)


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"x": ROWS.astype("float64")}, DTypeError,
         r"run: expected 'x' of tensor\(float\) \[batch, 3\], got tensor\(double\) \[2, 3\]"),
        ({"x": tl.ones(2, 3, dtype=tl.f16)}, DTypeError, r"got tensor\(float16\) \[2, 3\]"),
        ({"s": 1.5}, DTypeError, r"expected 's' of tensor\(int64\) \[\], got 1\.5"),
        ({"s": [True, 1.5]}, DTypeError, "got a list with floats"),
        ({"x": "text"}, DTypeError, "got 'text'"),
        ({"x": None}, DTypeError, "got NoneType"),
        ({"x": np.ones((2, 4), "float32")}, ShapeError, r"got tensor\(float\) \[2, 4\]"),
        ({"x": np.ones(3, "float32")}, ShapeError, r"got tensor\(float\) \[3\]"),
        ({"s": np.array([1])}, ShapeError, r"expected 's' .* got tensor\(int64\) \[1\]"),
        ({"y": np.ones((5, 3), "float32")}, ShapeError,
         "expected one length for 'batch', got 2 for axis 0 of 'x' and 5 for axis 0 of 'y'"),
        ({"w": ROWS}, ArgumentError, r"inputs \['x', 'y', 's'\], got them with 'w'"),
        ({"x": ROWS.astype("int32"), "y": np.ones((2, 9), "float32")}, ArgumentError,
         r"expected 'x' .* got tensor\(int32\) \[2, 3\]; expected 'y' .* got tensor\(float\)"),
    ],
)  # fmt: skip
def test_misfits_are_told_by_name(change, error, text):
    model = tl.onnx.load(adder())
    with pytest.raises(error, match=text):
        model.run({"x": ROWS, "y": ROWS, "s": 1} | change)


def test_missing_inputs_are_told_by_name():
    with pytest.raises(ArgumentError, match="got them without 'y', 's' and with 'q'"):
        tl.onnx.load(adder()).run({"x": ROWS, "q": ROWS})


@pytest.mark.parametrize("name", ["?", "None", "batch"])
def test_names_may_have_two_lengths_where_the_model_takes_them(name):
    x, y, z = (value(n, (name, name)) for n in "xyz")
    model = tl.onnx.load(raw([x, y], [z], [node("Add", "x y", "z")]))
    assert model(np.ones((2, 1), "float32"), np.ones((1, 3), "float32")).shape == (2, 3)


def test_negative_lengths_are_any():
    x, y = value("x", (-1, 3)), value("y", (-1, 3))
    model = tl.onnx.load(raw([x], [y], [node("Relu", "x", "y")]))
    assert model.inputs[0].shape == (None, 3)
    assert model(ROWS).shape == (2, 3)


def overridable():
    w = value("w", (3,))
    return raw(
        [value("x", (None, 3)), w], [value("z", (None, 3))], [node("Add", "x w", "z")],
        {"w": tl.tensor([1.0, 2.0, 3.0])},
    )  # fmt: skip


def test_a_value_of_the_file_may_be_given():
    model = tl.onnx.load(overridable())
    assert [i.name for i in model.inputs] == ["x"]
    assert [i.name for i in model.optional_inputs] == ["w"]
    for _ in range(3):
        np.testing.assert_array_equal(model(ROWS).numpy(), ROWS + W)
        np.testing.assert_array_equal(
            model(ROWS, w=[5, 6, 7]).numpy(), ROWS + np.array([5, 6, 7], "float32")
        )
    with pytest.raises(
        ShapeError, match=r"'w' of tensor\(float\) \[3\], got tensor\(float\) \[1\]"
    ):
        model(ROWS, w=[1])


def test_outputs_are_no_memory_of_the_model():
    """A constant output, and one that is a view of a weight, may be written."""
    given = raw(
        [value("x", (2,))], [value("w", (2,)), value("v", (2,)), value("s", (2,))],
        [node("Identity", "w", "v"), node("Add", "w x", "s")], {"w": tl.tensor([1.0, 2.0])},
    )  # fmt: skip
    model = tl.onnx.load(given)
    for _ in range(4):
        found = model.run({"x": np.zeros(2, "float32")})
        for each in found.values():
            assert each.tolist() == [1, 2]
            each.zero_()
    assert model.weights["w"].tolist() == [1, 2]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_have_weights_of_their_own(copied):
    model = tl.onnx.load(adder())
    want = model(ROWS, ROWS, 1)[0].numpy()
    other = copied(model)
    np.testing.assert_array_equal(other(ROWS, ROWS, 1)[0].numpy(), want)
    other.weights["w"].zero_()
    np.testing.assert_array_equal(model(ROWS, ROWS, 1)[0].numpy(), want)
    np.testing.assert_array_equal(other(ROWS, ROWS, 1)[0].numpy(), want - W)
    assert other.info == model.info and [*other.weights] == ["w"]


def test_threads_call_one_model():
    model = tl.onnx.load(adder())
    wrong, begin = [], threading.Barrier(4)

    def call(seed):
        x = np.random.default_rng(seed).standard_normal((1 + seed % 3, 3)).astype("float32")
        begin.wait()
        for i in range(60):
            found = model.run({"x": x + i, "y": x, "s": seed})
            if not np.array_equal(found["z"].numpy(), expected(x + i, x)):
                wrong.append((seed, i))

    threads = [threading.Thread(target=call, args=(seed,)) for seed in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not wrong
    assert model.stats.replayed > 100
