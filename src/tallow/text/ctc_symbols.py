"""The symbols of models that spell (CTC): vocab.json of a folder, and texts of symbols by frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from tallow.errors import ArgumentError, FormatError, ModelError, expect
from tallow.lazy_dataclasses import dataclass
from tallow.text.decoding import clean_up
from tallow.text.folder_files import parse_json, read_config
from tallow.text.folder_tokens import MAX_VOCAB, text_of

# Of transformers' Wav2Vec2CTCTokenizer.
_ROLES = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "pad_token": "<pad>",
    "word_delimiter_token": "|",
}


class Span(NamedTuple):
    """A symbol or word, and the frames `start` to `end` that it was heard in."""

    text: str
    start: int
    end: int


class Spelling(NamedTuple):
    """A text, and where its words and its symbols stand, in frames."""

    text: str
    words: list[Span]
    symbols: list[Span]


@dataclass(frozen=True)
class CtcSymbols:
    """Symbols by id, and which of them are the blank and the end of a word.

    Made as transformers' `Wav2Vec2CTCTokenizer` makes it: ids that have no symbol are unknown.
    """

    by_id: Mapping[int, str]
    blank: str = "<pad>"
    unknown: str = "<unk>"
    delimiter: str | None = "|"
    space: str = " "  # what stands in a text for the delimiter
    lower: bool = False
    cleans: bool = False

    @classmethod
    def from_folder(cls, path: str | Path, language: str | None = None) -> CtcSymbols:
        """The symbols of vocab.json and the configs beside it.

        `language` chooses one of a vocabulary of several (by default tokenizer_config.json's
        `target_lang`).

        Raises:
            ModelError: there is no vocab.json, it has no blank, or not that language.
            FormatError: a file is damaged.
        """
        folder = Path(path)
        file = folder / "vocab.json"
        if not file.is_file():
            raise ModelError(f"{folder}: vocab.json: expected the symbols of a CTC model, got none")
        root = parse_json(file, file.read_text(encoding="utf-8", errors="replace"))
        config = read_config(folder, "tokenizer_config.json")
        config = {**read_config(folder, "special_tokens_map.json"), **config}
        table = _of_language(file, root, language or config.get("target_lang"))
        roles = {name: text_of(config.get(name, default)) for name, default in _ROLES.items()}
        names = {
            **_added(folder / "added_tokens.json", read_config(folder, "added_tokens.json")),
            **_added(folder / "tokenizer_config.json", config.get("added_tokens_decoder") or {}),
            **_table(file, table),
        }
        blank = roles["pad_token"] or "<pad>"
        if blank not in names.values():
            raise ModelError(
                f"{file}: expected the blank {blank!r} (pad_token), got no such symbol"
            )
        return cls(
            names,
            blank,
            roles["unk_token"] or "<unk>",
            roles["word_delimiter_token"],
            str(config.get("replace_word_delimiter_char", " ")),
            config.get("do_lower_case") is True,
            config.get("clean_up_tokenization_spaces") is True,
        )

    @property
    def blank_id(self) -> int:
        """The id of the blank."""
        return next(index for index, text in self.by_id.items() if text == self.blank)

    def spell(self, ids: Sequence[int]) -> Spelling:
        """The text of the likeliest symbol of each frame: runs are one symbol, blanks none.

        Offsets are those of transformers' `output_word_offsets` and `output_char_offsets`.
        """
        names = [self.by_id.get(index, self.unknown) for index in ids]
        symbols: list[Span] = []
        place = 0
        for name, run in groupby(names):
            begin, place = place, place + sum(1 for _ in run)
            if name != self.blank:
                text = self.space if name == self.delimiter else name
                symbols.append(Span(text, begin, place))
        text = "".join(span.text for span in symbols).strip()
        text = text.lower() if self.lower else text
        return Spelling(clean_up(text) if self.cleans else text, self._words(symbols), symbols)

    def _words(self, symbols: Sequence[Span]) -> list[Span]:
        words = []
        for is_space, group in groupby(symbols, key=lambda span: span.text == self.space):
            listed = list(group)
            if not is_space:
                word = "".join(span.text for span in listed)
                words.append(Span(word, listed[0].start, listed[-1].end))
        return words

    def ids(self, text: str) -> list[int]:
        """The ids of a text's characters, as labels of a loss; those that are unknown, too.

        Raises:
            ArgumentError: a character is not there, nor an unknown symbol.
        """
        numbers = {name: index for index, name in self.by_id.items()}
        text = text.upper() if self.lower else text
        found = []
        for char in text.replace(" ", self.delimiter or " "):
            index = numbers.get(char, numbers.get(self.unknown))
            expect(index is not None, "ids", "characters of the vocabulary", char, ArgumentError)
            assert index is not None
            found.append(index)
        return found


def _of_language(file: Path, root: Mapping[str, Any], language: Any) -> Mapping[str, Any]:
    nested = bool(root) and all(isinstance(value, dict) for value in root.values())
    if not nested:
        # A vocabulary of one language says so nowhere.
        return root
    known = ", ".join(sorted(root)[:40])
    if language is None or language not in root:
        found = "none" if language is None else repr(language)
        raise ModelError(f"{file}: language: expected one of {known}, got {found}")
    return root[language]  # type: ignore[no-any-return]  # an object, as told above


def _table(file: Path, table: Mapping[str, Any]) -> dict[int, str]:
    good = all(type(index) is int and 0 <= index < MAX_VOCAB for index in table.values())
    if not good:
        raise FormatError(file, "content", "ids by symbol", "others")
    return {index: text for text, index in table.items()}


def _added(file: Path, table: Any) -> dict[int, str]:
    """Of `added_tokens.json` (ids by text), or of `added_tokens_decoder` (tokens by id)."""
    if not isinstance(table, Mapping):
        raise FormatError(file, "content", "an object", type(table).__name__)
    made: dict[int, str] = {}
    for key, value in table.items():
        by_text = type(value) is int
        index, text = (value, key) if by_text else (int(key) if key.isdecimal() else -1, value)
        text = text_of(text)
        if text is None or not 0 <= index < MAX_VOCAB:
            raise FormatError(file, "content", "tokens and their ids", {key: value})
        made[index] = text
    return made
