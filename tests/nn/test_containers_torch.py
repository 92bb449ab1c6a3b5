"""Containers of modules and parameters beside torch's."""

# ruff: noqa: E501 (a program holds a line together)

from __future__ import annotations

import pytest

import side_by_side

pytestmark = pytest.mark.needs_torch

# Programs that begin with `m = …`; every line that is an expression is compared.
CONTAINERS = """
m = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
fill(m)(x_of(4, 2)); m[-1]; m[0:2]; m[::2]; m[5]; m[-4]; m["a"]; len(m); list(m)
---
m = nn.Sequential(nn.ReLU(), nn.Tanh())
m.append(nn.ELU()) is m; m.insert(0, nn.GELU()) is m; m.insert(-1, nn.SELU()); m
m.insert(99, nn.ReLU())
m.insert(1, 3); m.extend([nn.ReLU(), nn.CELU()]) is m; m; m.pop(0); m.pop(-1); m.pop(77); m
---
m = nn.Sequential(nn.ReLU(), nn.Tanh(), nn.ELU())
del m[0]
m; list(m._modules)
del m[0:1]
m
del m[9]
m[0] = nn.GELU()
m[-1] = nn.SELU()
m[4] = nn.ReLU()
m[0] = 3
m
---
a = nn.Sequential(nn.ReLU()); b = nn.Sequential(nn.Tanh())
a + b; (a + b)[0] is a[0]; a + [nn.ReLU()]; a * 2; 2 * a; a * 0; a * 1.5
a += b
a
a *= 2
a
a *= -1
a += 3
a.extend(3); a.extend(nn.ModuleList([nn.ReLU()])); nn.Sequential(3)
nn.Sequential(nn.ReLU, nn.ReLU())
---
m = nn.Sequential(collections.OrderedDict([("a", nn.ReLU()), ("b", nn.Tanh())]))
m; m[0]; m[1:]; m.a; m.b
m.a = nn.ELU()
m; m.append(nn.ReLU()); list(m._modules)
---
m = nn.Sequential(); m(x_of(2)); m.append(None); m.append(3); nn.Sequential(None)
m.add_module("x", nn.ReLU()); m.add_module("y", None); list(m._modules); m
---
m = nn.ModuleList([nn.Linear(1, 1), nn.ReLU()])
m.append(nn.Tanh()) is m; len(m); m[-1]; m[1:3]; m[7]; m[-8]
m.extend([nn.ReLU()]) is m; m.extend(3); m.extend(nn.ReLU()); len(m); nn.ReLU() in m; m[0] in m
m.pop(0); m.pop(-1); m.pop(50); m; m("x"); keys(m)
---
m = nn.ModuleList(nn.ReLU() for _ in range(3))
m += [nn.Tanh()]
m; m + [nn.ELU()]; m + nn.ModuleList([nn.GELU()]); [nn.ReLU()] + m; m + 3
del m[0]
del m[-1]
m
del m[0:1]
m
m[0] = nn.CELU()
m[-1] = nn.SELU()
m[9] = nn.ReLU()
m[0] = None
m; m.add_module("name", nn.ReLU()); list(m._modules); len(dir(m)) > 50
---
m = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)])
m; nn.ModuleList([None]); nn.ModuleList(3); nn.ModuleList([3]); nn.ModuleList({"a": 1})
list(reversed(m))
---
m = nn.ModuleDict({"a": nn.ReLU(), "b": nn.Linear(1, 2)})
m["a"]; m["z"]; "a" in m; "z" in m; len(m); list(m); list(m.keys()); list(m.values())
list(m.items())
m.pop("a"); m.pop("a"); m; m.clear(); m; m["x.y"] = nn.ReLU()
m["k"] = 3
m["keys"] = nn.ReLU()
m[""] = nn.ReLU()
m[1] = nn.ReLU()
m.update({"c": nn.Tanh()}); m.update([("d", nn.ELU())]); m.update([["e", nn.ELU()]]); m.update(3)
m.update([(1, 2, 3)]); m.update([5]); m.update(nn.ModuleDict({"z": nn.ReLU()})); m
m.add_module("q", nn.ReLU())
del m["c"]
del m["c"]
list(m); m.q; m("x")
---
m = nn.ParameterList([torch.ones(2), nn.Parameter(torch.zeros(3)), torch.zeros(1, dtype=torch.float64)])
len(m); m[0]; m[-1]; m[5]; m[0:2]; m[::-1]; keys(m); list(m); m.append(torch.ones(1)) is m
m.append(5)
m.extend([torch.ones(1), "x"]) is m; m.extend(torch.ones(2)); m.extend(3); len(m); m
[p for p in m.parameters()]
m[0] = torch.zeros(4)
m[-1] = 9
m[77] = 0
m[0]; m[-1]; m("x"); m(); m.pop(0)
m += [torch.ones(1)]
m += 3
len(m); m + [1]
del m[0]
torch.ones(1) in nn.ParameterList([3]); 3 in nn.ParameterList([3]); dir(m)[-1]
nn.ParameterList(3); copy.copy(m)
---
m = nn.ParameterDict({"a": torch.ones(2), "b": nn.Parameter(torch.zeros(3), requires_grad=False), "c": 7})
m["a"]; m["b"]; m["c"]; m["z"]; m.a; "a" in m; 3 in m; len(m); list(m); list(reversed(m)); keys(m)
m.get("a"); m.get("z"); m.get("z", 5); m.setdefault("a", 1); m.setdefault("n", torch.ones(1))
m.setdefault("o")
list(m.keys()); list(m.values()); list(m.items()); m.copy(); m.pop("a"); m.pop("a"); m.popitem()
list(m)
m | nn.ParameterDict({"y": torch.ones(1)}); nn.ParameterDict({"y": 1}) | m
m |= nn.ParameterDict({"w": torch.ones(1)})
m.fromkeys(["p", "q"]); m.fromkeys(["p"], torch.ones(1)); m.update({"u": torch.ones(1)})
m.update([("v", 1)]); m.update(3)
m.update([(1, 2, 3)]); m
del m["u"]
del m["u"]
list(m); m("x"); m.clear(); len(m); m.popitem(); m.update(b=2); m.update({"z": 1, "a": 2}); list(m)
---
l = [nn.Linear(1, 1) for _ in range(2)]
nn.ModuleList(l)[torch.tensor(1)] is l[1]; nn.Sequential(*l)[np.int64(0)] is l[0]; nn.ModuleList(l)[True] is l[1]
"""


@pytest.mark.parametrize("program", side_by_side.programs(CONTAINERS), ids=side_by_side.title)
def test_the_program_does_what_it_does_with_torch(program):
    assert side_by_side.compare(program) == ""
