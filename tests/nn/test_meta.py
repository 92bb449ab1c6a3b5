"""Modules on `meta`: built, run and moved without memory, and filled afterwards."""

import copy
import pickle

import pytest

import tallow as tl
from tallow import nn
from tallow.errors import DeviceError, ModelError


class Model(nn.Module):
    def __init__(self):
        self.embed = nn.Embedding(50, 8)
        self.conv = nn.Conv1d(8, 8, 3, padding=1)
        self.norm = nn.BatchNorm1d(8)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.rnn = nn.LSTM(8, 5, batch_first=True)
        self.head = nn.Linear(5, 3)

    def forward(self, ids):
        x = self.norm(self.conv(self.embed(ids).transpose(1, 2))).transpose(1, 2)
        x, _ = self.rnn(self.layer(x))
        return self.head(x)


def devices(model):
    return {t.device.type for t in (*model.parameters(), *model.buffers())}


IDS = tl.arange(12).reshape(2, 6)


@pytest.fixture
def cpu():
    tl.manual_seed(0)
    return Model().eval()


@pytest.fixture
def meta():
    with tl.device("meta"):
        return Model().eval()


def test_building_draws_and_allocates_nothing(cpu, meta):
    tl.manual_seed(5)
    wanted = tl.rand(2).tolist()
    tl.manual_seed(5)
    before = tl._native.pool_stats()[0]
    with tl.device("meta"):
        large = nn.Linear(1 << 20, 1 << 20)
    assert tl._native.pool_stats()[0] - before < 10000 and large.weight.is_meta
    assert tl.rand(2).tolist() == wanted
    assert devices(meta) == {"meta"} and devices(cpu) == {"cpu"}
    told = {name: (p.shape, p.dtype, p.requires_grad) for name, p in cpu.named_parameters()}
    assert {n: (p.shape, p.dtype, p.requires_grad) for n, p in meta.named_parameters()} == told


@pytest.mark.parametrize(
    "make",
    [
        lambda **d: nn.Linear(3, 4, **d),
        lambda **d: nn.Bilinear(3, 4, 5, **d),
        lambda **d: nn.Conv2d(3, 4, 3, **d),
        lambda **d: nn.ConvTranspose1d(3, 4, 3, **d),
        lambda **d: nn.Embedding(3, 4, **d),
        lambda **d: nn.EmbeddingBag(3, 4, **d),
        lambda **d: nn.LayerNorm(3, **d),
        lambda **d: nn.GroupNorm(2, 4, **d),
        lambda **d: nn.RMSNorm(3, **d),
        lambda **d: nn.BatchNorm2d(3, **d),
        lambda **d: nn.PReLU(3, **d),
        lambda **d: nn.GRU(3, 4, 2, bidirectional=True, **d),
        lambda **d: nn.LSTMCell(3, 4, **d),
        lambda **d: nn.MultiheadAttention(4, 2, **d),
        lambda **d: nn.TransformerDecoderLayer(4, 2, 8, **d),
        lambda **d: nn.Transformer(4, 2, 1, 1, 8, **d),
    ],
)
def test_layers_take_a_device(make):
    assert devices(make()) == devices(make(device="cpu")) == {"cpu"}
    assert devices(make(device="meta")) == devices(make(device=tl.device("meta"))) == {"meta"}
    with tl.device("meta"):
        assert devices(make(device="cpu")) == {"cpu"}
    with pytest.raises(DeviceError, match="expected cpu or meta, got cuda"):
        make(device="cuda")


def test_running_gives_the_shapes(cpu, meta):
    wanted, got = cpu(IDS), meta(IDS.to("meta"))
    assert got.is_meta
    assert (got.shape, got.dtype, got.stride()) == (wanted.shape, wanted.dtype, wanted.stride())
    meta.train()(IDS.to("meta")).sum().backward()
    assert all(p.grad.is_meta and p.grad.shape == p.shape for p in meta.parameters())


def test_values_are_refused_with_what_to_do(meta, cpu):
    with pytest.raises(DeviceError, match=r"cpu and meta .*load_state_dict\(…, assign=True\)"):
        meta(IDS)
    with pytest.raises(DeviceError, match=r"to: expected a tensor with values.*to_empty"):
        meta.to("cpu")
    with pytest.raises(ModelError, match=r"head.bias: expected assign=True for what is on meta"):
        meta.load_state_dict(cpu.state_dict())
    with pytest.raises(ModelError, match=r"head.bias: expected values, got a tensor on meta"):
        cpu.load_state_dict(meta.state_dict())


def test_filling(cpu, meta):
    wanted = cpu(IDS).tolist()
    meta.load_state_dict(cpu.state_dict(), assign=True)
    assert devices(meta) == {"cpu"} and meta(IDS).tolist() == wanted
    emptied = copy.deepcopy(cpu).to("meta").to_empty(device="cpu")
    assert devices(emptied) == {"cpu"}
    emptied.load_state_dict(cpu.state_dict())
    assert emptied(IDS).tolist() == wanted
    assert devices(emptied.to_empty(device="meta")) == {"meta"}


def test_filling_from_a_file(cpu, meta, tmp_path):
    from tallow.weights import fill, open_weights

    wanted = cpu(IDS).tolist()
    tl.safetensors.save_file(dict(cpu.state_dict()), tmp_path / "model.safetensors")
    fill(meta, open_weights(tmp_path / "model.safetensors"))
    assert devices(meta) == {"cpu"} and meta(IDS).tolist() == wanted


def test_moving_keeps_parameters(cpu):
    before = {name: id(p) for name, p in cpu.named_parameters()}
    cpu.head.weight = cpu.head.weight
    assert cpu.to("meta") is cpu and devices(cpu) == {"meta"}
    assert {name: id(p) for name, p in cpu.named_parameters()} == before
    assert devices(copy.deepcopy(cpu)) == {"meta"}
    assert devices(pickle.loads(pickle.dumps(nn.Linear(2, 3).to("meta")))) == {"meta"}


def test_deferred_parameters(cpu):
    with nn.deferred():
        waiting = nn.Linear(3, 4)
    assert waiting.weight.device.type == "cpu"
    waiting.to("meta")
    assert devices(waiting) == {"meta"}
    with nn.deferred(), tl.device("meta"):
        assert devices(nn.Linear(3, 4)) == {"meta"}
    with nn.deferred():
        drawn = nn.Linear(3, 4)
    with tl.device("meta"):
        assert drawn(tl.ones(3, device="cpu")).is_cpu  # drawn where it was declared


@pytest.mark.parametrize(
    "fill",
    [
        nn.init.uniform_, nn.init.normal_, nn.init.trunc_normal_, nn.init.ones_, nn.init.eye_,
        nn.init.xavier_normal_, nn.init.kaiming_uniform_, nn.init.orthogonal_,
        lambda t: nn.init.sparse_(t, 0.5), lambda t: nn.init.dirac_(t.reshape(2, 3, 1)),
    ],
)  # fmt: skip
def test_init_fills_nothing(fill):
    t = tl.empty(2, 3, device="meta")
    assert fill(t).is_meta


def test_register_parameter_is_called_where_it_is_replaced(monkeypatch):
    """accelerate's `init_empty_weights` builds models on meta so."""
    register = nn.Module.register_parameter

    def on_meta(module, name, value):
        register(module, name, value)
        if value is not None:
            made = type(value)(value.to("meta"), requires_grad=value.requires_grad)
            module._parameters[name] = made

    with monkeypatch.context() as patched:
        patched.setattr(nn.Module, "register_parameter", on_meta)
        model = Model()
    assert {p.device.type for p in model.parameters()} == {"meta"}
    assert {p.device.type for p in Model().parameters()} == {"cpu"}
    want = Model().state_dict()
    model.load_state_dict(want, assign=True)
    assert devices(model) == {"cpu"}
