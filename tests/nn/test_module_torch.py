"""What every module has, beside torch's: attributes, walks, state, hooks."""

# ruff: noqa: E501 (a program holds a line together)

from __future__ import annotations

import pytest

import side_by_side

pytestmark = pytest.mark.needs_torch

ATTRIBUTES = """
m = nn.Module()
m.a = torch.ones(2)
m.a = nn.Buffer(torch.zeros(2))
list(m._buffers); keys(m); m.a
m.a = torch.ones(3)
list(m._buffers); keys(m); m.a
m.a = None
m.a; keys(m); list(m._buffers)
m.a = 3
m.a = nn.Parameter(torch.ones(1))
keys(m); list(m._buffers); list(m._parameters)
m.a = torch.ones(1)
m.a = None
m.a; list(m._parameters)
m.a = nn.Buffer(torch.ones(1))
list(m._parameters); list(m._buffers)
del m.a
m.a
hasattr(m, "a")
---
m = nn.Module()
m.a = 3
m.a = nn.Parameter(torch.ones(1))
list(m._parameters); m.a
m.b = torch.ones(1)
m.b = nn.Parameter(torch.ones(1))
list(m._parameters); m.c = 1
m.c = nn.ReLU()
list(m._modules); m.c
m.c = nn.Parameter(torch.ones(1))
list(m._modules); list(m._parameters)
m.c = nn.ReLU()
list(m._modules); list(m._parameters)
m.c = 3
m.c = None
m.c; m
m.c = torch.ones(1)
m.c = nn.Buffer(torch.ones(1))
list(m._buffers); list(m._modules)
---
m = nn.Module()
m.register_buffer("a", torch.ones(1)); m.register_buffer("a", torch.zeros(2)); m.a
m.register_buffer("b", None); m.b; keys(m)
m.register_buffer("c", torch.ones(1), persistent=False); keys(m)
m.register_buffer("d", 3); m.register_buffer("", torch.ones(1))
m.register_buffer("x.y", torch.ones(1))
m.register_buffer("eval", torch.ones(1)); m.register_buffer(3, torch.ones(1))
m.register_parameter("a", None)
m.register_buffer("p", nn.Parameter(torch.ones(1))); [n for n, _ in m.named_buffers()]
m.register_parameter("q", torch.ones(1)); m.register_parameter("q", nn.Parameter(torch.ones(1)))
m.q
m.register_parameter("q", nn.Parameter(torch.ones(2))); m.q; m.register_parameter("r", None); m.r
m.register_parameter("", None); m.register_parameter("a.b", None)
m.register_parameter("forward", None)
m.register_parameter("s", (torch.ones(1, requires_grad=True) * 2)); m.register_parameter(3, None)
m.add_module("t", nn.ReLU()); m.add_module("t", nn.Tanh()); m.t; m.add_module("u", None); m.u
m.register_module("v", nn.ReLU())
m.add_module("w", 3); m.add_module("", nn.ReLU()); m.add_module("a.b", nn.ReLU())
m.add_module("q", nn.ReLU())
m.add_module("forward", nn.ReLU()); m.add_module(3, nn.ReLU()); m; list(m._modules)
---
m = nn.Module()
m.register_buffer("a", torch.ones(1), False)
m.a = torch.zeros(1)
keys(m)
m.a = nn.Buffer(torch.zeros(1))
keys(m)
m.a = nn.Buffer(torch.zeros(1), persistent=False)
keys(m); m._non_persistent_buffers_set
del m.a
m._non_persistent_buffers_set
m.register_buffer("a", torch.ones(2)); keys(m)
m.a = "x"
del m.zzz
m.__class__.__name__; m.nothing
---
nn.Parameter(torch.arange(3)); nn.Parameter(torch.arange(3), requires_grad=False)
nn.Parameter(torch.ones(2))
nn.Parameter(); nn.Parameter(torch.ones(2) > 0); nn.Parameter(torch.ones(2) > 0, False)
nn.Parameter(None)
nn.Parameter(torch.arange(3), False).requires_grad_(True); nn.Buffer(torch.arange(3)); nn.Buffer()
nn.Buffer(torch.ones(2), persistent=False).persistent; isinstance(torch.ones(1), nn.Buffer)
nn.Buffer(torch.ones(2)); isinstance(nn.Buffer(torch.ones(1)), torch.Tensor)
isinstance(nn.Buffer(torch.ones(1)), nn.Buffer)
p = nn.Parameter(torch.ones(2)); copy.deepcopy(p); again(p); repr(p); str(p); p + 1; p.data
p.detach(); p[0]; p.clone()
q = nn.Parameter(p); q is p; isinstance(q, nn.Parameter); nn.Parameter(p * 2).is_leaf
---
m = nn.Linear(2, 2)
m.bias = None
m.bias; keys(m); m; m.weight = torch.ones(2, 2)
m.weight = 3
m.weight = nn.Parameter(torch.ones(2, 2))
m(torch.ones(1, 2)); del m.bias
m(torch.ones(1, 2)); m.in_features
m.x = [nn.ReLU()]
m; m.__dict__["y"] = 5
m.y
"""

WALKS = """
m = fill(nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))))
m[1].add_module("same", m[0])
m.shared = m[0].weight
[n for n, _ in m.named_parameters()]; [n for n, _ in m.named_parameters(remove_duplicate=False)]
[n for n, _ in m.named_parameters("p")]
[n for n, _ in m.named_parameters(prefix="p", recurse=False)]
[n for n, _ in m.named_modules()]; [n for n, _ in m.named_modules(remove_duplicate=False)]
[n for n, _ in m.named_modules(prefix="q")]; [n for n, _ in m.named_buffers()]
[n for n, _ in m.named_buffers("b", False)]
[n for n, _ in m.named_children()]; len(list(m.children())); len(list(m.modules()))
len(list(m.parameters(False)))
list(m.state_dict()); list(m.state_dict(prefix="a."))
list(m.state_dict(keep_vars=True).values())[0].requires_grad
m.get_submodule("1.0"); m.get_submodule(""); m.get_submodule("1.x"); m.get_submodule("0.weight")
m.get_parameter("1.0.bias")
m.get_parameter("1.x"); m.get_parameter("1.1.running_mean"); m.get_buffer("1.1.running_mean")
m.get_buffer("1.0.weight")
m.set_submodule("1.0", nn.ReLU()); m; m.set_submodule("", nn.ReLU())
m.set_submodule("7.0", nn.ReLU()); m.set_submodule("1.9", nn.ReLU())
m.set_submodule("1.8", nn.ReLU(), strict=True); m.set_submodule("1.1", 3); m
---
m = nn.Sequential(nn.Linear(1, 1), nn.Dropout())
m.train(False).training; m[1].training; m.train()[1].training; m.eval() is m; m.train(3)
m.train("x"); m.train(0); m.train(1).training
names = []
m.apply(lambda k: names.append(type(k).__name__)) is m; names; m.requires_grad_()
m.requires_grad_(False)[0].weight.requires_grad
---
m = fill(nn.Linear(2, 1))
m(x_of(3, 2)).sum().backward(); m.weight.grad; m.zero_grad(); m.weight.grad
m(x_of(3, 2)).sum().backward(); m.zero_grad(set_to_none=False); m.weight.grad; m.zero_grad(True)
m.bias.grad
m(x_of(3, 2)).sum().backward(); m.double().weight.grad; m.half().weight; m.float()
m.bfloat16().bias; m.float().weight.grad.dtype == torch.float32
m.to(torch.float64).weight; m.to("cpu").weight; m.to(dtype=torch.float32).weight
m.to(torch.zeros(1, dtype=torch.float64)).bias
m.to(torch.int64); m.to(); m.to("nothing"); m.type(torch.float32).weight
m.type(torch.float16).bias; m.cpu() is m
m.to(torch.device("cpu"), torch.float32).weight; m.to("cpu", torch.float64, True).weight
---
m = nn.BatchNorm1d(2).double()
m; m.num_batches_tracked; m.half().running_mean; m.num_batches_tracked
m.type(torch.float64).num_batches_tracked
---
m = nn.Module(); m(3); m.forward(3); m.extra_repr(); repr(m); m.state_dict()
m.load_state_dict({}); nn.Module(1); nn.Module(a=1)
---
class A(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.ones(2))
        self.register_buffer("b", torch.zeros(1))
        self.k = nn.Linear(1, 1)
    def forward(self, x, y=2):
        return x * self.w + y
    def extra_repr(self):
        return "one\\ntwo"
m = A()
m; m(torch.ones(2)); m(torch.ones(2), y=3); m(); copy.deepcopy(m)(torch.ones(2))
copy.copy(m).w is m.w; keys(m)
m.reset_parameters; m.w.requires_grad; m.training
m.x = 3
m.w = torch.ones(3)
m.w = "x"
m.k = 5
m.b = 5
---
class B(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.n = n
B(); B(3).n; B(3)(1); B(n=4)
---
m = nn.Linear(2, 1)
m.xpu(); m.ipu(); m.compile(); m.share_memory() is m; m.weight.is_shared(); m.to_empty(device="cpu") is m
"""

STATE = """
m = fill(nn.Sequential(nn.Linear(2, 1), nn.BatchNorm1d(1)))
s = m.state_dict()
type(s).__name__; s._metadata; m.load_state_dict(s); repr(m.load_state_dict(s))
s["zzz"] = torch.ones(1)
m.load_state_dict(s); m.load_state_dict(s, strict=False); s.pop("0.weight")
m.load_state_dict(s, strict=False).missing_keys
m.load_state_dict(s, strict=False).unexpected_keys; s["0.bias"] = torch.ones(5)
m.load_state_dict(s, strict=False); s["0.bias"] = 3
m.load_state_dict(s, strict=False); m.load_state_dict(3); m.load_state_dict([("a", 1)])
m.load_state_dict({})
---
m = fill(nn.Linear(2, 1))
s = {"weight": torch.ones(1, 2, dtype=torch.float64), "bias": torch.zeros(1)}
m.load_state_dict(s); m.weight; m.load_state_dict(s, assign=True); m.weight; m.bias is s["bias"]
m.bias
m.requires_grad_(False).load_state_dict({"weight": torch.ones(1, 2), "bias": torch.zeros(1)}, assign=True)
m.weight
p = nn.Parameter(torch.ones(1, 2))
m.load_state_dict({"weight": p, "bias": torch.zeros(1)}, assign=True); m.weight is p; m.weight
m.load_state_dict({"weight": torch.ones(1, 2), "bias": torch.zeros(())}, strict=False)
m.load_state_dict({"weight": np.ones((1, 2)), "bias": torch.zeros(1)})
m.load_state_dict({"weight": torch.ones(1, 2, dtype=torch.int64), "bias": torch.zeros(1)}); m.weight
---
class A(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.ones(1))
        self.e = 0
    def get_extra_state(self):
        return {"e": self.e}
    def set_extra_state(self, s):
        self.e = s["e"]
m = A()
m.e = 5
m.state_dict(); n = nn.Sequential(A()); n.state_dict()
n.load_state_dict({"0.w": torch.zeros(1), "0._extra_state": {"e": 7}}); n[0].e
n.load_state_dict({"0.w": torch.zeros(1)}); n.load_state_dict({"0.w": torch.zeros(1)}, strict=False)
nn.Linear(1, 1).get_extra_state(); nn.Linear(1, 1).set_extra_state(3)
nn.Linear(1, 1, False).load_state_dict({"weight": torch.ones(1, 1), "_extra_state": 1})
---
class A(nn.Linear):
    _version = 3
    def _load_from_state_dict(self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs):
        seen.append((prefix, dict(local_metadata), strict))
        if prefix + "w" in state_dict:
            state_dict[prefix + "weight"] = state_dict.pop(prefix + "w")
        super()._load_from_state_dict(state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)
seen = []
m = nn.Sequential(A(1, 1), A(1, 1, bias=False))
m.load_state_dict({"0.w": torch.ones(1, 1), "0.bias": torch.ones(1), "1.w": torch.zeros(1, 1)})
seen; m[0].weight; m[1].weight
seen.clear(); m.load_state_dict(m.state_dict()); seen; seen.clear()
m.load_state_dict({}, strict=False); seen
seen.clear(); m.load_state_dict(m.state_dict(), assign=True); seen
---
m = nn.Sequential(nn.Linear(1, 1))
told = []
h = m.register_state_dict_pre_hook(lambda mod, prefix, keep: told.append((type(mod).__name__, prefix, keep)))
m[0].register_state_dict_post_hook(lambda mod, sd, prefix, meta: told.append((list(sd), prefix, dict(meta))))
m[0]._register_state_dict_hook(lambda mod, sd, prefix, meta: sd.pop(prefix + "bias") and None)
keys(m); told; h.remove(); told.clear(); keys(m); told
m[0].register_state_dict_post_hook(lambda *a: {}); m.state_dict()
---
m = nn.Sequential(nn.Linear(1, 1))
told = []
m.register_load_state_dict_pre_hook(lambda mod, sd, prefix, meta, strict, miss, un, err: told.append((type(mod).__name__, sorted(sd), prefix, strict)))
m[0]._register_load_state_dict_pre_hook(lambda sd, prefix, meta, strict, miss, un, err: told.append((sorted(sd), prefix)))
h = m.register_load_state_dict_post_hook(lambda mod, inc: inc.missing_keys.clear())
m.load_state_dict({"0.weight": torch.ones(1, 1)}); told; h.remove()
m.load_state_dict({"0.weight": torch.ones(1, 1)})
m.register_load_state_dict_post_hook(lambda mod, inc: 3); m.load_state_dict(m.state_dict())
---
m = fill(nn.Linear(1, 1))
d = collections.OrderedDict()
m.state_dict(destination=d) is d; list(d); m.state_dict(destination=d, prefix="x.") is d; list(d)
m.state_dict(d, "y."); list(d)
[v.requires_grad for v in m.state_dict().values()]
m.state_dict()["weight"].data_ptr() == m.weight.data_ptr()
"""

HOOKS = """
m = fill(nn.Linear(2, 2))
x = x_of(1, 2)
told = []
h = m.register_forward_hook(lambda mod, a, out: told.append(("f", len(a), out)))
g = m.register_forward_pre_hook(lambda mod, a: told.append(("p", a)))
m(x); told; told.clear(); g.remove(); m(x); told; h.remove(); h.remove(); told.clear(); m(x); told
m.register_forward_pre_hook(lambda mod, a: a[0] * 2); m(x)
m.register_forward_pre_hook(lambda mod, a: (a[0] + 1,)); m(x)
m.register_forward_hook(lambda mod, a, out: out * 3); m(x)
m.register_forward_hook(lambda mod, a, out: (out, 1), prepend=True)
m(x)
---
class A(nn.Module):
    def forward(self, x, *, k=1):
        if k == 9:
            raise KeyError("nine")
        return x * k
m = A()
told = []
m.register_forward_pre_hook(lambda mod, a, kw: (a, {"k": kw["k"] + 1}), with_kwargs=True)
m.register_forward_hook(lambda mod, a, kw, out: told.append((a, kw, out)), with_kwargs=True)
m(2, k=3); told
m.register_forward_hook(lambda mod, a, out: told.append(("always", out)), always_call=True)
m(2, k=8); told[-1]; m.register_forward_pre_hook(lambda mod, a, kw: 3, with_kwargs=True); m(2, k=3)
m = A(); m.register_forward_pre_hook(lambda mod, a, kw: None, with_kwargs=True); m(2, k=4)
---
m = fill(nn.Linear(2, 2))
x = x_of(3, 2).requires_grad_()
told = []
m.register_full_backward_hook(lambda mod, gi, go: told.append((gi, go)))
m.register_full_backward_pre_hook(lambda mod, go: told.append(go))
m(x).sum().backward(); told; x.grad; x.grad = None
h = m.register_full_backward_hook(lambda mod, gi, go: (gi[0] * 2,)); m(x).sum().backward(); x.grad
h.remove(); x.grad = None
h = m.register_full_backward_pre_hook(lambda mod, go: (go[0] * 5,)); m(x).sum().backward(); x.grad
h.remove()
m.register_full_backward_hook(lambda mod, gi, go: (1, 2)); m(x).sum().backward()
---
m = nn.Linear(1, 1)
with m.register_forward_hook(lambda *a: None) as h:
    n = len(m._forward_hooks)
n; len(m._forward_hooks); h.id in m._forward_hooks; m.register_forward_hook(3) is None
m(torch.ones(1, 1))
---
m = fill(nn.Sequential(nn.Linear(2, 2), nn.ReLU()))
order = []
for i, k in enumerate(m.modules()):
    _ = k.register_forward_hook(lambda mod, a, o, i=i: order.append(i))
m(x_of(1, 2)).shape; order; copy.deepcopy(m)(x_of(1, 2)).shape; order
---
every = nn.modules.module
m = fill(nn.Sequential(nn.Linear(2, 2), nn.ReLU()))
told = []
a = every.register_module_forward_pre_hook(lambda mod, args: told.append(type(mod).__name__))
b = every.register_module_forward_hook(lambda mod, args, out: told.append(out))
c = every.register_module_full_backward_hook(lambda mod, gi, go: told.append(go))
d = every.register_module_full_backward_pre_hook(lambda mod, go: told.append(go))
m(x_of(1, 2).requires_grad_()).sum().backward()
[h.remove() for h in (a, b, c, d)]
told; told.clear(); m(x_of(1, 2)).shape; told
"""


@pytest.mark.parametrize(
    "program", side_by_side.programs(ATTRIBUTES, WALKS, STATE, HOOKS), ids=side_by_side.title
)
def test_the_program_does_what_it_does_with_torch(program):
    assert side_by_side.compare(program) == ""
