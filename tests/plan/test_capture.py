"""What a capture refuses, what it copies, what it reads anew, and the memory that a plan takes."""

import numpy as np
import pytest

import tallow as tl
from tallow import _native, nn
from tallow.errors import ArgumentError, CaptureError, GradError
from tallow.plan.capturing import Recording

X = tl.tensor([1.0, 2.0])
COUNTS = tl.tensor([1, 2, 1])

# what reads the input, and the name under which it is refused
READS = {
    "item": (lambda t: t[0].item(), "item"),
    "float()": (lambda t: tl.tensor([float(t[0])]), "item"),
    "bool()": (lambda t: t if t.sum() else t + 1, "item"),
    "tolist": (lambda t: (t * 2).tolist(), "tolist"),
    "repr": (lambda t: repr(t), "tolist"),
    "numpy": (lambda t: tl.from_numpy(t.numpy() * 2) + 0, "numpy"),
    "np.asarray": (lambda t: np.asarray(t), "numpy"),
    "the buffer protocol": (lambda t: memoryview(t._array), "the buffer protocol"),
    "storage": (lambda t: bytes(t.untyped_storage()), "untyped_storage"),
    "DLPack": (lambda t: np.from_dlpack(t), "__dlpack__"),
    "a mask": (lambda t: t[t > 1], "masked_select"),
    "nonzero": (lambda t: t.nonzero(), "nonzero"),
    "linalg": (lambda t: tl.linalg.inv(t.reshape(1, 2).T @ t.reshape(1, 2)), "inv"),
    "fft": (lambda t: tl.fft.fft(t), "complex_transform"),
    "pickle": (lambda t: __import__("pickle").dumps(t), ""),
    "what follows from it": (lambda t: (tl.zeros(2) + t.sum()).cumsum(0)[1].item(), "item"),
    "what it was written into": (lambda t: tl.zeros(2).copy_(t).tolist(), "tolist"),
    "a part of what it was written into": (
        lambda t: put(tl.tensor([5.0, 6.0]), t)[0].item(),
        "item",
    ),
}


def put(target, t):
    target[1:] = t[:1]
    return target


@pytest.mark.parametrize("name", READS)
def test_values_of_inputs_are_refused_by_name(name):
    read, said = READS[name]
    with pytest.raises(CaptureError, match="while a plan is captured") as error:
        tl.capture(read, X.clone())
    assert said in str(error.value)
    assert X.tolist() == [1.0, 2.0]  # the capture has ended


def test_counts_that_are_inputs_are_refused():
    with pytest.raises(CaptureError, match="repeat_interleave: a value"):
        tl.capture(lambda t: tl.repeat_interleave(tl.arange(3), t), COUNTS.clone())


def test_values_of_constants_and_shapes_may_be_read():
    def f(t):
        table = tl.arange(4) * 2
        lengths = tl.tensor(list(t.shape))
        picked = table[table > 2].tolist()
        return (
            t * table[1].item() + len(picked) + lengths.sum().item() + tl.fft.fft(tl.ones(2)).real
        )

    plan = tl.capture(f, X.clone())
    for values in ([0.0, 0.0], [3.0, 4.0]):
        x = tl.tensor(values)
        assert plan(x).tolist() == f(x).tolist()


def test_a_number_as_an_index_stays_a_tensor():
    plan = tl.capture(lambda t: tl.arange(5)[t], tl.tensor([1, 2]))
    assert plan(tl.tensor([4, 0])).tolist() == [4, 0]


# --- constants ------------------------------------------------------------------------------------


def test_a_constant_that_is_written_begins_anew():
    plan = tl.capture(lambda t: tl.tensor([1, 1]).add_(t), tl.tensor([1, 2]))
    for _ in range(3):
        assert plan(tl.tensor([5, 6])).tolist() == [6, 7]


def test_a_constant_that_is_written_in_part():
    plan = tl.capture(lambda t: put(tl.tensor([5.0, 6.0]), t) * 1, X.clone())
    for value in (3.0, 4.0):
        assert plan(tl.tensor([value, 0.0])).tolist() == [5.0, value]


def test_a_constant_that_was_read_before_it_is_written():
    def f(t):
        c = tl.tensor([1.0, 1.0])
        before = c + t
        c.mul_(t)
        return before, c + 0

    plan = tl.capture(f, X.clone())
    for _ in range(2):
        before, after = plan(tl.tensor([3.0, 4.0]))
        assert (before.tolist(), after.tolist()) == ([4.0, 5.0], [3.0, 4.0])


def test_constants_are_copied():
    c, shared = tl.ones(2), np.ones(2, np.float32)
    plan = tl.capture(lambda t: t + c + tl.from_numpy(shared), X.clone())
    c.fill_(9)
    shared[:] = 9
    assert plan(tl.zeros(2)).tolist() == [2.0, 2.0]


def test_a_large_constant_is_held_and_must_stay():
    c = tl.ones(100_000)
    plan = tl.capture(lambda t: t[0] + c, X.clone())
    assert plan.memory()["constant"] == 400_000
    assert plan(X)[5].item() == 2.0
    c.fill_(9)
    with pytest.raises(ArgumentError, match="400000 bytes .* has been written since"):
        plan(X)


def test_memory_that_python_writes_meanwhile():
    def f(t):
        z = tl.zeros(2)
        first = z + t
        z.numpy()[1] = 7
        second = z + t
        z.numpy()[0] = 5
        return first, second, z + t

    plan = tl.capture(f, X.clone())
    for _ in range(2):
        got = [part.tolist() for part in plan(tl.tensor([1.0, 1.0]))]
        assert got == [[1.0, 1.0], [1.0, 8.0], [6.0, 8.0]]


def test_memory_that_python_sees_is_not_written_with_inputs():
    def f(t):
        z = tl.zeros(2)
        seen = z.numpy()
        z.add_(t)
        return tl.from_numpy(seen) + 1

    with pytest.raises(CaptureError, match="add: memory that was lent"):
        tl.capture(f, X.clone())


# --- states ---------------------------------------------------------------------------------------


def test_what_is_written_outside_is_a_state():
    total = tl.zeros(1)
    plan = tl.capture(lambda t: total.add_(t.sum()), X.clone())
    assert total.item() == 3.0
    plan(X)
    total.fill_(10)
    plan(X)
    assert total.item() == 13.0
    assert plan.memory()["state"] == 4


def test_a_state_that_was_read_before_it_is_written():
    total = tl.zeros(1)

    def f(t):
        n = (total + 1).item()
        total.copy_(t.sum())
        return t * n

    with pytest.raises(CaptureError, match="item: .*memory which the function also writes"):
        tl.capture(f, X.clone())


def test_writes_of_a_replay_are_counted():
    total = tl.zeros(1)
    weight = tl.ones(1, requires_grad=True)
    plan = tl.capture(lambda t: total.add_(t.sum()), X.clone())
    loss = (weight * total).sum()
    plan(X)
    with pytest.raises(GradError, match="in place"):
        loss.backward()


# --- inputs and weights ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("examples", "said"),
    [((X, X[:1]), "another"), ((X[:1], X[1:]), "another")],
    ids=["overlap", "neighbours"],
)
def test_examples_that_share_memory(examples, said):
    with pytest.raises(
        CaptureError, match=f"memory of their own, got one that shares it with {said}"
    ):
        tl.capture(lambda a, b: a + b, *examples)


def test_an_example_that_is_a_weight():
    layer = nn.Linear(2, 2)
    with tl.no_grad(), pytest.raises(CaptureError, match="shares it with weight"):
        tl.capture(lambda w: layer(w), layer.weight, weights=layer)


def test_weights_are_known_by_name():
    layer = nn.Linear(2, 3)
    with tl.no_grad():
        plan = tl.capture(layer, tl.ones(1, 2))
        named = {row[5]: row[0] for row in plan._native.buffers if row[5]}
        assert named == {"weight": "weight", "bias": "weight"}
        layer.weight.mul_(2)
        assert plan(tl.ones(1, 2)).tolist() == layer(tl.ones(1, 2)).tolist()


def test_an_example_inside_a_larger_tensor():
    whole = tl.arange(12).float().reshape(3, 4)
    plan = tl.capture(lambda t: t * 2, whole[1])
    assert plan(tl.ones(4)).tolist() == [2.0] * 4
    assert whole.tolist()[0] == [0.0, 1.0, 2.0, 3.0]
    assert whole.tolist()[1] == [1.0] * 4  # the plan's input is the example


def test_the_shape_of_the_example_may_be_changed_in_place():
    plan = tl.capture(lambda t: t.unsqueeze_(0) + 1, X.clone())
    assert plan(tl.tensor([3.0, 4.0])).tolist() == [[4.0, 5.0]]


# --- memory ---------------------------------------------------------------------------------------


def test_temporaries_share_memory():
    block = (nn.Conv2d(32, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU())
    net = nn.Sequential(*block * 8).eval()
    x = tl.rand(1, 32, 64, 64)
    with tl.no_grad():
        plan = tl.capture(net, x)
        y = x + 1
        assert plan(y).tolist() == net(y).tolist()
    held = plan.memory()
    assert held["arena"] <= 2.1 * x.nbytes
    assert held["arena"] + held["input"] + held["output"] <= 3.4e6


def test_an_elementwise_result_lies_on_its_operand():
    plan = tl.capture(
        lambda t: ((((t + 1).exp() * 2).sin() - 1).cos() + 1).sum(), tl.zeros(1 << 16)
    )
    assert plan.memory()["arena"] < 1.1 * (1 << 18)


def test_a_capture_holds_no_temporaries():
    x = tl.zeros(1 << 18)
    before = _native.pool_stats()[0]

    def f(t):
        for _ in range(20):
            t = t.cumsum(0)
        return t.sum()

    plan = tl.capture(f, x)
    assert _native.pool_stats()[0] - before < 1 << 18
    plan(x)
    assert _native.pool_stats()[0] - before < 5 << 20


def test_what_failed_gives_its_memory_back():
    before = _native.pool_stats()[0]
    for _ in range(3):
        with pytest.raises(CaptureError):
            tl.capture(lambda t: (t * 2).sum().item(), tl.zeros(1 << 18))
    assert _native.pool_stats()[0] - before < 4096


def test_a_plan_of_inference_mode_runs_outside_it():
    example = X.clone()
    with tl.inference_mode():
        total = tl.zeros(1)
        plan = tl.capture(lambda t: total.add_(t.sum()) * 2, example)
    assert [plan(X).item() for _ in range(2)] == [12.0, 18.0]


@pytest.mark.parametrize("inside", [True, False], ids=["made inside", "made before"])
@pytest.mark.parametrize("borrowed", [True, False], ids=["numpy's memory", "lent memory"])
def test_memory_that_python_writes_between_two_calls(inside, borrowed):
    def shared():
        array = np.ones(2, np.float32)
        return (array, tl.from_numpy(array)) if borrowed else (None, tl.ones(2))

    outer = shared()

    def f(t):
        array, held = shared() if inside else outer
        if not inside:
            (held.numpy() if array is None else array)[:] = 1
        first = t + held
        array = held.numpy() if array is None else array
        array[:] = 5
        second = t + held
        array[:] = 9
        return first, second

    plan = tl.capture(f, X.clone())
    for _ in range(2):
        assert [part.tolist() for part in plan(tl.zeros(2))] == [[1.0, 1.0], [5.0, 5.0]]


def test_memory_that_is_lent_after_it_was_read():
    held = tl.ones(2)

    def f(t):
        first = t + held
        held.numpy()[:] = 5
        return first, t + held

    plan = tl.capture(f, X.clone())
    assert [part.tolist() for part in plan(tl.zeros(2))] == [[1.0, 1.0], [5.0, 5.0]]


def test_memory_that_python_and_calls_write():
    held = tl.from_numpy(np.ones(2, np.float32))
    with pytest.raises(CaptureError, match="give it as a state"):
        tl.capture(lambda t: (t + held, held.add_(t)), X.clone())
    plan = tl.capture(lambda t: (t + held, held.add_(t)), X.clone(), states=[held])
    assert plan(tl.zeros(2))[0].tolist() == held.tolist()


def test_a_dry_capture_computes_what_follows_from_constants_alone():
    x, w = tl.tensor([1.0, 2.0]), tl.tensor([3.0, 4.0])
    seen = []

    def fn():
        seen.extend((w * 2).tolist())
        state[0] += 1
        y = (x + w) * 2
        with pytest.raises(CaptureError, match="item"):
            y[0].item()
        return y

    state = tl.zeros(1)
    recording = Recording(fn, [x], {"w": w}, dry=True)
    assert seen == [6.0, 8.0]
    assert state.tolist() == [1.0]
    recording.plan.run()
    assert recording.outputs.tolist() == [8.0, 12.0]


def test_a_dry_capture_writes_nothing_that_depends_on_an_input():
    x, state = tl.tensor([1.0, 2.0]), tl.zeros(2)
    recording = Recording(lambda: state.add_(x), [x], {}, [state], dry=True)
    assert state.tolist() == [0.0, 0.0]
    recording.plan.run()
    assert state.tolist() == [1.0, 2.0]
