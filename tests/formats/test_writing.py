"""Writing: bytes of tensors, lent or copied in pieces, and files replaced as a whole."""

import gc
import os
import stat
import struct

import numpy as np
import pytest

import tallow as tl
from formats.test_mapping import gguf_file
from tallow.borrowing import from_buffer
from tallow.dtype import by_name
from tallow.errors import FormatError
from tallow.formats import replacing
from tallow.formats.gguf import open_gguf
from tallow.formats.writing import replace_file, tensor_bytes


def pieces(tensor, most):
    """The pieces of `tensor_bytes`, and whether each lies in the memory of the tensor."""
    start = tensor.data_ptr()
    made = []
    for piece in tensor_bytes(tensor, most):
        at = np.frombuffer(piece, np.uint8).ctypes.data
        made.append((bytes(piece), start <= at < start + tensor.nbytes))
    return made


@pytest.mark.parametrize("most", [1, 7, 64, 10**6])
@pytest.mark.parametrize("dtype", ["u8", "f32", "bf16", "f8e5m2", "complex64", "bool"])
def test_memory_of_contiguous_tensors_is_lent(dtype, most):
    raw = bytes(i % 2 for i in range(240))
    tensor = from_buffer(raw, dtype, (3, 240 // 3 // by_name(dtype).itemsize))
    made = pieces(tensor, most)
    assert b"".join(piece for piece, _ in made) == raw
    assert all(lent for _, lent in made)
    assert max(len(piece) for piece, _ in made) <= most


@pytest.mark.parametrize("most", [4, 64, 10**6])
def test_views_are_copied_in_pieces(most):
    array = np.arange(2 * 6 * 10 * 8, dtype=np.int32).reshape(2, 6, 10, 8)
    for view in (array.T, array[:, ::2], array[..., ::-1], array[:1, :, 3], array[:0]):
        made = pieces(tl.from_numpy(view), most)
        assert b"".join(piece for piece, _ in made) == view.tobytes()
        assert all(len(piece) <= max(most, 4) for piece, _ in made)


def test_lent_memory_keeps_its_tensor():
    piece = next(tensor_bytes(tl.full((1000,), 7, dtype="u8"), 10))
    gc.collect()
    others = [tl.zeros(1000, dtype="u8") for _ in range(100)]
    assert bytes(piece) == b"\7" * 10
    assert piece.readonly
    del others


def test_bytes_of_block_dtypes():
    raw = os.urandom(4 * 2 * 18)
    blocks = from_buffer(raw, "q4_0", (4, 64))
    assert b"".join(tensor_bytes(blocks, 50)) == raw
    cut = np.frombuffer(raw, np.uint8).reshape(4, 2, 18)[1:3, 1:].tobytes()
    assert b"".join(tensor_bytes(blocks[1:3, 32:], 50)) == cut
    assert b"".join(tensor_bytes(from_buffer(b"", "q4_0", (0, 32)))) == b""
    assert b"".join(tensor_bytes(tl.tensor(1.5))) == struct.pack("<f", 1.5)


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


def test_pieces(tmp_path, monkeypatch):
    sizes, write = [], replacing.PieceWriter._write

    def record(self, data):
        sizes.append(len(data))
        write(self, data)

    monkeypatch.setattr(replacing, "PIECE", 100)
    monkeypatch.setattr(replacing.PieceWriter, "_write", record)
    chunks = [bytes([i]) * n for i, n in enumerate((30, 250, 20, 100, 7, 0, 300))]
    path = tmp_path / "made"
    replace_file(path, chunks)
    assert path.read_bytes() == b"".join(chunks)
    assert [n for n in sizes if n] == [100] * 7 + [7]
