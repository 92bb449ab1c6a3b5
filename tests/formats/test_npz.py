"""`.npz` archives against numpy, both ways."""

import io
import os
import struct
import zipfile
import zlib

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tallow as tl
from formats.npy_bytes import KINDS, address, npy, sample
from tallow.errors import ArgumentError, DTypeError, FormatError
from tallow.formats import npz as npz_module
from tallow.formats.lazy import LazyTensor
from tallow.formats.mapping import FileMap
from tallow.formats.npy import open_npz, save_npz
from tallow.formats.npy_header import encode_header
from tallow.formats.zip_map import ZipMap
from tallow.formats.zip_write import MemberData, zip_chunks


def npz(compressed=False, **arrays):
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, **arrays)
    return file.getvalue()


def arrays():
    return {
        "w": sample("f4"), "layers/0.bias": sample("i8", (5,)), "t": sample("f2", (3, 4), "F"),
        "big": sample(">f4"), "": sample("u1"), "ä": sample("?", ()), "none": sample("c8", (0, 3)),
        "../../etc/passwd": sample("f8"),
    }  # fmt: skip


@pytest.mark.parametrize("compressed", [False, True])
def test_npz_of_numpy(tmp_path, compressed):
    path = tmp_path / "x.npz"
    (np.savez_compressed if compressed else np.savez)(path, **arrays())
    with open_npz(path) as file:
        assert list(file.tensors) == list(arrays())
        assert file.others == {}
        for name, array in arrays().items():
            info = file.tensors[name]
            assert (info.shape, info.nbytes) == (array.shape, array.nbytes)
            np.testing.assert_array_equal(file.tensor(name).numpy(), array)
            assert bytes(file.data(name)) == array.astype(array.dtype.newbyteorder("<")).tobytes()
        file.verify()
        with pytest.raises(FormatError, match=r"tensor 'v': expected one of the 8 tensors"):
            file.tensor("v")


def test_npz_stored_members_are_borrowed_where_aligned(tmp_path):
    save_npz(
        {name: tl.from_numpy(np.zeros((50, 3), name)) for name in KINDS[3:]},
        tmp_path / "x.npz",
    )
    with open_npz(tmp_path / "x.npz") as file:
        for name, info in file.tensors.items():
            assert info.offset % 64 == 0
            assert file.tensor(name).data_ptr() == address(file.buffer) + info.offset
    np.savez(tmp_path / "x.npz", **{"n" * i: sample("f4") for i in range(1, 9)})
    with open_npz(tmp_path / "x.npz") as file:
        borrowed = 0
        for name, info in file.tensors.items():
            tensor = file.tensor(name)
            place = address(file.buffer) + info.offset
            assert (tensor.data_ptr() == place) == (info.offset % 4 == 0)
            borrowed += info.offset % 4 == 0
            np.testing.assert_array_equal(tensor.numpy(), sample("f4"))
    assert 0 < borrowed < 8


def test_npz_as_numpy_reads_it(tmp_path):
    tensors = {
        name: tl.from_numpy(a.astype(a.dtype.newbyteorder("="))) for name, a in arrays().items()
    }
    save_npz(tensors, tmp_path / "x.npz")
    with np.load(tmp_path / "x.npz") as file:
        assert file.files == list(tensors)
        for name, array in arrays().items():
            assert file[name].dtype == array.dtype.newbyteorder("=")
            np.testing.assert_array_equal(file[name], array)
    assert zipfile.ZipFile(tmp_path / "x.npz").testzip() is None
    first = (tmp_path / "x.npz").read_bytes()
    save_npz(tensors, tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == first
    with open_npz(first) as file:
        assert {n: file.tensor(n).tolist() for n in file.tensors} == {
            n: t.tolist() for n, t in tensors.items()
        }


def test_npz_of_lazy_tensors_and_small_types(tmp_path):
    made = []

    def make():
        made.append(1)
        return tl.arange(6).to("bf16").view(2, 3)

    lazy = {"a": LazyTensor("bf16", (2, 3), make), "b": LazyTensor("i16", (2,), lambda: bytes(4))}
    with pytest.raises(DTypeError, match=r"save_npz: 'a': .*void=True"):
        save_npz(lazy, tmp_path / "x.npz")
    save_npz(lazy, tmp_path / "x.npz", void=True)
    assert made == [1]
    with np.load(tmp_path / "x.npz") as file:
        assert file["a"].view(ml_dtypes.bfloat16).tolist() == [[0, 1, 2], [3, 4, 5]]
    with open_npz(tmp_path / "x.npz") as file:
        assert list(file.tensors) == ["b"]
        assert "void='bf16'" in str(file.others["a"])
    with open_npz(tmp_path / "x.npz", void="bf16") as file:
        assert file.tensor("a").tolist() == [[0, 1, 2], [3, 4, 5]]


def test_members_that_are_no_numbers_do_not_stop_the_others():
    archive = io.BytesIO(npz(w=sample("f4"), words=np.array(["a"]), any=np.array([{}], object)))
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr("readme.txt", "hello")
        file.writestr("folder/", "")
    with open_npz(archive.getvalue()) as file:
        assert list(file.tensors) == ["w"]
        assert list(file.others) == ["words", "any", "readme.txt"]
        with pytest.raises(FormatError, match="member 'any.npy' header descr: .*never loaded"):
            file.tensor("any")
        with pytest.raises(FormatError, match="member 'readme.txt' magic"):
            file.data("readme.txt")


@pytest.mark.parametrize("name", ["a\0b", "\udcff", "x" * 65_532])
def test_names_that_zip_cannot_hold(tmp_path, name):
    with pytest.raises(ArgumentError, match="as name"):
        save_npz({name: tl.ones(1)}, tmp_path / "x.npz")
    assert os.listdir(tmp_path) == []


def test_names_of_members_are_only_names(tmp_path):
    save_npz({"x.npy": tl.ones(1), "x": tl.zeros(1)}, tmp_path / "x.npz")
    with open_npz(tmp_path / "x.npz") as file:
        assert list(file.tensors) == ["x.npy", "x"]
    twice = io.BytesIO()
    with zipfile.ZipFile(twice, "w") as file:
        file.writestr("x.npy", npy(sample("f4")))
        file.writestr("x", npy(sample("f4")))
    with pytest.raises(FormatError, match="member 'x': expected a name not used before"):
        open_npz(twice.getvalue())


def test_archives_that_unfold_to_much_more(monkeypatch):
    zeros = {"a": np.zeros(500_000, "f4"), "b": np.zeros(500_000, "f4")}
    raw = npz(compressed=True, **zeros)
    with open_npz(raw) as file:
        assert file.tensor("a").shape == (500_000,)
    monkeypatch.setattr(npz_module, "LEAST_LIMIT", 2_000_000)
    with pytest.raises(FormatError, match="inflated size: expected at most 2000000 bytes .pass"):
        open_npz(raw)
    with open_npz(raw, max_inflated=5_000_000) as file:
        assert file.tensor("b").shape == (500_000,)
    with open_npz(npz(**zeros)):  # nothing to unfold
        pass


def test_a_flipped_bit_in_compressed_data_is_found():
    array = np.random.default_rng(1).integers(0, 9, 10_000, np.uint8)
    raw = bytearray(npz(compressed=True, w=array))
    raw[2000] ^= 8
    with open_npz(raw) as file, pytest.raises(FormatError, match=r"member 'w.npy' (content|CRC)"):
        file.tensor("w")


def test_a_flipped_bit_in_stored_data_is_found_when_asked():
    raw = bytearray(npz(w=np.zeros(1000, np.uint8)))
    raw[700] ^= 8
    with open_npz(raw) as file:
        assert file.tensor("w").shape == (1000,)
        with pytest.raises(FormatError, match=r"member 'w.npy' CRC-32"):
            file.verify()


def deflated(name, content, size=None):
    """An archive of one deflated member, with any claim about its size."""
    packed = zlib.compress(content, wbits=-15)
    size = len(content) if size is None else size
    fields = (20, 0, 8, 0, 0x21, zlib.crc32(content), len(packed), size)
    local = struct.pack("<4s5H3I2H", b"PK\3\4", *fields, len(name), 0) + name + packed
    central = struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, *fields, len(name), 0, 0, 0, 0, 0, 0) + name
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, len(central), len(local), 0)
    return local + central + end


def test_head_behind_many_empty_blocks():
    """Deflate permits any number of blocks without content before the first byte."""
    compressor = zlib.compressobj(wbits=-15)
    packed = b"".join(compressor.flush(zlib.Z_FULL_FLUSH) for _ in range(3))
    content = npy(sample("f4"))
    packed = b"\0\0\0\xff\xff" * 5000 + compressor.compress(content) + compressor.flush()
    fields = (20, 0, 8, 0, 0x21, zlib.crc32(content), len(packed), len(content))
    local = struct.pack("<4s5H3I2H", b"PK\3\4", *fields, 5, 0) + b"w.npy" + packed
    central = struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, *fields, 5, 0, 0, 0, 0, 0, 0) + b"w.npy"
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, len(central), len(local), 0)
    with open_npz(local + central + end) as file:
        np.testing.assert_array_equal(file.tensor("w").numpy(), sample("f4"))


def test_size_of_a_member_that_lies():
    content = npy(sample("f4"))
    with open_npz(deflated(b"w.npy", content)) as file:
        np.testing.assert_array_equal(file.tensor("w").numpy(), sample("f4"))
    for size in (len(content) - 1, len(content) + 1):
        with pytest.raises(FormatError, match=r"member 'w.npy' data"):
            open_npz(deflated(b"w.npy", content, size))
    with pytest.raises(FormatError, match=r"member 'w.npy' header: expected 128 bytes, got 50"):
        open_npz(deflated(b"w.npy", content[:50]))


def test_more_members_than_16_bits_count():
    count = 65_540
    raw = b"".join(zip_chunks((f"{i}", MemberData(1, lambda: [b"x"])) for i in range(count)))
    with zipfile.ZipFile(io.BytesIO(raw)) as file:
        assert len(file.namelist()) == count
        assert file.read("65539") == b"x"
    archive = ZipMap(FileMap(raw))
    assert len(archive.members) == count
    assert bytes(archive.view("65539")) == b"x"


@pytest.mark.slow
def test_member_beyond_4_gb(tmp_path):
    """Sizes and offsets of more than 32 bits, with holes for content."""
    size = 2**32 + 128
    chunk = bytes(1 << 24)

    def pieces():
        for start in range(0, size, len(chunk)):
            yield chunk[: min(len(chunk), size - start)]

    with open(tmp_path / "x.npz", "wb") as file:
        head = encode_header("", "u8", (size - 128,), void=False)
        members = [
            ("big.npy", MemberData(size, lambda: (c for c in (head, *_rest(pieces(), 128)))))
        ]
        members.append(("w.npy", MemberData(176, lambda: [npy(sample("f4"))])))
        for part in zip_chunks(members):
            if part is chunk:
                file.seek(len(part), 1)
            else:
                file.write(part)
    with open_npz(tmp_path / "x.npz") as file:
        assert file.tensors["big"].nbytes == size - 128
        assert file.tensors["w"].offset > 2**32
        np.testing.assert_array_equal(file.tensor("w").numpy(), sample("f4"))
    with np.load(tmp_path / "x.npz") as file:
        np.testing.assert_array_equal(file["w"], sample("f4"))


def _rest(chunks, skip):
    for chunk in chunks:
        if skip:
            chunk, skip = chunk[skip:], 0
        yield chunk


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
ARRAYS = st.sampled_from(KINDS).flatmap(
    lambda kind: hnp.arrays(kind, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
)


@given(st.dictionaries(NAMES, ARRAYS, max_size=4))
@settings(max_examples=100, deadline=None)
def test_npz_round_trip(tmp_path_factory, arrays):
    path = tmp_path_factory.mktemp("npz") / "x.npz"
    save_npz({name: tl.from_numpy(array) for name, array in arrays.items()}, path)
    with open_npz(path) as file, np.load(path) as theirs:
        assert list(file.tensors) == list(arrays)
        assert sorted(theirs.files) == sorted(arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(file.tensor(name).numpy(), array)
            np.testing.assert_array_equal(theirs[name], array)
        file.verify()


@pytest.mark.needs_network
def test_real_archive_equals_numpy():
    from tallow import hub

    path = hub.resolve("pypi:g2p-en==2.1.0#g2p_en/checkpoint20.npz")
    with open_npz(path) as file, np.load(path) as theirs:
        assert list(file.tensors) == theirs.files
        assert file.others == {}
        assert len(theirs.files) == 12
        for name in theirs.files:
            assert file.tensor(name).numpy().dtype == theirs[name].dtype
            np.testing.assert_array_equal(file.tensor(name).numpy(), theirs[name])
        file.verify()
