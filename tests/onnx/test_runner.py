"""Runs by plans: values that share memory in one call and not in the next."""

import numpy as np
import pytest

import tallow as tl
from onnx_runs import graph, node, numbers, runner
from tallow.onnx.program import Program
from tallow.onnx.runner import Runner


def test_a_tensor_given_twice_is_two_inputs_in_the_plan():
    run = runner(graph([node("Add", "a b", "c")], "a b", "c")).run
    x, y = tl.tensor([1.0]), tl.tensor([5.0])
    for _ in range(3):
        assert numbers(run([x, x], [])) == [[2.0]]
    assert numbers(run([x, y], [])) == [[6.0]]
    assert numbers(run([y, x], [])) == [[6.0]]


def test_a_weight_may_be_an_input():
    weight = tl.tensor([2.0])
    run = runner(graph([node("Add", "a w", "c")], "a", "c", {"w": weight})).run
    for _ in range(3):
        assert numbers(run([weight], [])) == [[4.0]]
    assert numbers(run([tl.tensor([7.0])], [])) == [[9.0]]


def doubling(start, constants, k=None):
    """A Loop that carries a and b, at first both `start`: a + 1, and b + a."""
    body = graph(
        [node("Add", "a k", "a2"), node("Add", "b a2", "b2")],
        "i cond a b",
        "cond a2 b2",
        {} if k is None else {"k": k},
    )
    loop = node("Loop", f"n c {start} {start}", "p q", body=body)
    return graph([loop], "n c x", "p q", constants)


@pytest.mark.parametrize("start", ["x", "k", "w"])
@pytest.mark.parametrize("inside", [False, True])
def test_what_a_loop_carries_first_may_be_one_tensor(start, inside):
    one = tl.tensor([1.0])
    constants = {"w": tl.tensor([3.0])} | ({} if inside and start != "k" else {"k": one})
    run = runner(doubling(start, constants, k=one if "k" not in constants else None)).run
    first = {"x": 5.0, "k": 1.0, "w": 3.0}[start]
    for count in (1, 1, 1, 4, 2):
        a = b = first
        for _ in range(count):
            a += 1
            b += a
        given = [tl.tensor(count), tl.tensor(True), tl.tensor([5.0])]
        assert numbers(run(given, [])) == [[a], [b]]


def test_a_constant_that_a_loop_gives_may_be_what_it_carries():
    body = graph([node("Add", "a k", "b")], "i cond a", "cond k b", {"k": tl.tensor([1.0])})
    loop = node("Loop", "n c x", "last all", body=body)
    run = runner(graph([loop], "n c x", "last all")).run
    for count in (1, 1, 1, 3, 2):
        given = [tl.tensor(count), tl.tensor(True), tl.tensor([5.0])]
        want = [[6.0], *[[2.0]] * (count - 1)]
        assert numbers(run(given, [])) == [[1.0], want]


def test_views_that_share_memory_keep_their_strides_in_later_calls():
    """Two parts of one tensor: the second is copied for the plan, at each replay too."""
    run = runner(graph([node("Add", "a a", "c"), node("Add", "b b", "d")], "a b", "c d")).run
    whole = tl.arange(12, dtype=tl.f32).reshape(3, 4)
    for _ in range(4):
        assert numbers(run([whole[:, :2], whole[:, 2:]], [])) == [
            (whole[:, :2] * 2).tolist(),
            (whole[:, 2:] * 2).tolist(),
        ]


def backwards():
    given = {"s": tl.tensor([-1]), "e": tl.tensor([-(2**62)]), "x": tl.tensor([0])}
    return node("Slice", "a s e x s", "b"), given


def test_a_reversed_tensor_may_begin_a_plan():
    """A step that no plan holds lies between: the next plan begins with a negative stride."""
    cut, constants = backwards()
    steps = [cut, node("NonZero", "a", "k"), node("Add", "b b", "c"), node("Relu", "c", "d")]
    run = runner(graph(steps, "a", "k d", constants)).run
    x = tl.tensor([1.0, 0.0, 3.0])
    for _ in range(4):
        assert numbers(run([x], [])) == [[[0, 2]], [6.0, 0.0, 2.0]]


def test_a_capture_that_fails_leaves_the_values_as_they_were():
    cut, constants = backwards()
    steps = [
        node("NonZero", "a", "k"),
        cut,
        node("NonZero", "b", "l"),
        node("Add", "b a", "c"),
        node("Relu", "c", "d"),
    ]
    run = runner(graph(steps, "a", "k l d", constants)).run
    for x in ([1.0, 0.0, 3.0], [1.0, 2.0, 3.0], [0.0, 0.0, 3.0]):
        a = tl.tensor(x)
        for _ in range(4):
            last = run([a], [])[2].tolist()
            assert last == [p + q for p, q in zip(x, x[::-1], strict=True)]


def test_shapes_that_always_change_are_soon_computed_without_plans():
    given = runner(graph([node("Add", "a a", "b"), node("Relu", "b", "c")], "a", "c"))
    for _ in range(4):
        for length in range(1, 201):
            assert given.run([tl.ones(length)], [])[0].tolist() == [2.0] * length
    assert given.stats.captured < 250 and given.stats.stepped > 400
    replayed = given.stats.replayed
    for _ in range(200):
        given.run([tl.ones(3)], [])
    assert given.stats.replayed > replayed + 100


def test_lengths_that_grow_make_few_plans_when_they_come_again():
    given = runner(graph([node("Add", "a a", "b")], "a", "b"))
    for _ in range(2):  # as texts that a decoder writes, each with one token more at every call
        for length in range(1, 101):
            given.run([tl.ones(length)], [])
    assert given.stats.captured < 20
    for _ in range(30):  # what comes often has its plan soon
        for length in range(1, 11):
            given.run([tl.ones(length)], [])
    assert given.stats.replayed > 200


def made_of_shapes(op_type):
    """A graph whose output of some kind follows from the shape of its input alone."""
    inside = graph([node("Shape", "x", "z")], "", "z")
    constants = {
        "If": ("c", [node("If", "c", "y", then_branch=inside, else_branch=inside)]),
        "Loop": (
            "n c x",
            [
                node(
                    "Loop", "n c x", "last y",
                    body=graph([node("Shape", "a", "b")], "i d a", "d a b"),
                )
            ],
        ),
        "Shape": ("", [node("Shape", "x", "y")]),
    }  # fmt: skip
    known = {"c": tl.tensor(True), "n": tl.tensor(1)}
    return graph([*constants[op_type][1], node("Relu", "x", "r")], "x", "y r", known)


@pytest.mark.parametrize("op_type", ["Shape", "If", "Loop"])
def test_who_writes_an_output_changes_no_later_one(op_type):
    given = runner(made_of_shapes(op_type))
    for _ in range(5):
        y, r = given.run([tl.tensor([1.0, 0.0, 3.0])], [])
        assert (y.reshape(-1).tolist(), r.tolist()) == ([3], [1.0, 0.0, 3.0])
        y.fill_(77)
        r.fill_(77)
    assert given.stats.replayed


@pytest.mark.parametrize("plans", [False, True])
def test_who_writes_an_output_changes_no_constant(plans):
    branches = [
        graph([node("Identity", "k", "z")], "", "z", {"k": tl.tensor([k])}) for k in (1.0, 2.0)
    ]
    branch = node("If", "c", "y", then_branch=branches[0], else_branch=branches[1])
    steps = [branch, node("Identity", "k", "o"), node("Relu", "x", "r")]
    given = graph(steps, "x c", "y o r k", {"k": tl.tensor([5.0])})
    run = Runner(Program(given), plans=plans, weights={"k": given.constants["k"]}).run
    for i in range(8):
        outputs = run([tl.tensor([3.0]), tl.tensor(i % 2 == 0)], [])
        assert numbers(outputs) == [[1.0 + i % 2], [5.0], [3.0], [5.0]]
        for each in outputs:
            each.fill_(77)


def test_who_writes_an_input_that_was_read_changes_no_plan():
    """Its elements are part of the signature, and of the plan that was made for them."""
    steps = [node("Expand", "x s", "a"), node("Cast", "s", "f", to=1), node("Mul", "a f", "y")]
    run = runner(graph(steps, "x s", "y")).run
    x, own = tl.tensor([1.0]), tl.tensor([2])
    for _ in range(4):
        assert numbers(run([x, own], [])) == [[2.0, 2.0]]
    own.fill_(3)
    assert numbers(run([x, tl.tensor([2])], [])) == [[2.0, 2.0]]
    for _ in range(4):
        assert numbers(run([x, own], [])) == [[3.0, 3.0, 3.0]]


def test_arrays_on_the_host_and_sequences_of_constants_are_copied():
    names = np.array(["a", "b"], object)
    steps = [node("Identity", "s", "t"), node("SequenceConstruct", "k k", "q")]
    given = graph([*steps, node("Relu", "x", "r")], "x", "t q r", {"s": names, "k": tl.ones(2)})
    run = runner(given).run
    for _ in range(4):
        strings, sequence, _ = run([tl.ones(1)], [])
        assert strings.tolist() == ["a", "b"] and numbers(sequence) == [[1.0, 1.0]] * 2
        strings[0] = "other"
        sequence[0].fill_(77)


def test_what_a_branch_draws_is_drawn_again():
    inside = graph([node("RandomNormal", "", "z", shape=[2])], "", "z")
    branch = node("If", "c", "r", then_branch=inside, else_branch=inside)
    run = runner(graph([branch, node("Add", "x r", "y")], "x c", "y")).run
    found = [run([tl.zeros(2), tl.tensor(True)], [])[0].tolist() for _ in range(5)]
    assert len({*map(tuple, found)}) == 5


def test_parts_of_what_is_empty():
    """A part of no elements may begin behind the memory that there is: gates of no sequences."""
    weights = {"w": tl.ones(1, 12, 3), "r": tl.ones(1, 12, 4)}
    run = runner(graph([node("GRU", "x w r", "y h", hidden_size=4)], "x", "y h", weights)).run
    for _ in range(4):
        y, h = run([tl.zeros(5, 0, 3)], [])
        assert (y.shape, h.shape) == ((5, 1, 0, 4), (1, 0, 4))
