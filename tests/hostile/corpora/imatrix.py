"""Importance matrices of both layouts, one fault each."""

import struct

from tallow.formats.imatrix import open_imatrix

from ._cuts import cuts, whole
from ._parts import u32
from .gguf import ARRAY, STRING, U32, array, gguf, info, key, text

I8, F16 = 24, 1


class Opened:
    """A matrix in the place of an open file."""

    def __init__(self, matrix):
        self.matrix = matrix
        self.metadata = {"datasets": matrix.datasets, "chunks": matrix.chunk_count}
        self.tensors = {name: matrix.values(name) for name in matrix}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


def open_file(source):
    return Opened(open_imatrix(source))


def touch(file) -> None:
    for name, values in file.tensors.items():
        entry = file.matrix.entries[name]
        assert entry.sums.shape[0] == len(entry.counts)
        assert values.numel() == entry.sums.numel() > 0
        assert all(0 <= value < float("inf") for value in values.view(-1).tolist())


# --- .dat -----------------------------------------------------------------------------------------


def entry(
    name: str | bytes = "w",
    values: tuple[float, ...] = (1.0, 2.0, 3.0),
    calls: int = 2,
    *,
    length: int | None = None,
    count: int | None = None,
) -> bytes:
    raw = name.encode() if isinstance(name, str) else name
    head = struct.pack("<i", len(raw) if length is None else length) + raw
    head += struct.pack("<ii", calls, len(values) if count is None else count)
    return head + struct.pack(f"<{len(values)}f", *values)


def dat(*entries: bytes, count: int | None = None, end: bytes | None = None) -> bytes:
    raw = struct.pack("<i", len(entries) if count is None else count) + b"".join(entries)
    return raw + (struct.pack("<ii", 5, 3) + b"a.t" if end is None else end)


PARTS = [
    ("number of entries", u32(1)), ("number of entries", u32(13)),
    ("number of entries", b"blk.0.ffn_up."),
    ("number of chunks", u32(2)), ("number of values", u32(3)), ("3 values", bytes(12)),
]  # fmt: skip
END = [("number of chunks", u32(5)), ("dataset length", u32(3)), ("dataset", b"a.t")]
DAT = {
    "entries-0": (dat(), "number of entries"),
    "entries-negative": (dat(entry(), count=-1), "number of entries"),
    "entries-2-to-31": (dat(entry(), count=2**31 - 1), "number of entries"),
    "entries-one-too-many": (dat(entry(), entry("v"), count=3), "number of"),
    "entries-one-too-few": (dat(entry("w"), entry("v"), count=1), "dataset"),
    "name-length-negative": (dat(entry(length=-1)), "entry 0 name length"),
    "name-length-2-to-31": (dat(entry(length=2**31 - 1)), "entry 0 name"),
    "name-empty": (dat(entry("aaaa"), entry("")), "entry 1 name"),
    "name-twice": (dat(entry(), entry()), "entry 1 name"),
    "chunks-negative": (dat(entry(calls=-1)), "entry 'w' number of chunks"),
    "values-0": (dat(entry(count=0)), "entry 'w' number of values"),
    "values-negative": (dat(entry(count=-3)), "entry 'w' number of values"),
    "values-2-to-31": (dat(entry(count=2**31 - 1)), "values"),
    "values-2-to-30-times-4-overflows": (dat(entry(count=2**30)), "values"),
    "value-negative": (dat(entry(values=(1.0, -1.0))), "entry 'w' values"),
    "value-nan": (dat(entry(values=(1.0, float("nan")))), "entry 'w' values"),
    "value-infinite": (dat(entry(values=(1.0, float("inf")))), "entry 'w' values"),
    "value-too-large": (dat(entry(values=(1.0, 3e38))), "entry 'w' values"),
    "all-chunks-negative": (dat(entry(), end=struct.pack("<i", -1)), "number of chunks"),
    "dataset-length-negative": (dat(entry(), end=struct.pack("<ii", 1, -1)), "dataset length"),
    "dataset-beyond-file": (dat(entry(), end=struct.pack("<ii", 1, 2**31 - 1) + b"a"), "dataset"),
    "bytes-after-the-end": (dat(entry()) + b"\0", "end"),
    "a-zip-archive": (b"PK\3\4" + bytes(40), "number of entries"),
}

# --- GGUF -----------------------------------------------------------------------------------------

TYPE = key("general.type", STRING, text("imatrix"))
DATASETS = key("imatrix.datasets", ARRAY, array(STRING, 1, text("a.txt")))
CHUNKS = key("imatrix.chunk_count", U32, u32(1))
SIZE = key("imatrix.chunk_size", U32, u32(8))
KEYS = (TYPE, DATASETS, CHUNKS, SIZE)


def floats(*values: float) -> bytes:
    raw = struct.pack(f"<{len(values)}f", *values)
    return raw + bytes(-len(raw) % 32)


def pair(
    sums: tuple[float, ...] = (1.0, 2.0), counts: tuple[float, ...] = (3.0,), kind: int = 0
) -> bytes:
    infos = (
        info("w.in_sum2", (len(sums),), kind),
        info("w.counts", (len(counts),), kind, len(floats(*sums))),
    )
    return gguf(KEYS, infos, floats(*sums) + floats(*counts))


def one(name: str, keys: tuple[bytes, ...] = KEYS) -> bytes:
    return gguf(keys, (info(name, (2,)),), floats(1, 2))


def keys(*kept: bytes) -> bytes:
    infos = info("w.in_sum2", (2,)), info("w.counts", (1,), offset=32)
    return gguf(kept, infos, floats(1, 2) + floats(3))


GGUF = {
    "type-missing": (keys(DATASETS, CHUNKS, SIZE), "metadata general.type"),
    "type-of-a-model": (
        keys(key("general.type", STRING, text("model")), DATASETS, CHUNKS, SIZE),
        "metadata general.type",
    ),
    "type-a-number": (keys(key("general.type", U32, u32(1)), *KEYS[1:]), "metadata general.type"),
    "datasets-missing": (keys(TYPE, CHUNKS, SIZE), "metadata imatrix.datasets"),
    "datasets-of-numbers": (
        keys(TYPE, key("imatrix.datasets", ARRAY, array(U32, 1, u32(1))), CHUNKS, SIZE),
        "metadata imatrix.datasets",
    ),
    "chunk-count-missing": (keys(TYPE, DATASETS, SIZE), "metadata imatrix.chunk_count"),
    "chunk-size-missing": (keys(TYPE, DATASETS, CHUNKS), "metadata imatrix.chunk_size"),
    "chunk-size-0": (
        keys(*KEYS[:3], key("imatrix.chunk_size", U32, u32(0))),
        "metadata imatrix.chunk_size",
    ),
    "chunk-size-all-ones": (
        keys(*KEYS[:3], key("imatrix.chunk_size", U32, u32(2**32 - 1))),
        "metadata imatrix.chunk_size",
    ),
    "no-tensors": (gguf(KEYS), "tensor count"),
    "tensors-of-a-model": (one("blk.0.attn_q.weight"), "tensor count"),
    "sums-without-counts": (one("w.in_sum2"), "tensor 'w.counts'"),
    "counts-without-sums": (one("w.counts"), "tensor 'w.counts'"),
    "sums-of-f16": (pair(kind=F16), "tensor 'w.in_sum2'"),
    "sums-empty": (pair(sums=()), "tensor 'w.in_sum2'"),
    "counts-empty": (pair(counts=()), "tensor 'w.counts'"),
    "counts-that-do-not-divide-sums": (pair((1, 2, 3), (1, 1)), "tensor 'w.in_sum2'"),
    "counts-more-than-sums": (pair((1, 2), (1, 1, 1)), "tensor 'w.in_sum2'"),
    "sum-negative": (pair((1, -2)), "tensor 'w.in_sum2'"),
    "sum-nan": (pair((1, float("nan"))), "tensor 'w.in_sum2'"),
    "sum-infinite": (pair((1, float("inf"))), "tensor 'w.in_sum2'"),
    "count-negative": (pair(counts=(-1,)), "tensor 'w.counts'"),
    "count-nan": (pair(counts=(float("nan"),)), "tensor 'w.counts'"),
    "count-infinite": (pair(counts=(float("inf"),)), "tensor 'w.counts'"),
    "count-2-to-63": (pair(counts=(2.0**63,)), "tensor 'w.counts'"),
    "cut-short": (pair()[:-40], "data"),
}

VALID = {
    "valid.gguf": pair((1, 2, 3, 4), (3, 0)),
    "valid.dat": dat(entry(), entry("v", (0.0, 9.5), 0)),
    "older.dat": dat(entry(), end=b""),
    "old.dat": dat(entry(), end=u32(7)),
    "cut.dat": whole(PARTS + END),
}
CORPUS = {f"{name}.dat": case for name, case in DAT.items()}
CORPUS |= {"empty-file.dat": (b"", "file")}
CORPUS |= {f"{name}.gguf": case for name, case in GGUF.items()}
CORPUS |= cuts(PARTS, ".dat")
CORPUS |= {
    f"end-{name}": (whole(PARTS) + raw, field)
    for name, (raw, field) in cuts(END, ".dat").items()
    if not name.endswith("dataset-length-missing.dat")  # where files of former times ended
}
