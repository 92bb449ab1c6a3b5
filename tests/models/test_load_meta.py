"""`models.load(…, device="meta")`: a model of the shapes and dtypes of its file, not read."""

import pytest

import tallow as tl
from models.golden_families import CASES, Case
from tallow import models
from tallow.errors import DeviceError
from tallow.weights.entry import Entry

# The files of two goldens have other values there than in the embeddings that their config ties.
UNTIED = {"cls.predictions.decoder.weight", "lm_head.decoder.weight"}


def facts(model):
    state = (*model.named_parameters(), *model.named_buffers())
    return {
        # Experts may be parts of a joined tensor of the file, which lie apart.
        name: (x.shape, x.dtype, x.ndim != 3 and x.stride(), x.requires_grad)
        for name, x in state
    }


def devices(model):
    return {x.device.type for x in (*model.parameters(), *model.buffers())}


@pytest.fixture
def unread(monkeypatch):
    def refuse(self, dtype):
        raise AssertionError(f"{self.stored} was read")

    monkeypatch.setattr(Entry, "read", refuse)


@pytest.mark.parametrize("name", CASES)
def test_shapes_are_those_of_the_file(name, monkeypatch):
    case = Case(name)
    wanted = facts(case.load())
    monkeypatch.setattr(Entry, "read", None)  # calling it would be an error
    model = case.load(device=tl.device("meta"))
    assert devices(model) <= {"meta"}
    assert wanted.keys() - facts(model).keys() <= UNTIED
    assert facts(model) == {name: wanted[name] for name in facts(model)}
    inputs = {key: x.to("meta") for key, x in case.inputs.items()}
    if case.reads_places:
        with pytest.raises(DeviceError, match="expected a tensor with values"):
            case.run(model, inputs)
        return
    out = case.run(model, inputs)
    assert {x.device.type for x in out.values()} == {"meta"}


@pytest.fixture(scope="module")
def folder():
    return Case(next(name for name in CASES if name.startswith("llama"))).folder


def test_load(folder, unread):
    model = models.load(folder, device="meta", dtype="f16")
    assert devices(model) == {"meta"}
    assert {p.dtype.name for p in model.parameters() if p.ndim == 2} == {"f16"}
    with pytest.raises(DeviceError, match="expected operands on one device, got cpu and meta"):
        model(tl.tensor([[1, 2, 3]]))


def test_filling_afterwards(folder):
    model, wanted = models.load(folder, device="meta"), models.load(folder)
    model.load_state_dict(wanted.state_dict(), assign=True)
    assert {p.device.type for p in model.parameters()} == {"cpu"}
    model.to_empty(device="cpu").load_state_dict(wanted.state_dict())
    filled = model.state_dict()
    assert all(filled[name].tolist() == x.tolist() for name, x in wanted.state_dict().items())


def test_devices_that_are_not_there(folder):
    with pytest.raises(DeviceError, match="expected cpu or meta, got cuda"):
        models.load(folder, device="cuda")
    with pytest.raises(DeviceError, match="expected cpu or meta, got cuda"):
        tl.LLM(folder, device="cuda")


@pytest.mark.parametrize("device", ["meta", "cpu", None])
def test_taking_from_a_source(folder, device):
    source = tl.weights.open_weights(folder)
    name = next(iter(source.names()))
    taken = source.take(name, "f16", device)
    assert (taken.device.type, taken.dtype.name) == (device or "cpu", "f16")
    part = source.take_range(name, 0, 1, 3, device=device)
    assert (part.device.type, part.shape[0]) == (device or "cpu", 2)
