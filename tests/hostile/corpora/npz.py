"""`.npz` archives, one fault each; those of the archive itself are in the corpus `zip`."""

import io
import random
import struct
import zipfile
import zlib

from hostile import mutations
from tallow.formats.npy import open_npz

from . import touch as touch_arrays
from .npy import CORPUS as NPY
from .npy import VALID as NPY_VALID
from .npy import npy

open_file = open_npz

DATE = (1980, 1, 1, 0, 0, 0)


def npz(*members: tuple[str, bytes], packed: bool = False) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, raw in members:
            info = zipfile.ZipInfo(name, DATE)
            info.compress_type = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
            archive.writestr(info, raw)
    return file.getvalue()


def deflated(
    name: bytes,
    content: bytes,
    *,
    size: int | None = None,
    crc: int | None = None,
    packed: bytes | None = None,
    method: int = 8,
    flags: int = 0,
) -> bytes:
    """An archive of one member that may say of itself what is not so."""
    packed = zlib.compress(content, 9, wbits=-15) if packed is None else packed
    size = len(content) if size is None else size
    crc = zlib.crc32(content) if crc is None else crc
    fields = (20, flags, method, 0, 0x21, crc, len(packed), size)
    local = struct.pack("<4s5H3I2H", b"PK\3\4", *fields, len(name), 0) + name + packed
    entry = struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, *fields, len(name), 0, 0, 0, 0, 0, 0) + name
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, len(entry), len(local), 0)
    return local + entry + end


def change_inside(raw: bytearray, rng: random.Random) -> None:
    """Change a member and pack it again, so that sizes and checksums are right."""
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    except Exception:  # a mutant may be no archive any more, in many ways
        return
    if not members:
        return
    at = rng.randrange(len(members))
    name, content = members[at]
    changed = bytearray(content)
    if changed:
        rng.choice(mutations.MUTATIONS)(changed, rng)
    members[at] = name, bytes(changed)
    if all(len(name) < 1000 for name, _ in members):
        raw[:] = npz(*members, packed=rng.random() < 0.5)


def touch(file):
    """Read the arrays, and every member once more for its checksum."""
    touch_arrays(file)
    assert all(repr(error) for error in file.others.values())
    file.verify()


MUTATIONS = [change_inside, change_inside, change_inside]

W = npy(data=bytes(range(24)))

VALID = {
    "stored.npz": npz(("w.npy", W), ("a/b.npy", NPY_VALID["version-2.npy"])),
    "deflated.npz": npz(("w.npy", W), ("v.npy", NPY_VALID["version-3.npy"]), packed=True),
    "other-members.npz": npz(
        ("w.npy", W),
        ("objects.npy", NPY["descr-objects.npy"][0]),
        ("readme", b"text"),
        ("folder/", b""),
        ("../../etc/passwd.npy", W),
    ),
}
FAULTS = {
    "empty-file": (b"", "file"),
    "an-array": (W, "zip end record"),
    "cut-short": (VALID["stored.npz"][:-30], "zip end record"),
    "name-twice-by-suffix": (npz(("w.npy", W), ("w", W)), "member 'w'"),
    "member-cut-short": (npz(("w.npy", W[:-1])), "member 'w.npy' data"),
    "member-of-half-a-header": (npz(("w.npy", W[:40])), "member 'w.npy' header"),
    "member-of-9-bytes": (npz(("w.npy", W[:9])), "member 'w.npy' header"),
    "member-with-more-behind": (npz(("w.npy", W + b"\0")), "member 'w.npy' data"),
    "deflated-member-cut-short": (npz(("w.npy", W[:-1]), packed=True), "member 'w.npy' data"),
    "deflated-member-of-half-a-header": (
        npz(("w.npy", W[:40]), packed=True),
        "member 'w.npy' header",
    ),
    "deflated-size-too-small": (
        deflated(b"w.npy", W, size=len(W) - 4),
        "member 'w.npy' data",
    ),
    "deflated-size-beyond-what-deflate-can": (
        deflated(b"w.npy", W, size=2**31),
        "member 'w.npy'",
    ),
    "deflated-size-fits-shape-but-not-stream": (
        deflated(b"w.npy", W[:-1], size=len(W), crc=0),
        "member 'w.npy' content",
    ),
    "deflated-crc-wrong": (deflated(b"w.npy", W, crc=1), "member 'w.npy' CRC-32"),
    "deflated-stream-broken": (
        deflated(b"w.npy", W, packed=b"\xff" * 40),
        "member 'w.npy' content",
    ),
    "deflated-stream-cut-short": (
        deflated(b"w.npy", W, packed=zlib.compress(W, 0, wbits=-15)[:-10]),
        "member 'w.npy' content",
    ),
    "deflated-stream-of-empty-blocks": (
        deflated(b"w.npy", W, packed=b"\0\0\0\xff\xff" * 1000),
        "member 'w.npy'",
    ),
    "encrypted": (deflated(b"w.npy", W, flags=1), "member 'w.npy'"),
    "compressed-by-bzip2": (deflated(b"w.npy", W, method=12), "member 'w.npy' compression"),
    "compressed-by-lzma": (deflated(b"w.npy", W, method=14), "member 'w.npy' compression"),
}
# A fault of an array, inside an archive; those of its dtype leave the other members readable.
FAULTS |= {
    f"array-{name.removesuffix('.npy')}": (npz(("w.npy", raw), packed=True), "member 'w.npy' ")
    for name, (raw, field) in NPY.items()
    if field not in ("file", "magic", "header descr") and not name.startswith("cut")
}
CORPUS = {f"{name}.npz": case for name, case in FAULTS.items()}
