"""Each pass on its own: what it leaves out, and what it must not be fooled by."""

import pytest

import tallow as tl
from plan.rewriting import calls, check, draw
from tallow.errors import ArgumentError
from tallow.plan.rewrites import REWRITES, chosen

# --- names ----------------------------------------------------------------------------------------


def test_names_are_in_the_order_of_running():
    assert chosen(["dead", "duplicates"]) == ("duplicates", "dead")
    assert chosen(True) == tuple(REWRITES)
    assert chosen(False) == ()


@pytest.mark.parametrize("entry", [tl.compile, tl.capture])
def test_unknown_names_are_refused(entry):
    args = (lambda t: t + 1,) if entry is tl.compile else (lambda t: t + 1, tl.ones(2))
    with pytest.raises(ArgumentError, match=r"names of .*duplicates.*got 'tidy'"):
        entry(*args, rewrites=["tidy"])


def test_a_plan_without_rewrites_is_as_captured():
    def twice(t):
        return (t * 2) + (t * 2)

    assert calls(tl.capture(twice, tl.ones(3))) == ["mul", "mul", "add"]
    assert check(twice, tl.ones(3), rewrites=True) == ["mul", "add"]


# --- dead -----------------------------------------------------------------------------------------


def test_what_nobody_reads_is_left_out():
    def fn(t):
        (t.exp() + 1).sin()
        return t * 2

    assert check(fn, tl.ones(3), rewrites=["dead"]) == ["mul"]


def test_what_is_overwritten_as_a_whole_is_left_out():
    def fn(t):
        x = t.exp()
        x.copy_(t)
        return x * 2

    assert check(fn, tl.ones(3), rewrites=["dead"]) == ["copy", "mul"]


def test_what_is_overwritten_in_part_stays():
    def fn(t):
        x = t.exp()
        x[1:].copy_(t[1:])
        return x * 2

    assert check(fn, tl.ones(3), rewrites=["dead"]) == ["exp", "copy", "mul"]


def test_writes_of_inputs_and_states_stay():
    state = tl.zeros(3)

    def fn(t):
        state.add_(1)
        t.mul_(2)
        return tl.zeros(1) + 1

    plan = tl.capture(fn, tl.ones(3), states=[state], rewrites=["dead"])
    plan.run()
    assert plan.inputs[0].tolist() == [4.0] * 3
    assert state.tolist() == [2.0] * 3


def test_what_refuses_values_stays():
    table = draw(4, 2)

    def fn(ids):
        tl.embedding(ids, table)
        return ids + 1

    plan = tl.capture(fn, tl.tensor([1, 2]), rewrites=["dead"])
    with pytest.raises(ArgumentError, match="ids in"):
        plan(tl.tensor([1, 9]))


# --- duplicates -----------------------------------------------------------------------------------


def test_equal_calls_are_made_once():
    def fn(t):
        return (t.exp() + 1) * (t.exp() + 1)

    assert check(fn, tl.ones(3), rewrites=["duplicates"]) == ["exp", "add", "mul"]


@pytest.mark.parametrize(
    "between",
    [
        lambda t, x: t.add_(1),  # what both read
        lambda t, x: t[:1].add_(1),  # a part of it
        lambda t, x: t.view(-1)[1:2].mul_(3),  # a part through another view
        lambda t, x: x.add_(1),  # the first result
        lambda t, x: x[1:].zero_(),
    ],
)
def test_what_is_written_between_keeps_both(between):
    def fn(t):
        x = t.exp()
        between(t, x)
        y = t.exp()
        return x * 2, y * 3

    assert check(fn, tl.ones(3), rewrites=["duplicates"]).count("exp") == 2


def test_a_second_result_that_is_written_later_is_its_own():
    def fn(t):
        x, y = t.exp(), t.exp()
        y.add_(1)
        return x * y

    assert check(fn, tl.ones(3), rewrites=["duplicates"]).count("exp") == 2


def test_results_of_the_plan_are_memory_of_their_own():
    plan = tl.capture(lambda t: (t.exp(), t.exp()), tl.ones(3), rewrites=["duplicates"])
    plan.run()
    first, second = plan.outputs
    first.zero_()
    assert second.tolist() == tl.ones(3).exp().tolist()


def test_constants_that_were_written_make_a_plan_stale():
    first, second = tl.ones(2), tl.ones(2)
    compiled = tl.compile(lambda t: t * first + t * second, rewrites=["duplicates"])
    with tl.inference_mode():
        for wanted in (2.0, 4.0):
            for _ in range(2):
                assert compiled(tl.ones(2)).tolist() == [wanted] * 2
            second.fill_(3)


def test_numbers_and_dtypes_tell_calls_apart():
    def fn(t):
        return t.clamp(0, 1) + t.clamp(0, 2), t.to(tl.f16).float() + t.to(tl.bf16).float()

    names = check(fn, tl.ones(3), rewrites=["duplicates"])
    assert names.count("clamp") == 2
    assert names.count("copy") == 4


def test_draws_of_random_numbers_stay_two():
    plan = tl.capture(
        lambda t: tl.rand(4) - tl.rand(4) + t, tl.zeros(4), rewrites=["duplicates", "dead"]
    )
    assert any(value != 0 for value in plan(tl.zeros(4)).tolist())


# --- copies ---------------------------------------------------------------------------------------


def test_a_copy_of_the_same_layout_is_read_where_it_was():
    def fn(t):
        return t.clone()[1:] * 2

    assert check(fn, draw(3, 4), rewrites=["copies"]) == ["mul"]


def test_a_transposed_copy_is_read_with_strides():
    def fn(t):
        return t.T.contiguous() + 1

    assert check(fn, draw(3, 4), rewrites=["copies"]) == ["add"]


def test_a_transposed_copy_is_read_by_a_product():
    w = draw(5, 4)

    def fn(t):
        return t.T.contiguous() @ w.T.contiguous()

    assert check(fn, draw(4, 5), rewrites=["copies"]) == ["matmul"]


def test_a_copy_that_two_read_with_other_strides_stays():
    def fn(t):
        c = t.T.contiguous()
        return (c + 1) * (c - 1)

    assert "copy" in check(fn, draw(3, 4), rewrites=["copies"])


@pytest.mark.parametrize(
    "after",
    [
        lambda t, c: t.zero_(),  # the source
        lambda t, c: t[0].fill_(3),
        lambda t, c: t.view(-1)[3:5].fill_(3),
        lambda t, c: c.add_(1),  # the copy
        lambda t, c: c[0].fill_(1),
    ],
)
def test_a_copy_that_tells_apart_stays(after):
    def fn(t):
        c = t.clone()
        after(t, c)
        return c * 2

    assert "copy" in check(fn, draw(3, 4), rewrites=["copies"])


def test_a_copy_read_by_the_call_that_writes_its_source_stays():
    def fn(t):
        t.add_(t.T.contiguous())
        return t * 1

    assert "copy" in check(fn, draw(3, 3), rewrites=["copies"])


def test_a_copy_that_is_a_result_stays():
    plan = tl.capture(lambda t: t.clone(), draw(3), rewrites=["copies"])
    assert calls(plan) == ["copy"]


def test_a_conversion_stays():
    def fn(t):
        return t.half() + 1

    assert "copy" in check(fn, draw(3), rewrites=["copies"])


def test_inputs_on_one_memory_count_as_one():
    """Two arrays may borrow one memory, which no storage tells."""
    import numpy as np

    own = np.ones(3, np.float32)
    state = tl.from_numpy(own)

    def fn(t):
        c = t.clone()
        state.add_(1)
        return c * 2

    plan = tl.capture(fn, tl.from_numpy(own), states=[state], rewrites=["copies"])
    plan.run()
    assert plan.outputs.tolist() == [4.0] * 3
