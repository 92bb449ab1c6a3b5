"""`tallow.safetensors` beside the official package: names, bytes, slices, refusals."""

import inspect

import numpy as np
import pytest
import safetensors
import safetensors.numpy as official

import tallow as tl
from tallow import safetensors as ours
from tallow.errors import SharedMemoryError

ARRAYS = {
    "b": np.arange(12, dtype=np.float32).reshape(3, 4),
    "a": np.arange(3),
    "c": np.array(2, dtype=np.float16),
    "empty": np.zeros((0, 2), np.uint8),
}
TENSORS = {name: tl.from_numpy(array) for name, array in ARRAYS.items()}


def raised(call):
    try:
        call()
    except Exception as error:
        return type(error)
    return None


def test_files_are_the_same_bytes(tmp_path):
    about = {"ü": "pt"}  # one, since theirs are in no order
    ours.save_file(TENSORS, tmp_path / "ours", about)
    official.save_file(ARRAYS, tmp_path / "theirs", about)
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()
    assert ours.save(TENSORS) == official.save(ARRAYS)
    assert ours.save(TENSORS, metadata=about) == official.save(ARRAYS, metadata=about)


def test_loading(tmp_path):
    official.save_file(ARRAYS, tmp_path / "x")
    for found in (
        ours.load_file(tmp_path / "x"),
        ours.load_file(str(tmp_path / "x"), device="cpu"),
        ours.load((tmp_path / "x").read_bytes()),
    ):
        assert type(found) is dict and sorted(found) == sorted(ARRAYS)
        for name, array in ARRAYS.items():
            assert found[name].numpy().dtype == array.dtype
            np.testing.assert_array_equal(found[name].numpy(), array)


SLICES = [
    np.s_[0:2], np.s_[:, 1], np.s_[..., 1:3], np.s_[1], np.s_[-1], np.s_[::2], np.s_[1, 2],
    np.s_[...], np.s_[:, ::3],
]  # fmt: skip


@pytest.mark.parametrize("framework", ["pt", "np"])
def test_safe_open(tmp_path, framework):
    official.save_file(ARRAYS, tmp_path / "x", {"a": "b"})
    theirs = safetensors.safe_open(tmp_path / "x", "np")
    with ours.safe_open(tmp_path / "x", framework=framework, device="cpu") as file:
        assert file.keys() == theirs.keys()
        assert file.offset_keys() == theirs.offset_keys()
        assert file.metadata() == theirs.metadata() == {"a": "b"}
        assert sorted(file.get_tensors()) == sorted(ARRAYS)
        for name in file.keys():  # noqa: SIM118  (a method of the package, not of a dict)
            found = file.get_tensor(name)
            assert isinstance(found, tl.Tensor if framework == "pt" else np.ndarray)
            np.testing.assert_array_equal(np.asarray(found), theirs.get_tensor(name))
        part, wanted = file.get_slice("b"), theirs.get_slice("b")
        assert part.get_shape() == wanted.get_shape()
        assert part.get_dtype() == wanted.get_dtype()
        for key in SLICES:
            np.testing.assert_array_equal(np.asarray(part[key]), wanted[key], err_msg=str(key))
        for key in (5, np.s_[0, 0, 0], [0, 2], None):
            for one in (part, wanted):
                assert raised(lambda one=one, key=key: one[key]) is not None
    official.save_file(ARRAYS, tmp_path / "y")
    assert ours.safe_open(tmp_path / "y", "pt").metadata() is None


def test_errors_of_safe_open(tmp_path):
    official.save_file(ARRAYS, tmp_path / "x")
    file = ours.safe_open(tmp_path / "x", "pt")
    for call in (
        lambda: file.get_tensor("none"),
        lambda: file.get_slice("none"),
        lambda: ours.load(b"x"),
    ):
        with pytest.raises(ours.SafetensorError):
            call()
    with pytest.raises(FileNotFoundError):
        ours.safe_open(tmp_path / "none", "pt")
    with pytest.raises(ValueError, match="framework"):
        ours.safe_open(tmp_path / "x", "tensorflow")
    with file:
        pass
    with pytest.raises(ValueError, match="closed"):
        file.get_tensor("a")


def test_signatures_are_theirs():
    theirs = {
        "save": ["tensor_dict", "metadata"],
        "save_file": ["tensor_dict", "filename", "metadata"],
        "load": ["data"],
    }
    for name, names in theirs.items():
        assert list(inspect.signature(getattr(official, name)).parameters)[: len(names)] == names
        got = list(inspect.signature(getattr(ours, name)).parameters)
        assert got == [n.replace("tensor_dict", "tensors") for n in names]  # as safetensors.torch


REFUSED = {
    "no dict": [tl.ones(2)],
    "nested": {"model": {"w": tl.ones(2)}},
    "a number": {"w": 3},
    "gaps": {"w": tl.ones(4, 4)[:, :2]},
    "transposed": {"w": tl.ones(2, 3).T},
}


@pytest.mark.parametrize("what", REFUSED)
def test_refusals(tmp_path, what):
    for call in (ours.save, lambda x: ours.save_file(x, tmp_path / "x")):
        with pytest.raises(ValueError, match="save"):
            call(REFUSED[what])
    assert not list(tmp_path.iterdir())


def shared():
    x = tl.arange(6.0)
    return {
        "twice": ({"a": x, "b": x}, False),
        "overlap": ({"a": x[:4], "b": x[2:]}, False),
        "apart": ({"a": x[:3], "b": x[3:]}, True),
        "part": ({"a": x, "b": x[1:2]}, False),
        "copies": ({"a": x, "b": x.clone()}, True),
        "empty": ({"a": x[:0], "b": x[:0]}, True),
    }


@pytest.mark.parametrize("case", shared())
def test_shared_memory(case):
    tensors, good = shared()[case]
    if good:
        assert sorted(ours.load(ours.save(tensors))) == ["a", "b"]
    else:
        with pytest.raises(RuntimeError, match="save_model") as caught:
            ours.save(tensors)
        assert isinstance(caught.value, SharedMemoryError)


class Tied(tl.nn.Module):
    def __init__(self):
        self.embed = tl.nn.Embedding(5, 3)
        self.head = tl.nn.Linear(3, 5, bias=False)
        self.head.weight = self.embed.weight


def test_models_with_tied_weights(tmp_path):
    model, other = Tied(), Tied()
    ours.save_model(model, tmp_path / "x", {"format": "pt"})
    with ours.safe_open(tmp_path / "x", "pt") as file:
        assert file.keys() == ["embed.weight"]
        assert file.metadata() == {"format": "pt", "head.weight": "embed.weight"}
    assert ours.load_model(other, tmp_path / "x") == (set(), [])
    assert other.head.weight.tolist() == model.embed.weight.tolist()
    ours.save_file({"embed.weight": tl.ones(5, 3), "more": tl.ones(1)}, tmp_path / "y")
    assert ours.load_model(other, tmp_path / "y", strict=False) == (set(), ["more"])
    with pytest.raises(tl.errors.ModelError, match="unexpected 'more'"):
        ours.load_model(other, tmp_path / "y")
    ours.save_file({"more": tl.ones(1)}, tmp_path / "y")
    with pytest.raises(tl.errors.ModelError, match="missing"):
        ours.load_model(other, tmp_path / "y")


@pytest.mark.needs_torch
def test_refusals_are_those_of_safetensors_torch(tmp_path):
    import safetensors.torch as theirs
    import torch

    x, t = tl.arange(6.0), torch.arange(6.0)
    cases = [
        ({"a": x, "b": x}, {"a": t, "b": t}),
        ({"a": x[:4], "b": x[2:]}, {"a": t[:4], "b": t[2:]}),
        ({"a": x[:3], "b": x[3:]}, {"a": t[:3], "b": t[3:]}),
        ({"a": x[:0], "b": x[:0]}, {"a": t[:0], "b": t[:0]}),
        ({"a": x[::2]}, {"a": t[::2]}),
        ({"a": 1}, {"a": 1}),
        ([x], [t]),
        ({"a": x}, {"a": t}),
        ({"a": x.reshape(2, 3).T}, {"a": t.reshape(2, 3).T}),
    ]
    for mine, other in cases:
        wanted, got = raised(lambda o=other: theirs.save(o)), raised(lambda m=mine: ours.save(m))
        assert (got is None) == (wanted is None), (mine, wanted, got)
        assert wanted is None or issubclass(got, wanted)
    for name in ("save", "save_file", "load", "load_file", "save_model", "load_model"):
        signature = inspect.signature(getattr(theirs, name))
        own = inspect.signature(getattr(ours, name))
        assert list(own.parameters) == list(signature.parameters), name
        assert [p.default for p in own.parameters.values()] == [
            p.default for p in signature.parameters.values()
        ]
