"""Modules: declaring, filling, walking, printing."""

from __future__ import annotations

import copy
import gc
import weakref

import pytest

import tallow as tl
from tallow import nn
from tallow.errors import ModelError


class Block(nn.Module):
    def __init__(self, size):
        self.norm = nn.RMSNorm(size, 1e-6)
        self.proj = nn.Linear(size, size)

    def forward(self, x):
        return self.proj(self.norm(x))


class Model(nn.Module):
    def __init__(self):
        self.embed = nn.Embedding(10, 4)
        self.layers = nn.ModuleList([Block(4) for _ in range(3)])
        self.head = nn.Linear(4, 10, bias=False)
        nn.tie(self.head, "weight", self.embed, "weight")

    def forward(self, ids):
        x = self.embed(ids)
        for layer in self.layers:
            x = layer(x)
        return self.head(x)


NAMES = ["embed.weight"] + [
    f"layers.{i}.{name}"
    for i in range(3)
    for name in ("norm.weight", "proj.weight", "proj.bias")
]  # fmt: skip


def test_names_and_sharing():
    model = Model()
    assert list(model.state_dict()) == [*NAMES, "head.weight"]
    assert [name for name, _ in model.declarations()] == [*NAMES, "head.weight"]
    assert model.head.weight is model.embed.weight
    assert len(list(model.parameters())) == len(NAMES)
    assert list(dict(model.named_parameters())) == NAMES


def test_paths_of_modules():
    paths = [path for path, _ in Model().named_modules()]
    assert paths[:5] == ["", "embed", "layers", "layers.0", "layers.0.norm"]
    assert paths[-1] == "head"


def test_deferred_layers_take_no_memory_and_draw_nothing():
    tl.manual_seed(5)
    with nn.deferred():
        layer = nn.Linear(2**20, 2**20)
        small = nn.Linear(3, 2)
        own = nn.param(2, init=nn.init.ones_)
    expected = tl.rand(2)
    tl.manual_seed(5)
    assert tl.rand(2).tolist() == expected.tolist()
    assert repr(layer) == "Linear(in_features=1048576, out_features=1048576, bias=True)"
    assert sum(p.numel() for p in layer.parameters()) == 2**40 + 2**20
    assert layer.half().weight.dtype is tl.f16 and layer.weight.shape == (2**20, 2**20)
    assert isinstance(layer.weight, nn.Parameter) and layer.weight.requires_grad
    weight = small.weight
    assert copy.deepcopy(small).weight is not weight
    small.load_state_dict({"weight": tl.ones(2, 3).half(), "bias": tl.ones(2).half()})
    assert small.weight is weight and weight.dtype is tl.f16 and small.bias.dtype is tl.f32
    assert type(weight) is nn.Parameter and own.tolist() == [1, 1]
    tl.manual_seed(5)
    assert tl.rand(2).tolist() == expected.tolist()


def test_initial_values_are_drawn_at_construction():
    nn.seed(1)
    first, second = nn.Linear(4, 3), nn.Linear(4, 3)
    nn.seed(1)
    third, fourth = nn.Linear(4, 3), nn.Linear(4, 3)
    nn.seed(2)
    assert second.weight.tolist() == fourth.weight.tolist()
    assert first.bias.tolist() == third.bias.tolist()


def test_initial_values():
    nn.seed(1)
    first = nn.Linear(16, 32).weight
    assert first.shape == (32, 16)
    assert first.dtype is tl.f32
    values = first.tolist()
    assert max(abs(v) for row in values for v in row) <= 0.25
    nn.seed(1)
    assert nn.Linear(16, 32).weight.tolist() == values
    assert nn.Linear(16, 32).weight.tolist() != values
    assert nn.RMSNorm(3).weight.tolist() == [1, 1, 1]
    norm = nn.LayerNorm(3)
    assert norm.bias.tolist() == [0, 0, 0]


def test_forward():
    out = Model()(tl.tensor([[1, 2, 3]]))
    assert out.shape == (1, 3, 10)


def test_linear_and_norms_by_hand():
    layer = nn.Linear(2, 2)
    layer.load_state_dict({"weight": tl.tensor([[1.0, 2], [3, 4]]), "bias": tl.tensor([10.0, 20])})
    assert layer(tl.tensor([[1.0, 1.0]])).tolist() == [[13, 27]]
    norm = nn.LayerNorm(2, eps=0.0)
    assert norm(tl.tensor([[1.0, 3.0]])).tolist() == [[-1, 1]]
    rms = nn.RMSNorm(2, eps=0.0)
    out = rms(tl.tensor([[3.0, 4.0]])).tolist()[0]
    assert out == pytest.approx([3 / 12.5**0.5, 4 / 12.5**0.5])


def test_state_dict_round_trip():
    source, target = Model(), Model()
    target.load_state_dict(source.state_dict())
    ids = tl.tensor([[1, 2, 3]])
    assert target(ids).tolist() == source(ids).tolist()
    assert target.head.weight is target.embed.weight


def test_load_state_dict_lists_every_mismatch():
    model = Block(4)
    state = {"norm.weight": tl.zeros(5), "proj.weight": tl.zeros(4, 4), "other": tl.zeros(1)}
    with pytest.raises(ModelError) as caught:
        model.load_state_dict(state)
    text = str(caught.value)
    assert "norm.weight: expected (4,), got (5,)" in text
    assert "proj.bias: expected (4,), got nothing" in text
    assert "other: expected no such name" in text
    del state["norm.weight"]
    model.load_state_dict(state, strict=False)
    assert model.proj.weight.tolist() == state["proj.weight"].tolist()
    assert model.proj.weight.data_ptr() != state["proj.weight"].data_ptr()


def test_attributes():
    layer = nn.Linear(2, 3)
    with pytest.raises(AttributeError, match="'Linear' object has no attribute 'wieght'"):
        _ = layer.wieght
    layer.note = "x"
    del layer.note
    assert not hasattr(layer, "note")
    del layer.bias
    assert [name for name, _ in layer.declarations()] == ["weight"]


def test_a_dropped_model_is_freed_at_once():
    gone = []
    model = Model()
    list(model.parameters())
    for _, module in model.named_modules():
        weakref.finalize(module, gone.append, 1)
    del module, _
    gc.disable()
    try:
        del model
        assert len(gone) == 13
    finally:
        gc.enable()


def test_train_and_eval():
    model = Model()
    assert model.training
    assert model.eval() is model
    assert not model.layers[1].proj.training
    model.train()
    assert model.layers[1].proj.training


def test_to_converts_floats_and_keeps_sharing():
    model = Model().to(tl.f16)
    assert {tensor.dtype for tensor in model.parameters()} == {tl.f16}
    assert model.head.weight is model.embed.weight


def test_repr_is_a_tree():
    assert repr(Model()) == (
        "Model(\n"
        "  (embed): Embedding(10, 4)\n"
        "  (layers): ModuleList(\n"
        "    (0-2): 3 x Block(\n"
        "      (norm): RMSNorm((4,), eps=1e-06, elementwise_affine=True)\n"
        "      (proj): Linear(in_features=4, out_features=4, bias=True)\n"
        "    )\n"
        "  )\n"
        "  (head): Linear(in_features=4, out_features=10, bias=False)\n"
        ")"
    )


def test_module_list():
    modules = nn.ModuleList()
    for size in (2, 3):
        modules.append(nn.RMSNorm(size))
    assert len(modules) == 2
    assert [name for name, _ in modules.declarations()] == ["0.weight", "1.weight"]
    assert modules[1] is list(modules)[1]
    assert repr(modules).count("RMSNorm") == 2


def test_modules_as_often_as_they_stand_there():
    shared = nn.Linear(2, 2)
    model = nn.Sequential(shared, nn.ReLU(), shared)
    assert len(list(model.modules())) == 3
    assert len(list(model.modules(remove_duplicate=False))) == 4


def test_running_statistics_of_an_empty_batch_stay():
    for layer, shape in ((nn.BatchNorm1d(3), (0, 3)), (nn.BatchNorm2d(3), (0, 3, 2, 2)),
                         (nn.InstanceNorm1d(3, track_running_stats=True), (0, 3, 4))):  # fmt: skip
        assert layer(tl.zeros(shape)).shape == shape
        assert layer.running_mean.tolist() == [0, 0, 0]
        assert layer.running_var.tolist() == [1, 1, 1]


def test_input_by_its_name():
    x = tl.ones(1, 2)
    assert nn.Linear(2, 3)(input=x).shape == (1, 3)
    assert nn.Embedding(4, 2)(input=tl.tensor([1])).shape == (1, 2)
    assert nn.Bilinear(2, 2, 1)(input1=x, input2=x).shape == (1, 1)
