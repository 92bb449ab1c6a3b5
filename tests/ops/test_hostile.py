"""Objects that are no argument of any op: each is refused by a sentence with the op and why."""

import math
from contextlib import suppress

import numpy as np
import pytest

import tallow as tl
from ops.laws import CASES, convert, samples, tensor
from tallow.errors import (
    ArgumentError,
    DTypeError,
    IndexRangeError,
    OutOfMemoryError,
    ShapeError,
    TallowError,
)
from tallow.registry import OPS

STRANGE = {
    "an object": object(),
    "an ellipsis": ...,
    "a text": "x",
    "bytes": b"x",
    "a dict": {"a": 1},
    "a slice": slice(None),
    "a complex number": 1j,
    "nan": math.nan,
    "a function": print,
    "a list of None": [None],
    "a list of texts": ["a"],
    "nested lists": [[1], [2, 3]],
    "an empty tuple": (),
    "an array": np.zeros(3),
    "None": None,
}


def strange_calls(name):
    """(what, args, kwargs): the op's first sample, one argument of it replaced."""
    sample = next(iter(samples(name, CASES[name].dtypes[0])), None)
    if sample is None:
        return
    args, kwargs = convert(sample.args, tensor), convert(sample.kwargs, tensor)
    for what, value in STRANGE.items():
        for i in range(len(args)):
            yield f"argument {i}: {what}", (*args[:i], value, *args[i + 1 :]), kwargs
        for key in kwargs:
            yield f"{key}: {what}", args, {**kwargs, key: value}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # numpy's, of arrays given for numbers
@pytest.mark.parametrize("name", CASES)
def test_strange_objects_are_refused_by_a_sentence(name):
    wrong = []
    for what, args, kwargs in strange_calls(name):
        try:
            OPS[name](*args, **kwargs)
        except TallowError as error:
            if not str(error).strip():
                wrong.append(f"{what}: no text")
        except Exception as error:
            wrong.append(f"{what}: {type(error).__name__}: {error}")
    assert not wrong, "\n".join(wrong)


x = tl.arange(6.0).reshape(2, 3)
REFUSED = {
    "an index without axes": (
        lambda: tl.ops.embedding_weight_grad(tl.ones(()), tl.zeros(2, dtype="i64"), 3, -1),
        IndexRangeError,
        r"embedding_weight_grad: .* f32\[\], i64\[2\], 3, -1",
    ),
    "factors without axes": (
        lambda: tl.ops.lu_unpack(tl.ones(()), tl.zeros(1, dtype="i32")),
        ArgumentError,
        "lu_unpack: ",
    ),
    "a difference of shapes": (
        lambda: tl.ops.l1_loss(x, tl.ones(2)),
        ShapeError,
        r"sub: expected shapes that broadcast, .*",
    ),
    "a parabola of shapes": (
        lambda: tl.ops.huber_loss(x, tl.ones(2)),
        ShapeError,
        r"sub: expected shapes that broadcast",
    ),
    "a text as a target": (
        lambda: tl.ops.mse_loss(x, "a"),
        DTypeError,
        "mse_loss: expected a Tensor for target, got",
    ),
    "a multiple of another shape": (
        lambda: tl.ops.add(x, tl.ones(2), alpha=2),
        ShapeError,
        r"add: .* got \(2, 3\) and \(2,\)",
    ),
    "no integer of groups": (
        lambda: tl.ops.group_norm(x, 1.0),
        ArgumentError,
        "group_norm: expected a divisor of 3 ",
    ),
    "no integer": (lambda: x.repeat("a"), DTypeError, "repeat: expected integers, got 'a'"),
    "no tensor in a list": (lambda: tl.vstack([x, 2]), DTypeError, "expected Tensors, got 2"),
    "no axis": (lambda: x.sum(...), DTypeError, r"sum: expected .* for dim, got ellipsis"),
    "a power of no number": (lambda: tl.ops.polygamma("x", x), DTypeError, "an integer for n"),
    "a division by zero": (lambda: tl.fft.fftfreq(4, 0), ArgumentError, "fftfreq: .*zero"),
    "a diagonal that is no number": (lambda: x.triu(math.nan), DTypeError, "an integer .* got nan"),
    "more choices than memory": (
        lambda: tl.combinations(x[0], 2**62),
        OutOfMemoryError,
        "combinations: out of memory",
    ),
}


@pytest.mark.parametrize(("call", "error", "text"), REFUSED.values(), ids=REFUSED)
def test_refused(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_axes_may_be_tensors():
    assert x.movedim((1,), tl.tensor(0)).shape == (3, 2)


def test_errors_of_a_users_op_stay_as_they_are():
    @tl.op
    def stumbling_op(x: tl.Tensor, n: int) -> tl.Tensor:
        raise [KeyError, ValueError, TypeError][n]("mine")

    try:
        for n, kind in enumerate((KeyError, ValueError, TypeError)):
            with pytest.raises(kind, match="mine") as caught:
                stumbling_op(x, n)
            assert type(caught.value) is kind
    finally:
        del OPS["stumbling_op"]


# --- lists that change while they are read --------------------------------------------------------


class Clearing:
    """An integer that empties the list it stands in when it is read."""

    def __init__(self, where):
        self.where = where

    def __index__(self):
        self.where.clear()
        return 1


def clearing():
    made = []
    made += [Clearing(made), *(Clearing([]) for _ in range(2))]
    return made


READERS = {
    "zeros": tl.zeros,
    "reshape": lambda sizes: x.reshape(sizes),
    "expand": lambda sizes: x.expand(sizes),
    "permute": lambda dims: tl.ones(1, 2, 3).permute(dims),
    "flip": lambda dims: x.flip(dims),
    "sum": lambda dims: x.sum(dims),
    "as_strided": lambda sizes: x.as_strided(sizes, [0, 0, 0]),
    "tensor": tl.tensor,
    "from_buffer": lambda sizes: tl.from_buffer(bytes(24), tl.f32, sizes),
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_a_list_may_shrink_while_it_is_read(read):
    """Once items behind its end were read: a child would die of it."""
    for _ in range(20):
        with suppress(TallowError):
            read(clearing())
    with pytest.raises(ShapeError, match="shrank while it was read"):
        tl.zeros(clearing())


def test_lists_that_hold_themselves():
    own = []
    own.append(own)
    for call in (lambda: x.sum(own), lambda: tl.cat(own), lambda: x.reshape(own)):
        with pytest.raises(TallowError):
            call()


def test_a_true_flag_is_one():
    """A 2 for `unitriangular` left the first diagonal out of the gradient, too."""
    A = tl.tensor([[1.0, 2.0], [0.0, 1.0]], requires_grad=True)
    for flag in (True, 2):
        A.grad = None
        tl.ops.solve_triangles(A, tl.ones(2, 1), True, flag).sum().backward()
        assert A.grad.tolist() == [[0, -1], [0, 0]]
