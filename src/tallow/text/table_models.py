"""What the models of tokenizers look up, as tables: merges, keys, scores, bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import Any, Final

from tallow.text import gguf_python
from tallow.text.spm_python import crosses_words
from tallow.text.table_builder import (
    BYTE_FALLBACK,
    BYTES_FIRST,
    END_OF_WORD,
    FUSE_UNKNOWN,
    PAIRS_OF_BYTES,
    PAIRS_OF_CHARS,
    PIECES,
    SCORES,
    UNIGRAM,
    WHOLE_WORDS,
    WORDS,
    Builder,
)  # fmt: skip
from tallow.text.table_patterns import refused
from tallow.text.table_steps import packed
from tallow.text.unigram_python import lowest
from tallow.text.vocab import SPACE_MARK, byte_chars, encode_utf8


def _pairs_of(merges: Iterable[str]) -> Iterable[tuple[str, str]]:
    for text in merges:
        left, space, right = text.partition(" ")
        if space and " " not in right:  # a symbol holds no space, so nothing else can be merged
            yield left, right


def _vocab_bpe(made: Builder) -> None:
    vocab, pre = made.vocab, made.vocab.pre
    for pattern in pre.patterns:
        made.steps.cut(pattern)
    ids, count = vocab.plain_ids, len(vocab.tokens)
    # Characters and bytes without a token may still be merged into one that has a token.
    symbols = dict(ids)
    rows = list(_pairs_of(vocab.merges))
    for text in (*(byte_chars() if pre.byte_level else ()), *(t for row in rows for t in row)):
        if len(text) == 1:
            symbols.setdefault(text, count + len(symbols))
    made.pairs(symbols, rows, count)
    made.flags |= WHOLE_WORDS * pre.ignore_merges
    largest = max(symbols.values(), default=0) + 1
    if pre.byte_level:
        made.byte_ids([symbols[char] for char in byte_chars()])
        if pre.ignore_merges:
            made.keys(_spelled_keys(ids))
        made.model(PAIRS_OF_BYTES, None, largest)
    else:
        made.steps.spell_spaces()
        made.byte_ids(vocab.byte_ids)
        made.keys({encode_utf8(text): value for text, value in symbols.items()})
        made.model(PAIRS_OF_CHARS, None, largest)


def _spelled_keys(ids: Mapping[str, int]) -> dict[bytes, int]:
    """Tokens that are spelled in characters for bytes, by these bytes."""
    table = {char: byte for byte, char in enumerate(byte_chars())}
    return {
        bytes(map(table.__getitem__, text)): index
        for text, index in ids.items()
        if all(char in table for char in text)
    }


def _vocab_spm(made: Builder) -> None:
    vocab = made.vocab
    made.steps.collapse_spaces(vocab.add_space_prefix, vocab.remove_extra_whitespaces)
    if not crosses_words(vocab):
        made.steps.cut(f"{SPACE_MARK}+[^{SPACE_MARK}]*|[^{SPACE_MARK}]+")
    ids = vocab.plain_ids
    made.keys({encode_utf8(text): index for text, index in ids.items()})
    scores = [float(vocab.scores[index]) for index in ids.values()]
    made.sections["scores"] = struct.pack(f"<{len(scores)}d", *scores)
    made.byte_ids(vocab.byte_ids)
    made.model(SCORES, vocab.find_special("unk"))


def _vocab_steps(made: Builder) -> None:
    normalizers, cuts, model = gguf_python._BUILDERS[made.vocab.algorithm](made.vocab)
    for step in normalizers:
        made.steps.normalizer(step)
    for step in cuts:
        made.steps.pretokenizer(step)
    FROM_FILE[model["type"]](made, model, set())


def _file_bpe(made: Builder, model: Mapping[str, Any], special: set[str]) -> None:
    ids, suffix = model["vocab"], str(model.get("end_of_word_suffix") or "")
    parts = (row.split(" ") if isinstance(row, str) else row for row in model["merges"])
    rows = [(str(left), str(right)) for left, right in parts]
    made.pairs(ids, rows, len(made.vocab.tokens))
    unknown, fallback = ids.get(model.get("unk_token")), bool(model.get("byte_fallback"))
    if fallback and (suffix or made.steps.byte_level):
        raise refused("byte_fallback beside a suffix or bytes")
    made.flags |= WHOLE_WORDS * bool(model.get("ignore_merges")) | BYTES_FIRST
    made.flags |= FUSE_UNKNOWN * bool(model.get("fuse_unk")) | END_OF_WORD * bool(suffix)
    made.model(PAIRS_OF_BYTES if made.steps.byte_level else PAIRS_OF_CHARS, unknown)
    if made.steps.byte_level:
        made.byte_ids(*([ids.get(char + end) for char in byte_chars()] for end in ("", suffix)))
        made.keys(_spelled_keys(ids))
    else:
        made.byte_ids([ids.get(f"<0x{b:02X}>") if fallback else None for b in range(256)])
        made.keys({encode_utf8(text): index for text, index in ids.items()})


def _file_wordpiece(made: Builder, model: Mapping[str, Any], special: set[str]) -> None:
    ids, prefix = model["vocab"], str(model.get("continuing_subword_prefix", "##"))
    tails = {text[len(prefix) :]: i for text, i in ids.items() if text.startswith(prefix)}
    heads, tails_ = ({encode_utf8(t): i for t, i in part.items()} for part in (ids, tails))
    made.keys(heads, tails_)
    made.settings["most_chars"] = int(model.get("max_input_chars_per_word", 100))
    made.model(PIECES, ids.get(model.get("unk_token", "[UNK]")))


def _file_unigram(made: Builder, model: Mapping[str, Any], special: set[str]) -> None:
    rows, unknown = model["vocab"], model.get("unk_id")
    ids = {str(text): index for index, (text, _) in enumerate(rows)}
    scores = {str(text): float(score) for text, score in rows}
    keys = {encode_utf8(text): index for text, index in ids.items() if text}
    made.hidden = {ids[text] for text in special if text in ids}
    made.keys(keys)
    order = sorted(range(len(keys)), key=list(keys).__getitem__)
    made.sections["key_order"] = packed(order)
    values = [score for text, score in scores.items() if text]
    values.append(lowest(float(score) for _, score in rows))
    made.sections["scores"] = struct.pack(f"<{len(values)}d", *values)
    made.byte_ids([ids.get(f"<0x{byte:02X}>") for byte in range(256)])
    made.flags |= BYTE_FALLBACK * bool(model.get("byte_fallback"))
    made.model(UNIGRAM, None if unknown is None else int(unknown))


def _file_words(made: Builder, model: Mapping[str, Any], special: set[str]) -> None:
    ids = model["vocab"]
    made.keys({encode_utf8(text): index for text, index in ids.items()})
    made.model(WORDS, ids.get(model.get("unk_token")))


FROM_VOCAB: Final = {
    "bpe": _vocab_bpe, "spm": _vocab_spm, "wordpiece": _vocab_steps, "unigram": _vocab_steps,
}  # fmt: skip
FROM_FILE: Final = {
    "BPE": _file_bpe,
    "WordPiece": _file_wordpiece,
    "Unigram": _file_unigram,
    "WordLevel": _file_words,
}
