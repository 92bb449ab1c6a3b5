"""Writes the corpus of hostile model files: one small file a fault, named by the fault.

`python tests/hostile/make_corpus.py` writes `gguf/` and `safetensors/` beside this script. `CORPUS`
maps each file's name to its bytes and to the field that the reader must blame.
"""

import json
import struct
from pathlib import Path

HERE = Path(__file__).resolve().parent

U8, I8, U32, F32, BOOL, STRING, ARRAY, U64 = 0, 1, 4, 6, 7, 8, 9, 10
TYPE_F32, TYPE_Q4_0, TYPE_Q4_K = 0, 2, 12


def u32(value: int) -> bytes:
    return struct.pack("<I", value)


def u64(value: int) -> bytes:
    return struct.pack("<Q", value)


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

VALID_GGUF = gguf(
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
    (info("w", (32, 2), TYPE_Q4_0), info("bias", (2, 4), TYPE_F32, 64), info("scalar", (), 0, 96)),
    bytes(range(100)),
)

GGUF = {
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


def safetensors(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return u64(len(raw) if length is None else length) + raw + data


def entry(dtype: object = "U8", shape: object = (1,), offsets: object = (0, 1), **more) -> dict:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets, **more}


U8_ENTRY = b'{"dtype":"U8","shape":[1],"data_offsets":[0,1]}'

VALID_SAFETENSORS = safetensors(
    {
        "__metadata__": {"format": "pt", "note": "ä\n"},
        "w": entry("F32", (2, 3), (0, 24)),
        "h": entry("BF16", (2,), (24, 28)),
        "empty": entry("I64", (0, 4), (28, 28)),
        "flag": entry("BOOL", (), (28, 29), further={"key": [1, 2.5, None]}),
    },
    bytes(range(29)),
)

SAFETENSORS = {
    "empty-file": (b"", "file"),
    "header-length-cut-short": (bytes(7), "header length"),
    "header-length-0": (bytes(8), "header"),
    "header-length-beyond-file": (safetensors({}, length=3), "header length"),
    "header-length-beyond-100-mb": (safetensors({}, length=100_000_001), "header length"),
    "header-length-2-to-60": (safetensors({}, length=2**60), "header length"),
    "header-length-all-ones": (safetensors({}, length=2**64 - 1), "header length"),
    "header-not-json": (safetensors(b"not json"), "header"),
    "header-not-utf8": (safetensors(b'{"\xff":' + U8_ENTRY + b"}", b"a"), "header"),
    "header-with-byte-order-mark": (safetensors(b"\xef\xbb\xbf{}"), "header"),
    "header-a-list": (safetensors([]), "header"),
    "header-a-number": (safetensors(b"12345678"), "header"),
    "header-cut-short": (safetensors(b'{"a":' + U8_ENTRY, b"a"), "header"),
    "header-followed-by-nul": (safetensors(b"{}\0\0"), "header"),
    "header-followed-by-json": (safetensors(b"{}{}"), "header"),
    "header-comma-at-end": (safetensors(b'{"a":' + U8_ENTRY + b",}", b"a"), "header"),
    "header-2000-arrays-deep": (
        safetensors(b'{"a":' + b"[" * 2000 + b"]" * 2000 + b"}"),
        "tensor 'a'",
    ),
    "name-with-raw-newline": (safetensors(b'{"a\n":' + U8_ENTRY + b"}", b"a"), "header"),
    "name-a-lone-surrogate": (safetensors(b'{"\\ud800":' + U8_ENTRY + b"}", b"a"), "header"),
    "name-twice": (
        safetensors(b'{"a":' + U8_ENTRY + b',"a":' + U8_ENTRY + b"}", b"a"),
        "header",
    ),
    "name-twice-by-escape": (
        safetensors(b'{"a":' + U8_ENTRY + b',"\\u0061":' + U8_ENTRY + b"}", b"a"),
        "header",
    ),
    "metadata-of-numbers": (safetensors({"__metadata__": {"a": 1}}), "header __metadata__"),
    "metadata-a-list": (safetensors({"__metadata__": []}), "header __metadata__"),
    "metadata-key-twice": (
        safetensors(b'{"__metadata__":{"a":"1","a":"2"}}'),
        "header __metadata__",
    ),
    "metadata-twice": (safetensors(b'{"__metadata__":{},"__metadata__":{}}'), "header"),
    "entry-null": (safetensors({"a": None}), "tensor 'a'"),
    "entry-a-list": (safetensors({"a": ["U8", [1], [0, 1]]}, b"a"), "tensor 'a'"),
    "entry-without-offsets": (safetensors({"a": {"dtype": "U8", "shape": [1]}}), "tensor 'a'"),
    "entry-key-twice": (
        safetensors(b'{"a":{"dtype":"U8",' + U8_ENTRY[1:] + b"}", b"a"),
        "tensor 'a'",
    ),
    "dtype-unknown": (safetensors({"a": entry("F23")}, b"a"), "tensor 'a' dtype"),
    "dtype-lower-case": (safetensors({"a": entry("u8")}, b"a"), "tensor 'a'"),
    "dtype-f4": (safetensors({"a": entry("F4", (2,))}, b"a"), "tensor 'a' dtype"),
    "dtype-a-number": (safetensors({"a": entry(8)}, b"a"), "tensor 'a'"),
    "shape-negative": (safetensors({"a": entry(shape=(-1,))}, b"a"), "tensor 'a'"),
    "shape-of-floats": (safetensors({"a": entry(shape=(1.0,))}, b"a"), "tensor 'a'"),
    "shape-of-bools": (safetensors({"a": entry(shape=(True,))}, b"a"), "tensor 'a'"),
    "shape-of-5000-digits": (
        safetensors(b'{"a":' + U8_ENTRY.replace(b"[1]", b"[" + b"9" * 5000 + b"]") + b"}", b"a"),
        "tensor 'a'",
    ),
    "shape-leading-zero": (
        safetensors(b'{"a":' + U8_ENTRY.replace(b"[1]", b"[01]") + b"}", b"a"),
        "tensor 'a'",
    ),
    "shape-product-overflows": (
        safetensors({"a": entry(shape=(2**40, 2**40), offsets=(0, 0))}),
        "tensor 'a' shape",
    ),
    "shape-product-overflows-times-0": (
        safetensors({"a": entry(shape=(2**40, 2**40, 0), offsets=(0, 0))}),
        "tensor 'a' shape",
    ),
    "shape-product-wraps-to-1": (
        safetensors({"a": entry(shape=(2**64 - 1, 2**64 - 1))}, b"a"),
        "tensor 'a' shape",
    ),
    "shape-does-not-fit-offsets": (safetensors({"a": entry(shape=(2,))}, b"a"), "tensor 'a'"),
    "offsets-three": (safetensors({"a": entry(offsets=(0, 1, 1))}, b"a"), "tensor 'a'"),
    "offsets-backwards": (safetensors({"a": entry(offsets=(1, 0))}, b"a"), "tensor 'a'"),
    "offsets-beyond-file": (
        safetensors({"a": entry("F32", (2,), (0, 8))}, bytes(7)),
        "data",
    ),
    "offsets-2-to-63": (
        safetensors({"a": entry(offsets=(2**63, 2**63 + 1))}, b"a"),
        "tensor 'a' data_offsets",
    ),
    "offsets-all-ones": (
        safetensors({"a": entry(shape=(0,), offsets=(2**64 - 1, 2**64 - 1))}),
        "tensor 'a' data_offsets",
    ),
    "hole-at-the-start": (
        safetensors({"a": entry(offsets=(1, 2))}, b"ab"),
        "tensor 'a' data_offsets",
    ),
    "hole-between-tensors": (
        safetensors({"a": entry(), "b": entry(offsets=(2, 3))}, b"abc"),
        "tensor 'b' data_offsets",
    ),
    "bytes-after-the-last-tensor": (safetensors({"a": entry()}, b"ab"), "data"),
    "bytes-without-any-tensor": (safetensors({}, b"a"), "data"),
    "tensors-overlap": (
        safetensors(
            {"a": entry(shape=(2,), offsets=(0, 2)), "b": entry(shape=(2,), offsets=(1, 3))},
            b"abc",
        ),
        "tensor 'b' data_offsets",
    ),
    "tensors-share-their-bytes": (
        safetensors({"a": entry(), "b": entry()}, b"a"),
        "tensor 'b' data_offsets",
    ),
    "tensor-empty-inside-another": (
        safetensors(
            {"a": entry(shape=(2,), offsets=(0, 2)), "b": entry(shape=(0,), offsets=(1, 1))},
            b"ab",
        ),
        "tensor 'b' data_offsets",
    ),
}


def index(shard: object) -> bytes:
    return json.dumps({"metadata": {"total_size": 4}, "weight_map": {"w": shard}}).encode()


INDEX = {
    "index-empty-file": (b"", "file"),
    "index-not-json": (b"\x89PNG", "index"),
    "index-a-list": (b"[]", "index"),
    "index-cut-short": (index("a.safetensors")[:-2], "index"),
    "index-without-weight-map": (b'{"metadata":{}}', "index"),
    "index-weight-map-a-list": (b'{"weight_map":["w"]}', "index"),
    "index-name-twice": (b'{"weight_map":{"w":"a.safetensors","w":"b.safetensors"}}', "index"),
    "index-shard-a-number": (index(1), "index"),
    "index-shard-missing": (index("no-such-file.safetensors"), "file"),
    "index-shard-empty-name": (index(""), "weight_map shard"),
    "index-shard-is-dot": (index("."), "weight_map shard"),
    "index-shard-is-dot-dot": (index(".."), "weight_map shard"),
    "index-shard-in-parent": (index("../secret.safetensors"), "weight_map shard"),
    "index-shard-absolute": (index("/etc/passwd"), "weight_map shard"),
    "index-shard-in-folder": (index("sub/a.safetensors"), "weight_map shard"),
    "index-shard-with-backslash": (index("..\\a.safetensors"), "weight_map shard"),
    "index-shard-on-drive": (index("C:a.safetensors"), "weight_map shard"),
    "index-shard-with-nul": (index("a\0.safetensors"), "weight_map shard"),
}

# What must stand on disk: path below this folder → bytes and field.
CORPUS = {
    **{f"gguf/{name}.gguf": case for name, case in GGUF.items()},
    **{f"safetensors/{name}.safetensors": case for name, case in SAFETENSORS.items()},
    **{f"safetensors/{name}.json": case for name, case in INDEX.items()},
}


def main() -> None:
    for folder in ("gguf", "safetensors"):
        (HERE / folder).mkdir(exist_ok=True)
        for old in (HERE / folder).iterdir():
            if old.suffix in (".gguf", ".safetensors", ".json"):
                old.unlink()
    for name, (raw, _) in CORPUS.items():
        (HERE / name).write_bytes(raw)


if __name__ == "__main__":
    main()
