"""`ZipMap` gives what `zipfile` gives, without a copy, and refuses what does not add up."""

import io
import struct
import tracemalloc
import zipfile
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallow.errors import FormatError
from tallow.formats.mapping import FileMap
from tallow.formats.zip_directory import DEFLATED, STORED
from tallow.formats.zip_map import ZipMap, is_zip

METHODS = st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)
CONTENT = st.binary(max_size=200) | st.binary(max_size=20).map(lambda raw: raw * 500)


class Stream(io.BytesIO):
    """A file that only grows: `zipfile` then writes sizes and CRC behind the data."""

    def seekable(self):
        return False

    def tell(self):
        raise io.UnsupportedOperation

    def seek(self, *_):
        raise io.UnsupportedOperation


def archive(members, comment=b"", stream=False, zip64=False):
    target = Stream() if stream else io.BytesIO()
    with zipfile.ZipFile(target, "w") as file:
        for name, (content, method) in members.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            with file.open(info, "w", force_zip64=zip64) as member:
                member.write(content)
        file.comment = comment
    return target.getvalue()


def read(raw):
    return ZipMap(FileMap(raw))


@given(
    st.dictionaries(TEXT, st.tuples(CONTENT, METHODS), max_size=5),
    st.binary(max_size=40).filter(lambda raw: b"PK" not in raw),
    st.booleans(),
    st.booleans(),
    st.binary(max_size=40).filter(lambda raw: b"PK" not in raw),
)
def test_reads_what_zipfile_reads(members, comment, stream, zip64, prefix):
    raw = prefix + archive(members, comment, stream, zip64)
    found = read(raw)
    with zipfile.ZipFile(io.BytesIO(raw)) as official:
        infos = official.infolist()
        assert [info.filename for info in infos] == [*found.members]
        assert found.comment == official.comment
        for info in infos:
            member = found.members[info.filename]
            sizes = (info.file_size, info.compress_size, info.CRC, info.compress_type)
            assert (member.size, member.packed, member.crc, member.method) == sizes
            content = official.read(info)
            assert found.read(info.filename, 10**6) == content
            if member.method == STORED:
                assert found.view(info.filename) == content
                assert raw[member.offset : member.offset + member.size] == content
                found.check_crc(info.filename)


def test_more_members_than_16_bits_count_after_a_prefix():
    members = {f"{number:x}": (b"", zipfile.ZIP_STORED) for number in range(66_000)}
    raw = b"#!/bin/sh\n" + archive(members)
    assert b"PK\6\6" in raw[-200:]
    found = read(raw)
    assert [*found.members] == [*members]
    assert found.members["ff"].offset == raw.index(b"\0ff") + 3


def test_a_stored_member_is_a_range_of_the_map(tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(archive({"x": (b"hello", zipfile.ZIP_STORED)}))
    file = FileMap(path)
    view = ZipMap(file).view("x")
    assert view.obj is file.buffer.obj
    assert view == b"hello"


def test_is_zip_asks_for_the_signature():
    assert is_zip(FileMap(archive({})))
    assert is_zip(FileMap(archive({"x": (b"", zipfile.ZIP_STORED)})))
    assert not is_zip(FileMap(b"PK\1\2" + bytes(30)))


def test_a_member_beyond_the_limit_is_not_inflated():
    found = read(archive({"x": (bytes(1000), zipfile.ZIP_DEFLATED)}))
    assert len(found.read("x", 1000)) == 1000
    with pytest.raises(FormatError, match=r"member 'x' size: expected at most 999 bytes, got 1000"):
        found.read("x", 999)


def test_a_bomb_is_refused_by_its_ratio():
    """Deflate cannot make more than 1032 bytes of one, so a header that says so lies."""
    raw = archive({"x": (bytes(100_000), zipfile.ZIP_DEFLATED)})
    packed = read(raw).members["x"].packed
    raw = raw.replace(struct.pack("<I", 100_000), struct.pack("<I", packed * 1032 + 1))
    with pytest.raises(FormatError, match="member 'x': expected at most"):
        read(raw)


def test_a_stream_longer_than_declared_is_cut_off():
    real, told = 3_000_000, 100
    raw = archive({"x": (bytes(real), zipfile.ZIP_DEFLATED)})
    raw = raw.replace(struct.pack("<I", real), struct.pack("<I", told))
    raw = raw.replace(
        struct.pack("<I", zlib.crc32(bytes(real))), struct.pack("<I", zlib.crc32(bytes(told)))
    )
    found = read(raw)
    tracemalloc.start()
    with pytest.raises(FormatError, match="member 'x' content: expected 100 bytes, got more"):
        found.read("x", 10**9)
    assert tracemalloc.get_traced_memory()[1] < 200_000
    tracemalloc.stop()


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_wrong_crc_is_found(method):
    raw = archive({"x": (b"hello" * 9, method)})
    crc = struct.pack("<I", zlib.crc32(b"hello" * 9))
    found = read(raw.replace(crc, b"\1\2\3\4"))
    with pytest.raises(FormatError, match="member 'x' CRC-32"):
        found.read("x", 1000)


def test_check_crc_reads_a_stored_member():
    raw = archive({"x": (b"hello", zipfile.ZIP_STORED)})
    found = read(raw.replace(b"hello", b"hallo"))
    assert found.view("x") == b"hallo"
    with pytest.raises(FormatError, match="CRC-32"):
        found.check_crc("x")


def test_a_compressed_member_has_no_view():
    found = read(archive({"x": (b"hello", zipfile.ZIP_DEFLATED)}))
    assert found.members["x"].method == DEFLATED
    with pytest.raises(FormatError, match="member 'x' compression: expected none"):
        found.view("x")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_methods_are_listed_but_not_read(method):
    found = read(archive({"x": (b"hello", method), "y": (b"!", zipfile.ZIP_STORED)}))
    assert found.read("y", 9) == b"!"
    with pytest.raises(FormatError, match="expected stored or deflated, got (bzip2|lzma)"):
        found.read("x", 100)


def test_an_absent_member_is_refused_by_name():
    with pytest.raises(FormatError, match="member 'y': expected one of the 1 members"):
        read(archive({"x": (b"", zipfile.ZIP_STORED)})).view("y")


def test_every_truncation_is_refused():
    raw = archive({"x": (b"hello", zipfile.ZIP_STORED), "y": (b"a" * 99, zipfile.ZIP_DEFLATED)})
    for end in range(1, len(raw)):
        with pytest.raises(FormatError):
            read(raw[:end])


def test_a_member_whose_bytes_are_cut_later_is_refused(tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(archive({"x": (b"hello" * 2000, zipfile.ZIP_STORED)}))
    found = ZipMap(FileMap(path))
    with open(path, "r+b") as file:
        file.truncate(100)
    with pytest.raises(FormatError, match="as when opened"):
        found.view("x")


def test_sizes_and_places_beyond_4_gib_are_read(tmp_path):
    """A sparse file: 5 GiB of nothing, then the members; the disk holds a few kilobytes of it."""
    path = tmp_path / "large.zip"
    gap = 5 << 30
    with open(path, "wb") as file:
        header = struct.pack("<4s5H3I2H", b"PK\3\4", 45, 0, 0, 0, 0x21, 0, *[2**32 - 1] * 2, 1, 20)
        file.write(header + b"a" + struct.pack("<2H2Q", 1, 16, gap, gap))
        file.seek(gap, 1)
        second = file.tell()
        file.write(
            struct.pack("<4s5H3I2H", b"PK\3\4", 45, 0, 0, 0, 0x21, zlib.crc32(b"hi"), 2, 2, 1, 0)
            + b"bhi"
        )
        start = file.tell()
        common = (b"PK\1\2", 45, 45, 0, 0, 0, 0x21)
        wide = struct.pack("<2H2Q", 1, 16, gap, gap)
        file.write(
            struct.pack("<4s6H3I5H2I", *common, 0, *[2**32 - 1] * 2, 1, len(wide), 0, 0, 0, 0, 0)
        )
        file.write(b"a" + wide)
        wide = struct.pack("<2HQ", 1, 8, second)
        crc = zlib.crc32(b"hi")
        file.write(
            struct.pack("<4s6H3I5H2I", *common, crc, 2, 2, 1, len(wide), 0, 0, 0, 0, 2**32 - 1)
        )
        file.write(b"b" + wide)
        end = file.tell()
        file.write(struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, 2, 2, end - start, start))
        file.write(struct.pack("<4sIQI", b"PK\6\7", 0, end, 1))
        file.write(struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 2, 2, end - start, 2**32 - 1, 0))
    with zipfile.ZipFile(path) as official:
        assert [info.file_size for info in official.infolist()] == [gap, 2]
        assert official.read("b") == b"hi"
    found = ZipMap(FileMap(path))
    assert [member.size for member in found.members.values()] == [gap, 2]
    assert found.view("b") == b"hi"
