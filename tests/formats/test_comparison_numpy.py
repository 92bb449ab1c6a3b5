"""Cells of docs/guide/formats.md that need no further package: pickle, numpy, safetensors, GGUF."""

import io
import json
import os
import pickle
import struct
import sys
from contextlib import contextmanager

import numpy as np
import pytest

from formats.comparison import (
    COUNT,
    LARGE,
    TOUCHED,
    Counting,
    Evil,
    cell,
    f32,
    lies_in,
    places,
    print_touched,
    small,
    touched,
)
from tallow.errors import FormatError
from tallow.formats.gguf import open_gguf
from tallow.formats.safetensors import open_safetensors

# --- pickle ---------------------------------------------------------------------------------------


@cell("pickle", "safe", "no")
def test_pickle_safe(tmp_path):
    pickle.loads(pickle.dumps(Evil(tmp_path / "made")))
    assert (tmp_path / "made").is_dir(), "opening the file did what it says"


@cell("pickle", "zero-copy", "no")
def test_pickle_zero_copy():
    raw = pickle.dumps({"a": f32()})
    assert not lies_in(pickle.loads(raw)["a"], raw)


@cell("pickle", "lazy", "no")
def test_pickle_lazy():
    raw = pickle.dumps({"a": f32(), "b": f32(4)})
    file = Counting(raw)
    pickle.load(file)
    assert file.count >= len(raw) - 64


@pytest.mark.plain_memory
@cell("pickle", "size limit", "none")
def test_pickle_size_limit():
    binbytes8 = b"\x80\x04\x8e" + struct.pack("<Q", LARGE)
    with pytest.raises(pickle.UnpicklingError, match="truncated"):  # not: too large
        pickle.loads(binbytes8 + b"x")


@cell("pickle", "layout control", "no")
def test_pickle_layout_control():
    assert any(at % 4 for at in places(pickle.dumps(small()), 4)), "floats at odd places"


@cell("pickle", "flexibility", "yes")
def test_pickle_flexibility():
    value = {"nested": [1, (2, {3})], "when": slice(1, None), "array": f32(2)}
    back = pickle.loads(pickle.dumps(value))
    assert back["nested"] == value["nested"] and back["when"] == value["when"]


@cell("pickle", "bf16/fp8", "yes")
def test_pickle_bf16_fp8():
    import ml_dtypes

    for dtype in (ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn):
        back = pickle.loads(pickle.dumps(np.ones(3, dtype)))
        assert back.dtype == dtype


# --- numpy ----------------------------------------------------------------------------------------


@cell("npy, npz", "safe", "yes")
def test_npy_npz_safe(tmp_path):
    """Arrays of objects are pickles, and refused unless the caller insists."""
    made = io.BytesIO()
    np.save(made, np.array([Evil(tmp_path / "made")], object), allow_pickle=True)
    with pytest.raises(ValueError, match="allow_pickle"):
        np.load(io.BytesIO(made.getvalue()))
    assert not (tmp_path / "made").exists()


@cell("npy, npz", "zero-copy", "partly")
def test_npy_npz_zero_copy(tmp_path):
    """numpy maps npy files, never the members of an npz."""
    np.save(tmp_path / "w.npy", f32())
    np.savez(tmp_path / "w.npz", w=f32())
    array = np.load(tmp_path / "w.npy", mmap_mode="r")
    assert isinstance(array, np.memmap) and array[5] == 5
    with np.load(tmp_path / "w.npz", mmap_mode="r") as file:
        assert not isinstance(file["w"], np.memmap)


@cell("npy, npz", "lazy", "yes")
def test_npy_npz_lazy():
    made = io.BytesIO()
    np.savez(made, large=f32(), small=f32(4))
    counting = Counting(made.getvalue())
    with np.load(counting) as file:
        assert file["small"][3] == 3
    assert counting.count < COUNT


@cell("npy, npz", "size limit", "none")
def test_npy_npz_size_limit(tmp_path):
    path = tmp_path / "w.npy"
    made = np.lib.format.open_memmap(path, "w+", np.uint8, (LARGE,))
    made[-1] = 7
    del made
    assert os.stat(path).st_blocks * 512 < 1 << 20, "a file of holes"
    assert np.load(path, mmap_mode="r")[-1] == 7


@cell("npy, npz", "layout control", "partly")
def test_npy_npz_layout_control():
    """An npy file's array begins at a multiple of 64; in an npz it does not, as a whole."""
    npy = io.BytesIO()
    np.save(npy, small()["n"])
    assert places(npy.getvalue(), 1)[0] % 64 == 0
    npz = io.BytesIO()
    np.savez(npz, **small())
    found = places(npz.getvalue(), 4)
    assert found == sorted(found) and any(at % 64 for at in found)


@cell("npy, npz", "flexibility", "no")
def test_npy_npz_flexibility():
    with pytest.raises(ValueError, match="allow_pickle"):
        np.save(io.BytesIO(), {"a": 1}, allow_pickle=False)


@cell("npy, npz", "bf16/fp8", "no")
def test_npy_npz_bf16_fp8():
    import ml_dtypes

    for dtype in (ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn):
        made = io.BytesIO()
        np.save(made, np.ones(3, dtype))
        assert np.load(io.BytesIO(made.getvalue())).dtype.kind == "V", "the name is lost"


# --- safetensors ----------------------------------------------------------------------------------


def safetensors_bytes(header, data=b""):
    raw = json.dumps(header).encode()
    raw += b" " * (-len(raw) % 8)
    return struct.pack("<Q", len(raw)) + raw + data


def sparse(path, head, size, tail):
    """A file of `head`, holes up to `size` further bytes, of which the last are `tail`."""
    with open(path, "wb") as file:
        file.write(head)
        file.seek(len(head) + size - len(tail))
        file.write(tail)


@cell("safetensors", "safe", "yes")
def test_safetensors_safe():
    """Both readers refuse every file of the hostile corpus that stands for a rule of the format."""
    from safetensors import SafetensorError, deserialize

    from hostile.corpora import safetensors as corpus

    ours_only = {"name-twice", "name-twice-by-escape", "metadata-twice", "metadata-key-twice",
                 "entry-a-list", "entry-key-twice"}  # fmt: skip
    for name, (raw, _) in corpus.CORPUS.items():
        with pytest.raises(FormatError):
            corpus.open_file(raw).close() if raw else open_safetensors(b"")
        if name.removesuffix(".safetensors") not in ours_only:
            with pytest.raises(SafetensorError):
                deserialize(raw)


@cell("safetensors", "zero-copy", "yes")
def test_safetensors_zero_copy(tmp_path):
    from safetensors.numpy import save_file

    save_file({"w": f32()}, tmp_path / "w.safetensors")
    with open_safetensors(tmp_path / "w.safetensors") as file:
        assert lies_in(file.tensor("w").numpy(), file.buffer)


@pytest.mark.plain_memory
@cell("safetensors", "lazy", "yes")
def test_safetensors_lazy(tmp_path):
    from safetensors.numpy import save_file

    path = tmp_path / "w.safetensors"
    save_file({"large": f32(16 * COUNT), "small": f32(4)}, path)
    assert touched(__file__, "safetensors", path) < TOUCHED


@cell("safetensors", "size limit", "none")
def test_safetensors_size_limit(tmp_path):
    """64-bit offsets; the header alone is limited, to 100 MB."""
    header = {"w": {"dtype": "U8", "shape": [LARGE], "data_offsets": [0, LARGE]}}
    path = tmp_path / "w.safetensors"
    sparse(path, safetensors_bytes(header), LARGE, b"\7")
    with open_safetensors(path) as file:
        assert file.tensor("w")[-1].item() == 7
    with pytest.raises(FormatError, match="header length"):
        open_safetensors(struct.pack("<Q", 100_000_001) + b"{}")


@cell("safetensors", "layout control", "yes")
def test_safetensors_layout_control():
    """The header says where each tensor lies: in any order, without gaps."""
    for order in ("ab", "ba"):
        entries = {
            name: {"dtype": "F32", "shape": [1], "data_offsets": [4 * at, 4 * at + 4]}
            for at, name in enumerate(order)
        }
        with open_safetensors(safetensors_bytes(entries, bytes(8))) as file:
            assert (file.tensors["a"].offset < file.tensors["b"].offset) == (order == "ab")
            assert min(info.offset for info in file.tensors.values()) % 8 == 0


@cell("safetensors", "flexibility", "no")
def test_safetensors_flexibility():
    """Beside tensors there is text by key, and nothing else."""
    from safetensors.numpy import save

    assert save({"w": f32(1)}, {"note": "text"})
    with pytest.raises(TypeError):
        save({"w": f32(1)}, {"note": 1})


@cell("safetensors", "bf16/fp8", "yes")
def test_safetensors_bf16_fp8():
    for theirs, ours in (("BF16", "bf16"), ("F8_E4M3", "f8e4m3"), ("F8_E5M2", "f8e5m2")):
        size = 2 if theirs == "BF16" else 1
        header = {"w": {"dtype": theirs, "shape": [3], "data_offsets": [0, 3 * size]}}
        with open_safetensors(safetensors_bytes(header, bytes(3 * size))) as file:
            assert file.tensor("w").dtype.name == ours


# --- GGUF -----------------------------------------------------------------------------------------


@cell("GGUF", "safe", "yes")
def test_gguf_safe():
    """Tallow's reader; llama.cpp's and the Python package's check less."""
    from hostile.corpora import gguf as corpus

    for name, (raw, field) in corpus.CORPUS.items():
        if raw:
            with pytest.raises(FormatError) as caught:
                open_gguf(raw)
            assert field in caught.value.field, name


def gguf_file(path, arrays, **keys):
    from gguf import GGUFWriter

    writer = GGUFWriter(path, "llama")
    if "alignment" in keys:
        writer.add_custom_alignment(keys.pop("alignment"))
    for name, value in keys.items():
        writer.add_array(name, value)
    for name, array in arrays.items():
        writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@cell("GGUF", "zero-copy", "yes")
def test_gguf_zero_copy(tmp_path):
    with open_gguf(gguf_file(tmp_path / "w.gguf", {"w": f32()})) as file:
        assert lies_in(file.tensor("w").numpy(), file.buffer)


@pytest.mark.plain_memory
@cell("GGUF", "lazy", "yes")
def test_gguf_lazy(tmp_path):
    path = gguf_file(tmp_path / "w.gguf", {"large": f32(16 * COUNT), "small": f32(4)})
    assert touched(__file__, "gguf", path) < TOUCHED


@cell("GGUF", "size limit", "none")
def test_gguf_size_limit(tmp_path):
    from hostile.corpora import gguf as parts

    int8 = 24
    head = parts.gguf((parts.ARCH,), (parts.info("w", (LARGE,), int8),))
    sparse(tmp_path / "w.gguf", head, LARGE, b"\7")
    with open_gguf(tmp_path / "w.gguf") as file:
        assert file.tensor("w")[-1].item() == 7


@cell("GGUF", "layout control", "yes")
@pytest.mark.parametrize("alignment", [64, 4096])
def test_gguf_layout_control(tmp_path, alignment):
    """Any order, and an alignment that the file states."""
    path = gguf_file(tmp_path / "w.gguf", small(), alignment=alignment)
    assert not any(at % alignment for at in places(path.read_bytes(), 4))
    with open_gguf(path) as file:
        assert file.alignment == alignment


@cell("GGUF", "flexibility", "partly")
def test_gguf_flexibility(tmp_path):
    """Typed metadata: numbers, text, lists of them; nothing else."""
    from gguf import GGUFValueType

    path = gguf_file(tmp_path / "w.gguf", {"w": f32(1)}, words=["a", "b"], numbers=[1, 2])
    with open_gguf(path) as file:
        assert file.metadata["words"] == ("a", "b") and file.metadata["numbers"] == (1, 2)
    with pytest.raises(ValueError, match="Unknown type"):
        GGUFValueType.get_type(object())


@cell("GGUF", "bf16/fp8", "partly")
def test_gguf_bf16_fp8():
    """bfloat16 and dozens of block formats, but no 8-bit float."""
    from gguf import GGMLQuantizationType

    names = {kind.name for kind in GGMLQuantizationType}
    assert {"BF16", "Q4_K", "MXFP4"} <= names
    assert not {name for name in names if name.startswith(("F8", "FP8"))}


def last_of_small(opener):
    @contextmanager
    def reader(path):
        with opener(path) as file:
            yield file.tensor("small")[3].item()

    return reader


if __name__ == "__main__":
    readers = {"safetensors": last_of_small(open_safetensors), "gguf": last_of_small(open_gguf)}
    print_touched(readers, *sys.argv[1:])
