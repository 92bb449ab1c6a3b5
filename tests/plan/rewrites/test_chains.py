"""Elementwise calls joined into one: equal bits for every op, and what must stay apart."""

import pytest

import tallow as tl
from plan.rewriting import calls, check, draw
from tallow import _native
from tallow.errors import ArgumentError, NoKernelError
from tallow.plan.rewrites import rewrite

CHAIN = ["elementwise_chains"]
JOINED = ["elementwise_chain"]
OPS = _native.chain_ops()
N = 4096  # elements, from which two calls are joined


def test_numbers_of_steps_are_those_of_saved_programs():
    first = ["add", "sub", "mul", "div", "maximum", "minimum", "addcmul", "addcdiv", "lerp",
             "silu_mul", "neg", "square", "abs", "sign", "floor", "reciprocal", "exp", "log",
             "log1p", "sqrt", "rsqrt", "sin", "cos", "tanh", "erf", "sigmoid", "logsigmoid", "relu",
             "silu", "gelu", "gelu_tanh", "quick_gelu", "mish", "hardsigmoid", "hardswish",
             "clamp", "leaky_relu", "scaled_elu", "softplus", "nan_to_num"]  # fmt: skip
    assert [name for name, _ in sorted(OPS.items(), key=lambda row: row[1])][: len(first)] == first


def test_ops_have_the_operands_of_their_kernels():
    for name, (_, *counts) in OPS.items():
        assert tuple(counts) == _native.elementwise_operands(name)


# --- every op, layout and dtype -------------------------------------------------------------------


def by_kernel(name, tensors, numbers):
    """What one kernel gives of tensors of one shape."""
    out = tl.empty_like(tensors[0].contiguous())
    _native.call(name, out._array, *[x._array for x in tensors], *numbers)
    return out


@pytest.mark.parametrize("name", OPS)
def test_each_op_as_first_and_last_step(name):
    code, operands, constants = OPS[name]
    numbers = [0.25, 1.5, 0.75][:constants]
    add, mul = OPS["add"][0], OPS["mul"][0]
    xs = [draw(3, 700, seed=seed) for seed in (0.3, 1.1, 2.3)]
    word = code | sum(i << 8 * (i + 1) for i in range(operands))
    given = [x._array for x in xs] + [None] * 4
    first = [word, add | 7 << 8 | 1 << 16, mul | 8 << 8 | 7 << 16, 0, 0, 0, 0, 0]
    reals = [*numbers, *[0.0] * (8 - constants)]
    out = tl.empty_like(xs[0])
    _native.call("elementwise_chain", out._array, *given, *first, *reals)
    made = by_kernel(name, xs[:operands], numbers)
    wanted = by_kernel("mul", [by_kernel("add", [made, xs[1]], []), made], [])
    assert out._array.raw_bytes() == wanted._array.raw_bytes()

    at = 8 - constants  # the last constants
    word = code | 7 << 8 | sum(i << 8 * (i + 1) for i in range(1, operands)) | at << 32
    word = word if constants else word & 0xFFFFFFFF
    reals = [*[0.0] * at, *numbers]
    _native.call("elementwise_chain", out._array, *given, add | 1 << 16, word, *[0] * 6, *reals)
    sums = by_kernel("add", xs[:2], [])
    wanted = by_kernel(name, [sums, *xs[1:operands]], numbers)
    assert out._array.raw_bytes() == wanted._array.raw_bytes()


LAYOUTS = {
    "rows": lambda t: t,
    "row": lambda t: t[:1],
    "column": lambda t: t[:, :1],
    "number": lambda t: t[1, 2],
    "transposed": lambda t: t.T.contiguous().T,
    "reversed": lambda t: t.flip(1),
    "steps": lambda t: tl.cat([t, t], 1)[:, ::2],
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(5, 7), (40, 1300), (300, 70)], ids=str)
def test_operands_of_any_strides(layout, shape):
    other = LAYOUTS[layout](draw(*shape, seed=0.11))

    def fn(x, y):
        return ((x * other + y).tanh() - other) * y

    assert check(fn, draw(*shape), draw(*shape), rewrites=CHAIN) == JOINED


def test_results_of_any_strides():
    def fn(t, to):
        to.T.copy_(to.T * t + t)
        return (t.T * 2 + 1) * 3

    assert check(fn, draw(8, 600), draw(600, 8), rewrites=CHAIN).count("elementwise_chain") == 2


def test_large_results():
    # Piece by piece on the threads, and past the cache.
    def fn(t, row):
        return (t * row + t).relu()

    assert check(fn, draw(4096, 3200), draw(3200), rewrites=CHAIN) == JOINED


def test_few_elements_are_joined_for_three_calls():
    assert check(lambda t: t * 2 + 1, draw(N - 1), rewrites=CHAIN) == ["mul", "add"]
    assert check(lambda t: t * 2 + 1, draw(N), rewrites=CHAIN) == JOINED
    assert check(lambda t: (t * 2 + 1) * t, draw(3), rewrites=CHAIN) == JOINED


# --- which calls ----------------------------------------------------------------------------------


def test_a_value_that_is_read_twice_in_the_chain():
    assert check(lambda t: t * t.sigmoid() + t.sigmoid() * 2, draw(9), rewrites=True) == JOINED


def test_one_call_stays():
    assert check(lambda t: t + 1, draw(9), rewrites=CHAIN) == ["add"]


def test_what_others_read_stays():
    def fn(t):
        x = t * 2
        return x + 1, x

    assert check(fn, draw(N), rewrites=CHAIN) == ["mul", "add"]

    def summed(t):
        x = t * 2
        return (x + 1) * x.sum()

    assert check(summed, draw(N), rewrites=CHAIN) == ["mul", "sum", "elementwise_chain"]


def test_other_shapes_and_views_stay():
    assert check(lambda t: (t[0] * 2) + t, draw(3, N), rewrites=CHAIN) == ["mul", "add"]
    assert check(lambda t: (t * 2).T + t, draw(64, 64), rewrites=CHAIN) == ["mul", "add"]

    def crossed(t):
        x = t * 2
        return x + x.T

    assert check(crossed, draw(64, 64), rewrites=CHAIN) == ["mul", "add"]


def test_integers_and_comparisons_stay():
    ids = tl.arange(6)
    assert check(lambda t: (t * 2 + 1) * t, ids, rewrites=CHAIN) == ["mul", "add", "mul"]
    made = check(lambda t: ((t + 1) * t > t * 2) & (t > 0), draw(N), rewrites=CHAIN)
    assert made == ["elementwise_chain", "mul", "gt", "gt", "bitwise_and"]


def test_what_is_written_before_the_last_call_stays():
    def fn(t, x):
        y = x * t
        x.add_(1)
        return y + t

    assert check(fn, draw(N), draw(N), rewrites=CHAIN) == ["mul", "add", "add"]


def test_results_on_what_the_chain_reads_stay():
    def fn(t, x):
        x[1:].copy_(x[:-1])
        y = x[:-1] * 2
        x[1:].mul_(y)
        return x + t

    made = check(fn, draw(N), draw(N), rewrites=CHAIN)
    assert made.count("elementwise_chain") == 0


def test_in_place_at_the_end():
    def fn(t):
        x = t.cumsum(0)
        x.mul_((t + 1) * t)
        return x.cumsum(0)

    assert check(fn, draw(N), rewrites=CHAIN) == ["cumsum", "elementwise_chain", "cumsum"]

    def outside(t, x):  # which may be one memory
        x.mul_((t + 1) * t)
        return x * 1

    assert check(outside, draw(N), draw(N), rewrites=CHAIN) == [*JOINED, "mul", "mul"]


def test_more_steps_than_one_call_has_room_for():
    def fn(t):
        x = t
        for _ in range(9):
            x = (x + t) * 0.5
        return x

    assert check(fn, draw(N), rewrites=CHAIN) == JOINED * 3


def test_more_arrays_than_one_call_has_room_for():
    rows = [draw(40, seed=0.1 * i) for i in range(1, 10)]

    def fn(t):
        x = t
        for row in rows[:7]:
            x = x + row
        return x

    plan = tl.capture(fn, draw(40), rewrites=CHAIN)
    assert calls(plan) == ["add", "elementwise_chain"]
    check(fn, draw(40), rewrites=CHAIN)


def test_what_is_computed_once_stays_apart():
    weight = draw(64, 64)

    def fn(t):
        return (weight * 2 + 1) * t

    plan = tl.capture(fn, draw(64, 64), weights={"weight": weight}, rewrites=True)
    assert (calls(plan), plan._native.once) == (["elementwise_chain", "mul"], 1)


def test_results_take_the_place_of_operands():
    def fn(t):
        x = t.cumsum(0)
        return ((x * 2 + t) * t).cumsum(0)

    plan = tl.capture(fn, draw(5000), rewrites=CHAIN)
    assert calls(plan) == ["cumsum", "elementwise_chain", "cumsum"]
    assert plan.memory()["arena"] < 1.5 * 4 * 5000
    check(fn, draw(5000), rewrites=CHAIN)


# --- what a call or a table may not say -----------------------------------------------------------

ADD, RELU, CLAMP = OPS["add"][0], OPS["relu"][0], OPS["clamp"][0]
WRONG = {
    "no step": [0],
    "a gap": [RELU, 0, RELU],
    "no such op": [255],
    "code 0 with operands": [1 << 8],
    "negative": [-1],
    "an array that is not there": [RELU | 2 << 8],
    "a result that is not there": [RELU | 7 << 8],
    "a later result": [RELU, RELU | 8 << 8],
    "a result beyond all": [RELU, RELU | 200 << 8],
    "an operand too many": [RELU | 1 << 16],
    "constants beyond the last": [CLAMP | 6 << 32],
    "bits beyond": [RELU | 1 << 40],
}


REALS = [0.0] * 8


def words(steps):
    return [*steps, *[0] * (8 - len(steps))]


@pytest.mark.parametrize("steps", WRONG.values(), ids=WRONG)
def test_wrong_steps_are_refused(steps):
    out, x = tl.empty(3), tl.ones(3)
    given = [x._array, x._array] + [None] * 5
    with pytest.raises(ArgumentError, match=r"elementwise_chain.*expected"):
        _native.call("elementwise_chain", out._array, *given, *words(steps), *REALS)
    plan = tl.capture(lambda t: (t + t).relu().exp(), x, rewrites=CHAIN)._native
    name, args = plan.calls[0]
    with pytest.raises(ArgumentError, match=r"elementwise_chain.*expected"):
        plan.rewritten(
            list(range(len(plan.buffers))), plan.values,
            [(name, [*args[:2], args[1], *args[3:8], *words(steps), *args[16:]])],
            plan.inputs, plan.outputs,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("out", "arrays", "said"),
    [
        (tl.empty(3), [tl.ones(3), None, tl.ones(3)], "one after the other"),
        (tl.empty(3), [tl.ones(3), tl.ones(4)], "arrays of one shape"),
    ],
)
def test_wrong_arrays_are_refused(out, arrays, said):
    given = [None if x is None else x._array for x in arrays] + [None] * (7 - len(arrays))
    with pytest.raises(ArgumentError, match=said):
        _native.call("elementwise_chain", out._array, *given, *words([RELU]), *REALS)


@pytest.mark.parametrize("dtype", ["f64", "f16", "bf16", "i64", "bool", "complex64"])
def test_other_dtypes_are_refused(dtype):
    out, x = tl.zeros(3, dtype=dtype), tl.zeros(3, dtype=dtype)
    with pytest.raises(NoKernelError, match="no kernel for this dtype"):
        _native.call("elementwise_chain", out._array, x._array, *[None] * 6, *words([RELU]), *REALS)


def test_empty_arrays():
    out, x = tl.empty(0, 3), tl.empty(0, 3)
    given = [x._array, *[None] * 6]
    _native.call("elementwise_chain", out._array, *given, *words([RELU]), *REALS)
    plan = tl.capture(lambda t: (t + 1) * 2, tl.empty(0, 3))
    assert rewrite(plan._native, CHAIN) is plan._native
