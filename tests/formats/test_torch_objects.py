"""Checkpoints with much beside the weights are read by all as by `load_torch`; bombs by none."""

from __future__ import annotations

import pickle
import random

import pytest

import tallow as tl
import torch_bytes as tb
from cli.conftest import run  # noqa: F401  the fixture
from tallow.errors import FormatError
from tallow.formats.torch_pickle import load_torch, open_torch, save_torch
from tallow.formats.torch_pickle.hashing import HashTable
from tallow.weights import open_weights

LOG = [{"epoch": i, "loss": 1 / (i + 1), "accuracy": i / 500, "lr": 1e-3} for i in range(500)]
OBJECTS = {
    "a training log": {"history": LOG},
    "a log of flags": {"history": [{"ok": True, "best": None, "n": i} for i in range(500)]},
    "empty lists": {"lists": [[] for _ in range(100_000)]},
    "tuples as keys": {"edges": {(i, i + 1): i for i in range(20_000)}},
    "numbers as keys": {"ids": {i * 64: i for i in range(50_000)}},
    "floats as keys": {"ids": {i / 7: i for i in range(20_000)}},
    "sets": {"ids": set(range(0, 200_000, 8))},
    "epochs": {f"epoch_{i}": {"loss": 0.5, "steps": [1, 2]} for i in range(2000)},
}


@pytest.mark.parametrize("name", OBJECTS)
def test_what_load_reads_all_read(run, tmp_path, name):  # noqa: F811
    path, objects = tmp_path / "a.pt", OBJECTS[name]
    save_torch({"model": {"w": tl.ones(2, 2)}, **objects}, path)
    loaded = load_torch(path)
    assert {key: loaded[key] for key in objects} == objects
    with open_weights(path) as source:
        assert source.names() == ["model.w"]
        (first,) = list(objects)[:1]
        assert any(key.split(".")[0] == first for key in source.metadata)
    assert run("inspect", path, "--json")[0] == 0
    assert run("convert", path, tmp_path / "a.safetensors")[0] == 0
    assert open_weights(tmp_path / "a.safetensors").names() == ["model.w"]


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("name", OBJECTS)
def test_as_python_pickles_it(name, protocol):
    raw = tb.archive(pickle.dumps(OBJECTS[name], protocol))
    assert load_torch(raw) == OBJECTS[name]
    assert open_torch(raw).tensors == {}


def test_one_object_in_very_many_places():
    """A list of 60 lists of 60 lists … all of which are one: names without end."""
    value: object = {"a": 1.5, "b": "x"}
    for _ in range(6):
        value = [value] * 60
    raw = tb.archive(pickle.dumps(value, 2))
    with pytest.raises(FormatError, match="shared very often"):
        open_torch(raw)


def test_one_long_name_before_very_many():
    raw = tb.archive(pickle.dumps({"k" * 100_000: [{"a": None} for _ in range(5000)]}, 2))
    with pytest.raises(FormatError, match="shared very often"):
        open_torch(raw)


# --- hashes that were chosen ----------------------------------------------------------------------


def colliding(count: int) -> list[int]:
    """Keys that fill the way of a dict's search from slot 0, then others that begin at slot 0."""
    mask = (1 << (3 * count).bit_length()) - 1
    at, filled = 0, []
    for _ in range(count // 2):
        filled.append(at)
        at = (at * 5 + 1) & mask
    return filled + [(i + 1) * (mask + 1) for i in range(count - len(filled))]


def played(keys, *, linear):
    refused: list[int] = []
    slots = HashTable([], linear=linear, refuse=refused.append)
    for key in keys:
        slots.add(key)
        if refused:
            break
    return slots._steps, bool(refused)


@pytest.mark.parametrize("linear", [False, True], ids=["dict", "set"])
def test_usual_keys_spread(linear):
    rng = random.Random(1)
    for make in (
        lambda i: i, lambda i: 8 * i, lambda i: i << 20, lambda i: i << 40, lambda i: -i,
        lambda i: rng.getrandbits(63), lambda i: i / 3, lambda i: float(i), lambda i: (i, i + 1),
        lambda i: (i % 7, str(i)), lambda i: 2**62 + 16 * i,
    ):  # fmt: skip
        small, large = (played(map(make, range(n)), linear=linear)[0] for n in (5000, 20_000))
        assert large < 32 * 20_000
        assert large <= 8 * small + 40_000  # linear, with a generous ratio


def test_chosen_integers_are_refused():
    keys = colliding(40_000)
    assert len(set(keys)) == 40_000
    raw = tb.archive(pickle.dumps(dict.fromkeys(keys), 2))
    for read in (load_torch, open_torch):
        with pytest.raises(FormatError, match="keys whose hashes spread, got .* chosen to collide"):
            read(raw)


@pytest.mark.parametrize("linear", [False, True], ids=["dict", "set"])
def test_the_look_itself_is_linear(linear):
    for count in (20_000, 80_000):
        steps, refused = played(colliding(count), linear=linear)
        assert steps <= 33 * count + (1 << 16) + count or refused


def test_a_repeated_key_costs_no_search():
    raw = tb.archive(pickle.dumps({"a": [{(1, 2): 3} for _ in range(5000)]}, 2))
    assert load_torch(raw)["a"][4999] == {(1, 2): 3}
