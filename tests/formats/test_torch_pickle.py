"""The pickle interpreter: values as `pickle` gives them, nothing else, in bounded time and memory.

What must be refused is in tests/hostile/corpora/_pickles.py.
"""

import argparse
import pickle
import pickletools
import threading
import tracemalloc
import types
from collections import Counter, OrderedDict, defaultdict, deque
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import torch_bytes as tb
from tallow.errors import FormatError
from tallow.formats.torch_pickle import NumpyArray, load_torch, open_torch
from tallow.formats.torch_pickle.allowed import names_for
from tallow.formats.torch_pickle.machine import Machine
from tallow.formats.torch_pickle.opcodes import run

ROOT = Path(__file__).resolve().parents[1] / "golden" / "torch"

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBERS = st.integers(-(2**63), 2**64 - 1)
SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**400), 2**400) | st.floats(allow_nan=False) | TEXT
    | st.binary(max_size=300) | st.complex_numbers(allow_nan=False)
)  # fmt: skip
KEYS = st.none() | st.booleans() | NUMBERS | TEXT | st.tuples(NUMBERS, TEXT)
VALUES = st.recursive(
    SCALARS | st.sets(KEYS, max_size=5) | st.frozensets(KEYS, max_size=5),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.lists(inner, max_size=5).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=5)
        | st.dictionaries(KEYS, inner, max_size=5).map(OrderedDict)
        | st.lists(inner, max_size=5).map(deque)
    ),
    max_leaves=30,
)


def interpret(raw):
    return run(Machine("a", "data.pkl", memoryview(raw), names_for()))


@pytest.mark.parametrize("protocol", range(1, 6))
@given(VALUES)
def test_values_are_those_of_pickle(protocol, value):
    raw = pickle.dumps(value, protocol)
    found = interpret(raw)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("protocol", range(1, 6))
def test_every_protocol_reads_plain_values(protocol):
    value = {"a": [1, -2, 2**70, 0.5, True, None, ("x", "größer")], "b": {3: [(), (1,), (1, 2)]}}
    assert interpret(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("protocol", range(2, 6))
def test_containers_of_the_standard_library(protocol):
    counted = defaultdict(list, {"a": [1]})
    value = [Counter("abca"), counted, deque([1, 2], 5), bytearray(b"ab"), slice(1, None, 2)]
    found = interpret(pickle.dumps(value, protocol))
    assert found == value
    assert found[1].default_factory is list
    assert found[2].maxlen == 5


NUMPY = ["?", "i1", "u2", "<i4", ">i4", "u8", "f2", ">f4", "f8", "c8", ">c16", "S3", "<U2", ">U2"]


@pytest.mark.parametrize("protocol", range(1, 6))
@pytest.mark.parametrize("code", NUMPY)
def test_arrays_and_scalars_of_numpy(protocol, code):
    grid = np.arange(6).reshape(2, 3).astype(code)
    for array in (grid, np.asfortranarray(grid), grid[:0], np.array(grid[0, 0])):
        found = interpret(pickle.dumps(array, protocol))
        assert isinstance(found, NumpyArray)
        np.testing.assert_array_equal(found.numpy(), array)
        assert found.numpy().dtype == array.dtype
    scalar = interpret(pickle.dumps(grid[1, 2], protocol))
    assert scalar == grid[1, 2].item()
    assert type(scalar) is type(grid[1, 2].item())


@pytest.mark.parametrize("protocol", range(1, 6))
@pytest.mark.parametrize("kind", [argparse.Namespace, types.SimpleNamespace])
def test_options_are_records(protocol, kind):
    found = interpret(pickle.dumps([kind(lr=0.1, sizes=[1, 2]), kind()], protocol))
    assert [record.attributes for record in found] == [{"lr": 0.1, "sizes": [1, 2]}, {}]
    assert {record.name for record in found} == {f"{kind.__module__}.{kind.__name__}"}


def test_an_admitted_class_that_is_a_mapping_or_a_list_keeps_its_items():
    raw = b"\x80\x02cmy\nBox\n)\x81(K\1K\2u](K\3K\4eb."
    names = names_for(["my.Box"])
    found = run(Machine("a", "data.pkl", memoryview(raw), names))
    assert (found.entries, found.attributes) == ({1: 2}, {"state": [3, 4]})
    raw = b"\x80\x02cmy\nBox\n)R(K\3K\4e."
    assert run(Machine("a", "data.pkl", memoryview(raw), names)).values == [3, 4]


def test_a_parameter_of_old_files_is_a_tensor_that_asks_for_gradients():
    made = b"ctorch.nn.parameter\nParameter\n(" + tb.tensor() + b"\x88t\x81"
    raw = tb.archive(tb.one(made), {"0": bytes(16)})
    assert load_torch(raw)["x"].requires_grad


def test_a_tensor_that_a_device_stored_as_one_of_the_cpu_is_that_one():
    made = b"ctorch._utils\n_rebuild_device_tensor_from_cpu_tensor\n("
    made += tb.tensor() + b"ctorch\nfloat32\n" + tb.text("xla:0") + b"\x89tR"
    with open_torch(tb.archive(tb.one(made), {"0": bytes(16)})) as file:
        assert file.tensors["x"].shape == (4,)
        assert file.tensor("x").tolist() == [0, 0, 0, 0]


def test_a_storage_alone_is_a_tensor_by_name():
    raw = tb.archive(tb.one(tb.storage()), {"0": bytes(16)})
    with open_torch(raw) as file:
        assert file.tensor("x").shape == (4,)
        assert file.load()["x"].nbytes == 16


def test_shared_objects_stay_shared_and_loops_closed():
    inner, loop = [1], {}
    loop["me"] = loop
    loop["pair"] = (inner, inner)
    found = interpret(pickle.dumps(loop, 2))
    assert found["me"] is found
    assert found["pair"][0] is found["pair"][1]


def test_a_memo_with_gaps_is_read():
    value = [["a", "b"], "a", ["c"]]
    raw = pickletools.optimize(pickle.dumps([*value, value[0]], 2))
    found = interpret(raw)
    assert found == [*value, value[0]]
    assert found[3] is found[0]


def test_texts_of_python_2_are_texts_where_they_can_be():
    assert interpret(b"\x80\x02]q\0(U\3abcU\2\xff\xfeT\1\0\0\0xe.") == ["abc", b"\xff\xfe", "x"]


def test_what_uses_every_opcode_of_checkpoints_is_read():
    """The goldens use what PyTorch writes; that none of their opcodes is missing is seen there."""
    for path in ROOT.glob("*.pt"):
        with open_torch(path):
            pass


@pytest.mark.parametrize("name", ["views.pt", "views-legacy.pt", "script.pt", "numpy.pt"])
def test_every_truncation_is_refused(name):
    raw = (ROOT / name).read_bytes()
    for end in range(1, len(raw), 1 if len(raw) < 3000 else 7):
        with pytest.raises(FormatError):
            open_torch(raw[:end])


def test_names_of_a_pickle_are_never_looked_up(monkeypatch):
    """Not even a class that is imported already is reached by its name."""
    called = []
    monkeypatch.setattr(pickle, "evil", lambda *_: called.append(1), raising=False)
    monkeypatch.setattr("builtins.__import__", lambda *_, **__: called.append(2))
    raw = b"\x80\x02cpickle\nevil\n)R."
    try:
        with pytest.raises(FormatError, match="global 'pickle.evil': expected one of the"):
            interpret(raw)
    finally:
        monkeypatch.undo()
    assert not called


def test_a_bomb_of_shared_lists_costs_nothing():
    """2^60 elements by name: the object is as small as its file, only its names are too many."""
    core = b"](K\1K\2eq\0"
    for level in range(60):
        core += b"0](" + bytes((ord("h"), level)) * 2 + b"eq" + bytes((level + 1,))
    pickled = tb.pickled(b"}" + tb.text("x") + tb.tensor() + tb.text("bomb") + core + b"u")
    pickled = pickled.replace(b"\x80\x02}", b"\x80\x02}(", 1)
    raw = tb.archive(pickled, {"0": bytes(16)})
    tracemalloc.start()
    with pytest.raises(FormatError, match="objects: expected each in a place or two"):
        open_torch(raw)
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()
    loaded = load_torch(raw)["bomb"]
    for _ in range(60):
        assert loaded[0] is loaded[1]
        loaded = loaded[0]
    assert loaded == [1, 2]


def test_an_object_in_itself_is_named_once():
    loop = b"}(" + tb.text("x") + tb.tensor() + tb.text("list") + b"]q\7h\7ah\7au"
    with open_torch(tb.archive(tb.pickled(loop), {"0": bytes(16)})) as file:
        assert [*file.tensors] == ["x"]
        loaded = file.load()["list"]
        assert loaded[0] is loaded
        assert loaded[1] is loaded


def test_a_deep_object_is_read_without_recursion():
    depth = 5000
    nested = b"]" * depth + b"a" * (depth - 1)
    pickled = tb.pickled(b"(" + tb.tensor() + nested + b"t")
    loaded = load_torch(tb.archive(pickled, {"0": bytes(16)}))[1]
    for _ in range(depth - 1):
        (loaded,) = loaded
    assert loaded == []


def test_attributes_of_an_ordered_dict_are_kept():
    value = OrderedDict(a=1)
    value._metadata = {"": {"version": 1}}
    found = interpret(pickle.dumps(value, 2))
    assert found == value
    assert found._metadata == {"": {"version": 1}}


def test_two_threads_may_load_one_file():
    with open_torch(ROOT / "checkpoint-legacy.pt") as file:
        found = []
        threads = [
            threading.Thread(target=lambda: found.append(file.load()["epoch"])) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == [3] * 8
