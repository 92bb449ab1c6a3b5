"""Reading takes time linear in the file: lines that run are counted for a file and one 4 times it.

What no line of Python shows (hashes that collide) is in tests/formats/test_torch_objects.py.
"""

from __future__ import annotations

import json
import pickle
import struct
import sys

import numpy as np
import pytest

import tallow as tl
import torch_bytes as tb
from cli.conftest import run  # noqa: F401  the fixture
from tallow.errors import FormatError
from tallow.formats.gguf import Typed, save_gguf
from tallow.formats.npy import save_npz
from tallow.formats.safetensors import save_safetensors
from tallow.formats.torch_pickle import save_torch
from tallow.weights import open_weights

RATIO = 7  # a file 4 times as long may take so many times the lines; a square would take 16


def lines_of(call) -> int:
    """How many lines of Python run in a call."""
    count = 0

    def trace(frame, event, arg):
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


def tiny(n):
    return {f"t{i}": tl.ones(1) for i in range(n)}


def saved(save):
    return lambda path, n: save(tiny(n), path)


def gguf_keys(path, n):
    save_gguf({}, path, {f"key.{i}": Typed("str", "x" * (i % 9)) for i in range(n)})


def gguf_strings(path, n):
    save_gguf({}, path, {"tokens": Typed("arr[str]", [f"t{i}" for i in range(20 * n)])})


def index(path, n):
    save_safetensors(tiny(n), path.with_name("m.safetensors"))
    places = {f"t{i}": "m.safetensors" for i in range(n)}
    path.write_text(json.dumps({"metadata": {}, "weight_map": places}))


def pickled(make):
    return lambda path, n: path.write_bytes(tb.archive(pickle.dumps(make(n), 2)))


def nested(path, n):
    path.write_bytes(tb.archive(b"\x80\2" + b"]q\0" * n + b"a" * (n - 1) + b"."))


def deflated(path, n):
    with path.open("wb") as file:
        np.savez_compressed(file, **{f"t{i}": np.ones(1) for i in range(n)})


FILES = {
    "safetensors": (saved(save_safetensors), 200),
    "gguf": (saved(save_gguf), 200),
    "gguf keys": (gguf_keys, 200),
    "gguf strings": (gguf_strings, 200),
    "npz": (saved(save_npz), 100),
    "npz deflated": (deflated, 100),
    "torch": (saved(save_torch), 100),
    "index": (index, 200),
    "nested lists": (nested, 100),
    "memo": (pickled(lambda n: [f"text {i}" for i in range(n)] * 2), 400),
    "dicts": (pickled(lambda n: {f"k{i}": {"a": i} for i in range(n)}), 300),
    "numbers as keys": (pickled(lambda n: {i: i for i in range(10 * n)}), 300),
}


@pytest.mark.parametrize("name", FILES)
def test_reading_is_linear(tmp_path, name):
    write, n = FILES[name]
    counts = []
    for size in (n, 4 * n):
        path = tmp_path / f"f{size}"
        write(path, size)

        def read(path=path):
            with open_weights(path) as source:
                for tensor in source.names():
                    source.info(tensor)

        read()  # imports and caches
        counts.append(lines_of(read))
    assert counts[1] <= RATIO * counts[0] + 2000


# --- headers of a zip archive that overlap --------------------------------------------------------


def overlapping(count: int, length: int = 60_000) -> bytes:
    """Members whose local extra fields reach over the headers of all that follow."""
    heads, directory = bytearray(), bytearray()
    extra = b"\x99\x99\0\0" * (length // 4)
    for i in range(count):
        name = f"archive/{i:04}".encode()
        local = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 0, 0, 0, 0, 0, 0, len(name), length)
        directory += struct.pack(
            "<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, 0, 0, 0, 0, 0, 0, len(name), 0, 0, 0, 0, 0,
            len(heads),
        ) + name  # fmt: skip
        heads += local + name
    heads += extra + extra
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, count, count, len(directory), len(heads), 0)
    return bytes(heads + directory + end)


def test_extra_fields_that_overlap_are_not_read_over_and_over(tmp_path):
    def read(count):
        with pytest.raises(FormatError, match="member"):
            open_weights(overlapping(count))

    read(20)
    small, large = (lines_of(lambda count=count: read(count)) for count in (300, 1200))
    assert large <= RATIO * small + 2000
    assert large < 300_000


# --- few bytes that stand for many ----------------------------------------------------------------


def repeated(path, shape, strides):
    stored = tb.tensor(tb.storage(count=4), 0, shape, strides)
    path.write_bytes(tb.archive(b"\x80\2}" + tb.text("w") + stored + b"s.", {"0": bytes(16)}))


@pytest.mark.parametrize("command", ["convert", "diff"])
def test_a_tensor_that_repeats_one_element_is_not_expanded(run, tmp_path, command):  # noqa: F811
    path = tmp_path / "a.pt"
    repeated(path, (1 << 20, 1 << 20), (0, 0))
    assert path.stat().st_size < 2000
    arguments = (command, path, tmp_path / "out.npz" if command == "convert" else path)
    code, _, err = run(*arguments)
    assert code == 1 and err.count("\n") == 1
    assert "expected tensors of at most 16 times the" in err and "--max-expansion" in err
    assert [file.name for file in tmp_path.iterdir()] == ["a.pt"]


def test_the_limit_can_be_raised(run, tmp_path):  # noqa: F811
    path = tmp_path / "a.pt"
    repeated(path, (1 << 12, 1 << 13), (0, 0))
    assert run("convert", path, tmp_path / "out.npz")[0] == 1
    code, _, err = run("convert", path, tmp_path / "out.npz", "--max-expansion", 1e6)
    assert code == 0, err
    assert open_weights(tmp_path / "out.npz").info("w").shape == (1 << 12, 1 << 13)
    assert run("diff", path, path)[0] == 1
    assert run("diff", path, tmp_path / "out.npz", "--max-expansion", 1e6)[0] == 0


def test_many_names_of_one_storage(run, tmp_path):  # noqa: F811
    """Each tensor is small, all together are not."""
    whole = tl.ones(1 << 16)
    save_torch({f"t{i}": whole[:] for i in range(1000)}, tmp_path / "a.pt")
    code, _, err = run("convert", tmp_path / "a.pt", tmp_path / "out.npz")
    assert code == 1 and "--max-expansion" in err


@pytest.mark.parametrize("digits", ["9" * 5000, "1" + "0" * 400, "-" + "9" * 5000])
def test_numbers_of_very_many_digits(tmp_path, digits):
    header = f'{{"w":{{"dtype":"F32","shape":[{digits}],"data_offsets":[0,{digits}]}}}}'.encode()
    with pytest.raises(FormatError):
        open_weights(struct.pack("<Q", len(header)) + header + bytes(8))
    path = tmp_path / "model.safetensors.index.json"
    path.write_text(
        f'{{"metadata": {{"total_size": {digits}}}, "weight_map": {{"a": "b.safetensors"}}}}'
    )
    with pytest.raises(FormatError):
        open_weights(path)
