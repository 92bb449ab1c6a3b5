"""Sequences and optionals against onnxruntime, or by what the standard says."""

import numpy as np
import pytest

import tallow as tl
from onnx_graphs import agree, by_reference, info, model, ours, same
from tallow.errors import ArgumentError, DTypeError

pytestmark = pytest.mark.needs_formats

f = np.float32
X, Y = f([[1, 2], [3, 4]]), f([[5, 6]])


def node(op, inputs, outputs, **attributes):
    from onnx import helper

    inputs = ["" if name == "-" else name for name in inputs.split()]
    return helper.make_node(op, inputs, outputs.split(), **attributes)


def sequence(name, dtype="float32"):
    from onnx import TensorProto, helper

    code = (
        TensorProto.STRING if dtype == "str" else helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    )
    return helper.make_tensor_sequence_value_info(name, code, None)


def of_two(nodes, outputs, more=(), **options):
    inputs = [info("x", f, [None, None]), info("y", f, [None, None]), *more]
    return model([node("SequenceConstruct", "x y", "seq"), *nodes], inputs, outputs, **options)


def at(position, dtype="int64"):
    return {"x": X, "y": Y, "p": np.asarray(position, dtype)}


@pytest.mark.parametrize("dtype", ["int64", "int32"])
def test_sequence_at(dtype):
    given = of_two(
        [node("SequenceAt", "seq p", "out")], [info("out", f, [None, None])], [info("p", dtype, [])]
    )
    agree(given, *[at(p, dtype) for p in (0, 1, -1, -2)])
    for position in (2, -3):
        with pytest.raises(ArgumentError, match=r"SequenceAt.*position from -2 to 1"):
            ours(given, at(position, dtype))


@pytest.mark.parametrize("op", ["SequenceErase", "SequenceInsert"])
@pytest.mark.parametrize("position", [None, 0, 1, -1, -2])
def test_sequences_change(op, position):
    given_at = "-" if position is None else "p"
    names = f"seq {given_at}" if op == "SequenceErase" else f"seq x {given_at}"
    more = [] if position is None else [info("p", "int64", [])]
    given = of_two(
        [node(op, names, "out"), node("SequenceLength", "out", "count")],
        [sequence("out"), info("count", "int64", [])],
        more,
    )
    call = {"x": X, "y": Y} if position is None else at(position)
    agree(given, call)


@pytest.mark.parametrize("op", ["SequenceErase", "SequenceInsert"])
def test_positions_that_are_not_there_are_refused(op):
    names = "seq p" if op == "SequenceErase" else "seq x p"
    given = of_two([node(op, names, "out")], [sequence("out")], [info("p", "int64", [])])
    for position in (3, -3):
        with pytest.raises(ArgumentError, match="a position from -2 to"):
            ours(given, at(position))


def test_an_insertion_leaves_the_sequence_as_it_was():
    nodes = [
        node("SequenceInsert", "seq x", "more"),
        node("SequenceErase", "seq", "less"),
        node("Identity", "seq", "same"),
    ]
    given = of_two(nodes, [sequence("more"), sequence("less"), sequence("same")])
    agree(given, {"x": X, "y": Y})


def test_a_tensor_of_another_dtype_is_refused():
    given = of_two(
        [node("SequenceInsert", "seq p", "out")], [sequence("out")], [info("p", "int64", [])]
    )
    with pytest.raises(DTypeError, match="values of one dtype"):
        ours(given, at(1))


def test_an_empty_sequence():
    nodes = [
        node("SequenceEmpty", "", "none"),
        node("SequenceInsert", "none x", "one"),
        node("SequenceLength", "none", "count"),
    ]
    outs = [sequence("none"), sequence("one"), info("count", "int64", [])]
    agree(model(nodes, [info("x", f, [None, None])], outs), {"x": X})


@pytest.mark.parametrize("split", [None, 1, 2, 3, [1, 4], [0, 5], [5], [1, 1, 1, 1, 1]], ids=str)
@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("axis", [0, -1])
def test_split_to_sequence(split, keepdims, axis):
    x = np.arange(25, dtype=f).reshape(5, 5)
    inputs, call = [info("x", f, [None, None])], {"x": x}
    if split is not None:
        inputs.append(info("s", "int64", [] if isinstance(split, int) else [None]))
        call["s"] = np.asarray(split, np.int64)
    parts = node(
        "SplitToSequence", "x" if split is None else "x s", "seq", axis=axis, keepdims=keepdims
    )
    whole = node(
        "ConcatFromSequence", "seq", "out", axis=axis, new_axis=int(split is None and not keepdims)
    )
    given = model([parts, whole], inputs, [sequence("seq"), info("out", f, [None, None])])
    agree(given, call, reference=by_reference)  # onnxruntime heeds keepdims beside a split


def test_lengths_that_do_not_fit_are_refused():
    given = model(
        [node("SplitToSequence", "x s", "seq")],
        [info("x", f, [None]), info("s", "int64", [None])],
        [sequence("seq")],
    )
    for lengths in ([1, 1], [-1, 4], [4]):
        with pytest.raises(ArgumentError, match="lengths that sum to 3"):
            ours(given, {"x": f([1, 2, 3]), "s": np.array(lengths)})


@pytest.mark.parametrize("axis", [0, 1, -1, -2])
@pytest.mark.parametrize("new_axis", [0, 1])
def test_concat_from_sequence(axis, new_axis):
    nodes = [
        node("SequenceConstruct", "x x", "s"),
        node("ConcatFromSequence", "s", "out", axis=axis, new_axis=new_axis),
    ]
    out = info("out", f, [None] * (3 if new_axis else 2))
    agree(model(nodes, [info("x", f, [None, None])], [out]), {"x": X})


def test_texts_in_sequences():
    nodes = [
        node("SequenceConstruct", "x y", "seq"),
        node("ConcatFromSequence", "seq", "all", axis=0),
        node("SplitToSequence", "all", "parts"),
    ]
    given = model(
        nodes,
        [info("x", "str", [None]), info("y", "str", [None])],
        [info("all", "str", [None]), sequence("parts", "str")],
    )
    call = {"x": np.array(["a", "bc"], object), "y": np.array(["ü"], object)}
    [(whole, parts)] = ours(given, call)
    assert whole.tolist() == ["a", "bc", "ü"]
    assert [each.tolist() for each in parts] == [["a"], ["bc"], ["ü"]]


def test_sequence_map():
    from onnx import helper

    body = helper.make_graph(
        [node("Add", "a b", "s"), node("Add", "s k", "t")],
        "body",
        [info("a", f, None), info("b", f, None), info("k", f, None)],
        [info("s", f, None), info("t", f, None)],
    )
    nodes = [
        node("SequenceConstruct", "x y", "seq"),
        node("SequenceMap", "seq seq k", "s t", body=body),
    ]
    inputs = [info("x", f, [None, None]), info("y", f, [None, None]), info("k", f, [])]
    given = model(nodes, inputs, [sequence("s"), sequence("t")])
    agree(given, {"x": X, "y": Y, "k": np.asarray(f(3))})


@pytest.mark.parametrize("opset", [15, 18])
@pytest.mark.parametrize("empty", [False, True])
def test_optionals(opset, empty):
    from onnx import helper

    kind = helper.make_tensor_type_proto(1, [2])
    nodes = [
        helper.make_node(
            "Optional", [] if empty else ["x"], ["o"], **({"type": kind} if empty else {})
        ),
        node("OptionalHasElement", "o", "has"),
    ]
    outputs = [info("has", "bool", [])]
    if not empty:
        nodes.append(node("OptionalGetElement", "o", "out"))
        outputs.append(info("out", f, [2]))
    given = model(nodes, [info("x", f, [2])], outputs, opset=opset)
    agree(given, {"x": f([1, 2])})


def test_optionals_of_sequences_are_given_and_taken():
    from onnx import helper

    kind = helper.make_optional_type_proto(
        helper.make_sequence_type_proto(helper.make_tensor_type_proto(1, None))
    )
    nodes = [node("OptionalHasElement", "o", "has"), node("Identity", "o", "o2")]
    given = model(
        nodes,
        [helper.make_value_info("o", kind)],
        [info("has", "bool", []), helper.make_value_info("o2", kind)],
    )
    raw = tl.onnx.load(given.SerializeToString())
    for value in (None, [tl.tensor([1.0])], [], None):
        found = raw.run({"o": value})
        assert found["has"].item() is (value is not None)
        same(found["o2"], value)


def test_the_value_of_an_empty_optional_is_refused():
    from onnx import helper

    kind = helper.make_optional_type_proto(helper.make_tensor_type_proto(1, [2]))
    given = model(
        [node("OptionalGetElement", "o", "out")],
        [helper.make_value_info("o", kind)],
        [info("out", f, [2])],
    )
    with pytest.raises(ArgumentError, match="an optional with a value"):
        tl.onnx.load(given.SerializeToString()).run({"o": None})


def test_a_loop_carries_a_sequence_and_an_optional():
    from onnx import helper

    seq = helper.make_tensor_sequence_value_info
    body = helper.make_graph(
        [
            node("SequenceInsert", "s x", "s2"),
            node("Identity", "go", "go2"),
            node("SequenceLength", "s", "n"),
        ],
        "body",
        [info("i", "int64", []), info("go", "bool", []), seq("s", 1, None)],
        [info("go2", "bool", []), seq("s2", 1, None), info("n", "int64", [])],
    )
    nodes = [
        node("SequenceEmpty", "", "s0"),
        node("Loop", "m - s0", "out all", body=body),
        node("ConcatFromSequence", "out", "whole", axis=0),
    ]
    given = model(
        nodes,
        [info("m", "int64", []), info("x", f, [None])],
        [info("whole", f, [None]), info("all", "int64", [None])],
    )
    agree(given, {"m": np.array(3), "x": f([1, 2])}, {"m": np.array(5), "x": f([1])})
