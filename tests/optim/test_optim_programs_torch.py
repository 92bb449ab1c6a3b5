"""Optimisers and schedules beside torch's: states, groups, hooks, refusals, printing."""

# ruff: noqa: E501 (a program holds a line together)

from __future__ import annotations

import warnings
from typing import Any

import pytest

import side_by_side

pytestmark = pytest.mark.needs_torch

HELP = """
def params(*shapes):
    return [nn.Parameter(x_of(*s) + i) for i, s in enumerate(shapes or [(2, 3), (3,)])]
def step(opt, times=1):
    for _ in range(times):
        for group in opt.param_groups:
            for i, p in enumerate(group["params"]):
                p.grad = p.detach() * 0.3 + i
        opt.step()
def number(v):
    return float(v) if hasattr(v, "item") and v.ndim == 0 or isinstance(v, (int, float)) else v
def state(opt):
    d = opt.state_dict()
    s = {k: {n: number(v[n]) for n in sorted(v)} for k, v in d["state"].items()}
    return s, [{n: g[n] for n in sorted(g)} for g in d["param_groups"]]
"""

OPTIMIZERS = [
    "SGD(ps, 0.1)", "SGD(ps, lr=0.1, momentum=0.9, dampening=0.1, weight_decay=0.2, maximize=True)",
    "SGD(ps, 0.1, 0.9, nesterov=True, foreach=True)", "SGD(ps, 0.1, fused=False, differentiable=False)",
    "Adam(ps)", "Adam(ps, 0.01, (0.8, 0.9), 1e-7, 0.1, True, foreach=False, maximize=True, capturable=False)",
    "AdamW(ps)", "AdamW(ps, 0.01, amsgrad=True, foreach=True)", "Adagrad(ps, lr_decay=0.1)",
    "Adagrad(ps, initial_accumulator_value=0.2, foreach=True)", "Adadelta(ps, rho=0.8, capturable=False)",
    "RMSprop(ps)", "RMSprop(ps, momentum=0.9, centered=True, weight_decay=0.1, maximize=True)",
    "NAdam(ps)", "NAdam(ps, decoupled_weight_decay=True, weight_decay=0.1)", "RAdam(ps)", "Adamax(ps)",
    "RAdam(ps, decoupled_weight_decay=True, weight_decay=0.1)", "ASGD(ps)", "ASGD(ps, t0=1.0, weight_decay=0.1)",
    "Rprop(ps)", "Rprop(ps, etas=(0.4, 1.3), step_sizes=(1e-5, 40))", "Adafactor(ps)",
    "LBFGS(ps, history_size=3)", "Muon(ps[:1])", "SGD([('a', ps[0]), ('b', ps[1])], 0.1)",
    "Adam([{'params': ps[0], 'lr': 0.5}, {'params': [ps[1]], 'extra': 3}])",
]  # fmt: skip

EACH = """
ps = params()
o = optim.{text}
o; sorted(o.defaults)
[sorted(g) for g in o.param_groups]
state(o) if "{kind}" != "LBFGS" else 0
if "LBFGS" not in "{kind}":
    step(o, 3)
[p for p in ps] if "Muon" not in "{kind}" else 0
state(o) if "{kind}" not in ("Muon", "LBFGS") else 0
type(o.state).__name__
len(o.state) if "{kind}" != "LBFGS" else 0
o.zero_grad(); ps[0].grad
"""

REFUSALS = """
optim.SGD([], 0.1); optim.SGD(params()[0], 0.1); optim.SGD([1], 0.1); optim.SGD(params(), -1)
optim.SGD(params(), 0.1, momentum=-1); optim.SGD(params(), 0.1, weight_decay=-1)
optim.SGD(params(), 0.1, nesterov=True)
optim.SGD(params(), 0.1, nesterov=True, momentum=0.9, dampening=0.1)
optim.Adam(params(), betas=(1.0, 0.9)); optim.Adam(params(), betas=(0.9, 1.1))
optim.Adam(params(), eps=-1); optim.Adam(params(), lr=-1); optim.Adam(params(), weight_decay=-1)
optim.Adagrad(params(), lr_decay=-1)
optim.Adagrad(params(), initial_accumulator_value=-1); optim.Adagrad(params(), eps=-1)
optim.RMSprop(params(), alpha=-1); optim.RMSprop(params(), momentum=-1)
optim.Adadelta(params(), rho=2); optim.Rprop(params(), etas=(1.2, 1.1))
optim.ASGD(params(), weight_decay=-1); optim.NAdam(params(), momentum_decay=-1)
optim.RAdam(params(), betas=(0.9, 2))
optim.Adamax(params(), eps=-1); optim.Adafactor(params(), eps=(-1, 0.1))
optim.Adafactor(params(), d=0.5); optim.LBFGS([{"params": params()}, {"params": params()}])
optim.Muon(params()); optim.Adam(params(), foreach=True, fused=True)
optim.Adam(params(), differentiable=True, fused=True); 0
optim.Adam(None); optim.Adam(params(), nothing=1)
optim.Adam([{"lr": 1}]); optim.Adam([{"params": []}]); optim.Adam([{"params": {1}}])
optim.Adam([{"params": 3}]); optim.SGD({"a": params()[0]}, 0.1); p = params()
optim.SGD([{"params": p}, {"params": p}], 0.1); optim.SGD(p + p, 0.1); optim.SGD([p[0] * 2], 0.1)
optim.SGD(set(p), 0.1); optim.SGD([("a", p[0]), p[1]], 0.1); optim.SGD(iter(p), 0.1)
optim.SGD([torch.ones(2)], 0.1); optim.SGD([("a", p[0])], 0.1).param_groups[0]["param_names"]
---
p = params(); o = optim.SGD(p[:1], 0.1)
o.add_param_group({"params": p[1], "lr": 5}); len(o.param_groups); o.param_groups[1]["lr"]
o.param_groups[1]["momentum"]; o.add_param_group({"params": p[1]}); o.add_param_group(3)
o.add_param_group({"params": [3]}); o.add_param_group({"params": {p[0]}})
o.add_param_group({"lr": 3}); o; o.add_param_group({"params": []}); len(o.param_groups)
o.param_groups[0]["lr"] = 3; o.param_groups[0]["lr"]; 0
o.load_state_dict({"state": {}, "param_groups": []})
o.load_state_dict({"state": {}, "param_groups": [{"params": [1, 2]}, {"params": []}]})
o.load_state_dict(3); optim.SGD(p, 0.1).load_state_dict(optim.SGD(p[:1], 0.1).state_dict())
optim.SGD(p, 0.1).load_state_dict(optim.SGD(p, 7, 0.5).state_dict())
q = optim.SGD(p, 0.1); q.load_state_dict(optim.SGD(p, 7, 0.5).state_dict()); q
---
p = params(); o = optim.SGD(p, 0.1, momentum=0.9)
told = []
a = o.register_step_pre_hook(lambda opt, args, kw: told.append(("pre", args, kw)))
b = o.register_step_post_hook(lambda opt, args, kw: told.append("post"))
step(o); told; a.remove(); told.clear(); step(o); told; b.remove(); told.clear()
o.register_state_dict_pre_hook(lambda opt: told.append("sd pre")) and 0
o.register_state_dict_post_hook(lambda opt, sd: told.append(sorted(sd))) and 0
sorted(o.state_dict()); told; told.clear()
o.register_load_state_dict_pre_hook(lambda opt, sd: told.append("l pre")) and 0
o.register_load_state_dict_post_hook(lambda opt: told.append("l post")) and 0
o.load_state_dict(o.state_dict()); told
o.register_state_dict_post_hook(lambda opt, sd: {"x": 1}) and 0; o.state_dict()
o.register_step_pre_hook(lambda opt, args, kw: 3) and 0; o.step()
---
p = params(); o = optim.SGD(p, 0.1);
def closure():
    o.zero_grad()
    l = sum((q ** 2).sum() for q in p)
    l.backward()
    return l
o.step(closure); o.step(); p[0]; o.step(None); o.step(3); l = optim.LBFGS(params(), max_iter=3)
l.step(); o.zero_grad(set_to_none=False); p[0].grad; o.state[p[0]]; o.state["x"]
o.state[p[0]]["mine"] = 3
o.state_dict()["state"]; copy.deepcopy(o).param_groups[0]["lr"]; again(o).param_groups[0]["lr"]
hasattr(o, "step"); o.defaults["lr"]; isinstance(o, optim.Optimizer); torch.is_tensor(p[0])
---
class Mine(optim.Optimizer):
    def __init__(self, params, lr=0.1):
        super().__init__(params, dict(lr=lr))
    @torch.no_grad()
    def step(self, closure=None):
        for g in self.param_groups:
            for p in g["params"]:
                if p.grad is not None:
                    s = self.state[p]
                    s["n"] = s.get("n", 0) + 1
                    p.add_(p.grad, alpha=-g["lr"])
p = params(); o = Mine(p); step(o, 2); p[0]; o; state(o); n = Mine(p)
n.load_state_dict(o.state_dict()); state(n); Mine([]); optim.Optimizer(p, {})
optim.Optimizer(p, {}).step()
o = optim.SGD(p, torch.tensor(0.1)); o.param_groups[0]["lr"]; step(o); p[0]
"""

SCHEDULES = [
    "LambdaLR(o, lambda e: 0.9 ** e)", "LambdaLR(o, [lambda e: e + 1, lambda e: 0.5])", "MultiplicativeLR(o, lambda e: 0.9)",
    "StepLR(o, 2, 0.5)", "MultiStepLR(o, [1, 3, 3], 0.1)", "ConstantLR(o, 0.5, 3)", "LinearLR(o, 0.25, 0.9, 4)",
    "ExponentialLR(o, 0.8)", "CosineAnnealingLR(o, 5, 0.01)", "PolynomialLR(o, 4, 2.0)", "CyclicLR(o, 0.01, 0.2, 2, 3)",
    "CyclicLR(o, 0.01, 0.2, 3, mode='exp_range', gamma=0.9, cycle_momentum=False)", "OneCycleLR(o, 0.5, 12)", "OneCycleLR(o, [0.5, 0.4], epochs=2, steps_per_epoch=6, three_phase=True, anneal_strategy='linear')",
    "CosineAnnealingWarmRestarts(o, 3, 2, 0.01)", "ReduceLROnPlateau(o, patience=1, factor=0.5)",
    "ReduceLROnPlateau(o, 'max', 0.1, 0, 0.1, 'abs', 1, [0.001, 0.002], 1e-5)",
    "SequentialLR(o, [optim.lr_scheduler.ConstantLR(o, 0.1, 2), optim.lr_scheduler.ExponentialLR(o, 0.9)], [3])",
    "ChainedScheduler([optim.lr_scheduler.ConstantLR(o, 0.1, 2), optim.lr_scheduler.ExponentialLR(o, 0.9)])",
    "SWALR(o, 0.01, 4)", "SWALR(o, [0.01, 0.02], 3, 'linear')",
]  # fmt: skip

SCHEDULE = """
SWALR = optim.swa_utils.SWALR
for name in dir(optim.lr_scheduler):
    if name[0] != "_":
        globals()[name] = getattr(optim.lr_scheduler, name)
ps = params()
o = optim.SGD([{{"params": ps[:1]}}, {{"params": ps[1:], "lr": 0.3}}], 0.1, momentum=0.9)
s = {text}
def run(s, times):
    made = []
    for i in range(times):
        step(s.optimizer if hasattr(s, "optimizer") else o)
        s.step(1.0 + (i % 3)) if "Plateau" in "{kind}" else s.step()
        made.append([float(g["lr"]) for g in o.param_groups])
    return made
[float(g["lr"]) for g in o.param_groups]; s.get_last_lr(); run(s, 5); s.get_last_lr(); run(s, 4)
sorted(k for k in s.state_dict() if k not in ("_schedulers", "_is_initial", "_get_lr_called_within_step"))
{{k: v for k, v in sorted(s.state_dict().items()) if type(v) in (int, float, bool, str) and k not in ("_is_initial", "_get_lr_called_within_step", "_step_count")}}
s.load_state_dict(s.state_dict()); run(s, 2)
[sorted(g) for g in o.param_groups]; again(s) is None if "lambda" not in "{kind}" else 0
"""

OTHERS = """
L = optim.lr_scheduler
o = optim.SGD(params(), 0.1)
L.StepLR(3, 2); L.StepLR(o, 2, last_epoch=3); L.LambdaLR(o, [lambda e: 1, lambda e: 2])
L.MultiplicativeLR(o, []); L.ConstantLR(o, 2.0); L.LinearLR(o, 0.0); L.LinearLR(o, 0.5, 2.0)
L.CyclicLR(optim.Adam(params()), 0.1, 0.2, mode="x"); L.CyclicLR(optim.Adagrad(params()), 0.1, 0.2)
L.OneCycleLR(o, 0.1); L.OneCycleLR(o, 0.1, total_steps=-1); L.OneCycleLR(o, 0.1, total_steps="x")
L.OneCycleLR(o, 0.1, 10, pct_start=2.0); L.OneCycleLR(o, 0.1, 10, anneal_strategy="x")
L.OneCycleLR(o, 0.1, epochs=2); L.OneCycleLR(o, 0.1, epochs=-2, steps_per_epoch=3)
L.CosineAnnealingWarmRestarts(o, 0); L.CosineAnnealingWarmRestarts(o, 2, 0)
L.CosineAnnealingWarmRestarts(o, 2.5); L.CosineAnnealingWarmRestarts(o, 2).step(-1)
L.ReduceLROnPlateau(o, factor=1.0); L.ReduceLROnPlateau(o, "x")
L.ReduceLROnPlateau(o, threshold_mode="x"); L.ReduceLROnPlateau(3)
L.ReduceLROnPlateau(o, min_lr=[1, 2]); L.ReduceLROnPlateau(o).step(); L.SequentialLR(o, [], [])
L.SequentialLR(o, [L.StepLR(o, 1)], [1])
L.SequentialLR(o, [L.StepLR(optim.SGD(params(), 1), 1), L.StepLR(o, 1)], [1])
L.ChainedScheduler([]); L.ChainedScheduler([L.StepLR(optim.SGD(params(), 1), 1), L.StepLR(o, 1)])
optim.swa_utils.SWALR(o, 0.1, anneal_strategy="x"); optim.swa_utils.SWALR(o, 0.1, -1)
optim.swa_utils.SWALR(o, [0.1, 0.2]); optim.swa_utils.SWALR(o, 0.1, 2.5)
L.OneCycleLR(optim.Adagrad(params()), 0.1, 10)
s = L.OneCycleLR(optim.SGD(params(), 0.1, momentum=0.5), 0.1, 2)
s.step(); s.step(); s.step(); isinstance(L.StepLR(o, 1), L.LRScheduler)
0; isinstance(L.ReduceLROnPlateau(o), L.LRScheduler)
L.LRScheduler(o).get_lr(); L.StepLR(o, 1).optimizer is o; L.StepLR(o, 1).base_lrs
L.StepLR(o, 1).last_epoch
---
m = fill(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)))
a = optim.swa_utils.AveragedModel(m)
list(a.state_dict()); a.n_averaged; a; a.update_parameters(m); fill(m, 1.0) and 0
a.update_parameters(m); a.module[0].weight; a.n_averaged; a(x_of(3, 2)); a.use_buffers
a.update_parameters(fill(m, 2.0)); a.module[0].weight; list(a.parameters())[0] is a.module[0].weight
e = optim.swa_utils.AveragedModel(m, multi_avg_fn=optim.swa_utils.get_ema_multi_avg_fn(0.9), use_buffers=True)
e.update_parameters(m); e.update_parameters(fill(m, 3.0)); e.module[0].weight
e.module[1].running_mean; e.module[1].num_batches_tracked; e.n_averaged
optim.swa_utils.AveragedModel(m, avg_fn=lambda a, b, n: a * 0 + 5).update_parameters(m)
optim.swa_utils.AveragedModel(m, avg_fn=max, multi_avg_fn=max)
optim.swa_utils.get_ema_avg_fn(2.0); optim.swa_utils.get_ema_avg_fn(-1)
f = optim.swa_utils.AveragedModel(m, avg_fn=lambda a, b, n: a * 0 + b * 2); f.update_parameters(m)
f.update_parameters(m); f.module[0].weight; f.load_state_dict(a.state_dict()); f.n_averaged
copy.deepcopy(f).n_averaged; optim.swa_utils.update_bn([x_of(4, 2), x_of(3, 2) + 1], m)
m[1].running_mean; m[1].momentum; m[1].num_batches_tracked
optim.swa_utils.update_bn([(x_of(4, 2), 1)], m); m[1].running_var; m.training
"""

PROGRAMS = [HELP + EACH.format(text=t, kind=t.partition("(")[0]) for t in OPTIMIZERS]
PROGRAMS += [
    HELP + SCHEDULE.format(text=t, kind=t.partition("(")[0] + (" lambda" if "lambda" in t else ""))
    for t in SCHEDULES
]
PROGRAMS += [HELP + part for part in side_by_side.programs(REFUSALS, OTHERS)]


@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
def test_the_program_does_what_it_does_with_torch(program):
    assert side_by_side.compare(program) == ""


def carried(text: str) -> tuple[Any, Any]:
    """The rates of five steps of torch, then of four by it, and by us from its state (and back)."""
    import torch
    import torch.optim.swa_utils

    import tallow.torch as namespace

    def made(side: Any) -> tuple[Any, Any]:
        ps = [side.nn.Parameter(side.ones(2)), side.nn.Parameter(side.ones(3))]
        groups = [{"params": ps[:1]}, {"params": ps[1:], "lr": 0.3}]
        optimizer = side.optim.SGD(groups, 0.1, momentum=0.9)
        scope = {name: getattr(side.optim.lr_scheduler, name) for name in NAMES}
        scope |= {"o": optimizer, "optim": side.optim, "SWALR": side.optim.swa_utils.SWALR}
        return optimizer, eval(text, scope)

    def run(pair: tuple[Any, Any], times: int) -> list[list[float]]:
        optimizer, schedule = pair
        rates = []
        for i in range(times):
            optimizer.step()
            schedule.step(1.0 + i % 3) if "Plateau" in text else schedule.step()
            rates.append([float(g["lr"]) for g in optimizer.param_groups])
        return rates

    found = []
    for first, second in ((torch, namespace), (namespace, torch)):
        one, other = made(first), made(second)
        run(one, 5)
        for mine, theirs in zip(other, one, strict=True):
            mine.load_state_dict(theirs.state_dict())
        found.append((run(one, 4), run(other, 4)))
    return found[0], found[1]


NAMES = [
    "LambdaLR",
    "MultiplicativeLR",
    "StepLR",
    "MultiStepLR",
    "ConstantLR",
    "LinearLR",
    "ExponentialLR",
    "CosineAnnealingLR",
    "PolynomialLR",
    "CyclicLR",
    "OneCycleLR",
    "CosineAnnealingWarmRestarts",
    "ReduceLROnPlateau",
    "SequentialLR",
    "ChainedScheduler",
]


@pytest.mark.parametrize("text", SCHEDULES)
def test_a_state_goes_on_alike_on_either_side(text):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for here, there in carried(text):
            for a, b in zip(here, there, strict=True):
                assert a == pytest.approx(b)
