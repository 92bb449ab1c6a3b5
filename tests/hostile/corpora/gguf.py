"""GGUF files, one fault each."""

import struct

from tallow.formats.gguf import open_gguf

from . import touch as touch_tensors
from ._parts import u32, u64

open_file = open_gguf


def touch(file):
    """Read the tensors, the metadata, and the metadata with its types."""
    touch_tensors(file)
    assert file.metadata.typed_items().keys() == dict(file.metadata).keys()


U8, I8, U32, F32, BOOL, STRING, ARRAY, U64 = 0, 1, 4, 6, 7, 8, 9, 10
TYPE_F32, TYPE_Q4_0, TYPE_Q4_K = 0, 2, 12


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return u64(len(raw)) + raw


def key(name: str | bytes, kind: int, value: bytes) -> bytes:
    return text(name) + u32(kind) + value


def array(kind: int, count: int, items: bytes = b"") -> bytes:
    return u32(kind) + u64(count) + items


def info(
    name: str | bytes, shape: tuple[int, ...] = (8,), kind: int = TYPE_F32, offset: int = 0
) -> bytes:
    lengths = b"".join(map(u64, shape))
    return text(name) + u32(len(shape)) + lengths + u32(kind) + u64(offset)


def gguf(
    keys: tuple[bytes, ...] = (),
    infos: tuple[bytes, ...] = (),
    data: bytes = b"",
    *,
    magic: bytes = b"GGUF",
    version: int = 3,
    tensor_count: int | None = None,
    key_count: int | None = None,
    alignment: int = 32,
) -> bytes:
    head = magic + u32(version)
    head += u64(len(infos) if tensor_count is None else tensor_count)
    head += u64(len(keys) if key_count is None else key_count)
    head += b"".join(keys) + b"".join(infos)
    return head + bytes(-len(head) % alignment) + data if infos or data else head


def nested(depth: int) -> bytes:
    value = array(U8, 1, b"\7")
    for _ in range(depth - 1):
        value = array(ARRAY, 1, value)
    return value


ARCH = key("general.architecture", STRING, text("llama"))
DATA = bytes(32)
LARGE = 2**63

VALID = {
    "valid.gguf": gguf(
        (
            ARCH,
            key("u8", U8, b"\5"),
            key("flag", BOOL, b"\1"),
            key("scale", F32, struct.pack("<f", 0.5)),
            key("big", U64, u64(2**40)),
            key("tokens", ARRAY, array(STRING, 3, text("a") + text("") + text(b"\xff\xfe"))),
            key("ids", ARRAY, array(U32, 3, u32(1) + u32(2) + u32(3))),
            key("nested", ARRAY, array(ARRAY, 2, array(U8, 2, b"\1\2") + array(BOOL, 1, b"\0"))),
            key("general.alignment", U32, u32(32)),
        ),
        (
            info("w", (32, 2), TYPE_Q4_0),
            info("bias", (2, 4), TYPE_F32, 64),
            info("scalar", (), 0, 96),
        ),
        bytes(range(100)),
    )
}

FAULTS = {
    "empty-file": (b"", "file"),
    "magic-cut-short": (b"GG", "magic"),
    "magic-of-ggjt": (b"tjgg" + u32(3) + bytes(40), "magic"),
    "magic-of-zip": (b"PK\3\4" + bytes(40), "magic"),
    "version-missing": (b"GGUF", "version"),
    "version-0": (gguf(version=0), "version"),
    "version-1": (gguf(version=1), "version"),
    "version-4": (gguf(version=4), "version"),
    "version-3-big-endian": (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "version"),
    "version-2-big-endian": (b"GGUF" + struct.pack(">IQQ", 2, 0, 0), "version"),
    "counts-missing": (b"GGUF" + u32(3), "tensor count"),
    "metadata-count-cut-short": (b"GGUF" + u32(3) + u64(0) + b"\0" * 7, "metadata count"),
    "tensor-count-2-to-60": (gguf((ARCH,), tensor_count=2**60), "tensor count"),
    "tensor-count-all-ones": (gguf((ARCH,), tensor_count=2**64 - 1), "tensor count"),
    "tensor-count-one-too-many": (gguf((ARCH,), (info("w"),), DATA, tensor_count=2), "tensor"),
    "metadata-count-2-to-60": (gguf((ARCH,), key_count=2**60), "metadata count"),
    "metadata-count-all-ones": (gguf((ARCH,), key_count=2**64 - 1), "metadata count"),
    "metadata-count-one-too-many": (
        gguf((ARCH,), (info("w", (2, 4)),), DATA, key_count=2),
        "tensor 0 name length",
    ),
    "key-empty": (gguf((key("", U8, b"\0"), ARCH)), "metadata 0 key"),
    "key-length-2-to-60": (gguf((u64(2**60) + bytes(24),)), "metadata 0 key length"),
    "key-length-beyond-file": (gguf((u64(60_000) + bytes(24),)), "metadata 0 key"),
    "key-not-utf8": (gguf((key(b"\xff\xfe\xfd", U8, b"\0"),)), "metadata 0 key"),
    "key-twice": (gguf((ARCH, ARCH)), "metadata 1 key"),
    "value-type-13": (gguf((key("k", 13, bytes(8)),)), "metadata 'k' value type"),
    "value-type-all-ones": (gguf((key("k", 2**32 - 1, bytes(8)),)), "metadata 'k' value type"),
    "value-cut-short": (gguf((ARCH, key("k", U64, bytes(3)))), "metadata 'k' value"),
    "bool-of-2": (gguf((key("k", BOOL, b"\2"),)), "metadata 'k' bool"),
    "string-length-2-to-60": (gguf((key("k", STRING, u64(2**60)),)), "metadata 'k' string"),
    "string-length-all-ones": (gguf((key("k", STRING, u64(2**64 - 1)),)), "metadata 'k' string"),
    "array-length-2-to-60": (gguf((key("k", ARRAY, array(U8, 2**60)),)), "metadata 'k' array"),
    "array-bytes-overflow-64-bits": (
        gguf((key("k", ARRAY, array(U64, 2**61 + 1, bytes(8))),)),
        "metadata 'k' array",
    ),
    "array-type-99": (gguf((key("k", ARRAY, array(99, 0)),)), "metadata 'k' array type"),
    "array-length-missing": (gguf((key("longer-key", ARRAY, u32(U8)),)), "array length"),
    "array-of-2-to-60-strings": (
        gguf((key("k", ARRAY, array(STRING, 2**60, text("a"))),)),
        "metadata 'k' array",
    ),
    "array-of-strings-last-beyond-file": (
        gguf((key("k", ARRAY, array(STRING, 2, text("a") + u64(9))),)),
        "metadata 'k' array of 2 strings",
    ),
    "array-of-strings-lengths-wrap-around": (
        gguf((key("k", ARRAY, array(STRING, 3, u64(2**64 - 16) + u64(8) + bytes(16))),)),
        "metadata 'k' array of 3 strings",
    ),
    "array-nested-9-deep": (gguf((key("k", ARRAY, nested(9)),)), "metadata 'k' array"),
    "array-nested-40-deep": (
        gguf((key("k", ARRAY, array(ARRAY, 1) * 40),)),
        "metadata 'k' array",
    ),
    "array-of-2-to-60-arrays": (
        gguf((key("k", ARRAY, array(ARRAY, 2**60, array(U8, 0))),)),
        "metadata 'k' array",
    ),
    "alignment-0": (
        gguf((key("general.alignment", U32, u32(0)),), (info("w"),), DATA),
        "general.alignment",
    ),
    "alignment-24": (
        gguf((key("general.alignment", U32, u32(24)),), (info("w"),), DATA),
        "general.alignment",
    ),
    "alignment-of-type-u64": (
        gguf((key("general.alignment", U64, u64(32)),), (info("w"),), DATA),
        "general.alignment",
    ),
    "alignment-of-type-string": (
        gguf((key("general.alignment", STRING, text("32")),), (info("w"),), DATA),
        "general.alignment",
    ),
    "alignment-2-to-31-puts-data-beyond-file": (
        gguf((key("general.alignment", U32, u32(2**31)),), (info("w"),), DATA),
        "tensor 'w' data",
    ),
    "tensor-name-not-utf8": (gguf((ARCH,), (info(b"\x80"),), DATA), "tensor 0 name"),
    "tensor-name-length-2-to-60": (
        gguf((ARCH,), (u64(2**60) + bytes(40),), DATA),
        "tensor 0 name length",
    ),
    "tensor-name-twice": (
        gguf((ARCH,), (info("w"), info("w", offset=32)), DATA * 2),
        "tensor 'w' name",
    ),
    "tensor-of-5-dimensions": (
        gguf((ARCH,), (info("w", (1, 1, 1, 1, 8)),), DATA),
        "tensor 'w' dimensions",
    ),
    "tensor-of-2-to-32-dimensions": (
        gguf((ARCH,), (text("w") + u32(2**32 - 1) + bytes(40),), DATA),
        "tensor 'w' dimensions",
    ),
    "tensor-infos-cut-short": (gguf((ARCH,), (info("long-enough-name")[:-9],)), "tensor"),
    "tensor-shape-product-overflows": (
        gguf((ARCH,), (info("w", (2**32, 2**32)),), DATA),
        "tensor 'w' shape",
    ),
    "tensor-shape-product-wraps-to-8": (
        gguf((ARCH,), (info("w", (2**61 + 1, 8)),), DATA),
        "tensor 'w' shape",
    ),
    "tensor-shape-negative": (gguf((ARCH,), (info("w", (LARGE,)),), DATA), "tensor 'w' shape"),
    "tensor-shape-negative-times-0": (
        gguf((ARCH,), (info("w", (0, LARGE)),), DATA),
        "tensor 'w' shape",
    ),
    "tensor-bytes-overflow-64-bits": (
        gguf((ARCH,), (info("w", (2**62 + 8,)),), DATA),
        "tensor 'w' data",
    ),
    "tensor-type-43": (gguf((ARCH,), (info("w", kind=43),), DATA), "tensor 'w' type"),
    "tensor-type-q4_2-withdrawn": (gguf((ARCH,), (info("w", kind=4),), DATA), "tensor 'w' type"),
    "tensor-type-q4_0_4_4-withdrawn": (
        gguf((ARCH,), (info("w", (32,), 31),), DATA),
        "tensor 'w' type",
    ),
    "tensor-type-all-ones": (
        gguf((ARCH,), (info("w", kind=2**32 - 1),), DATA),
        "tensor 'w' type",
    ),
    "tensor-row-splits-block-of-32": (
        gguf((ARCH,), (info("w", (33,), TYPE_Q4_0),), DATA),
        "tensor 'w' shape",
    ),
    "tensor-row-splits-block-of-256": (
        gguf((ARCH,), (info("w", (32, 8), TYPE_Q4_K),), bytes(144)),
        "tensor 'w' shape",
    ),
    "tensor-scalar-of-block-type": (
        gguf((ARCH,), (info("w", (), TYPE_Q4_0),), DATA),
        "tensor 'w' shape",
    ),
    "tensor-offset-unaligned": (
        gguf((ARCH,), (info("w", offset=4),), DATA * 2),
        "tensor 'w' offset",
    ),
    "tensor-offset-all-ones-aligned": (
        gguf((ARCH,), (info("w", offset=2**64 - 32),), DATA),
        "tensor 'w' data",
    ),
    "tensor-offset-beyond-file": (
        gguf((ARCH,), (info("w", offset=4096),), DATA),
        "tensor 'w' data",
    ),
    "tensor-data-one-byte-short": (gguf((ARCH,), (info("w"),), DATA[:-1]), "tensor 'w' data"),
    "tensor-data-missing": (gguf((ARCH,), (info("w"),)), "tensor 'w' data"),
    "tensor-empty-but-beyond-file": (
        gguf((ARCH,), (info("w", (0,), offset=64),), DATA),
        "tensor 'w' data",
    ),
    "tensors-share-their-bytes": (
        gguf((ARCH,), (info("a"), info("b")), DATA),
        "tensor 'b' offset",
    ),
    "tensors-overlap": (
        gguf((ARCH,), (info("b", offset=32), info("a", (16,))), DATA * 2),
        "tensor 'b' offset",
    ),
}

CORPUS = {f"{name}.gguf": case for name, case in FAULTS.items()}
