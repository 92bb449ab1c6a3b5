"""Calls of one model one after the other: what was checked once is seen again when it changes."""

import gc
import threading

import numpy as np
import pytest

import tallow as tl
from onnx_made import graph, node, raw, value
from tallow import _native
from tallow.errors import ArgumentError, DTypeError, ShapeError
from tallow.formats.onnx import ValueInfo, ValueType

ROWS = np.arange(6, dtype="float32").reshape(2, 3)


def adder():
    """z = x + y * w"""
    return tl.onnx.load(
        raw(
            [value("x", ("n", 3)), value("y", ("n", 3))], [value("z", ("n", 3))],
            [node("Mul", "y w", "a"), node("Add", "x a", "z")], {"w": tl.tensor([1.0, 2.0, 3.0])},
        )
    )  # fmt: skip


def expected(x, y, w=(1, 2, 3)):
    return x + y * np.asarray(w, "float32")


def warm(model, x=ROWS):
    for _ in range(4):
        np.testing.assert_array_equal(model.run({"x": x, "y": x})["z"].numpy(), expected(x, x))


FORMS = {
    "numpy": lambda x: x,
    "tensor": tl.from_numpy,
    "columns": lambda x: np.asfortranarray(x),
    "every second": lambda x: np.repeat(x, 2, -1)[:, ::2],
    "backwards": lambda x: np.ascontiguousarray(x[::-1])[::-1],
    "read only": lambda x: np.frombuffer(x.tobytes(), "float32").reshape(x.shape),
    "odd address": lambda x: np.frombuffer(b"1" + x.tobytes(), "f", offset=1).reshape(x.shape),
    "lists": lambda x: x.tolist(),
    "broadcast": lambda x: np.broadcast_to(x[:, :1], x.shape),
}  # fmt: skip


@pytest.mark.parametrize("rows", [0, 1, 2, 5])
def test_forms_and_lengths_take_turns(rows):
    model = adder()
    warm(model)
    x = np.random.default_rng(0).integers(-99, 99, (rows, 3)).astype("float32")
    for _ in range(3):
        for first in FORMS.values():
            for second in FORMS.values():
                if rows == 0 and FORMS["lists"] in (first, second):
                    continue
                a, b = first(x), second(x)
                found = model.run({"x": a, "y": b})["z"].numpy()
                np.testing.assert_array_equal(found, expected(np.asarray(a), np.asarray(b)))


@pytest.mark.parametrize(
    ("feeds", "error"),
    [
        ({"x": ROWS, "y": ROWS.astype("float64")}, DTypeError),
        ({"x": ROWS, "y": ROWS.astype("int32")}, DTypeError),
        ({"x": ROWS, "y": ROWS.view("int32")}, DTypeError),
        ({"x": ROWS, "y": tl.from_numpy(ROWS).to("bf16")}, DTypeError),
        ({"x": ROWS, "y": ROWS.astype(">f4")}, None),
        ({"x": ROWS[:, :2], "y": ROWS[:, :2]}, ShapeError),
        ({"x": ROWS, "y": ROWS[0]}, ShapeError),
        ({"x": ROWS}, ArgumentError),
        ({"x": ROWS, "w": ROWS}, ArgumentError),
        ({"x": ROWS, "y": ROWS, "w": ROWS}, ArgumentError),
        ({"x": ROWS, "y": None}, DTypeError),
        ({"x": ROWS, "y": np.array(["a"] * 3, object)}, DTypeError),
    ],
)
def test_what_was_refused_before_is_refused_after(feeds, error):
    model = adder()
    told = []
    for _ in range(2):
        with pytest.raises(error or (DTypeError, ArgumentError)) as refused:
            model.run(feeds)
        told.append(str(refused.value))
        warm(model)
    assert told[0] == told[1]


def test_a_session_takes_what_a_model_does_not():
    """Ranks that the file does not have pass in a session, however often a model refused them."""
    given = raw([value("x", ())], [value("z", ())], [node("Neg", "x", "z")])
    session = tl.onnx.InferenceSession(given)
    for _ in range(3):
        np.testing.assert_array_equal(session.run(None, {"x": ROWS})[0], -ROWS)
        with pytest.raises(ShapeError):
            session.model.run({"x": ROWS})


def test_arrays_may_be_written_and_freed_after_a_call():
    model = adder()
    kept = []
    for i in range(20):
        x = np.full((2, 3), i, "float32")
        kept.append(model.run({"x": x, "y": x})["z"].numpy())
        x[:] = -1
        del x
        gc.collect()
    for i, found in enumerate(kept):
        np.testing.assert_array_equal(found, np.full((2, 3), i) * (1 + np.array([1, 2, 3])))


def test_inputs_that_share_memory():
    model = adder()
    memory = np.arange(18, dtype="float32").reshape(6, 3)
    for _ in range(4):
        for a, b in ((0, 0), (0, 1), (2, 4), (1, 0)):
            x, y = memory[a : a + 2], memory[b : b + 2]
            np.testing.assert_array_equal(model.run({"x": x, "y": y})["z"].numpy(), expected(x, y))


def test_weights_replaced_written_and_trained_between_calls():
    model = adder()
    warm(model)
    changes = [
        lambda: model.weights.__setitem__("w", tl.tensor([4.0, 5.0, 6.0])),
        lambda: model.weights["w"].mul_(2.0),
        lambda: model.weights["w"].numpy().__setitem__(0, 9.0),
        lambda: model.weights["w"].requires_grad_(),
        lambda: model.weights["w"].requires_grad_(False),
    ]
    for change in changes:
        change()
        for _ in range(3):
            wanted = expected(ROWS, ROWS, model.weights["w"].detach().numpy())
            found = model.run({"x": ROWS, "y": ROWS})["z"]
            assert found.requires_grad == model.weights["w"].requires_grad
            np.testing.assert_array_equal(found.detach().numpy(), wanted)


def test_gradients_of_inputs_after_calls_without():
    model = adder()
    warm(model)
    y = tl.from_numpy(ROWS.copy()).requires_grad_()
    model.run({"x": ROWS, "y": y})["z"].sum().backward()
    assert y.grad.tolist() == [[1, 2, 3]] * 2
    with tl.no_grad():
        assert not model.run({"x": ROWS, "y": y})["z"].requires_grad
    warm(model)


def test_lists_of_a_session_share_no_memory_with_its_results():
    arrays = ValueType("sequence", 0, None, ValueType("tensor", 1))
    given = raw(
        [value("x", (2,)), ValueInfo("y", arrays)],
        [ValueInfo("s", arrays), ValueInfo("t", arrays), value("u", (2,))],
        [node("SequenceConstruct", "x x", "s"), node("Identity", "y", "t"),
         node("Identity", "x", "u")],
    )  # fmt: skip
    session = tl.onnx.InferenceSession(given)
    x, y = np.array([1, 2], "float32"), np.array([3, 4], "float32")
    for _ in range(3):
        s, t, u = session.run(None, {"x": x, "y": [y, y]})
        for found, want in zip((*s, *t, u), ([1, 2], [1, 2], [3, 4], [3, 4], [1, 2]), strict=True):
            assert found.tolist() == want
            found[:] = 0
    assert x.tolist() == [1, 2] and y.tolist() == [3, 4]


def test_threads_begin_with_a_model_at_once():
    """The first calls of all, with inputs of several forms."""
    model = adder()
    wrong, begin = [], threading.Barrier(4)

    def call(seed):
        x = np.random.default_rng(seed).integers(-99, 99, (1 + seed % 2, 3)).astype("float32")
        forms = [FORMS[name] for name in ("numpy", "tensor", "columns", "lists")]
        begin.wait()
        for i in range(40):
            found = model.run({"x": forms[i % 4](x), "y": forms[(i + seed) % 4](x + i)})
            if not np.array_equal(found["z"].numpy(), expected(x, x + i)):
                wrong.append((seed, i))

    threads = [threading.Thread(target=call, args=(seed,)) for seed in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not wrong


def branching(*inputs, decide):
    """z = x + 1 where `decide` gives true of the other inputs, else x - 1."""

    def branch(op_type):
        made = node(op_type, "x one", "r")
        return graph([], [value("r", (None,))], [made], {"one": tl.tensor([1.0])}, "branch")

    branches = {"then_branch": branch("Add"), "else_branch": branch("Sub")}
    nodes = [*decide, node("If", "c", "z", **branches)]
    return tl.onnx.load(
        raw([value("x", (None,)), *inputs], [value("z", (None,))], nodes, {"k": tl.tensor(16000)})
    )


def test_a_number_that_decides_leads_to_one_plan():
    """Whatever values come, in whatever turn; few plans are run for known ones."""
    model = branching(value("rate", (), "int64"), decide=[node("Equal", "rate k", "c")])
    x = np.array([1, 2], "float32")
    rng = np.random.default_rng(0)
    for rate in [16000, 8000] * 6 + [16000] * 5 + [*rng.integers(15990, 16010, 200)]:
        found = model.run({"x": x, "rate": np.array(rate)})["z"].tolist()
        assert found == ([2, 3] if rate == 16000 else [0, 1])
        x = x.copy()
    before = model.stats.replayed
    for _ in range(10):
        assert model.run({"x": x, "rate": np.array(16000)})["z"].tolist() == [2, 3]
    assert model.stats.replayed == before + 10


def test_a_number_may_be_written_between_calls():
    model = branching(value("rate", (), "int64"), decide=[node("Equal", "rate k", "c")])
    x, rate = np.array([1, 2], "float32"), np.array(16000)
    lent = tl.from_numpy(rate)
    for _ in range(8):
        for each in (rate, lent):
            rate[()] = 16000
            assert model.run({"x": x, "rate": each})["z"].tolist() == [2, 3]
            rate[()] = 8000
            assert model.run({"x": x, "rate": each})["z"].tolist() == [0, 1]


def test_weights_that_decide_with_a_number():
    model = branching(value("rate", (), "int64"), decide=[node("Equal", "rate k", "c")])
    feeds = {"x": np.array([1, 2], "float32"), "rate": np.array(8000)}
    for weight, found in ((16000, [0, 1]), (8000, [2, 3]), (16000, [0, 1])):
        for _ in range(5):
            assert model.run(feeds)["z"].tolist() == found
        model.weights["k"] = tl.tensor(8000 if weight == 16000 else 16000)


@pytest.mark.parametrize("count", [1, 8, 400])
def test_long_values_that_decide(count):
    """Those of 400 elements are computed each time."""
    decide = [
        node("Greater", "y x", "b"), node("Cast", "b", "i", to=6),
        node("ReduceMax", "i", "m", keepdims=0), node("Cast", "m", "c", to=9),
    ]  # fmt: skip
    model = branching(value("y", (None,)), decide=decide)
    x = np.zeros(count, "float32")
    for i in range(12):
        y = x.copy()
        y[i % count] = (1, -1)[i % 2]
        assert set(model.run({"x": x, "y": y})["z"].tolist()) == {1 - 2 * (i % 2)}


def test_elements_are_refused_where_there_are_none():
    x = tl.zeros(4, 4)
    for wrong in ([x, 1], [], [x.T[1:, 1:]], [None]):
        with pytest.raises(ArgumentError):
            _native.elements(wrong, (len(wrong) - 1,))
    with pytest.raises(ArgumentError):
        _native.elements([x], (-1,))
    assert _native.elements([tl.tensor([1, 2]), 3], (0, 0)) == np.array([1, 2, 1, 2]).tobytes()
    assert _native.elements([], ()) == b""
