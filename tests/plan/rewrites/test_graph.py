"""Rewritten tables are checked; the graph knows who reads and writes which memory."""

import pytest

import tallow as tl
from plan.rewriting import bits
from tallow.errors import ArgumentError
from tallow.plan.rewrites.graph import Graph, Uses, Value


def native(fn, *examples, **options):
    return tl.capture(fn, *examples, **options)._native


def rows(plan):
    return {
        "buffers": list(range(len(plan.buffers))),
        "values": plan.values,
        "calls": plan.calls,
        "inputs": plan.inputs,
        "outputs": plan.outputs,
    }


WRONG = {
    "a view beyond its buffer": lambda r: r["values"].__setitem__(
        1, (*r["values"][1][:3], (99,), (1,))
    ),
    "a negative offset": lambda r: r["values"].__setitem__(
        1, (r["values"][1][0], -4, *r["values"][1][2:])
    ),
    "a buffer that is not there": lambda r: r["buffers"].append(99),
    "a value of no buffer": lambda r: r["values"].__setitem__(1, (99, *r["values"][1][1:])),
    "a call without arguments": lambda r: r["calls"].__setitem__(0, (r["calls"][0][0], [])),
    "a kernel that is not there": lambda r: r["calls"].__setitem__(0, ("none", r["calls"][0][1])),
    "a value that is not there": lambda r: r["calls"][0][1].__setitem__(0, ("value", 99)),
    "too many first calls": lambda r: r.__setitem__("once", 9),
    "a first call that reads an input": lambda r: r.__setitem__("once", 1),
    "another dtype": lambda r: r["values"].__setitem__(1, (*r["values"][1][:2], 999, (), ())),
    "a call left out that is none of the first": lambda r: r.__setitem__("left_out", [0]),
    "results kept in a view": lambda r: r["buffers"].append(("kept", tl.ones(2, 3).T._array)),
    "results kept in a part": lambda r: r["buffers"].append(("kept", tl.ones(4)[1:]._array)),
    "an output that is not there": lambda r: r["outputs"].append(99),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_tables_are_refused(name):
    plan = native(lambda t: (t * 2).exp() + t, tl.ones(3))
    table = rows(plan)
    WRONG[name](table)
    with pytest.raises(ArgumentError):
        plan.rewritten(**table)


def test_unchanged_tables_give_the_same():
    plan = tl.capture(lambda t: (t * 2).exp() + t, tl.ones(3))
    again = plan._native.rewritten(**rows(plan._native))
    plan.inputs[0].fill_(3)
    again.run()
    assert bits(plan.outputs) == bits((tl.ones(3) * 6).exp() + 3)


def test_a_written_constant_is_refused():
    plan = native(lambda t: t * 2, tl.ones(3))
    table = rows(plan)
    table["buffers"].append(tl.ones(3)._array)
    table["values"].append((len(table["buffers"]) - 1, 0, tl.f32.code, (3,), (1,)))
    table["calls"][0][1][0] = ("value", len(table["values"]) - 1)
    with pytest.raises(ArgumentError, match="may be written"):
        plan.rewritten(**table)


# --- the graph ------------------------------------------------------------------------------------


def test_views_know_their_layout():
    assert Value(0, 0, 0, (2, 3), (3, 1)).contiguous
    assert Value(0, 0, 0, (1, 3), (99, 1)).contiguous
    assert not Value(0, 0, 0, (2, 3), (1, 2)).contiguous
    assert Value(0, 0, 0, (2, 1, 3), (3, 7, 1)).steps == (3, 1)
    assert Value(0, 0, 0, (), ()).size == 1


def test_readers_and_writers_are_those_of_whole_buffers():
    def fn(t):
        x = t.exp()  # 0
        x[1:].mul_(2)  # 1
        return x.sin() + t  # 2, 3

    graph = Graph(native(fn, tl.ones(3)))
    uses = Uses(graph)
    x = graph.buffer_of(graph.calls[0].writes()[0])
    t = graph.buffer_of(graph.inputs[0])
    assert (uses.writers[x], uses.readers[x]) == ([0, 1], [1, 2])
    assert uses.made_by(x) == -1
    assert (uses.written(x, 1, 2), uses.written(x, 2, 4)) == (True, False)
    assert (uses.readers[t], uses.written(t, 0, 4), uses.writes_outside) == ([0, 3], False, False)
    assert uses.may_share(x, x)
    assert not uses.may_share(x, t)
