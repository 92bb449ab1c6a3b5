"""Files of llama.cpp before GGUF and of whisper.cpp, one fault each."""

import struct

from tallow.formats.ggml import open_ggml

from ._cuts import cuts, whole
from ._parts import u32

open_file = open_ggml

GGML, GGMF, GGJT = b"lmgg", b"fmgg" + u32(1), b"tjgg" + u32(3)
TOKENS = (b"a", b"", b"\xff")


def token(raw: bytes, score: float | None = 0.5, length: int | None = None) -> bytes:
    head = u32(len(raw) if length is None else length) + raw
    return head if score is None else head + struct.pack("<f", score)


def tensor(
    name: str | bytes = "w",
    shape: tuple[int, ...] = (3, 4),
    kind: int = 1,
    data: bytes | None = None,
    *,
    dims: int | None = None,
    length: int | None = None,
    padding: int = 0,
) -> bytes:
    raw = name.encode() if isinstance(name, str) else name
    head = u32(len(shape) if dims is None else dims) + u32(len(raw) if length is None else length)
    head += u32(kind) + b"".join(map(u32, shape)) + raw
    return head + bytes(padding) + (bytes(24) if data is None else data)


def llama(
    *tensors: bytes, head: bytes = GGML, n_vocab: int = 3, tokens: bytes | None = None
) -> bytes:
    raw = head + struct.pack("<7i", n_vocab, 8, 256, 2, 1, 4, 1)
    scored = 0.5 if head[:4] != GGML else None
    raw += b"".join(token(t, scored) for t in TOKENS) if tokens is None else tokens
    return raw + b"".join(tensors)


def aligned(head: bytes, *tensors: tuple[str, tuple[int, ...], int, bytes]) -> bytes:
    raw = llama(head=head)
    for name, shape, kind, data in tensors:
        begin = len(raw) + 12 + 4 * len(shape) + len(name)
        raw += tensor(name, shape, kind, data, padding=-begin % 32)
    return raw


def whisper(
    *tensors: bytes, ftype: int = 1, bands: int = 2, frequencies: int = 201, count: int = 3
) -> bytes:
    raw = GGML + struct.pack("<11i", 9, 8, 4, 1, 1, 8, 4, 1, 1, bands, ftype)
    raw += struct.pack("<2i", bands, frequencies) + bytes(4 * 2 * 201) + u32(count)
    return raw + b"".join(token(t, None) for t in TOKENS) + b"".join(tensors)


Q4_0, Q5_0 = bytes(range(18)), bytes(range(22))
NUMBERS = struct.pack("<7i", 2, 8, 256, 2, 1, 4, 1)
PARTS = [
    ("magic", b"tjgg"), ("version", u32(3)), ("head", NUMBERS),
    ("vocabulary of 2", u32(9)), ("vocabulary of 2", b"123456789"),
    ("vocabulary of 2", b"\0\0\0\x3f"),
    ("token 1 length", u32(2)), ("token 1", b"bc"), ("token 1 score", b"\0\0\0\x3f"),
]  # fmt: skip
TENSOR = [
    ("dimensions", u32(1)), ("name length", u32(1)), ("type", u32(0)), ("shape", u32(3)),
    ("name", b"w"), ("tensor 'w' padding", bytes(-(len(whole(PARTS)) + 17) % 32)),
    ("tensor 'w' data", bytes(12)),
]  # fmt: skip
VALID = {
    "ggml.bin": llama(tensor(), tensor("odd", (1,), 1, b"ab"), tensor("v", (6,), 0)),
    "ggmf.bin": llama(tensor(), tensor("v", (6,), 0), head=GGMF),
    "ggjt-1.bin": aligned(b"tjgg" + u32(1), ("w", (3, 4), 1, bytes(24)), ("v", (1,), 0, b"abcd")),
    "ggjt-2.bin": aligned(b"tjgg" + u32(2), ("w", (32, 1), 6, Q5_0), ("v", (1,), 0, b"abcd")),
    "ggjt-3.bin": aligned(GGJT, ("w", (32, 1), 2, Q4_0), ("v", (2, 1, 1, 1), 1, b"abcd")),
    "whisper.bin": whisper(tensor(), tensor("q", (32,), 2, Q4_0), ftype=2002),
    "cut.bin": whole(PARTS + TENSOR),
}
FAULTS = {
    "empty-file": (b"", "file"),
    "magic-of-gguf": (b"GGUF" + u32(3) + bytes(40), "magic"),
    "magic-of-a-lora": (b"algg" + u32(1) + bytes(40), "magic"),
    "magic-backwards": (b"ggml" + bytes(40), "magic"),
    "magic-of-zip": (b"PK\3\4" + bytes(40), "magic"),
    "ggmf-version-0": (llama(head=b"fmgg" + u32(0)), "version"),
    "ggmf-version-2": (llama(head=b"fmgg" + u32(2)), "version"),
    "ggjt-version-0": (llama(head=b"tjgg" + u32(0)), "version"),
    "ggjt-version-4": (llama(head=b"tjgg" + u32(4)), "version"),
    "ggjt-version-all-ones": (llama(head=b"tjgg" + u32(2**32 - 1)), "version"),
    "vocabulary-negative": (llama(n_vocab=-1), "vocabulary count"),
    "vocabulary-2-to-31": (llama(n_vocab=2**31 - 1), "vocabulary of 2147483647"),
    "vocabulary-one-too-many": (llama(tensor(), n_vocab=4), "tensor 0"),
    "vocabulary-one-too-few": (llama(tensor(), n_vocab=2), "tensor 0"),
    "token-length-all-ones": (
        llama(head=GGJT, tokens=token(b"a", 0.5, 2**32 - 1) * 3),
        "token 0 length",
    ),
    "token-length-5000": (llama(tokens=token(bytes(5000), None) * 3), "token 0 length"),
    "token-beyond-file": (llama(tokens=token(b"abcdefgh", None, 4000)), "token 0"),
    "model-of-gpt-j": (
        GGML + struct.pack("<8i", 50400, 2048, 4096, 16, 28, 64, 1, 50400),
        "vocabulary",
    ),
    "dimensions-0": (llama(tensor(shape=())), "tensor 0 dimensions"),
    "dimensions-5": (llama(tensor(shape=(1,) * 5)), "tensor 0 dimensions"),
    "dimensions-all-ones": (llama(tensor(dims=2**32 - 1)), "tensor 0 dimensions"),
    "name-length-all-ones": (llama(tensor(length=2**32 - 1)), "tensor 0 name length"),
    "name-beyond-file": (llama(tensor(length=4000)), "tensor 0 name"),
    "name-not-utf8": (llama(tensor(b"\xff\xfe")), "tensor 0 name"),
    "name-twice": (llama(tensor(), tensor()), "tensor 'w' name"),
    "type-16": (llama(tensor(kind=16), head=GGJT), "tensor 'w' type"),
    "type-all-ones": (llama(tensor(kind=2**32 - 1)), "tensor 'w' type"),
    "type-q4_2-withdrawn": (llama(tensor(kind=4), head=GGJT), "tensor 'w' type"),
    "type-q4_3-withdrawn": (llama(tensor(kind=5), head=GGJT), "tensor 'w' type"),
    "type-q8_1-never-stored": (llama(tensor(kind=9), head=GGJT), "tensor 'w' type"),
    "type-q8_k-never-stored": (llama(tensor(kind=15), head=GGJT), "tensor 'w' type"),
    "type-q4_0-in-ggml": (llama(tensor("w", (32,), 2, Q4_0)), "tensor 'w' type"),
    "type-q4_0-in-ggmf": (llama(tensor("w", (32,), 2, Q4_0), head=GGMF), "tensor 'w' type"),
    "type-q5_0-in-ggjt-1": (
        aligned(b"tjgg" + u32(1), ("w", (32,), 6, Q5_0)),
        "tensor 'w' type",
    ),
    "type-q4_0-in-ggjt-2": (
        aligned(b"tjgg" + u32(2), ("w", (32,), 2, Q4_0)),
        "tensor 'w' type",
    ),
    "type-q4_k-in-ggjt-2": (
        aligned(b"tjgg" + u32(2), ("w", (256,), 12, bytes(144))),
        "tensor 'w' type",
    ),
    "row-splits-block": (aligned(GGJT, ("w", (33,), 2, Q4_0)), "tensor 'w' shape"),
    "row-splits-block-of-256": (aligned(GGJT, ("w", (32, 8), 12, bytes(144))), "tensor 'w' shape"),
    "shape-product-overflows": (llama(tensor(shape=(2**31,) * 4)), "tensor 'w' shape"),
    "shape-product-wraps-to-1": (
        llama(tensor(shape=(2**32 - 1, 2**32 - 1, 2**32 - 1, 1))),
        "tensor 'w' shape",
    ),
    "shape-product-overflows-times-0": (
        llama(tensor(shape=(2**32 - 1, 2**32 - 1, 2**32 - 1, 0))),
        "tensor 'w' shape",
    ),
    "shape-larger-than-file": (llama(tensor(shape=(2**31, 2**30))), "tensor 'w' data"),
    "data-one-byte-short": (llama(tensor())[:-1], "tensor 'w' data"),
    "data-of-the-last-missing": (llama(tensor(), tensor("v", data=b"")), "tensor 'v' data"),
    "bytes-after-the-last-tensor": (llama(tensor()) + b"\1\0\0\0", "tensor 1"),
    "data-without-its-padding": (llama(tensor(), head=GGJT), "tensor 'w'"),
    "whisper-quantisation-3": (whisper(tensor(), ftype=3002), "ftype"),
    "whisper-quantisation-negative": (whisper(tensor(), ftype=-5), "ftype"),
    "whisper-quantised-in-former-layout": (
        whisper(tensor("w", (32,), 2, Q4_0), ftype=2),
        "tensor 'w' type",
    ),
    "whisper-filters-beyond-file": (
        whisper(tensor(), bands=2**31 - 1),
        "mel filters",
    ),
    "whisper-vocabulary-all-ones": (whisper(count=2**32 - 1), "vocabulary"),
    "whisper-tensor-named-like-the-filters": (
        whisper(tensor("mel_filters")),
        "tensor 'mel_filters' name",
    ),
}
CORPUS = {f"{name}.bin": case for name, case in FAULTS.items()}
CORPUS |= cuts(PARTS, ".bin")
CORPUS |= {
    f"tensor-{name}": (whole(PARTS) + raw, field)
    for name, (raw, field) in cuts(TENSOR, ".bin").items()
}
