"""Runs tokenizer.json step by step in plain Python, where `tokenizers` is not installed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from tallow.errors import ModelError
from tallow.text.encoder import pieces_of
from tallow.text.folder_files import steps_of
from tallow.text.merging import WordCache, merge
from tallow.text.rows import TokenizedText, affixes, read_template
from tallow.text.steps_python import SPACES, cutter, missing, normalizer
from tallow.text.unicode_regex import compile_pattern
from tallow.text.unigram_python import PieceSearch, lowest
from tallow.text.vocab import clean

Row = Mapping[str, Any]
Words = Callable[[str], list[int]]


class Pipeline:
    """A tokenizer.json as an encoder: added tokens, normalizer, pre-tokenizer, model, template.

    Raises:
        MissingExtraError: the file uses a step that is not known here.
    """

    def __init__(self, root: Mapping[str, Any]) -> None:
        self.root = root
        self._normalize = normalizer(steps_of(root.get("normalizer"), "normalizers"))
        self._cut = cutter(steps_of(root.get("pre_tokenizer"), "pretokenizers"))
        self.template = read_template(steps_of(root.get("post_processor"), "processors"))
        self._prefix, self._suffix = affixes(self.template)
        rows = root.get("added_tokens") or []
        self._raw, self._normal = (
            _Added([row for row in rows if bool(row.get("normalized")) == normal], self._changed)
            for normal in (False, True)
        )
        make = MODELS.get(_kind(root["model"]))
        if make is None:
            raise missing(f"the model {root['model'].get('type')}")
        if len({row["content"] for row in rows}) != len(rows):
            raise ModelError("tokenizer.json: added_tokens: expected each once, got one twice")
        special = {str(row["content"]) for row in rows if row.get("special")}
        self._words = make(root["model"], frozenset())
        # Text of unknown origin must not reach a special token, which Unigram has as a piece.
        unigram = root["model"].get("type") == "Unigram"
        self._plain = make(root["model"], frozenset(special)) if unigram else self._words
        self._caches = {True: WordCache(), False: WordCache()}

    def _changed(self, row: Row) -> str:
        text = str(row["content"])
        return self._normalize(text) if row.get("normalized") else text

    def encode(self, text: str, add_special: bool, parse_special: bool) -> list[int]:
        """The ids of `text`; see `Tokenizer.encode`."""
        ids = self._ids(clean(text), parse_special)
        return [*self._prefix, *ids, *self._suffix] if add_special else ids

    def encode_marked(self, text: str, mark: str) -> list[int]:
        """The ids of `text` without `mark`; a special token that holds a mark is plain text."""
        return self._ids(clean(text), True, mark)

    def pieces(
        self, texts: Sequence[str | list[str]], *, spans: bool, split: bool
    ) -> list[TokenizedText]:
        """Each text's ids; see `Encoder.pieces`."""
        return pieces_of(self, texts, spans=spans, split=split)

    def _ids(self, text: str, special: bool, mark: str = "") -> list[int]:
        ids: list[int] = []
        one = self._words if special else self._plain
        for part in self._raw.split(text, special):
            if isinstance(part, int):
                ids.append(part)
                continue
            part = self._normalize(part.replace(mark, "") if mark else part)
            for finer in self._normal.split(part, special):
                if isinstance(finer, int):
                    ids.append(finer)
                else:
                    ids += self._caches[special].encode(self._cut([finer]), one)
        return ids


class _Added:
    """Tokens that are found in a text before it is cut, at each place the longest."""

    def __init__(self, rows: Sequence[Row], spelled: Callable[[Row], str]) -> None:
        self._rows = {text: row for row in rows if (text := spelled(row))}
        texts = sorted(self._rows, key=len, reverse=True)
        self._any = re.compile("|".join(map(re.escape, texts))) if texts else None

    def split(self, text: str, special: bool) -> Iterator[str | int]:
        """Plain parts and ids in order; without `special` those tokens are plain text."""
        at = 0
        for match in self._any.finditer(text) if self._any is not None else ():
            row = self._rows[match.group()]
            start, end = match.span()
            if row.get("special") and not special:
                continue
            if row.get("single_word") and (_word_ends(text[:start]) or _word_begins(text[end:])):
                continue
            if row.get("lstrip"):
                start = max(at, len(text[:start].rstrip(SPACES)))
            if row.get("rstrip"):
                end = len(text) - len(text[end:].lstrip(SPACES))
            if at < start:
                yield text[at:start]
            yield int(row["id"])
            at = end
        if at < len(text):
            yield text[at:]


def _word_ends(text: str) -> bool:
    return bool(text) and compile_pattern(r"\w").match(text[-1]) is not None


def _word_begins(text: str) -> bool:
    return bool(text) and compile_pattern(r"\w").match(text[0]) is not None


def _kind(model: Mapping[str, Any]) -> Any:
    return model.get("type") or ("BPE" if "merges" in model else None)


def _wordpiece(model: Mapping[str, Any], hidden: frozenset[str]) -> Words:
    ids, unk = model["vocab"], model["vocab"].get(model.get("unk_token", "[UNK]"))
    prefix = str(model.get("continuing_subword_prefix", "##"))
    most = int(model.get("max_input_chars_per_word", 100))
    longest = max(map(len, ids), default=0)

    def run(word: str) -> list[int]:
        found: list[int] = []
        at = 0
        while at < len(word) <= most:
            head = prefix if at else ""
            for end in range(min(len(word), at + longest), at, -1):
                index = ids.get(head + word[at:end])
                if index is not None:
                    found.append(index)
                    at = end
                    break
            else:
                break
        whole = at == len(word)
        return found if whole else ([] if unk is None else [unk])

    return run


def _unigram(model: Mapping[str, Any], hidden: frozenset[str]) -> Words:
    rows = model["vocab"]
    unk = model.get("unk_id")
    ids = {str(text): i for i, (text, _) in enumerate(rows)}
    kept = {t: float(s) for i, (t, s) in enumerate(rows) if t not in hidden or i == unk}
    spelled = "" if unk is None else str(rows[unk][0])
    search = PieceSearch(kept, lowest(float(score) for _, score in rows), unknown=spelled)
    byte_ids = [ids.get(f"<0x{byte:02X}>") for byte in range(256)]

    def run(word: str) -> list[int]:
        found: list[int] = []
        for piece, known in search.cut(word):
            index = ids.get(piece) if known or piece in kept else None
            raw = [] if index is not None or not model.get("byte_fallback") else piece.encode()
            bytes_of = [byte_ids[byte] for byte in raw]
            if index is not None:
                found.append(index)
            elif bytes_of and None not in bytes_of:
                found += [byte for byte in bytes_of if byte is not None]
            elif unk is not None:
                found.append(int(unk))
        return found

    return run


def _bpe(model: Mapping[str, Any], hidden: frozenset[str]) -> Words:
    if model.get("dropout") or model.get("continuing_subword_prefix"):
        raise missing("the options of its model")
    ids, suffix = model["vocab"], str(model.get("end_of_word_suffix") or "")
    rows = (row.split(" ") if isinstance(row, str) else row for row in model["merges"])
    ranks = {(left, right): i for i, (left, right) in reversed(list(enumerate(rows)))}
    for left, right in ranks:
        if not {left, right, left + right} <= ids.keys():
            wanted = "two tokens of the vocabulary that make a third"
            raise ModelError(f"tokenizer.json: merges: expected {wanted}, got {left!r}, {right!r}")
    byte_texts = [f"<0x{byte:02X}>" for byte in range(256) if model.get("byte_fallback")]
    unk = ids.get(model.get("unk_token"))

    def rank(left: str, right: str) -> int | None:
        return ranks.get((left, right))

    def run(word: str) -> list[int]:
        if model.get("ignore_merges") and word in ids:
            return [ids[word]]
        symbols: list[str] = []
        for char in [*word[:-1], word[-1] + suffix]:
            spelled = [byte_texts[byte] for byte in char.encode()] if byte_texts else []
            if char in ids:
                symbols.append(char)
            elif spelled and all(text in ids for text in spelled):
                symbols += spelled
            elif unk is not None:
                symbols.append(char)
        found = [ids.get(symbol, unk) for symbol in merge(symbols, rank)]
        if not model.get("fuse_unk"):
            return found
        pairs = zip([None, *found], found, strict=False)
        return [index for before, index in pairs if index != unk or before != unk]

    return run


def _words(model: Mapping[str, Any], hidden: frozenset[str]) -> Words:
    ids, unk = model["vocab"], model["vocab"].get(model.get("unk_token"))

    def run(word: str) -> list[int]:
        index = ids.get(word, unk)
        return [] if index is None else [index]

    return run


MODELS: Final[Mapping[Any, Callable[[Mapping[str, Any], frozenset[str]], Words]]] = {
    "WordPiece": _wordpiece,
    "Unigram": _unigram,
    "BPE": _bpe,
    "WordLevel": _words,
}
