"""Optimisers by themselves: layouts, groups, closures, state, what they refuse."""

from __future__ import annotations

import math
import random

import pytest

import tallow as tl
from tallow import optim
from tallow.errors import ArgumentError, DTypeError, ShapeError, TallowError

ALL = ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "NAdam", "RAdam", "Adamax", "Lion",
       "LAMB", "Muon"]  # fmt: skip
OPTIONS = {"SGD": {"momentum": 0.9}, "RMSprop": {"momentum": 0.9, "centered": True},
           "Adam": {"amsgrad": True}}  # fmt: skip


def make(name, params, **more):
    return getattr(optim, name)(params, **OPTIONS.get(name, {}), **more)


def leaf(shape, seed, dtype="f32"):
    draw = random.Random(seed)
    n = math.prod(shape)
    value = tl.tensor([draw.gauss(0, 1) for _ in range(n)]).reshape(shape).to(dtype)
    return value.detach().requires_grad_()


def gradient(p, seed):
    return leaf(p.shape, seed, p.dtype.name).detach()


def run(opt, params, steps, first=0):
    for step in range(first, first + steps):
        for i, p in enumerate(params):
            p.grad = gradient(p, 1000 * step + i)
        opt.step()


@pytest.mark.parametrize("name", ALL)
def test_a_quadratic_is_minimised(name):
    p = leaf((4, 3), 1)
    goal = leaf((4, 3), 2).detach()
    rate = {"Adadelta": 30.0, "SGD": 0.02, "Adagrad": 0.5, "RMSprop": 0.005}.get(name, 0.05)
    options = {"weight_decay": 0.0} if name in ("AdamW", "LAMB", "Muon") else {}
    opt = make(name, [p], lr=rate, **options)
    start = ((p - goal) ** 2).sum().item()
    for step in range(300):
        if step == 200:
            opt.param_groups[0]["lr"] = rate / 10
        opt.zero_grad()
        ((p - goal) ** 2).sum().backward()
        opt.step()
    assert ((p - goal) ** 2).sum().item() < 0.02 * start


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_every_layout_gives_the_contiguous_result(name, dtype):
    """A parameter, and a gradient, that are strided views step like contiguous ones."""
    plain = leaf((6, 35), 3, dtype)
    wide = tl.zeros(35, 12, dtype=dtype)
    strided = wide[:, ::2].T
    strided.copy_(plain.detach())
    strided = strided.detach().requires_grad_()
    opts = [make(name, [plain]), make(name, [strided])]
    for step in range(3):
        g = gradient(plain, step)
        plain.grad = g
        strided.grad = g.T.contiguous().T if step % 2 else g
        for opt in opts:
            opt.step()
    tolerance = 1e-5 if dtype == "f32" else 1e-12
    assert (plain - strided).abs().max().item() < tolerance
    assert wide[:, 1::2].abs().max().item() == 0  # between the elements nothing was written


@pytest.mark.parametrize("name", ALL)
def test_threads_do_not_change_a_bit(name):
    found = []
    for threads in (1, 2):
        tl.set_num_threads(threads)
        p = leaf((300, 111), 5)
        run(make(name, [p]), [p], 2)
        found.append(p.tolist())
    tl.set_num_threads(0)
    assert found[0] == found[1] or name in ("LAMB", "Muon")  # their products may differ


@pytest.mark.parametrize("name", [n for n in ALL if n != "Muon"])
@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (1,), (17,)], ids=str)
def test_shapes(name, shape):
    p = leaf(shape, 1)
    opt = make(name, [p])
    before = p.tolist()
    run(opt, [p], 2)
    assert p.shape == shape
    assert p.tolist() != before or p.numel() == 0


@pytest.mark.parametrize("name", ALL)
def test_state_goes_on_bit_for_bit(name):
    for dtype in ("f32", "bf16", "f64"):
        a = [leaf((4, 5), i, dtype) for i in range(2)]
        opt = make(name, a, master_weights=True)
        run(opt, a, 3)
        b = [p.detach().clone().requires_grad_() for p in a]
        other = make(name, b)
        other.load_state_dict(opt.state_dict())
        run(opt, a, 3, first=3)
        run(other, b, 3, first=3)
        assert [p.tolist() for p in a] == [p.tolist() for p in b]


def test_loading_copies():
    p = leaf((3,), 0)
    opt = optim.Adam([p])
    run(opt, [p], 1)
    state = opt.state_dict()
    kept = state["state"][0]["exp_avg"].tolist()
    q = leaf((3,), 0)
    other = optim.Adam([q])
    other.load_state_dict(state)
    run(other, [q], 1)
    assert state["state"][0]["exp_avg"].tolist() == kept
    assert opt.state[p]["step"] == 1


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda s: s.pop("state"), "state and param_groups"),
        (lambda s: s["param_groups"].append(s["param_groups"][0]), "groups of"),
        (lambda s: s["param_groups"][0].update(params=[0]), "groups of"),
        (lambda s: s["param_groups"][0].update(lr="fast"), "lr"),
        (lambda s: s["param_groups"][0].update(lr=-1.0), "lr"),
        (lambda s: s["param_groups"][0].update(betas=[0.9]), "betas"),
        (lambda s: s["param_groups"][0].update(betas=["a", "b"]), "betas"),
        (lambda s: s["state"].update({7: {}}), "state of its parameters"),
        (lambda s: s["state"].update({0: [1]}), "dict"),
        (lambda s: s["state"][0].update(exp_avg=tl.zeros(4)), "shape"),
        (lambda s: s["state"][0].update(exp_avg=tl.zeros(3, dtype="i64")), "float"),
        (lambda s: s["state"][0].update(exp_avg="x"), "Tensor"),
        (lambda s: s["state"][0].pop("step"), "step"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(change, text):
    params = [leaf((3,), 0), leaf((2, 2), 1)]
    opt = optim.Adam(params, lr=0.5)
    run(opt, params, 2)
    state = opt.state_dict()
    state["state"] = {key: dict(value) for key, value in state["state"].items()}
    change(state)
    before = repr(opt), opt.state[params[0]]["exp_avg"].tolist()
    with pytest.raises(TallowError, match=text):
        opt.load_state_dict(state)
    assert (repr(opt), opt.state[params[0]]["exp_avg"].tolist()) == before


@pytest.mark.parametrize("name", ALL)
def test_bad_numbers_are_refused(name):
    for options in ({"lr": -1.0}, {"lr": math.nan}, {"weight_decay": -0.1}):
        with pytest.raises(ArgumentError, match=next(iter(options))):
            getattr(optim, name)([leaf((2, 2), 0)], **options)


def test_bad_parameters_are_refused():
    p = leaf((2, 2), 0)
    for params, error in [
        ([], ArgumentError),
        (p, DTypeError),
        ([1.0], DTypeError),
        ([{"params": [p]}, {"params": [p]}], ArgumentError),
        ([p * 2], ArgumentError),
        ([tl.zeros(3, dtype="i64")], DTypeError),
        ([("a", p), leaf((2,), 1)], ArgumentError),
    ]:
        with pytest.raises(error):
            optim.SGD(params, lr=0.1)
    with pytest.raises(ArgumentError, match="betas"):
        optim.Adam([p], betas=(1.0, 0.9))
    with pytest.raises(ArgumentError, match="nesterov"):
        optim.SGD([p], nesterov=True)
    with pytest.raises(ArgumentError, match="differentiable"):
        optim.SGD([p], differentiable=True)
    with pytest.raises(ShapeError, match="2-d"):
        optim.Muon([leaf((2,), 0)])


def test_a_step_is_no_operation_and_counts_as_a_change():
    p = leaf((3,), 0)
    opt = optim.SGD([p], lr=0.1)
    loss = (p * p).sum()
    p.grad = tl.ones(3)
    opt.step()
    assert p.is_leaf and p.requires_grad and p.grad.tolist() == [1, 1, 1]
    with pytest.raises(TallowError):  # p was saved for this, and has changed
        loss.backward()


def test_a_parameter_that_stands_twice_in_a_group_steps_twice():
    """Networks that share a layer give its weights twice (UNIT); torch 2.13 warns and goes on."""
    p, q = tl.ones(2, requires_grad=True), tl.ones(1, requires_grad=True)
    with pytest.warns(UserWarning, match="holds a parameter twice"):
        optimizer = optim.Adam([p, p, q], lr=0.1)
    for _ in range(3):
        p.grad, q.grad = tl.tensor([1.0, 2.0]), tl.tensor([1.0])
        optimizer.step()
    assert (p - 0.4).abs().max().item() < 1e-6 and abs(q.item() - 0.7) < 1e-6
    saved = optimizer.state_dict()
    assert saved["param_groups"][0]["params"] == [0, 0, 2] and {*saved["state"]} == {0, 2}
    optimizer.load_state_dict(saved)
    assert optimizer.state[p]["step"] == 6 and optimizer.state[q]["step"] == 3
    with pytest.raises(ArgumentError, match="another group"):
        optim.SGD([{"params": [p]}, {"params": [p]}], lr=0.1)


def test_closure_zero_grad_and_hooks():
    p = leaf((3,), 0)
    opt = optim.SGD([("weight", p)], lr=0.1)
    assert opt.param_groups[0]["param_names"] == ["weight"]
    seen = []
    handle = opt.register_step_pre_hook(lambda o, args, kwargs: seen.append("before"))
    opt.register_step_post_hook(lambda o, args, kwargs: seen.append("after"))

    def closure():
        opt.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        seen.append("closure")
        return loss

    with tl.no_grad():
        loss = opt.step(closure)
    assert loss.item() > (p * p).sum().item()
    assert seen == ["before", "closure", "after"]
    handle.remove()
    opt.zero_grad(set_to_none=False)
    assert p.grad.tolist() == [0, 0, 0]
    opt.zero_grad()
    assert p.grad is None
    opt.step()
    assert seen[3:] == ["after"]
    assert "lr: 0.1" in repr(opt)


def test_borrowed_parameters_are_copied_on_the_first_step():
    data = bytes(12)
    p = tl.from_buffer(data, "f32", (3,)).requires_grad_()
    opt = optim.AdamW([p], lr=0.1)
    p.grad = tl.ones(3)
    opt.step()
    assert data == bytes(12) and p.tolist() != [0, 0, 0]


def test_lion_follows_its_formula():
    p = leaf((40,), 0, "f64")
    opt = optim.Lion([p], lr=0.1, betas=(0.9, 0.99), weight_decay=0.01)
    want, m = p.tolist(), [0.0] * 40
    for step in range(20):
        g = gradient(p, step).tolist()
        p.grad = tl.tensor(g, dtype="f64")
        opt.step()
        for i in range(40):
            c = 0.9 * m[i] + (1 - 0.9) * g[i]
            want[i] = want[i] * (1 - 0.1 * 0.01) - 0.1 * math.copysign(1, c)
            m[i] = 0.99 * m[i] + (1 - 0.99) * g[i]
    assert p.tolist() == pytest.approx(want, abs=1e-12)
    q = tl.tensor([1.0], dtype="f64").requires_grad_()
    opt = optim.Lion([q], lr=0.1)
    q.grad = tl.zeros(1, dtype="f64")
    opt.step()
    assert q.tolist() == [1.0]  # the sign of 0 is 0


def test_lamb_follows_its_formula():
    p = leaf((6, 5), 0, "f64")
    opt = optim.LAMB([p], lr=0.1, weight_decay=0.05)
    want = p.detach().clone()
    m = v = tl.zeros(6, 5, dtype="f64")
    for step in range(1, 21):
        g = gradient(p, step)
        p.grad = g
        opt.step()
        m, v = m * 0.9 + g * 0.1, v * 0.999 + g * g * 0.001
        r = (m / (1 - 0.9**step)) / ((v / (1 - 0.999**step)).sqrt() + 1e-6) + want * 0.05
        ratio = math.sqrt((want * want).sum().item() / (r * r).sum().item())
        want = want - r * (0.1 * ratio)
    assert (p - want).abs().max().item() < 1e-12


def test_muon_steps_have_singular_values_about_1():
    for shape in ((12, 30), (30, 12)):
        x = optim.layerwise.orthogonal(
            gradient(leaf(shape, 0), 1), (3.4445, -4.775, 2.0315), 5, 1e-7
        )
        gram = x @ x.T if shape[0] < shape[1] else x.T @ x
        diagonal = [gram[i, i].item() for i in range(12)]
        assert all(0.4 < value < 1.5 for value in diagonal)


def test_tiny_steps_add_up_in_master_weights():
    results = {}
    for master in (False, True):
        p = tl.ones(4, dtype="bf16").requires_grad_()
        opt = optim.SGD([p], lr=1e-4, master_weights=master)
        for _ in range(100):
            p.grad = tl.ones(4, dtype="bf16")
            opt.step()
        results[master] = p.tolist()[0]
    assert results[False] == 1.0
    assert results[True] == pytest.approx(0.99, abs=4e-3)
