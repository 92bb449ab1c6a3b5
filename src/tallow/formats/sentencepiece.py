"""SentencePiece's `.model` files: pieces with their scores, and how text becomes them.

Source: https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any, Final

from tallow.errors import FormatError
from tallow.formats.protobuf import Field, Message, Record, read_message
from tallow.lazy_dataclasses import dataclass

ALGORITHMS: Final = {1: "unigram", 2: "bpe", 3: "word", 4: "char"}
# Kinds of pieces, as the format numbers them.
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)

_PIECE: Final = Message(
    "SentencePiece",
    {1: Field("piece", "string"), 2: Field("score", "float"), 3: Field("type", "enum")},
)
_TRAINER: Final = Message(
    "TrainerSpec",
    {
        3: Field("model_type", "enum"),
        24: Field("treat_whitespace_as_suffix", "bool"),
        35: Field("byte_fallback", "bool"),
        40: Field("unk_id", "int32"),
        41: Field("bos_id", "int32"),
        42: Field("eos_id", "int32"),
        43: Field("pad_id", "int32"),
        44: Field("unk_surface", "string"),
        45: Field("unk_piece", "string"),
        46: Field("bos_piece", "string"),
        47: Field("eos_piece", "string"),
        48: Field("pad_piece", "string"),
    },
)
_NORMALIZER: Final = Message(
    "NormalizerSpec",
    {
        1: Field("name", "string"),
        2: Field("precompiled_charsmap", "bytes"),
        3: Field("add_dummy_prefix", "bool"),
        4: Field("remove_extra_whitespaces", "bool"),
        5: Field("escape_whitespaces", "bool"),
    },
)
_MODEL: Final = Message(
    "ModelProto",
    {
        1: Field("pieces", _PIECE, repeated=True),
        2: Field("trainer_spec", _TRAINER),
        3: Field("normalizer_spec", _NORMALIZER),
        5: Field("denormalizer_spec", _NORMALIZER),
    },
)


@dataclass(frozen=True)
class TextRules:
    """How a model changes text before it looks for pieces, or when it gives text back."""

    name: str = ""
    charsmap: bytes = b""
    add_dummy_prefix: bool = True
    remove_extra_whitespaces: bool = True
    escape_whitespaces: bool = True


@dataclass(frozen=True)
class SentencePieceModel:
    """A `.model` file; an id is the place of its piece. A negative special id means none."""

    path: str
    algorithm: str
    pieces: list[str]
    scores: list[float]
    kinds: list[int]
    normalizer: TextRules
    denormalizer: TextRules
    byte_fallback: bool
    unk_id: int
    bos_id: int
    eos_id: int
    pad_id: int
    unk_surface: str
    space_as_suffix: bool

    def of_kind(self, *kinds: int) -> list[int]:
        """The ids of these kinds of pieces: `CONTROL`, `USER_DEFINED` and so on."""
        return [index for index, kind in enumerate(self.kinds) if kind in kinds]


def open_sentencepiece(source: str | os.PathLike[str] | bytes) -> SentencePieceModel:
    """Read a `.model` file, or the bytes of one.

    Raises:
        FormatError: it is damaged, or no such file; no piece or several are the unknown one, a
            score is no number, a piece is empty or stands twice.
    """
    path = "<bytes>" if isinstance(source, bytes) else os.fspath(source)
    try:
        data = source if isinstance(source, bytes) else Path(source).read_bytes()
    except OSError as error:
        raise FormatError(path, "file", "a readable file", error.strerror) from None
    root = read_message(data, _MODEL, path)
    trainer: Record = root.get("trainer_spec", {})
    rows = root.get("pieces", [])
    pieces, scores, kinds = (
        [row.get(name, default) for row in rows]
        for name, default in (("piece", ""), ("score", 0.0), ("type", NORMAL))
    )
    model_type = trainer.get("model_type", 1)
    if model_type not in ALGORITHMS:
        wanted = f"one of {', '.join(map(str, ALGORITHMS))}"
        raise FormatError(path, "TrainerSpec.model_type", wanted, model_type)
    _check(path, pieces, scores, kinds)
    return SentencePieceModel(
        path=path,
        algorithm=ALGORITHMS[model_type],
        pieces=pieces,
        scores=scores,
        kinds=kinds,
        normalizer=_rules(root.get("normalizer_spec", {})),
        denormalizer=_rules(root.get("denormalizer_spec", {})),
        byte_fallback=trainer.get("byte_fallback", False),
        unk_id=kinds.index(UNKNOWN),  # as SentencePiece does; the trainer's may be another
        bos_id=trainer.get("bos_id", 1),
        eos_id=trainer.get("eos_id", 2),
        pad_id=trainer.get("pad_id", -1),
        unk_surface=trainer.get("unk_surface", " \u2047 "),
        space_as_suffix=trainer.get("treat_whitespace_as_suffix", False),
    )


def _rules(spec: Record) -> TextRules:
    names = ("add_dummy_prefix", "remove_extra_whitespaces", "escape_whitespaces")
    flags: dict[str, Any] = {name: spec[name] for name in names if name in spec}
    charsmap = bytes(spec.get("precompiled_charsmap", b""))
    return TextRules(name=spec.get("name", ""), charsmap=charsmap, **flags)


def _check(path: str, pieces: list[str], scores: list[float], kinds: list[int]) -> None:
    if not pieces:
        raise FormatError(path, "ModelProto.pieces", "at least one piece", "none")
    if "" in pieces:
        raise FormatError(path, f"ModelProto.pieces[{pieces.index('')}]", "a text", "an empty one")
    first = {text: index for index, text in reversed(list(enumerate(pieces)))}
    twice = next((i for i, text in enumerate(pieces) if first[text] != i), None)
    if twice is not None:
        where, again = f"ModelProto.pieces[{twice}]", f"{pieces[twice][:40]!r} again"
        raise FormatError(path, where, "pieces that differ", again)
    for index, kind in enumerate(kinds):
        if not NORMAL <= kind <= BYTE:
            raise FormatError(path, f"ModelProto.pieces[{index}].type", "1 to 6", kind)
    if kinds.count(UNKNOWN) != 1:
        raise FormatError(path, "ModelProto.pieces", "one unknown piece", kinds.count(UNKNOWN))
    for index, score in enumerate(scores):
        if not math.isfinite(score):
            raise FormatError(path, f"ModelProto.pieces[{index}].score", "a finite one", score)
