"""What is recorded: every call once, eager, replayed and in programs, with what threads did."""

import threading
from collections import Counter

import pytest

import tallow as tl
from tallow import _native
from tallow.errors import ArgumentError
from tallow.profiling import by_kernel, by_shapes, chrome, measure, record
from tallow.profiling.roofline import roofline
from tallow.profiling.summary import total


def names(found):
    return Counter(call.what.kernel for call in found.calls)


def test_eager_calls_have_their_arguments():
    x = tl.ones(3, 4)
    with record("eager") as found:
        tl.softmax(x, -1)
    (call,) = found.calls
    assert (call.what.kernel, found.name, found.left_out) == ("softmax", "eager", 0)
    assert str(call.what) == "out f32[3,4]  x f32[3,4]"
    assert call.what.arguments["axis"] in (-1, 1)
    assert call.what.operands["x"].strides == (4, 1)
    assert 0 < call.seconds < found.seconds


def test_a_replay_makes_the_calls_of_its_plan():
    plan = tl.capture(lambda t: (t @ t).softmax(-1).sum(), tl.ones(8, 8))
    with record() as found:
        for _ in range(3):
            plan.run()
    wanted = Counter(name for name, _ in plan._native.calls)
    assert names(found) == Counter({name: 3 * n for name, n in wanted.items()})
    assert [row.calls for row in by_kernel(found)] == [3] * len(wanted)


def test_real_arguments_and_positions_are_kept():
    with record() as found:
        tl.nn.functional.rms_norm(tl.ones(2, 8), (8,), eps=0.125)
    assert 0.125 in [call.what.arguments.get("eps") for call in found.calls]


def test_nothing_is_recorded_before_and_after():
    x = tl.ones(4)
    x.exp()
    with record() as found:
        pass
    x.exp()
    assert found.calls == []
    assert total(found).share == 0


def test_one_profile_at_a_time_and_none_is_left_behind():
    with record(), pytest.raises(ArgumentError, match="another one is running"), record():
        pass
    with pytest.raises(ZeroDivisionError), record():
        _ = 1 / 0
    with record() as found:
        tl.ones(4).exp()
    assert "exp" in names(found)


def test_calls_of_several_threads_are_all_there():
    def work():
        x = tl.ones(50, 50)
        for _ in range(20):
            x.exp()

    threads = [threading.Thread(target=work) for _ in range(4)]
    with record() as found:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    exps = [call for call in found.calls if call.what.kernel == "exp"]
    assert Counter(Counter(call.thread for call in exps).values()) == {20: 4}
    assert len({call.number for call in found.calls}) == len(found.calls)


@pytest.fixture
def two_threads():
    before = _native.num_threads()
    # A pool of another size forgets that threads rested for other processes.
    _native.set_num_threads(3)
    tl.ones(300, 300) @ tl.ones(300, 300)
    _native.set_num_threads(2)
    yield
    _native.set_num_threads(before)


@pytest.fixture
def shared(two_threads):
    a = tl.ones(300, 300)
    with record("products") as found:
        for _ in range(20):
            a @ a
    return found


def test_work_and_waits_lie_in_their_calls(shared):
    calls = {call.number: call for call in shared.calls}
    assert shared.threads == 2
    callers = [span for span in shared.spans if span.worker == 0 and not span.waits]
    assert callers, "a product of this size is shared"
    assert {span.call for span in shared.spans if span.waits} == {span.call for span in callers}
    for span in shared.spans:
        call = calls[span.call]
        assert call.begin <= span.begin <= span.end <= call.end
        assert span.worker in (0, 1)
    assert 0 <= shared.waiting(shared.calls) <= 1


def test_rows_add_up(shared):
    (row,) = by_shapes(shared)
    assert row.name == "matmul  out f32[300,300]  a f32[300,300]  b f32[300,300]"
    assert row.flops == 20 * 2 * 300**3
    assert row.seconds == pytest.approx(shared.in_kernels)
    assert total(shared).flops == row.flops


def nested(events):
    """Whether each of two events of a track is over before the other begins, or lies in it."""
    open_until = []
    for event in sorted(events, key=lambda e: (e["ts"], -e["dur"])):
        while open_until and open_until[-1] <= event["ts"] + 1e-3:
            open_until.pop()
        end = event["ts"] + event["dur"]
        if open_until and end > open_until[-1] + 1e-3:
            return False
        open_until.append(end)
    return True


def test_the_trace_has_every_call(shared):
    document = chrome.trace([shared])
    events = document["traceEvents"]
    calls = [e for e in events if e.get("cat") == "call"]
    assert len(calls) == len(shared.calls) == 20
    assert calls[0]["args"]["a"] == "f32[300,300]"
    assert all(e["dur"] >= 0 and e["ts"] >= 0 for e in events if e["ph"] == "X")
    works = [e for e in events if e.get("cat") == "work"]
    assert len(works) == len([span for span in shared.spans if not span.waits])
    for tid in {e["tid"] for e in events if e["ph"] == "X"}:
        assert nested([e for e in events if e["ph"] == "X" and e["tid"] == tid])
    tracks = {e["tid"] for e in events if e["ph"] == "X"}
    assert tracks == {e["tid"] for e in events if e["name"] == "thread_name"}


def test_limits_are_above_nothing_and_the_picture_is_xml(shared):
    import xml.etree.ElementTree as ET

    limits = measure(rounds=1)
    assert limits.flops_per_s > 1e8
    assert limits.read_bytes_per_s > 1e7
    assert limits.isa == _native.ISA
    drawn = ET.fromstring(roofline([shared], limits, "a < b & c"))
    texts = ["".join(each.itertext()) for each in drawn.iter() if each.tag.endswith("text")]
    assert texts[0] == "a < b & c"
    assert any(text.startswith("1 products: matmul") for text in texts)
