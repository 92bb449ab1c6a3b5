"""Every family's model with each pass alone and with all: equal bits, or within the tolerance."""

import pytest

import tallow as tl
from models.golden_families import CASES, Case
from tallow import _native
from tallow.plan.rewrites import REWRITES, Rewrite
from tallow.plan.rewrites import rewrite as rewritten
from tallow.plan.rewrites.graph import Graph, Uses
from tallow.trees import flatten


def leaves(out):
    found = flatten(out, lambda x: isinstance(x, tl.Tensor), dataclasses=True)[0]
    return [x for x in found if isinstance(x, tl.Tensor)]


def assert_close(got, wanted, tolerance):
    for a, b in zip(leaves(got), leaves(wanted), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        if tolerance == 0:
            assert a.contiguous()._array.raw_bytes() == b.contiguous()._array.raw_bytes()
        else:
            assert (a - b).abs().max().item() <= tolerance * b.abs().max().item()


@pytest.mark.parametrize("name", CASES)
def test_a_rewritten_plan_gives_what_the_model_gives(name):
    case = Case(name)
    model = case.load()
    compiled = tl.compile(model, rewrites=True)
    tolerance = sum(rewrite.tolerance for rewrite in REWRITES.values())
    with tl.inference_mode():
        compiled(**case.others(), **case.options)
        wanted = model(**case.inputs, **case.options)
        for _ in range(2):
            assert_close(compiled(**case.inputs, **case.options), wanted, tolerance)
    assert compiled.stats.eager == 0


# Of each kind of model one on which passes have something to do.
KINDS = ["llama", "bert", "resnet", "bart", "beit", "clip_classification", "mobilenet_v1", "detr"]


@pytest.mark.parametrize("rewrite", REWRITES)
@pytest.mark.parametrize("name", [name for name in KINDS if name in CASES])
def test_each_pass_alone(name, rewrite):
    case = Case(name)
    model = case.load()
    compiled = tl.compile(model, rewrites=[rewrite])
    with tl.inference_mode():
        compiled(**case.others(), **case.options)
        wanted = model(**case.inputs, **case.options)
        got = compiled(**case.inputs, **case.options)
    assert_close(got, wanted, REWRITES[rewrite].tolerance)


def plan_of(name):
    case = Case(name)
    compiled = tl.compile(case.load(), rewrites=False)
    with tl.inference_mode():
        compiled(**case.inputs, **case.options)
    return next(iter(compiled._plans.values())).plan


@pytest.mark.parametrize("rewrite", REWRITES)
def test_each_pass_has_something_to_do(rewrite):
    if rewrite == "winograd" and "conv_transformed" not in dict(_native.kernel_names()):
        pytest.skip("vectors too short for it")
    plans = [plan_of(name) for name in KINDS if name in CASES]
    weight = tl.ones(4, 3)  # one row, as models of single steps have it
    one_row = tl.capture(lambda x: tl.linear(x, weight), tl.ones(1, 3), weights={"w": weight})
    layer = tl.nn.GRU(3, 4).requires_grad_(False)
    one_step = tl.capture(lambda x: layer(x), tl.ones(1, 1, 3), weights=layer)
    classes = tl.ones(20, 3)  # a classifier that is asked for the likeliest one

    def likeliest(x):
        found = tl.softmax(tl.linear(x, classes), -1)
        return found.argmax(-1), found.amax(-1)

    asked = tl.capture(likeliest, tl.ones(2, 3), weights={"w": classes})
    plans += [one_row._native, one_step._native, asked._native]
    assert any(rewritten(plan, [rewrite]) is not plan for plan in plans)


def of_uses(uses):
    return {name: value for name, value in vars(uses).items() if name != "graph"}


@pytest.mark.parametrize("name", [name for name in KINDS if name in CASES])
def test_what_passes_share_is_what_they_would_find(name, monkeypatch):
    """Before each pass: uses found earlier are those of now; one that is left out does nothing."""
    ran = []

    def checked(which, run):
        def checking(graph: Graph):
            assert of_uses(graph.uses()) == of_uses(Uses(graph))
            assert graph.kernels() == {call.kernel for call in graph.calls}
            idle = graph.kernels().isdisjoint(which.needs or graph.kernels())
            changes = run(graph)
            assert not (idle and which.needs and changes)
            ran.append(changes)
            return changes

        return checking

    rows = {
        key: Rewrite(run and checked(row, run), row.tolerance)  # needs nothing: runs always
        for key, row in REWRITES.items()
        for run in [row.run]
    }
    monkeypatch.setattr("tallow.plan.rewrites.REWRITES", rows)
    case = Case(name)
    with tl.inference_mode():
        tl.compile(case.load(), rewrites=True)(**case.inputs, **case.options)
    assert sum(ran) > 0
    assert len(ran) % sum(row.run is not None for row in rows.values()) == 0
