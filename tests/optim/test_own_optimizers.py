"""Optimisers that a user writes, and what code does to the state of ours."""

from __future__ import annotations

import copy
import pickle

import pytest

import tallow as tl
from tallow import nn, optim
from tallow.errors import ArgumentError


class Heavy(optim.Optimizer):
    """Momentum, written as PyTorch's users write it."""

    def __init__(self, params, lr=0.1):
        super().__init__(params, {"lr": lr})

    @tl.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                if len(state) == 0:
                    state["step"] = 0
                    state["speed"] = tl.zeros_like(p)
                state["step"] += 1
                state["speed"].mul_(0.9).add_(p.grad)
                p.add_(state["speed"], alpha=-group["lr"])


def trained(optimizer, p, steps=3):
    for _ in range(steps):
        optimizer.zero_grad()
        (p * p).sum().backward()
        optimizer.step()
    return p.tolist()


def test_a_users_optimizer_steps_saves_and_loads():
    p, q, r = (nn.Parameter(tl.tensor([1.0, -2.0])) for _ in range(3))
    sgd = optim.SGD([r], 0.1, momentum=0.9)
    opt = Heavy([p])
    assert trained(opt, p) == pytest.approx(trained(sgd, r))
    other = Heavy([q])
    other.load_state_dict(opt.state_dict())
    assert other.state[q]["step"] == 3
    assert other.state[q]["speed"].tolist() == opt.state[p]["speed"].tolist()
    assert other.state[q]["speed"] is not opt.state[p]["speed"]
    q.data.copy_(p.data)
    assert trained(other, q) == trained(opt, p)


def test_a_scheduler_knows_that_a_users_optimizer_stepped():
    opt = Heavy([nn.Parameter(tl.ones(1))])
    schedule = optim.lr_scheduler.StepLR(opt, 1, 0.5)
    trained(opt, opt.param_groups[0]["params"][0], 1)
    schedule.step()  # a warning would be an error
    assert opt.param_groups[0]["lr"] == 0.05


@pytest.mark.parametrize("kind", [optim.SGD, optim.Adam, Heavy])
def test_hooks_stand_around_every_step(kind):
    class Twice(kind):
        def step(self, closure=None):
            super().step(closure)
            super().step(closure)

    p, seen = nn.Parameter(tl.ones(2)), []
    for opt in (kind([p], lr=0.1), Twice([p], lr=0.1)):
        before = opt.register_step_pre_hook(lambda o, args, kwargs: seen.append("before"))
        opt.register_step_post_hook(lambda o, args, kwargs: seen.append("after"))
        trained(opt, p, 1)
        before.remove()
        trained(opt, p, 1)
    assert seen == ["before", "after", "after"] * 2


def test_state_is_made_on_demand_and_may_hold_more():
    p = nn.Parameter(tl.ones(2))
    opt = optim.SGD([p], 0.1, momentum=0.9)
    assert opt.state[p] == {} and len(opt.state) == 1
    trained(opt, p)
    opt.state[p]["mine"] = 5
    opt.state["shared"] = {"n": 1}
    saved = opt.state_dict()
    assert saved["state"][0]["mine"] == 5 and saved["state"]["shared"] == {"n": 1}
    other = optim.SGD([nn.Parameter(tl.ones(2))], 0.1, momentum=0.9)
    other.load_state_dict(saved)
    assert other.state[other.param_groups[0]["params"][0]]["mine"] == 5
    assert other.state["shared"] == {"n": 1}
    with pytest.raises(ArgumentError):
        other.load_state_dict({**saved, "state": {7: {}}})


def test_hooks_of_state_dicts():
    p, seen = nn.Parameter(tl.ones(2)), []
    opt = optim.SGD([p], 0.1)
    opt.register_state_dict_pre_hook(lambda o: seen.append("pre"))
    opt.register_state_dict_post_hook(lambda o, state: {**state, "extra": 1})
    opt.register_load_state_dict_pre_hook(lambda o, state: seen.append(state["extra"]))
    opt.register_load_state_dict_post_hook(lambda o: seen.append("post"))
    opt.load_state_dict(opt.state_dict())
    assert seen == ["pre", 1, "post"]


@pytest.mark.parametrize("again", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
@pytest.mark.parametrize("kind", [optim.SGD, optim.AdamW, Heavy])
def test_copies_go_on_alike(kind, again):
    model = nn.Linear(2, 1)
    opt = kind(model.parameters(), lr=0.1)

    def run(model, opt):
        for _ in range(2):
            opt.zero_grad()
            model(tl.ones(3, 2)).square().sum().backward()
            opt.step()
        return model.weight.tolist()

    run(model, opt)
    model2, opt2 = again((model, opt))
    assert opt2.param_groups[0]["params"][0] is model2.weight
    assert run(model, opt) == run(model2, opt2)


def test_zero_grad_keeps_the_gradient_tensor():
    p = nn.Parameter(tl.ones(2))
    opt = optim.SGD([p], 0.1)
    (p * 2).sum().backward()
    held = p.grad
    opt.zero_grad(set_to_none=False)
    assert p.grad is held and held.tolist() == [0, 0]
    opt.zero_grad()
    assert p.grad is None


def test_an_old_setstate_goes_up():
    class Older(optim.SGD):
        def __setstate__(self, state):
            super().__setstate__(state)
            for group in self.param_groups:
                group.setdefault("spice", 3)

    made = pickle.loads(pickle.dumps(optim.SGD([nn.Parameter(tl.ones(1))], 0.1)))
    assert made.param_groups[0]["lr"] == 0.1
    older = copy.deepcopy(Older([nn.Parameter(tl.ones(1))], 0.1))
    assert older.param_groups[0]["spice"] == 3


def test_a_hook_of_state_dicts_may_go_before_the_others():
    optimizer = tl.optim.SGD([tl.nn.Parameter(tl.ones(2))], lr=0.1)
    told: list[str] = []
    for kind in (
        "state_dict_pre",
        "state_dict_post",
        "load_state_dict_pre",
        "load_state_dict_post",
    ):
        register = getattr(optimizer, f"register_{kind}_hook")
        register(lambda *_, kind=kind: told.append(f"{kind} second"))
        register(lambda *_, kind=kind: told.append(f"{kind} first"), prepend=True)
    optimizer.load_state_dict(optimizer.state_dict())
    assert told == [
        f"{kind} {place}"
        for kind in (
            "state_dict_pre",
            "state_dict_post",
            "load_state_dict_pre",
            "load_state_dict_post",
        )
        for place in ("first", "second")
    ]
