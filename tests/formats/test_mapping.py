"""Mapping: what may not be opened, closing while tensors borrow, memory, and atomic writing."""

import gc
import mmap
import os
import stat
import struct
import subprocess
import sys
import threading
import weakref

import pytest

from tallow.errors import ArgumentError, FormatError
from tallow.formats.gguf import open_gguf
from tallow.formats.mapping import element_count, replace_file, shown
from tallow.formats.safetensors import open_safetensors, open_safetensors_index

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
    thread.join(10)
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
def test_path_may_be_text_bytes_or_pathlike(opener, make, tmp_path):
    path = make(tmp_path / "f", 512)
    for form in (path, str(path), os.fsencode(path)):
        with opener(form) as file:
            assert file.path == str(path)
            assert file.tensors["w"].nbytes == 512


@both_formats
def test_data_is_borrowed_and_read_only(opener, make, tmp_path):
    with opener(make(tmp_path / "f", 512)) as file:
        data = file.data("w")
        assert data.obj is file.buffer
        assert isinstance(file.buffer, mmap.mmap)
        assert data.readonly
        assert data == bytes(range(256)) * 2


@both_formats
def test_borrowed_bytes_outlive_close_and_file(opener, make, tmp_path):
    path = make(tmp_path / "f", 512)
    with opener(path) as file:
        data = file.data("w")
        buffer = weakref.ref(file.buffer)
    file.close()
    path.unlink()
    del file
    gc.collect()
    assert data == bytes(range(256)) * 2
    assert buffer() is not None
    data.release()
    del data
    assert buffer() is None, "the map goes with the last borrower, without the garbage collector"


@both_formats
def test_closed_file(opener, make, tmp_path):
    file = opener(make(tmp_path / "f", 512))
    buffer = file.buffer
    file.close()
    file.close()
    assert buffer.closed
    assert "closed" in repr(file)
    assert file.tensors["w"].nbytes == 512
    for use in (lambda: file.buffer, lambda: file.data("w")):
        with pytest.raises(ArgumentError, match="closed"):
            use()


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
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        with pytest.raises(FormatError):
            opener(path)
    assert len(os.listdir("/proc/self/fd")) == before


MEASURE = """
import resource, sys
from tallow.formats.{module} import {opener} as opener
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
    module = opener.__module__.rpartition(".")[2]
    code = MEASURE.format(module=module, opener=opener.__name__)
    done = subprocess.run(
        [sys.executable, "-c", code, path],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 4096, "KiB of resident memory for a file of 8 GiB"


def test_replace_file_leaves_the_old_file_on_failure(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"old")

    def chunks():
        yield b"new"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replace_file(path, chunks())
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["f"]


def test_replace_file_keeps_what_is_mapped(tmp_path):
    path = gguf_file(tmp_path / "f", 512)
    with open_gguf(path) as file:
        replace_file(path, [b"other"])
        assert file.data("w") == bytes(range(256)) * 2
    assert path.read_bytes() == b"other"


def test_replace_file_reports_the_system(tmp_path):
    with pytest.raises(FormatError, match="can be written, got No such file"):
        replace_file(tmp_path / "no" / "f", [b""])
    with pytest.raises(FormatError, match="NUL"):
        replace_file("a\0b", [b""])


def test_replace_file_takes_the_usual_permissions(tmp_path):
    old = os.umask(0o022)
    try:
        replace_file(tmp_path / "f", [b"x"])
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o644


def test_helpers():
    assert element_count(()) == 1
    assert element_count((2, 3, 0)) == 0
    assert element_count((2**62, 2)) is None
    assert element_count((2**62, 2, 0)) is None
    assert len(shown("x" * 10_000)) < 100
    assert len(shown([1] * 10_000)) < 100
    assert shown("\ud800\n") == "'\\ud800\\n'"
