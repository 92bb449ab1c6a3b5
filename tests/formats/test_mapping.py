"""Mapping: what may not be opened, closing while tensors borrow, memory, and atomic writing."""

import gc
import json
import mmap
import os
import struct
import subprocess
import sys
import threading
import weakref
from types import SimpleNamespace

import numpy as np
import pytest

from open_files import open_files
from tallow.errors import ArgumentError, FormatError
from tallow.formats import mapping
from tallow.formats.gguf import open_gguf
from tallow.formats.mapping import FileMap, element_count, shown
from tallow.formats.safetensors import DTYPES, open_safetensors, open_safetensors_index
from tallow.tensor import tobytes

OPENERS = [open_gguf, open_safetensors, open_safetensors_index]
GB = 2**30


def gguf_file(path, size, sparse_to=None):
    """One i8 tensor "w" of `size` bytes; the data may be a hole on disk."""
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 0)
    head += struct.pack("<Q", 1) + b"w" + struct.pack("<IQIQ", 1, size, 24, 0)
    head += bytes(-len(head) % 32)
    with open(path, "wb") as file:
        file.write(head if sparse_to else head + bytes(range(256)) * (size // 256))
        file.truncate(sparse_to or len(head) + size)
    return path


def safetensors_file(path, size, sparse_to=None):
    head = b'{"w":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}' % (size, size)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(head)) + head)
        file.write(b"" if sparse_to else bytes(range(256)) * (size // 256))
        file.truncate(8 + len(head) + size)
    return path


FILES = [(open_gguf, gguf_file), (open_safetensors, safetensors_file)]
both_formats = pytest.mark.parametrize(("opener", "make"), FILES, ids=["gguf", "safetensors"])


@pytest.mark.parametrize("opener", OPENERS)
def test_missing_file(opener, tmp_path):
    with pytest.raises(FormatError, match=r"nothing: file: .*No such file"):
        opener(tmp_path / "nothing")


@pytest.mark.parametrize("opener", OPENERS)
def test_directory(opener, tmp_path):
    with pytest.raises(FormatError, match="a regular file, got a directory"):
        opener(tmp_path)


@pytest.mark.parametrize("opener", OPENERS)
def test_empty_file(opener, tmp_path):
    (tmp_path / "empty").touch()
    with pytest.raises(FormatError, match="empty: file: .*an empty file"):
        opener(tmp_path / "empty")


@pytest.mark.parametrize("opener", OPENERS)
def test_pipe_does_not_block(opener, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    caught = []

    def attempt():
        with pytest.raises(FormatError, match="a regular file, got a pipe") as error:
            opener(tmp_path / "pipe")
        caught.append(error)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(300)
    assert caught


@pytest.mark.parametrize("opener", OPENERS)
def test_device(opener):
    with pytest.raises(FormatError, match="a regular file, got a character device"):
        opener("/dev/zero")


@pytest.mark.parametrize("opener", OPENERS)
@pytest.mark.parametrize("path", ["a\0b", "\ud800", "a" * 5000], ids=["nul", "surrogate", "long"])
def test_impossible_path(opener, path):
    with pytest.raises(FormatError):
        opener(path)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("opener", OPENERS)
def test_no_permission(opener, tmp_path):
    (tmp_path / "secret").write_bytes(b"GGUF")
    (tmp_path / "secret").chmod(0)
    with pytest.raises(FormatError, match="Permission denied"):
        opener(tmp_path / "secret")


@pytest.mark.parametrize("opener", OPENERS)
def test_permission_error_of_the_system(opener, tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(FormatError, match="secret: file: .*Permission denied"):
        opener(tmp_path / "secret")


@both_formats
def test_path_may_be_text_or_pathlike(opener, make, tmp_path):
    path = make(tmp_path / "f", 512)
    for form in (path, str(path)):
        with opener(form) as file:
            assert file.path == str(path)
            assert file.tensors["w"].nbytes == 512


@both_formats
def test_data_is_borrowed_and_read_only(opener, make, tmp_path):
    with opener(make(tmp_path / "f", 512)) as file:
        data = file.data("w")
        assert data.obj is file.buffer.obj
        assert isinstance(data.obj, mmap.mmap)
        assert data.readonly
        assert data == bytes(range(256)) * 2


@both_formats
def test_borrowed_bytes_outlive_close_and_file(opener, make, tmp_path):
    path = make(tmp_path / "f", 512)
    with opener(path) as file:
        data = file.data("w")
        mapped = weakref.ref(data.obj)
    file.close()
    path.unlink()
    del file
    gc.collect()
    assert data == bytes(range(256)) * 2
    assert mapped() is not None
    data.release()
    del data
    assert mapped() is None, "the map goes with the last borrower, without the garbage collector"


@both_formats
def test_closed_file(opener, make, tmp_path):
    file = opener(make(tmp_path / "f", 512))
    mapped = file.buffer.obj
    file.close()
    file.close()
    assert mapped.closed
    assert "closed" in repr(file)
    assert file.tensors["w"].nbytes == 512
    for use in (lambda: file.buffer, lambda: file.data("w")):
        with pytest.raises(ArgumentError, match="closed"):
            use()


def in_memory(raw, kind):
    """`raw` as an object of `kind`: the content of a file that needs no file."""
    if kind == "mmap":
        copy = mmap.mmap(-1, len(raw))
        copy[:] = raw
        return copy
    if kind == "numpy":
        return np.frombuffer(raw, np.uint8)
    if kind == "u32":
        return memoryview(raw + bytes(-len(raw) % 4)).cast("I")
    return {"bytes": bytes, "bytearray": bytearray, "memoryview": memoryview}[kind](raw)


BYTES_LIKE = ["bytes", "bytearray", "memoryview", "mmap", "numpy"]


@pytest.mark.parametrize("kind", BYTES_LIKE)
@both_formats
def test_bytes_are_opened_like_a_file(opener, make, tmp_path, kind):
    raw = make(tmp_path / "f", 512).read_bytes()
    source = in_memory(raw, kind)
    with opener(source) as file:
        assert file.path == f"<{type(source).__name__}>"
        assert len(file.buffer) == len(raw)
        tensor, data = file.tensor("w"), file.data("w")
    assert data.readonly
    assert data == bytes(range(256)) * 2
    address = np.frombuffer(source, np.uint8).ctypes.data
    assert address <= tensor.data_ptr() < address + len(raw), "borrowed, not copied"
    tensor.fill_(7)
    assert bytes(source) == raw, "the first write copies"
    assert bytes(data) == bytes(range(256)) * 2


@both_formats
def test_tensors_of_bytes_keep_them_alive(opener, make, tmp_path):
    class Owner(bytearray):
        pass

    source = Owner(make(tmp_path / "f", 512).read_bytes())
    gone = weakref.ref(source)
    file = opener(source)
    tensor = file.tensor("w")
    file.close()
    with pytest.raises(BufferError):
        source.append(1)
    del source, file
    assert gone() is not None
    assert bytes(x % 256 for x in tensor.tolist()) == bytes(range(256)) * 2
    del tensor
    assert gone() is None


def test_wider_elements_are_seen_as_bytes(tmp_path):
    raw = gguf_file(tmp_path / "f", 512).read_bytes()
    with open_gguf(in_memory(raw, "u32")) as file:
        assert file.data("w") == bytes(range(256)) * 2


@pytest.mark.parametrize("opener", [open_gguf, open_safetensors])
def test_what_is_neither_path_nor_bytes(opener):
    with pytest.raises(ArgumentError, match=r"contiguous bytes-like .*got <int"):
        opener(3)
    with pytest.raises(ArgumentError, match="gaps"):
        opener(memoryview(bytes(64))[::2])
    with pytest.raises(ArgumentError, match="gaps or another order"):
        opener(np.zeros((8, 8), np.uint8).T)
    for nothing in (b"", bytearray(), np.zeros((0, 3), np.uint8)):
        with pytest.raises(FormatError, match="at least one byte, got no bytes"):
            opener(nothing)


def test_an_index_needs_a_folder():
    with pytest.raises(ArgumentError, match="open_safetensors_index: expected a path, got bytes"):
        open_safetensors_index(b"{}")


@pytest.mark.parametrize("shape", [(1,) * 13, (1,) * 4000], ids=len)
def test_shape_that_no_array_can_have(shape):
    head = json.dumps({"w": {"dtype": "U8", "shape": shape, "data_offsets": [0, 1]}})
    file = open_safetensors(struct.pack("<Q", len(head)) + head.encode() + b"x")
    with pytest.raises(FormatError, match="tensor 'w' shape: expected a shape that Tallow can"):
        file.tensor("w")


def test_find_agrees_for_files_and_bytes(tmp_path):
    raw = b"ab\nc.d\n\n"
    (tmp_path / "f").write_bytes(raw)
    for file in (FileMap(tmp_path / "f"), FileMap(raw)):
        for part in (b"\n", b".", b"d\n", b"x"):
            for start in range(len(raw) + 1):
                assert file.find(part, start) == raw.find(part, start)
        file.close()
        with pytest.raises(ArgumentError, match="closed"):
            file.find(b"a")


@both_formats
def test_unknown_tensor_names_the_nearest(opener, make, tmp_path):
    with opener(make(tmp_path / "f", 512)) as file:
        with pytest.raises(FormatError, match=r"f: tensor 'ww': .*close ones are 'w'"):
            file.data("ww")
        with pytest.raises(FormatError, match="no such name"):
            file.data("x" * 100_000)


@both_formats
def test_file_shortened_after_opening(opener, make, tmp_path):
    path = make(tmp_path / "f", 8192)
    with opener(path) as file:
        os.truncate(path, 4096)
        with pytest.raises(FormatError, match=r"tensor 'w': .*as when opened, got 4096 bytes"):
            file.data("w")


@both_formats
def test_no_descriptor_stays_open_after_an_error(opener, make, tmp_path):
    path = tmp_path / "bad"
    path.write_bytes(make(tmp_path / "f", 512).read_bytes()[:-1])
    for _ in range(20):
        with pytest.raises(FormatError):
            opener(path)
    assert open_files(tmp_path) == []


MEASURE = """
import resource, sys
from {module} import {opener} as opener
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
file = opener(sys.argv[1])
data = file.data("w")
assert len(data) == 8 * 2**30
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ru_maxrss in KiB, sparse files")
@both_formats
def test_opening_reads_no_tensor(opener, make, tmp_path):
    path = make(tmp_path / "f", 8 * GB, sparse_to=9 * GB)
    code = MEASURE.format(module=opener.__module__, opener=opener.__name__)
    done = subprocess.run(
        [sys.executable, "-c", code, path],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 4096, "KiB of resident memory for a file of 8 GiB"


def test_helpers():
    assert element_count(()) == 1
    assert element_count((2, 3, 0)) == 0
    assert element_count((2**62, 2)) is None
    assert element_count((2**62, 2, 0)) is None
    assert len(shown("x" * 10_000)) < 100
    assert len(shown([1] * 10_000)) < 100
    assert shown("\ud800\n") == "'\\ud800\\n'"


@pytest.mark.parametrize("dtype", ["F64", "I16", "BF16", "F8_E4M3", "C64"])
def test_tensors_at_odd_addresses_are_copied_to_even_ones(dtype):
    size = DTYPES[dtype].bits // 8
    data = bytes(range(1, 4 * size + 1))
    entries = {
        "a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]},
        "w": {"dtype": dtype, "shape": [4], "data_offsets": [1, 1 + len(data)]},
    }
    head = json.dumps(entries).encode()
    head += b" " * (-len(head) % 16)
    with open_safetensors(struct.pack("<Q", len(head)) + head + b"x" + data) as file:
        tensor = file.tensor("w")
        assert tensor.data_ptr() % (4 if dtype == "C64" else size) == 0
        assert tobytes(tensor) == data == bytes(file.data("w"))


def test_large_files_ask_for_large_pages(tmp_path, monkeypatch):
    asked = []

    class Map(mmap.mmap):
        def madvise(self, advice):
            asked.append((len(self), advice))
            raise OSError  # a system that does not know it

    known = SimpleNamespace(mmap=Map, ACCESS_READ=mmap.ACCESS_READ, MADV_HUGEPAGE=14)
    monkeypatch.setattr(mapping, "mmap", known)
    monkeypatch.setattr(mapping, "_LARGE", 64)
    for size in (63, 64):
        path = tmp_path / str(size)
        path.write_bytes(bytes(size))
        assert mapping.FileMap(path).size == size
    assert asked == [(64, 14)]
