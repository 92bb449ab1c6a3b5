"""CTranslate2 models, one fault each."""

import struct

from tallow.formats.ct2 import open_ct2

from ._cuts import cuts, whole
from ._parts import u32

open_file = open_ct2


def u16(value: int) -> bytes:
    return struct.pack("<H", value)


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return u16(len(raw) + 1) + raw + b"\0"


def variable(
    name: str | bytes = "w",
    shape: tuple[int, ...] = (2, 3),
    dtype: int = 0,
    size: int | None = None,
    data: bytes | None = None,
    rank: int | None = None,
) -> bytes:
    data = bytes(24) if data is None else data
    head = text(name) + bytes([len(shape) if rank is None else rank])
    return (
        head
        + b"".join(map(u32, shape))
        + bytes([dtype])
        + u32(len(data) if size is None else size)
        + data
    )


def ct2(
    variables: tuple[bytes, ...] = (),
    aliases: tuple[bytes, ...] = (),
    *,
    version: int = 6,
    spec: bytes | None = None,
    count: int | None = None,
    alias_count: int | None = None,
) -> bytes:
    raw = u32(version) + (
        (text("Spec") if spec is None else spec) + u32(3) if version >= 2 else b""
    )
    raw += u32(len(variables) if count is None else count) + b"".join(variables)
    if version < 3:
        return raw
    return raw + u32(len(aliases) if alias_count is None else alias_count) + b"".join(aliases)


W = variable()
SCALAR = variable("n", (), 2, data=b"\5\0")
PARTS = [
    ("version", u32(6)), ("spec length", u16(5)), ("spec", b"Spec\0"), ("revision", u32(3)),
    ("variable count", u32(1)), ("variable count", b""),
    ("variable", u16(2)), ("variable", b"w\0"), ("variable", b"\2"), ("variable", u32(2) + u32(3)),
    ("variable", b"\0"), ("variable", u32(24)), ("variable 'w' data", bytes(24)),
    ("alias count", u32(1)), ("alias", u16(6)), ("alias", b"alias\0"), ("alias", u16(2)),
    ("alias", b"w\0"),
]  # fmt: skip
VALID = {
    "version-6.bin": whole(PARTS),
    "version-4.bin": ct2((W, SCALAR, variable("b", (1,), 5, data=b"ab")), version=4),
    "version-2.bin": ct2((variable(dtype=4, size=6), variable("n", (), 2, 1, b"\5\0")), version=2),
    "version-1.bin": ct2((variable("i", (3,), 1, 3, b"abc"),), version=1),
    "aliases.bin": ct2((W, variable("w_scale")), (text("a") + text("w"), text("b") + text("a"))),
}
FAULTS = {
    "empty-file": (b"", "file"),
    "version-0": (ct2(version=0), "version"),
    "version-7": (ct2(version=7), "version"),
    "version-all-ones": (ct2(version=2**32 - 1), "version"),
    "spec-length-0": (ct2(spec=u16(0)), "spec length"),
    "spec-length-beyond-file": (ct2(spec=u16(60_000) + b"ab\0"), "spec"),
    "spec-without-nul": (ct2(spec=u16(4) + b"Spec"), "spec"),
    "spec-with-nul-inside": (ct2(spec=u16(5) + b"a\0bc\0"), "spec"),
    "spec-not-utf8": (ct2(spec=text(b"\xff\xfe")), "spec"),
    "variable-count-2-to-31": (ct2((W,), count=2**31), "variable count"),
    "variable-count-all-ones": (ct2((W,), count=2**32 - 1), "variable count"),
    "variable-count-one-too-many": (ct2((W,), count=2), "variable 1"),
    "variable-count-one-too-few": (ct2((W, SCALAR), count=1), "alias"),
    "name-length-0": (ct2((u16(0) + W,)), "variable 0 name length"),
    "name-without-nul": (ct2((u16(1) + b"w" + W[4:],)), "variable 0 name"),
    "name-not-utf8": (ct2((variable(b"\x80"),)), "variable 0 name"),
    "name-twice": (ct2((W, W)), "variable 'w' name"),
    "rank-255": (ct2((variable(rank=255),)), "variable 'w' shape"),
    "rank-13": (ct2((variable(shape=(1,) * 13, data=bytes(4)),)), "variable 'w' shape"),
    "shape-product-overflows": (
        ct2((variable(shape=(2**31, 2**31, 2**31)),)),
        "variable 'w' shape",
    ),
    "shape-product-wraps-to-6": (
        ct2((variable(shape=(2**31, 2**31, 4, 0)),)),
        "variable 'w' shape",
    ),
    "shape-product-overflows-times-0": (
        ct2((variable(shape=(2**32 - 1,) * 3 + (0,), data=b""),)),
        "variable 'w' shape",
    ),
    "dtype-6": (ct2((variable(dtype=6),)), "variable 'w' dtype"),
    "dtype-255": (ct2((variable(dtype=255),)), "variable 'w' dtype"),
    "item-size-0-in-version-3": (ct2((variable(dtype=0),), version=3), "variable 'w' dtype"),
    "item-size-8-in-version-3": (ct2((variable(dtype=8),), version=3), "variable 'w' dtype"),
    "item-count-times-size-overflows": (
        ct2((variable(dtype=4, size=2**30 + 6),), version=3),
        "variable 'w' size",
    ),
    "size-does-not-fit-shape": (ct2((variable(size=20),)), "variable 'w' size"),
    "size-all-ones": (ct2((variable(size=2**32 - 1),)), "variable 'w' size"),
    "data-beyond-file": (
        ct2((variable(shape=(2**20,), size=2**22),)),
        "variable 'w' data",
    ),
    "alias-count-all-ones": (ct2((W,), alias_count=2**32 - 1), "alias count"),
    "alias-count-one-too-many": (
        ct2((W,), (text("a") + text("w"),), alias_count=2),
        "alias 1",
    ),
    "alias-of-nothing": (ct2((W,), (text("a") + text("v"),)), "alias 'a' variable"),
    "alias-of-itself": (ct2((W,), (text("a") + text("a"),)), "alias 'a' variable"),
    "alias-of-a-later-alias": (
        ct2((W,), (text("a") + text("b"), text("b") + text("w"))),
        "alias 'a' variable",
    ),
    "alias-named-like-a-variable": (ct2((W,), (text("w") + text("w"),)), "alias 'w' name"),
    "alias-twice": (ct2((W,), (text("a") + text("w"),) * 2), "alias 'a' name"),
    "bytes-after-the-end": (ct2((W,)) + b"\0", "end"),
    "another-model-after-the-end": (ct2((W,)) * 2, "end"),
}
CORPUS = {f"{name}.bin": case for name, case in FAULTS.items()} | cuts(PARTS, ".bin")
