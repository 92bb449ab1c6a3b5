"""Zip archives, one fault each: records that lie about each other, about sizes and about places."""

import io
import random
import struct
import zipfile

from tallow.formats.mapping import FileMap
from tallow.formats.zip_map import ZipMap

from ._parts import u32, u64

CENTRAL, LOCAL, END = b"PK\1\2", b"PK\3\4", b"PK\5\6"
END64, LOCATOR64 = b"PK\6\6", b"PK\6\7"


class Members:
    """A `ZipMap` with the interface of a file of tensors: each member is one."""

    metadata: dict = {}  # noqa: RUF012

    def __init__(self, source):
        self.file = FileMap(source)
        self.zip = ZipMap(self.file)
        self.tensors = self.zip.members

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()


open_file = Members


def touch(file):
    """Read every member, as far as 64 KiB each: the limit is the caller's."""
    for name, member in file.tensors.items():
        assert len(file.zip.read(name, 1 << 16)) == member.size
        if member.method == 0:
            assert len(file.zip.view(name)) == member.size


def archive(members, method=zipfile.ZIP_STORED, zip64=False):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as file:
        for name, content in members:
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.compress_type = method
            with file.open(info, "w", force_zip64=zip64) as member:
                member.write(content)
    return target.getvalue()


PAIR = archive([("a", b"first"), ("b", b"second")])
PACKED = archive([("a", b"first" * 99)], zipfile.ZIP_DEFLATED)


def wide(raw=PAIR):
    """The archive with a zip64 end record before the old one, as PyTorch writes it."""
    at = raw.rindex(END)
    count, size, offset = struct.unpack_from("<H2I", raw, at + 10)
    record = struct.pack("<4sQ2H2I4Q", END64, 44, 45, 45, 0, 0, count, count, size, offset)
    return raw[:at] + record + struct.pack("<4sIQI", LOCATOR64, 0, at, 1) + raw[at:]


WIDE = wide()
VALID = {
    "stored.zip": PAIR,
    "deflated.zip": PACKED,
    "zip64.zip": wide(archive([("a", b"first"), ("b", b"second")], zip64=True)),
}


def patched(raw, mark, offset, value, nth=0):
    """`value` written `offset` bytes into the n-th record of a kind."""
    at = -1
    for _ in range(nth + 1):
        at = raw.index(mark, at + 1)
    return raw[: at + offset] + value + raw[at + offset + len(value) :]


def both(raw, offset, value):
    """`value` written into the first local header and into its twin in the directory."""
    return patched(patched(raw, CENTRAL, offset + 2, value), LOCAL, offset, value)


def u16(value):
    return struct.pack("<H", value)


def bomb(copies=200):
    """One member of which every name in the directory says that it is theirs (D. Fifield, 2019)."""
    raw = archive([("a", bytes(60_000))], zipfile.ZIP_DEFLATED)
    start, end = raw.index(CENTRAL), raw.index(END)
    entry = raw[start:end]
    entries = b"".join(
        entry[:28] + u16(2) + entry[30:46] + bytes((33 + i % 90, 33 + i // 90))
        for i in range(copies)
    )
    tail = struct.pack("<4s4H2IH", END, 0, 0, copies, copies, len(entries), start, 0)
    return raw[:start] + entries + tail


FAULTS = {
    "empty-file": (b"", "file"),
    "not-a-zip": (b"\x89PNG\r\n\x1a\n" + bytes(100), "zip end record"),
    "signature-only": (LOCAL, "zip end record"),
    "cut-in-end-record": (PAIR[:-4], "zip end record"),
    "cut-in-directory": (PAIR[: PAIR.index(CENTRAL) + 50], "zip end record"),
    "cut-in-data": (PAIR[:33], "zip end record"),
    "beginning-missing": (PAIR[40:], "zip end record"),
    "directory-size-beyond-file": (patched(PAIR, END, 12, u32(2**31)), "zip end record"),
    "directory-size-2-to-32": (patched(PAIR, END, 12, u32(2**32 - 1)), "zip end record"),
    "directory-offset-beyond-file": (patched(PAIR, END, 16, u32(2**31)), "zip end record"),
    "count-too-high": (patched(PAIR, END, 8, u16(3) * 2), "central directory"),
    "count-too-low": (patched(PAIR, END, 8, u16(1) * 2), "central directory"),
    "count-65535": (patched(PAIR, END, 8, u16(65535) * 2), "central directory"),
    "counts-differ": (patched(PAIR, END, 8, u16(1)), "zip end record"),
    "disk-1": (patched(PAIR, END, 4, u16(1)), "zip end record"),
    "directory-on-disk-1": (patched(PAIR, END, 6, u16(1)), "zip end record"),
    "member-on-disk-1": (patched(PAIR, CENTRAL, 34, u16(1)), "member 'a'"),
    "zip64-record-absent": (WIDE.replace(END64, b"PK\6\0"), "zip end record"),
    "zip64-record-elsewhere": (patched(WIDE, LOCATOR64, 8, u64(2**60)), "zip end record"),
    "zip64-record-of-2-to-63": (patched(WIDE, END64, 4, u64(2**63)), "zip end record"),
    "zip64-two-disks": (patched(WIDE, LOCATOR64, 16, u32(2)), "zip end record"),
    "zip64-count-2-to-60": (patched(WIDE, END64, 24, u64(2**60) * 2), "zip end record"),
    "zip64-size-2-to-64": (patched(WIDE, END64, 40, u64(2**64 - 1)), "zip end record"),
    "zip64-offset-2-to-64": (patched(WIDE, END64, 48, u64(2**64 - 1)), "zip end record"),
    "zip64-offset-disagrees": (patched(WIDE, END, 16, u32(7)), "zip end record"),
    "entry-without-signature": (patched(PAIR, CENTRAL, 0, b"PK\1\0"), "central directory"),
    "entry-beyond-directory": (patched(PAIR, CENTRAL, 30, u16(65535)), "central directory"),
    "name-beyond-directory": (patched(PAIR, CENTRAL, 28, u16(65535)), "central directory"),
    "local-header-beyond-file": (patched(PAIR, CENTRAL, 42, u32(2**31)), "member 'a'"),
    "local-header-in-directory": (
        patched(PAIR, CENTRAL, 42, u32(PAIR.index(CENTRAL))),
        "member 'a'",
    ),
    "local-header-without-signature": (patched(PAIR, LOCAL, 0, b"PK\3\0"), "member 'a'"),
    "local-name-differs": (patched(PAIR, LOCAL, 30, b"c"), "member 'a'"),
    "local-name-length-differs": (patched(PAIR, LOCAL, 26, u16(2)), "member 'a'"),
    "local-method-differs": (patched(PAIR, LOCAL, 8, u16(8)), "member 'a'"),
    "local-crc-differs": (patched(PAIR, LOCAL, 14, u32(1)), "member 'a'"),
    "local-size-differs": (patched(PAIR, LOCAL, 22, u32(6)), "member 'a'"),
    "local-extra-into-next": (patched(PAIR, LOCAL, 28, u16(9)), "member"),
    "data-beyond-directory": (both(PAIR, 18, u32(2**31) * 2), "member 'a'"),
    "data-overlaps-next": (both(PAIR, 18, u32(30) * 2), "member 'b'"),
    "stored-sizes-differ": (both(PAIR, 22, u32(4)), "member 'a'"),
    "same-member-twice": (patched(PAIR, CENTRAL, 42, u32(0), nth=1), "member 'b'"),
    "name-twice": (
        patched(patched(PAIR, CENTRAL, 46, b"a", nth=1), LOCAL, 30, b"a", nth=1),
        "central directory",
    ),
    "name-with-nul": (
        archive([("a!c", b"")]).replace(b"a!c", b"a\0c"),
        "central directory",
    ),
    "name-not-utf-8": (
        archive([("é", b"")]).replace("é".encode(), b"\xff\xff"),
        "central directory",
    ),
    "encrypted": (both(PAIR, 6, u16(1)), "member 'a'"),
    "encrypted-in-local-header-only": (patched(PAIR, LOCAL, 6, u16(1)), "member 'a'"),
    "patch-data": (both(PAIR, 6, u16(0x20)), "member 'a'"),
    "version-99": (patched(PAIR, CENTRAL, 6, u16(99)), "member 'a'"),
    "method-imploded": (both(PAIR, 8, u16(6)), "member 'a' compression"),
    "method-65535": (both(PAIR, 8, u16(65535)), "member 'a' compression"),
    "stored-with-wrong-crc": (both(PAIR, 14, u32(1)), "member 'a' CRC-32"),
    "deflated-with-wrong-crc": (both(PACKED, 14, u32(1)), "member 'a' CRC-32"),
    "deflated-size-too-small": (both(PACKED, 22, u32(494)), "member 'a' content"),
    "deflated-size-too-large": (both(PACKED, 22, u32(496)), "member 'a' content"),
    "deflated-ratio-impossible": (both(PACKED, 22, u32(2**31)), "member 'a'"),
    "deflated-garbage": (
        patched(PACKED, LOCAL, 31, b"\xff\xff\xff\xff"),
        "member 'a' content",
    ),
    "deflated-cut": (
        PACKED[:31] + b"\x4b\x04" + PACKED[33:],
        "member 'a' content",
    ),
    "beyond-the-caller-s-limit": (
        archive([("a", bytes(100_000))], zipfile.ZIP_DEFLATED),
        "member 'a' size",
    ),
    "bomb-of-200-overlapping-members": (bomb(), "member"),
    "zip64-extra-too-short": (
        patched(archive([("a", b"x")]), CENTRAL, 24, u32(2**32 - 1)),
        "member 'a'",
    ),
}

CORPUS = {f"{name}.zip": case for name, case in FAULTS.items()}


def set_field(raw: bytearray, rng: random.Random) -> None:
    """An interesting number in a field of one of the records."""
    places = [at for at in range(len(raw) - 4) if raw[at : at + 2] == b"PK"]
    if places:
        at = rng.choice(places) + 4 + 2 * rng.randrange(24)
        value = rng.choice((0, 1, 8, 0x20, 255, 65535, 2**31, 2**32 - 1))
        size = rng.choice((2, 4, 8))
        raw[at : at + size] = struct.pack("<Q", value)[:size]


MUTATIONS = (set_field,)
