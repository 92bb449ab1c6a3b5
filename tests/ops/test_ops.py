"""Laws that hold for every op, tried on the samples of the table (no torch needed)."""

import collections

import numpy as np
import pytest

import tallow as tl
from ops import laws
from ops.laws import CASES, call, convert, pairs, same, samples, tensor, widened
from ops.table import FLOATS, NUMPY, all_cases, case_files, load
from tallow.registry import OPS, SELF_NAMES


@pytest.mark.parametrize("stem", case_files())
def test_cases_can_be_read(stem):
    found = load(stem)
    if isinstance(found, Exception):
        raise found
    unknown = found.keys() - OPS.keys()
    assert not unknown, f"cases without an op: {sorted(unknown)}"


def test_every_row_has_a_case():
    missing = [name for name in OPS if name not in all_cases()]
    assert not missing, f"{len(missing)} ops without a case: {missing}"


def test_a_row_has_one_case():
    files = [load(stem) for stem in case_files()]
    count = collections.Counter(n for cases in files if isinstance(cases, dict) for n in cases)
    assert not [name for name, n in count.items() if n > 1]


@pytest.mark.parametrize("name", CASES)
def test_case_has_samples(name):
    for dtype in CASES[name].dtypes:
        assert samples(name, dtype), dtype


def wider(name, dtype, sample):
    """What the op gives in f64 on the same values; in its own dtype where that says nothing."""
    case = CASES[name]
    wide = case.wide and "f64" in case.dtypes
    return call(name, sample, lambda x: tensor(widened(x) if wide else x))


@pytest.mark.parametrize(("name", "dtype"), pairs(lambda _, c: not c.random))
def test_dtypes_agree_with_f64(name, dtype):
    if dtype not in FLOATS or dtype == "f64":
        return
    for sample in samples(name, dtype):
        got = call(name, sample, tensor)
        same(got, wider(name, dtype, sample), CASES[name].factor, False, f"{name}{sample}")


@pytest.mark.parametrize(("name", "dtype"), pairs(lambda _, c: c.layouts and not c.random))
def test_layouts(name, dtype):
    for sample in samples(name, dtype):
        wanted = call(name, sample, tensor)
        for layout, make in laws.layouts():
            said = f"{name}{sample}, {layout}"
            same(call(name, sample, make), wanted, CASES[name].factor, True, said)


@pytest.mark.parametrize(("name", "dtype"), pairs(lambda _, c: c.numpy is not None))
def test_numpy_agrees(name, dtype):
    case = CASES[name]
    for sample in samples(name, dtype):
        with np.errstate(all="ignore"):
            args, kwargs = convert(sample.args, widened), convert(sample.kwargs, widened)
            wanted = case.numpy(*args, **kwargs)
        said = f"{name}{sample} in numpy"
        got = call(name, sample, tensor)
        if case.random:
            continue
        for g, w in zip(laws.leaves(got), laws.leaves(wanted), strict=True):
            w = np.asarray(w)
            assert tuple(g.shape) == w.shape, f"{said}: expected shape {w.shape}, got {g.shape}"
            kind = laws.dtype_name(g)
            assert (kind == "bool") == (w.dtype.kind == "b"), f"{said}: got {kind}"
            assert (kind in FLOATS) == (w.dtype.kind in "fV"), f"{said}: got {kind}"
            if kind in FLOATS and dtype in FLOATS and "dtype" not in sample.kwargs:
                assert kind == dtype, f"{said}: expected {dtype}, got {kind}"
            laws.near(laws.numpy_of(g), laws.widened(w), kind, case.factor, said)


def has_both(name, case):
    op = OPS[name]
    kernel = op.has_kernel
    return kernel and not op.is_primitive and not case.random


@pytest.mark.parametrize(("name", "dtype"), pairs(has_both))
def test_kernel_is_the_reference(name, dtype):
    op, case = OPS[name], CASES[name]
    for sample in samples(name, dtype):
        wanted = call(name, sample, tensor, op.reference)
        same(call(name, sample, tensor), wanted, 2 * case.factor, True, f"{name}{sample}")


def has_inplace(name, case):
    op = OPS[name]
    method = op.parameters[0][0] in SELF_NAMES
    return case.inplace and method and op.has_inplace and not case.random


@pytest.mark.parametrize(("name", "dtype"), pairs(has_inplace))
def test_inplace_twin(name, dtype):
    """`name_` writes what `name` gives, where that fits into the tensor, whatever its layout."""
    for sample in samples(name, dtype):
        wanted = call(name, sample, tensor)
        first = sample.args[0] if sample.args else None
        if not isinstance(first, np.ndarray) or first.shape != wanted.shape:
            continue
        if laws.dtype_name(wanted) != laws.dtype_name(first):
            continue
        for layout in (tensor, laws.transposed, laws.backwards, laws.offset):
            x = layout(first)
            pointer = x.data_ptr()
            twin = getattr(tl.Tensor, f"{name.rsplit('.', 1)[-1]}_")
            args = convert(sample.args[1:], tensor)
            out = twin(x, *args, **convert(sample.kwargs, tensor))
            assert out is x and x.data_ptr() == pointer
            same(x, wanted, CASES[name].factor, True, f"{name}_{sample}, {layout.__name__}")


# --- gradients ------------------------------------------------------------------------------------


def differentiable(name, case):
    return case.gradient and not case.random and "f64" in case.dtypes


GRADIENTS = [name for name, case in CASES.items() if differentiable(name, case)]


def prepared(name, sample, make=tensor):
    """(function of the float tensors, those tensors): the op with all else held fixed."""
    xs = []

    def leaf(x):
        out = make(x)
        if x.dtype == np.float64:
            xs.append(out.requires_grad_())
        return out

    args, kwargs = convert(sample.args, leaf), convert(sample.kwargs, leaf)
    settled = CASES[name].output or (lambda out: out)

    def run(*values):
        swap = {id(x): v for x, v in zip(xs, values, strict=True)}

        def put(value):
            if isinstance(value, tl.Tensor):
                return swap.get(id(value), value)
            if isinstance(value, list | tuple):
                return type(value)(map(put, value))
            return {k: put(v) for k, v in value.items()} if isinstance(value, dict) else value

        out = settled(OPS[name](*put(args), **put(kwargs)))
        return [y for y in laws.leaves(out) if isinstance(y, tl.Tensor) and y.dtype.kind in "fc"]

    return run, xs


def random_like(x, rng):
    if x.dtype.kind == "c":
        parts = rng.standard_normal((2, *x.shape))
        return tensor((parts[0] + 1j * parts[1]).astype(np.complex64))
    return tensor(rng.standard_normal(x.shape).astype(NUMPY[x.dtype.name]))


def dot(xs, ys):
    """The real scalar product of two lists of tensors."""
    pairs_ = [(x.detach().numpy(), y.detach().numpy()) for x, y in zip(xs, ys, strict=True)]
    return sum(float((p.conj() * q).real.sum()) for p, q in pairs_)


def slopes(f, xs, weights, create_graph=False):
    """The gradients of the weighted outputs of f by xs; zeros where there are none."""
    ys = f(*xs)
    live = [(y, w) for y, w in zip(ys, weights, strict=True) if y.requires_grad]
    if not live:
        return [tl.zeros_like(x) for x in xs]
    return tl.autograd.grad(
        [y for y, _ in live], xs, [w for _, w in live],
        create_graph=create_graph, materialize_grads=True,
    )  # fmt: skip


def check_slope(f, g, xs, weights, said, step=1e-6, tolerance=2e-5):
    """`g` is the gradient of weights · f at xs: along a random direction for each x."""
    rng = np.random.default_rng(1)
    for i, x in enumerate(xs):
        direction = random_like(x, rng)
        with tl.no_grad():
            ends = []
            for sign in (step, -step):
                moved = [*xs]
                moved[i] = x.detach() + direction * sign
                ends.append(dot(weights, [y.detach() for y in f(*moved)]))
        wanted, got = (ends[0] - ends[1]) / (2 * step), dot([g[i]], [direction])
        limit = tolerance * max(1.0, abs(wanted), *(abs(e) * 0.1 for e in ends))
        assert abs(got - wanted) <= limit, (
            f"{said}: slope of tensor {i}, expected {wanted:.8g}, got {got:.8g}"
        )


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients(name):
    """First and second derivatives against differences, and the same from any layout."""
    case = CASES[name]
    tried = 0
    for sample in samples(name, "f64"):
        f, xs = prepared(name, sample)
        if not xs:
            continue
        said = f"{name}{sample}"
        rng = np.random.default_rng(0)
        weights = [random_like(y, rng) for y in f(*xs)]
        if not weights:
            continue
        tried += 1
        g = slopes(f, xs, weights)
        for x, one in zip(xs, g, strict=True):
            assert one.shape == x.shape and one.dtype is x.dtype, said
        check_slope(f, g, xs, weights, said)
        if case.layouts:
            for layout, make in laws.layouts():
                again, zs = prepared(name, sample, make)
                same(list(slopes(again, zs, weights)), list(g), 10, True, f"{said}, {layout}")
        if case.gradgrad:
            check_second(f, xs, weights, said)


def check_second(f, xs, weights, said):
    rng = np.random.default_rng(2)
    along = [random_like(x, rng) for x in xs]

    def first(*values):
        values = [v if v.requires_grad else v.detach().requires_grad_() for v in values]
        with tl.enable_grad():
            return list(slopes(f, values, weights, create_graph=True))

    g = first(*xs)
    live = [(y, w) for y, w in zip(g, along, strict=True) if y.requires_grad]
    if live:
        gg = tl.autograd.grad(
            [y for y, _ in live], xs, [w for _, w in live], materialize_grads=True
        )
    else:
        gg = [tl.zeros_like(x) for x in xs]
    check_slope(first, gg, xs, along, f"{said}, second derivative")


def test_an_argument_may_have_any_name_and_be_refused():
    # tril_indices has a parameter `row`, as the generated caller once had a variable.
    for wrong in (2**63, 2**64, -(2**63) - 1):
        with pytest.raises(tl.TallowError):
            tl.tril_indices(wrong, 2)
