"""Devices: any can be named, and `cpu` and `meta` used."""

import copy
import pickle

import pytest

import tallow as tl
from tallow.errors import ArgumentError


def test_names():
    cuda = tl.device("cuda:1")
    assert (cuda.type, cuda.index, str(cuda)) == ("cuda", 1, "cuda:1")
    assert cuda == tl.device("cuda", 1) == tl.device(1) and cuda != tl.device("cuda")
    assert tl.device("cpu").index is None and tl.device(cuda) == cuda
    assert repr(cuda) == "device(type='cuda', index=1)"  # as torch 2.13 prints it
    assert pickle.loads(pickle.dumps(cuda)) == copy.deepcopy(cuda) == cuda
    assert {tl.device("cpu"): 1}[tl.zeros(1).device] == 1


@pytest.mark.parametrize("name", ["gpu", "", "cuda:", "cuda:-1", "cuda:x", ":0"])
def test_unknown_names(name):
    with pytest.raises(ArgumentError, match="device: expected one of cpu"):
        tl.device(name)


@pytest.mark.parametrize(
    "use",
    [
        lambda d: tl.zeros(2, device=d),
        lambda d: tl.zeros(2).to(d),
        lambda d: tl.randn(2, device=d),
        lambda d: tl.nn.Linear(2, 2).to(d),
        lambda d: tl.Generator(d),
    ],
)
@pytest.mark.parametrize("name", ["cuda", "cuda:0", "mps"])
def test_others_are_refused_when_used(use, name):
    for device in (name, tl.device(name)):
        with pytest.raises(ArgumentError, match=f"expected cpu or meta, got {name}: there is no"):
            use(device)
