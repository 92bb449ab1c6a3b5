"""The first call of a signature is recorded; the second makes a plan of it and runs that."""

import pytest

import tallow as tl
from onnx_runs import graph, node, numbers, runner
from tallow import _native
from tallow.errors import ArgumentError, TallowError
from tallow.plan.capturing import Recording


def counted(given):
    """The op types of the steps that are computed one by one, as they come."""
    done, execute = [], given.program.execute

    def counting(step, values):
        done.append(step.node.op_type)
        execute(step, values)

    given.program.execute = counting
    return done


def affine():
    steps = [node("Mul", "x w", "a"), node("Add", "a x", "b"), node("Relu", "b", "y")]
    return graph(steps, "x", "y", {"w": tl.tensor([2.0, -3.0])})


def test_steps_are_computed_at_the_first_call_alone():
    given = runner(affine())
    done = counted(given)
    for x in ([1.0, 1.0], [-1.0, 4.0], [2.0, -5.0]):
        want = [max(3 * x[0], 0.0), max(-2 * x[1], 0.0)]
        assert numbers(given.run([tl.tensor(x)], [])) == [want]
        assert done == ["Mul", "Add", "Relu"]
    stats = given.stats
    assert (stats.stepped, stats.captured, stats.replayed) == (1, 1, 1)


def test_what_callers_gave_and_got_is_not_held():
    given = runner(affine())
    x = tl.tensor([1.0, -1.0])
    (y,) = given.run([x], [])
    (segment,) = given._recorded.values()
    for at, (role, *_) in enumerate(segment.plan.buffers):
        if role in ("input", "output"):
            with pytest.raises(ArgumentError, match="that has memory"):
                segment.plan.held(at)
    x.fill_(7)
    y.fill_(7)
    assert numbers(given.run([tl.tensor([1.0, -1.0])], [])) == [[3.0, 2.0]]


def test_few_signatures_stay_recorded_and_others_are_captured_as_they_come_again():
    given = runner(graph([node("Add", "x x", "a"), node("Relu", "a", "y")], "x", "y"))
    lengths = range(1, 41)
    for _ in range(3):
        for length in lengths:
            assert given.run([tl.ones(length)], [])[0].tolist() == [2.0] * length
        assert len(given._recorded) <= 16
    assert given.stats.captured > 16 and given.stats.replayed


def test_recorded_plans_share_the_memory_of_temporaries(monkeypatch):
    beside = []

    def recording(*args, **options):
        beside.append(options["beside"])
        return Recording(*args, **options)

    monkeypatch.setattr("tallow.onnx.runner.Recording", recording)
    given = runner(affine())
    for length in (1, 2, 3):
        given.run([tl.ones(length, 2)], [])
    first, *_ = given._recorded.values()
    assert beside == [None, first.plan, first.plan]


def test_inputs_that_share_memory_once_need_not_at_the_next_call():
    run = runner(graph([node("Sub", "a b", "c"), node("Relu", "c", "y")], "a b", "y")).run
    x, y = tl.tensor([1.0, 2.0]), tl.tensor([4.0, 9.0])
    assert numbers(run([x, x], [])) == [[0.0, 0.0]]
    assert numbers(run([y, x], [])) == [[3.0, 7.0]]
    assert numbers(run([x, y], [])) == [[0.0, 0.0]]
    whole = tl.arange(8, dtype=tl.f32).reshape(2, 4)
    for _ in range(3):
        assert numbers(run([whole[:, 2:], whole[:, :2]], [])) == [[[2.0, 2.0], [2.0, 2.0]]]


def test_a_step_that_no_plan_holds_is_computed_at_each_call():
    steps = [node("Relu", "x", "a"), node("NonZero", "a", "k"), node("Add", "a a", "y")]
    given = runner(graph(steps, "x", "k y"))
    for x in ([1.0, 0.0, 3.0], [0.0, 2.0, -1.0], [4.0, 0.0, 0.0], [0.0, 0.0, 5.0]):
        want = [[i for i, value in enumerate(x) if value > 0]], [2 * max(value, 0.0) for value in x]
        assert numbers(given.run([tl.tensor(x)], [])) == [*want]
    assert not given._recorded


def test_an_output_that_follows_from_the_signature_is_the_callers_own():
    given = runner(graph([node("Shape", "x", "s"), node("Relu", "x", "y")], "x", "s y"))
    for _ in range(4):
        s, y = given.run([tl.tensor([1.0, -2.0])], [])
        assert (s.tolist(), y.tolist()) == ([2], [1.0, 0.0])
        s.fill_(9)
        y.fill_(9)


def test_a_model_may_be_part_of_a_plan_at_any_of_its_calls():
    given = runner(affine())
    for length in (1, 1, 2, 2):
        plan = tl.capture(lambda x: given.run([x * 1], [])[0], tl.ones(length, 2))
        x = tl.tensor([[1.0, -1.0]]).repeat(length, 1)
        assert plan(x).tolist() == [[3.0, 2.0]] * length
        assert numbers(given.run([x], [])) == [[[3.0, 2.0]] * length]


def test_a_first_plan_gives_back_what_steps_needed():
    """A step's temporaries stay in the pool of memory; those of a plan lie in one block."""
    steps = [node("Exp", "x", "a"), node("Tile", "a n", "b"), node("ReduceSum", "b", "y")]
    given = runner(graph(steps, "x", "y", {"n": tl.tensor([4])}))
    x = tl.ones(1 << 18)
    _native.pool_trim()
    given.run([x], [])
    assert _native.pool_stats()[1] >= 4 * x.nbytes
    given.run([x], [])
    assert _native.pool_stats()[1] < x.nbytes


def test_other_signatures_run_what_was_recorded_without_being_computed():
    given = runner(affine())
    for x in ([1.0, 1.0], [-1.0, 4.0]):
        given.run([tl.tensor(x)], [])
    stats = given.stats
    assert (stats.stepped, stats.captured, stats.replayed) == (1, 1, 0)
    for _ in range(3):
        found = given.run([tl.tensor([[1.0, 1.0], [-1.0, 4.0], [2.0, -5.0]])], [])
        assert found[0].tolist() == [[3.0, 0.0], [0.0, 0.0], [6.0, 10.0]]
    assert (stats.stepped, stats.captured, stats.replayed) == (2, 2, 1)


def test_where_much_is_computed_other_signatures_are_plans_at_once(monkeypatch):
    given = runner(affine())
    for x in ([1.0, 1.0], [-1.0, 4.0]):
        given.run([tl.tensor(x)], [])
    monkeypatch.setattr("tallow.onnx.runner._HEAVY", 0)
    stats = given.stats
    x = tl.tensor([[1.0, 1.0], [2.0, -5.0]])
    (y,) = given.run([x], [])
    assert (stats.stepped, stats.captured, stats.replayed) == (1, 2, 0)
    x.fill_(7)
    assert given.run([tl.tensor([[1.0, 1.0], [-1.0, 4.0]])], [])[0].tolist() == [[3, 0], [0, 0]]
    assert y.tolist() == [[3.0, 0.0], [6.0, 10.0]]
    assert (stats.stepped, stats.captured, stats.replayed) == (1, 2, 1)


def test_signatures_that_never_come_again_are_no_plans_for_long(monkeypatch):
    monkeypatch.setattr("tallow.onnx.runner._HEAVY", 0)
    given = runner(affine())
    for length in (1, 1, *range(2, 60)):
        assert given.run([tl.ones(length, 2)], [])[0].tolist() == [[3.0, 0.0]] * length
    assert given.stats.captured < 16


def test_what_reads_elements_at_another_signature_is_computed_step_by_step():
    steps = [node("Add", "x x", "a"), node("NonZero", "a", "y")]
    given = runner(graph(steps, "x", "y"))
    for length in (2, 2, 3, 3, 4):
        assert given.run([tl.ones(length)], [])[0].tolist() == [[*range(length)]]


def test_an_error_at_another_signature_is_told_as_of_the_first():
    steps = [node("Gather", "x i", "a"), node("Relu", "a", "y")]
    given = runner(graph(steps, "x i", "y"))
    for _ in range(2):
        assert numbers(given.run([tl.ones(3), tl.tensor([2])], [])) == [[1.0]]
    with pytest.raises(TallowError, match="index"):
        given.run([tl.ones(4), tl.tensor([4])], [])
    assert numbers(given.run([tl.ones(4), tl.tensor([3])], [])) == [[1.0]]
