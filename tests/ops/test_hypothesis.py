"""Hypothesis varies the samples of every op: equal to contiguous copies, or a TallowError."""

import signal
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ops import laws
from ops.laws import CASES, convert, samples, tensor
from ops.table import NUMPY
from tallow.errors import TallowError
from tallow.registry import OPS

NAMES = [name for name, case in CASES.items() if case.hypothesis and not case.random]
BOUNDED = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=6,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)
# Python's own refusals of a call: a wrong kind of argument, a missing one.
REFUSALS = (TallowError, TypeError)


@st.composite
def layouts(draw, array):
    """A tensor made of `array` by views: steps, other orders of axes, expanded, emptied ones."""
    x, y = tensor(array), array
    for _ in range(draw(st.integers(0, 3))):
        if not y.ndim:
            break
        axis = draw(st.integers(0, y.ndim - 1))
        kind = draw(st.sampled_from(["slice", "swap", "expand", "unit", "empty", "memory"]))
        if kind == "slice":
            step = draw(st.sampled_from([1, 2, 3, -1, -2]))
            start = draw(st.none() | st.integers(-y.shape[axis] - 1, y.shape[axis] + 1))
            key = (slice(None),) * axis + (slice(start, None, step),)
            x, y = x[key], y[key]
        elif kind == "swap":
            other = draw(st.integers(0, y.ndim - 1))
            x, y = x.transpose(axis, other), y.swapaxes(axis, other)
        elif kind == "expand":
            key = (slice(None),) * axis + (slice(0, 1),)
            shape = list(y.shape)
            if shape[axis]:
                x, y = x[key].expand(*shape), np.broadcast_to(y[key], shape)
        elif kind == "unit":
            x, y = x.unsqueeze(axis), np.expand_dims(y, axis)
        elif kind == "empty" and draw(st.integers(0, 3)) == 0:
            key = (slice(None),) * axis + (slice(0, 0),)
            x, y = x[key], y[key]
        elif kind == "memory":  # the same elements, axes in memory the other way round
            axes = tuple(reversed(range(y.ndim)))
            x = tensor(np.ascontiguousarray(y.transpose(axes))).permute(*axes)
    return x, np.array(y)


def attempt(function, args, kwargs):
    """The result, or the TallowError that refuses the arguments."""
    before = signal.signal(signal.SIGALRM, too_slow)
    signal.setitimer(signal.ITIMER_REAL, 5)
    try:
        return function(*args, **kwargs), None
    except REFUSALS as error:
        return None, error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def too_slow(*_):
    raise AssertionError("more than 5 seconds on a few elements")


@pytest.mark.parametrize("name", NAMES)
def test_any_layout_is_as_good_as_contiguous(name):
    case = CASES[name]

    @BOUNDED
    @given(st.data())
    def vary(data):
        dtype = data.draw(st.sampled_from(case.dtypes))
        found = samples(name, dtype)
        sample = found[data.draw(st.integers(0, len(found) - 1))]
        copies = []

        def vary_one(array):
            x, y = data.draw(layouts(array))
            copies.append(y)
            return x

        args, kwargs = convert(sample.args, vary_one), convert(sample.kwargs, vary_one)
        turn = iter(copies)

        def copy(_):
            return tensor(next(turn))

        plain = convert(sample.args, copy), convert(sample.kwargs, copy)
        wanted, refused = attempt(OPS[name], *plain)
        got, also = attempt(OPS[name], args, kwargs)
        said = f"{name}{sample} on {[c.shape for c in copies]}"
        if (refused or also) and not case.layouts:
            return
        assert (refused is None) == (also is None), f"{said}: contiguous {refused}, else {also}"
        if refused is None and case.output is None:
            laws.same(got, wanted, 4 * case.factor, True, said)

    vary()


WRONG = [
    0,
    -1,
    1,
    7,
    -9,
    2**31,
    2**62,
    2**63,
    -(2**63),
    10**30,
    0.5,
    float("nan"),
    None,
    "x",
    (),
    (0, 0),
]


@pytest.mark.parametrize("name", NAMES)
def test_wrong_arguments_are_refused(name):
    """Numbers, texts and dtypes where they do not belong: a result or a refusal, never a crash."""
    case = CASES[name]

    @BOUNDED
    @given(st.data())
    def vary(data):
        dtype = data.draw(st.sampled_from(case.dtypes))
        found = samples(name, dtype)
        sample = found[data.draw(st.integers(0, len(found) - 1))]
        args, kwargs = list(sample.args), dict(sample.kwargs)
        places = [*range(len(args)), *kwargs]
        if not places:
            return
        place = data.draw(st.sampled_from(places))
        box = args if isinstance(place, int) else kwargs
        no_tensor = False  # Python's duck typing may then refuse with an AttributeError
        kind = data.draw(st.sampled_from(["value", "indices", "dtype", "shape"]))
        if kind == "value" or not isinstance(box[place], np.ndarray):
            if not isinstance(box[place], np.ndarray | list):
                box[place] = data.draw(st.sampled_from(WRONG))
            elif kind == "value":
                box[place] = data.draw(st.sampled_from([None, 3, "x", 1.5]))
                no_tensor = True
        elif kind == "indices" and box[place].dtype.kind == "i":
            off = data.draw(st.sampled_from([2**40, -(2**40), 2**62, -1, 1000, -1000]))
            box[place] = box[place].astype(np.int64)
            if box[place].size:
                box[place].reshape(-1)[-1] = off
        elif kind == "dtype":
            other = data.draw(st.sampled_from(list(NUMPY)))
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                box[place] = box[place].astype(NUMPY[other])
        else:
            box[place] = box[place][None] if data.draw(st.booleans()) else box[place].reshape(-1)
        try:
            attempt(OPS[name], convert(args, tensor), convert(kwargs, tensor))
        except AttributeError:
            assert no_tensor, "an attribute error, though every tensor is one"

    vary()
