"""SentencePiece models, and through them protobuf's wire format, one fault each."""

import contextlib

from formats.protobuf_bytes import number, piece, single, sized, tag, varint
from tallow.formats.sentencepiece import open_sentencepiece

from ._cuts import cuts

MULTIPLE = 300  # an empty piece is 2 bytes in the file and a record, a text and two numbers in use


class Opened:
    """A model with the names of its pieces, as the tests of the corpus ask for them."""

    def __init__(self, model) -> None:
        self.model = model

    def names(self) -> list[str]:
        return self.model.pieces


@contextlib.contextmanager
def open_file(source):
    yield Opened(open_sentencepiece(source))


def touch(file) -> None:
    repr(file.model)


UNK = piece("<unk>", 0.0, 2)
HEAD = UNK + piece("<s>", 0.0, 3) + piece("</s>", 0.0, 3)
NORMALIZER = sized(3, sized(1, "nmt_nfkc") + sized(2, b"\0\0\0\0") + number(3, 1) + number(4, 0))


def nested(count: int) -> bytes:
    raw = b""
    for _ in range(count):
        raw = sized(9, raw)
    return raw


PARTS = [
    ("ModelProto.pieces", UNK),
    ("ModelProto.pieces", piece("▁a", -1.5)),
    ("ModelProto.trainer_spec", sized(2, number(3, 1) + number(40, 0))),
    ("ModelProto.normalizer_spec", NORMALIZER),
]
VALID = {
    "unigram.model": HEAD + piece("▁a", -1.5) + piece("b", -2.0, 1) + NORMALIZER,
    "bpe.model": HEAD + piece("<0x00>", 0, 6) + sized(2, number(3, 2) + number(35, 1)) + NORMALIZER,
    "unknown-fields.model": (
        number(7, 5) + HEAD + tag(8, 3) + number(1, 300) + sized(2, b"abc") + tag(8, 4)
        + tag(100, 1) + bytes(8) + tag(101, 5) + bytes(4) + nested(20)
        + sized(2, number(41, -1) + number(43, 2**64 - 1) + sized(30, "x"))
    ),
}  # fmt: skip
FAULTS = {
    "empty": (b"", "ModelProto.pieces"),
    "text": (b"not a model\n", "ModelProto"),
    "zip": (b"PK\3\4" + bytes(40), "ModelProto"),
    "tag-0": (HEAD + b"\0\0", "ModelProto"),
    "tag-of-11-bytes": (HEAD + b"\x88" + b"\x80" * 9 + b"\1", "ModelProto"),
    "tag-beyond-32-bits": (HEAD + varint(1 << 35 | 8) + b"\1", "ModelProto"),
    "wire-type-6": (HEAD + tag(1, 6), "ModelProto"),
    "wire-type-7": (HEAD + tag(9, 7), "ModelProto"),
    "group-ends-alone": (HEAD + tag(9, 4), "ModelProto"),
    "group-without-end": (HEAD + tag(9, 3) + number(1, 1), "ModelProto"),
    "group-ends-as-another": (HEAD + tag(9, 3) + tag(8, 4), "ModelProto"),
    "group-of-groups": (HEAD + tag(9, 3) * 5000, "ModelProto"),
    "group-with-field-0": (HEAD + tag(9, 3) + b"\0\0" + tag(9, 4), "ModelProto"),
    "group-of-wire-type-6": (HEAD + tag(9, 3) + tag(1, 6) + tag(9, 4), "ModelProto"),
    "group-cut-in-text": (HEAD + tag(9, 3) + sized(1, b"", 9), "ModelProto"),
    "number-of-11-bytes": (HEAD + sized(2, tag(40, 0) + b"\xff" * 10 + b"\1"), "unk_id"),
    "number-without-end": (HEAD + sized(2, tag(40, 0) + b"\xff"), "unk_id"),
    "length-beyond-file": (HEAD + sized(1, b"abc", 1000), "ModelProto.pieces"),
    "length-all-ones": (HEAD + sized(1, b"abc", 2**64 - 1), "ModelProto.pieces"),
    "length-beyond-message": (HEAD + sized(1, sized(1, b"a", 9)), "SentencePiece.piece"),
    "score-halved": (HEAD + sized(1, sized(1, "a") + tag(2, 5) + b"\0\0"), "SentencePiece.score"),
    "unknown-fixed-halved": (HEAD + tag(9, 1) + bytes(7), "ModelProto"),
    "piece-not-utf8": (HEAD + piece(b"\xff\xfe"), "SentencePiece.piece"),
    "name-not-utf8": (HEAD + sized(3, sized(1, b"\xc3")), "NormalizerSpec.name"),
    "piece-empty": (HEAD + piece(""), "ModelProto.pieces[3]"),
    "piece-absent": (HEAD + sized(1, b""), "ModelProto.pieces[3]"),
    "piece-twice": (HEAD + piece("a") + piece("a"), "ModelProto.pieces[4]"),
    "type-0": (HEAD + piece("a", 0, 0), "ModelProto.pieces[3].type"),
    "type-7": (HEAD + piece("a", 0, 7), "ModelProto.pieces[3].type"),
    "type-negative": (HEAD + piece("a", 0, -1), "ModelProto.pieces[3].type"),
    "no-unknown-piece": (piece("a"), "ModelProto.pieces"),
    "unknown-piece-twice": (UNK + piece("a", 0, 2), "ModelProto.pieces"),
    "score-nan": (HEAD + piece("a", float("nan")), "ModelProto.pieces[3].score"),
    "score-infinite": (HEAD + piece("a", float("-inf")), "ModelProto.pieces[3].score"),
    "algorithm-0": (HEAD + sized(2, number(3, 0)), "TrainerSpec.model_type"),
    "algorithm-5": (HEAD + sized(2, number(3, 5)), "TrainerSpec.model_type"),
}
CORPUS = {f"{name}.model": case for name, case in FAULTS.items()} | {
    # A file that ends between two fields is a shorter message: protobuf cannot tell.
    name: case for name, case in cuts(PARTS, ".model").items() if not name.endswith("missing.model")
}  # fmt: skip
SEEDS = (HEAD + single(2, 1.0), sized(2, sized(3, varint(1) * 9)))
