"""Layers that learn the size of their input at their first call."""

from __future__ import annotations

import copy
import pickle

import pytest

import tallow as tl
from tallow import nn, optim
from tallow.errors import ArgumentError, GradError, ModelError

FULL = (1e-5, 0.1, True, True)  # affine and tracked, as a lazy one is by default
LAYERS = {
    "LazyLinear": ((4,), (2, 3), nn.Linear, 3),
    **{f"LazyConv{n}d": ((4, 2), (2, 3, *[4] * n), getattr(nn, f"Conv{n}d"), 3) for n in (1, 2, 3)},
    **{
        f"LazyConvTranspose{n}d": (
            (4, 2), (2, 3, *[4] * n), getattr(nn, f"ConvTranspose{n}d"), 3,
        )
        for n in (1, 2, 3)
    },
    **{f"LazyBatchNorm{n}d": ((), (2, 3, *[4] * n), getattr(nn, f"BatchNorm{n}d"), 3)
       for n in (1, 2, 3)},
    **{f"LazyInstanceNorm{n}d": (FULL, (2, 3, *[4] * n), getattr(nn, f"InstanceNorm{n}d"), 3)
       for n in (1, 2, 3)},
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_a_lazy_layer_becomes_what_it_stands_for(name):
    args, shape, kind, size = LAYERS[name]
    lazy = getattr(nn, name)(*args)
    assert repr(lazy).startswith(name)
    held = list(lazy.parameters())
    for p in held:
        assert isinstance(p, nn.UninitializedParameter) and isinstance(p, nn.Parameter)
    lazy, held = copy.deepcopy((lazy, held))
    x = tl.rand(*shape)
    tl.manual_seed(1)
    out = lazy(x)
    tl.manual_seed(1)
    plain = kind(size, *args)
    assert type(lazy) is kind and repr(lazy) == repr(plain)
    assert out.tolist() == plain(x).tolist()
    assert [id(p) for p in held] == [id(p) for p in lazy.parameters()]
    state, expected = lazy.state_dict(), plain.state_dict()
    assert {k: v.tolist() for k, v in state.items()} == {k: v.tolist() for k, v in expected.items()}
    assert pickle.loads(pickle.dumps(lazy))(x).tolist() == lazy(x).tolist()


def test_before_the_first_call():
    lazy = nn.LazyLinear(2)
    assert repr(lazy) == "LazyLinear(in_features=0, out_features=2, bias=True)"
    with pytest.raises(GradError, match="lazy layer"):
        _ = lazy.weight.shape
    with pytest.raises(ArgumentError, match="lazy layer"):
        lazy.weight + 1
    opt = optim.SGD(lazy.double().parameters(), 0.1)
    lazy(tl.ones(1, 3).double()).sum().backward()
    assert lazy.weight.dtype is tl.f64 and lazy.weight.shape == (2, 3)
    before = lazy.weight.tolist()
    opt.step()
    assert lazy.weight.tolist() != before
    assert not hasattr(nn.LazyLinear(2, bias=False), "nothing")
    assert nn.LazyLinear(2, bias=False)(tl.ones(1, 3)).shape == (1, 2)


def test_loading_gives_the_shapes():
    source = nn.Linear(3, 2)
    lazy = pickle.loads(pickle.dumps(nn.LazyLinear(2)))
    lazy.load_state_dict(source.state_dict())
    assert lazy(tl.ones(1, 3)).tolist() == source(tl.ones(1, 3)).tolist()
    assert type(lazy) is nn.Linear and lazy.in_features == 3
    other = nn.LazyLinear(2)
    other.load_state_dict(nn.LazyLinear(2).state_dict(), strict=False)
    assert isinstance(other.weight, nn.UninitializedParameter)
    with pytest.raises(ModelError):
        nn.LazyLinear(2).load_state_dict({"weight": tl.ones(2, 3)})


def test_a_lazy_module_of_a_user():
    class Scale(nn.LazyModuleMixin, nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.UninitializedParameter()
            self.inner = nn.LazyLinear(2)

        def initialize_parameters(self, x):
            if self.has_uninitialized_params():
                self.weight.materialize((x.shape[-1],))
                nn.init.constant_(self.weight, 2.0)

        def forward(self, x):
            return self.inner(x * self.weight)

    model = Scale()
    assert model(tl.ones(1, 3)).shape == (1, 2)
    assert model.weight.tolist() == [2, 2, 2] and type(model.inner) is nn.Linear
    assert model(tl.ones(1, 3)).shape == (1, 2)


def test_data_of_a_lazy_parameter_may_be_filled_before_the_first_call():
    """As PyTorch: there are no elements yet, so nothing is filled (d2l's linear regression)."""
    layer = nn.LazyLinear(2)
    assert layer.weight.data.normal_(0, 0.01).shape == (0,)
    layer.weight.data = tl.ones(2, 3)
    assert layer.weight.shape == (2, 3) and layer.weight.requires_grad
