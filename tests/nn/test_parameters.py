"""Parameters, buffers, state, conversion, copies: what a module holds."""

from __future__ import annotations

import copy
import pickle

import pytest

import tallow as tl
from tallow import nn
from tallow.errors import ArgumentError, DTypeError, ModelError


class Scale(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.weight = nn.Parameter(tl.ones(size))
        self.register_buffer("count", tl.zeros(1))
        self.register_buffer("scratch", tl.zeros(1), persistent=False)
        self.inner = nn.Linear(size, size)

    def forward(self, x):
        return self.inner(x * self.weight)


def test_an_assigned_parameter_is_registered():
    module = Scale(3)
    assert [name for name, _ in module.named_parameters()] == [
        "weight", "inner.weight", "inner.bias",
    ]  # fmt: skip
    assert isinstance(module.weight, nn.Parameter)
    assert isinstance(module.weight, tl.Tensor)
    assert not isinstance(tl.ones(3), nn.Parameter)
    assert isinstance(module.inner.weight, nn.Parameter)
    assert module.weight.requires_grad and module.inner.weight.requires_grad
    assert not isinstance(module.weight.detach(), nn.Parameter)


def test_a_parameter_takes_only_parameters_and_none():
    module = Scale(3)
    with pytest.raises(DTypeError, match="expected a Parameter or None for 'weight'"):
        module.weight = tl.ones(3)
    module.weight = None
    assert module.weight is None
    assert "weight" not in dict(module.named_parameters())
    module.weight = nn.Parameter(tl.zeros(3), requires_grad=False)
    assert not module.weight.requires_grad


def test_a_parameter_without_gradient():
    with pytest.raises(DTypeError, match="requires_grad=False"):
        nn.Parameter(tl.arange(3))
    assert not nn.Parameter(tl.arange(3), requires_grad=False).requires_grad


def test_registration_refuses_bad_names():
    module = Scale(3)
    for name in ("", "a.b", "forward", "inner"):
        with pytest.raises(ArgumentError):
            module.register_buffer(name, tl.ones(1))
    with pytest.raises(DTypeError):
        module.register_parameter("other", tl.ones(1))
    module.register_parameter("other", None)
    assert module.other is None


def test_one_parameter_in_two_modules():
    module = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    module[1].weight = module[0].weight
    assert [name for name, _ in module.named_parameters()] == ["0.weight", "0.bias", "1.bias"]
    assert list(module.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    module.half()
    assert module[1].weight is module[0].weight
    assert module[1].weight.dtype is tl.f16
    made = copy.deepcopy(module)
    assert made[1].weight is made[0].weight
    assert made[0].weight is not module[0].weight


def test_buffers_and_their_state():
    module = Scale(3)
    assert [name for name, _ in module.named_buffers()] == ["count", "scratch"]
    assert list(module.state_dict()) == ["weight", "count", "inner.weight", "inner.bias"]
    module.count = tl.ones(1)
    assert module.state_dict()["count"].tolist() == [1]
    other = Scale(3)
    kept = other.count
    result = other.load_state_dict(module.state_dict())
    assert result.missing_keys == [] and result.unexpected_keys == []
    assert other.count is kept and kept.tolist() == [1]
    assert module.get_buffer("count").tolist() == [1]
    assert module.get_parameter("inner.weight") is module.inner.weight
    assert module.get_submodule("inner") is module.inner
    for name in ("nothing", "weight.x"):
        with pytest.raises(AttributeError):
            module.get_submodule(name)


def test_loading_copies_into_what_is_there():
    source, target = Scale(3), Scale(3).double()
    weight, drawn = target.weight, target.inner.weight
    target.load_state_dict(source.state_dict())
    assert target.weight is weight and target.inner.weight is drawn
    assert drawn.dtype is tl.f64
    source.inner.weight.detach().fill_(7)
    assert 7 not in target.inner.weight.flatten().tolist()
    target.load_state_dict(source.state_dict(), assign=True)
    assert target.inner.weight.data_ptr() == source.inner.weight.data_ptr()


def test_loading_tells_all_names():
    module, state = Scale(3), Scale(3).state_dict()
    del state["count"], state["inner.bias"]
    state["more"] = tl.ones(1)
    result = module.load_state_dict(state, strict=False)
    assert sorted(result.missing_keys) == ["count", "inner.bias"]
    assert result.unexpected_keys == ["more"]
    with pytest.raises(ModelError) as caught:
        module.load_state_dict(state)
    for name in ("count: expected (1,), got nothing", "inner.bias", "more: expected no such name"):
        assert name in str(caught.value)
    with pytest.raises(ModelError, match="weight: expected a Tensor, got list"):
        module.load_state_dict({"weight": [1]}, strict=False)
    module.load_state_dict({"weight": tl.arange(3)}, strict=False)
    assert module.weight.tolist() == [0, 1, 2] and module.weight.dtype is tl.f32


def test_old_checkpoints_of_batch_norm_load():
    state = dict(nn.BatchNorm1d(3).state_dict())
    del state["num_batches_tracked"]
    assert nn.BatchNorm1d(3).load_state_dict(state).missing_keys == []


@pytest.mark.parametrize("again", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies(again):
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ModuleList([nn.GELU()]))
    model[0].weight.requires_grad_(False)
    list(model.parameters())
    made = again(model)
    state = made.state_dict()
    for name, value in model.state_dict().items():
        assert value.tolist() == state[name].tolist()
        assert value.data_ptr() != state[name].data_ptr()
    assert not made[0].weight.requires_grad and made[0].bias.requires_grad
    assert all(isinstance(p, nn.Parameter) for p in made.parameters())
    assert made[2] is made._modules["2"]
    made[0].weight = None  # its declaration knows the new owner
    assert model[0].weight is not None


def test_gradients_come_and_go():
    module = Scale(3)
    module(tl.ones(2, 3)).sum().backward()
    assert all(p.grad is not None for p in module.parameters())
    module.zero_grad(set_to_none=False)
    assert module.weight.grad.tolist() == [0, 0, 0]
    module.zero_grad()
    assert module.weight.grad is None
    module.requires_grad_(False)
    assert not any(p.requires_grad for p in module.parameters())
    assert not nn.Linear(2, 2).requires_grad_(False).weight.requires_grad


def test_conversion_keeps_identity():
    module = Scale(3)
    weight = module.weight
    module(tl.ones(2, 3)).sum().backward()
    for method, dtype in (("double", tl.f64), ("half", tl.f16), ("bfloat16", tl.bf16)):
        getattr(module, method)()
        assert module.weight is weight
        assert weight.dtype is weight.grad.dtype is module.count.dtype is dtype
    assert module.to("cpu").to(tl.zeros(1)).weight.dtype is tl.f32
    assert module.to(device="cpu", dtype="f64").weight.dtype is tl.f64
    with pytest.raises(DTypeError):
        module.to(tl.i32)
    assert nn.Linear(2, 2).half().weight.dtype is tl.f16
    assert nn.BatchNorm1d(2).half().num_batches_tracked.dtype is tl.i64


def test_apply_goes_from_the_leaves_up():
    seen = []
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.ReLU()))
    assert model.apply(lambda m: seen.append(type(m).__name__)) is model
    assert seen == ["Linear", "ReLU", "Sequential", "Sequential"]


def test_initial_values_follow_the_seed():
    def drawn():
        tl.manual_seed(3)
        return [p.tolist() for p in nn.LSTM(3, 4).parameters()]

    first = drawn()
    assert drawn() == first
    bound = max(abs(v) for row in first[0] for v in row)
    assert 0.3 < bound <= 0.5
    layer = nn.Linear(3, 2)
    before = layer.weight.tolist()
    layer.reset_parameters()
    assert layer.weight.tolist() != before


def test_containers():
    modules = nn.ModuleList([nn.Linear(2, 2)])
    modules += [nn.ReLU()]
    modules.insert(1, nn.Tanh())
    assert [type(m).__name__ for m in modules] == ["Linear", "Tanh", "ReLU"]
    assert list(modules.state_dict()) == ["0.weight", "0.bias"]
    modules[0] = nn.Sigmoid()
    assert isinstance(modules.pop(0), nn.Sigmoid) and len(modules) == 2
    assert len(modules[:1]) == 1 and isinstance(modules[-1], nn.ReLU)
    del modules[0]
    assert [name for name, _ in modules.named_children()] == ["0"]
    named = nn.ModuleDict({"a": nn.Linear(2, 2)})
    named["b"] = nn.ReLU()
    assert list(named) == ["a", "b"] and "a" in named
    del named["a"]
    assert next(iter(named.items()))[0] == "b" and len(named) == 1
    steps = nn.Sequential({"first": nn.Linear(2, 3), "second": nn.ReLU()})
    assert steps(tl.ones(1, 2)).shape == (1, 3)
    assert len(steps[:1]) == 1 and steps.first is steps[0]
    steps.append(nn.Linear(3, 1))
    assert steps(tl.ones(1, 2)).shape == (1, 1)
    weights = nn.ParameterList([tl.ones(2), nn.Parameter(tl.zeros(3))])
    weights.append(tl.ones(1))
    assert [p.shape for p in weights] == [(2,), (3,), (1,)]
    assert list(weights.state_dict()) == ["0", "1", "2"]
    table = nn.ParameterDict({"left": tl.ones(2)})
    table["right"] = tl.zeros(2)
    assert list(table) == ["left", "right"] and table["left"].requires_grad


def test_a_module_is_put_at_a_path():
    model = nn.ModuleDict({"a": nn.Sequential(nn.Linear(2, 2), nn.ReLU())})
    model.set_submodule("a.1", nn.Tanh())
    assert isinstance(model["a"][1], nn.Tanh)
    model.set_submodule("a", nn.Identity())
    assert isinstance(model["a"], nn.Identity) and list(model) == ["a"]


def test_clipping():
    p, q = (nn.Parameter(tl.zeros(2)) for _ in range(2))
    p.grad, q.grad = tl.tensor([3.0, 0.0]), tl.tensor([0.0, 4.0])
    assert nn.utils.clip_grad_norm_([p, q], 1.0).item() == pytest.approx(5)
    assert p.grad.tolist() == pytest.approx([0.6, 0])
    assert nn.utils.clip_grad_norm_([p, q], 2.0).item() == pytest.approx(1)
    assert q.grad.tolist() == pytest.approx([0, 0.8])
    nn.utils.clip_grad_value_([p, q], 0.1)
    assert q.grad.tolist() == pytest.approx([0, 0.1])
    p.grad = tl.tensor([float("nan"), 0.0])
    with pytest.raises(ArgumentError, match="a finite norm"):
        nn.utils.clip_grad_norm_([p], 1.0, error_if_nonfinite=True)
    vector = nn.utils.parameters_to_vector([p, q])
    nn.utils.vector_to_parameters(vector.detach() + 1, [p, q])
    assert q.tolist() == [1, 1]


def test_a_deep_copy_of_a_parameter_has_no_gradient_and_one_of_a_tensor_has():
    net = nn.Linear(2, 1)
    net(tl.ones(1, 2)).sum().backward()
    assert all(p.grad is None for p in copy.deepcopy(net).parameters())
    assert all(p.grad is not None for p in net.parameters())
    leaf = tl.ones(2, requires_grad=True)
    (leaf * 3).sum().backward()
    assert copy.deepcopy(leaf).grad.tolist() == [3.0, 3.0]


def test_a_recurrent_layer_names_its_flat_weights():
    layer = nn.GRU(2, 3, num_layers=2, bias=False, bidirectional=True)
    names = [
        f"{kind}_{place}"
        for place in ("l0", "l0_reverse", "l1", "l1_reverse")
        for kind in ("weight_ih", "weight_hh")
    ]
    assert layer._flat_weights_names == names
    assert all(a is getattr(layer, b) for a, b in zip(layer._flat_weights, names, strict=True))
    assert nn.LSTM(2, 3, proj_size=1)._flat_weights_names == [
        "weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0", "weight_hr_l0",
    ]  # fmt: skip


def test_an_embedding_bag_shows_its_options_as_torch_does():
    assert repr(nn.EmbeddingBag(4, 2)) == "EmbeddingBag(4, 2, mode='mean')"
    shown = repr(nn.EmbeddingBag(4, 2, 1.0, 1.0, True, "sum", padding_idx=-1))
    assert shown == (
        "EmbeddingBag(4, 2, max_norm=1.0, norm_type=1.0, scale_grad_by_freq=True, mode='sum',"
        " padding_idx=3)"
    )
