"""Normalizers, pre-tokenizers and decoders of tokenizer.json as the steps of tokenizer tables.

Each gives what `steps_python` and `decoding` do, in the operations of csrc/text/steps.h.
"""

from __future__ import annotations

import functools
import re
import struct
import unicodedata
from array import array
from base64 import b64decode
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from tallow.text.hf import check_charsmap
from tallow.text.pretokenizers import by_name
from tallow.text.steps_python import (
    _CHINESE,
    _KINDS,
    BEHAVIORS,
    SPACES,
    _graphemes,
    _punctuation,
)
from tallow.text.table_patterns import (
    Classes,
    Programs,
    categories,
    is_any_space,
    members,
    refused,
    runs_of,
)
from tallow.text.unicode_regex import SPACE
from tallow.text.vocab import SPACE_MARK

Row = Mapping[str, Any]

(_FORM, _MAP, _SURROUND, _STRIP, _REPLACE, _PREPEND, _CHARSMAP, _CUT, _SPELL, _WORDPIECE,
 _METASPACE, _SUFFIX, _BYTE_LEVEL, _BYTE_FALLBACK, _FUSE, _REPLACE_TOKEN, _STRIP_TOKEN, _SPACED,
 _END_OF_WORD) = range(19)  # fmt: skip
_FORMS: Final = ("NFC", "NFD", "NFKC", "NFKD")


class Steps:
    """Lists of steps, and the texts, classes, programs and maps that they name."""

    def __init__(self, ending: str = "") -> None:
        """`ending` is what the last character of a word is looked up with."""
        self.classes = Classes()
        self.programs = Programs(self.classes)
        self.texts: dict[bytes, int] = {ending.encode(): 0}
        self.before: list[int] = []
        self.normal: list[int] = []
        self.cuts: list[int] = []
        self.decoding: list[int] = []
        self.map_codes, self.map_texts = array("I"), array("I")
        self.charsmap = b""
        self.forms = b""
        self.byte_level = False  # whether the model sees bytes
        self._maps: dict[str, tuple[int, int]] = {}

    def text(self, text: str) -> int:
        """The number of a text."""
        return self.texts.setdefault(text.encode(), len(self.texts))

    # --- normalizers --------------------------------------------------------------------------

    def add_form(self, steps: list[int], kind: str) -> None:
        """Unicode's normal form of that name."""
        self.forms = self.forms or normal_forms()
        steps += [_FORM, _FORMS.index(kind)]

    def normalizer(self, step: Row) -> None:
        """Add a normalizer; ModelError where it is not known."""
        kind = str(step.get("type"))
        if kind in _FORMS:
            self.add_form(self.normal, kind)
        elif kind == "Precompiled":
            charsmap = b64decode(step["precompiled_charsmap"])
            if self.charsmap not in (b"", charsmap):
                raise refused("a second map of characters")
            self.charsmap = check_charsmap(charsmap, "tokenizer.json") if charsmap else b""
            program = self.programs.add(_graphemes().pattern, translated=True)
            self.normal += [_CHARSMAP, program]
        elif kind == "Prepend":
            self.normal += [_PREPEND, self.text(str(step["prepend"])), 0]
        elif kind == "Lowercase":
            self._lower()
        elif kind == "StripAccents":
            self._surround(members(_is_mark), 0, "", "")
        elif kind == "Strip":
            spaces = self.classes.add(runs_of(SPACES))
            sides = (int(bool(step.get(f"strip_{side}", True))) for side in ("left", "right"))
            self.normal += [_STRIP, spaces, *sides]
        elif kind == "Replace":
            self.normal += [_REPLACE, *self._replaced(step)]
        elif kind == "BertNormalizer":
            self._bert(step)
        else:
            raise refused(f"the normalizer {kind}")

    def collapse_spaces(self, prefix: bool, remove: bool) -> None:
        """SentencePiece's spaces by GGUF's rules: as in `VocabEncoder`."""
        if remove:
            self.normal += [_STRIP, self.classes.add(((32, 32),)), 1, 1]
            self.normal += [_REPLACE, self.programs.add(" {2,}"), self.text(" ")]
        if prefix:
            self.normal += [_PREPEND, self.text(" "), 3]
        self.spell_spaces()

    def spell_spaces(self) -> None:
        """Spaces become SentencePiece's mark."""
        self.normal += [_REPLACE, self.programs.add(" "), self.text(SPACE_MARK)]

    def _replaced(self, step: Row) -> tuple[int, int]:
        pattern = step["pattern"]
        source = pattern.get("Regex")
        if source is None:
            source = re.escape(str(pattern["String"]))
        if not source:
            raise refused("a replacement of nothing")
        return self.programs.add(str(source)), self.text(str(step["content"]))

    def _surround(self, runs: Any, keep: int, before: str, after: str) -> None:
        number = self.classes.add(runs)
        self.normal += [_SURROUND, number, keep, self.text(before), self.text(after)]

    def _lower(self) -> None:
        first = len(self.map_codes)
        if "lower" not in self._maps:
            changed = [code for run in members(_changes) for code in range(run[0], run[1] + 1)]
            self.map_codes.extend(changed)
            self.map_texts.extend(self.text(chr(code).lower()) for code in changed)
            self._maps["lower"] = (first, len(changed))
        self.normal += [_MAP, *self._maps["lower"]]

    def _bert(self, step: Row) -> None:
        lowers, strips = step.get("lowercase", True), step.get("strip_accents")
        if step.get("clean_text", True):
            self._surround(members(_is_space), 0, " ", "")
            self._surround(members(_is_removed), 0, "", "")
        if step.get("handle_chinese_chars", True):
            self._surround(members(_is_chinese), 1, " ", " ")
        if lowers if strips is None else strips:
            self.add_form(self.normal, "NFD")
            self._surround(members(_is_accent), 0, "", "")
        if lowers:
            self._lower()

    # --- pre-tokenizers -----------------------------------------------------------------------

    def cut(self, pattern: str, behavior: str = "Isolated", inverted: bool = False) -> None:
        """Cut at each match of a pattern."""
        program = self.programs.add(pattern)
        self.cuts += [_CUT, program, BEHAVIORS.index(behavior), int(inverted)]

    def pretokenizer(self, step: Row) -> None:
        """Add a pre-tokenizer; ModelError where it is not known."""
        kind, behavior = str(step.get("type")), str(step.get("behavior", "Isolated"))
        if self.byte_level:
            raise refused(f"the pre-tokenizer {kind} after ByteLevel")
        if behavior not in BEHAVIORS:
            raise refused(f"the pre-tokenizer {kind} ({behavior})")
        if kind in ("BertPreTokenizer", "WhitespaceSplit"):
            self.cut(f"[{SPACE}]+", "Removed")
        if kind in ("BertPreTokenizer", "Punctuation"):
            program = self.programs.add(_punctuation().pattern, translated=True)
            self.cuts += [_CUT, program, BEHAVIORS.index(behavior), 0]
        elif kind == "Split":
            regex = step["pattern"].get("Regex")
            source = re.escape(str(step["pattern"]["String"])) if regex is None else str(regex)
            self.cut(source, behavior, bool(step.get("invert")))
        elif kind == "Digits":
            self.cut(r"\p{N}" if step.get("individual_digits") else r"\p{N}+")
        elif kind == "ByteLevel":
            if step.get("add_prefix_space", True):
                self.cuts += [_SPELL, self.text(" "), 1]
            for pattern in by_name("gpt2").patterns if step.get("use_regex", True) else ():
                self.cut(pattern)
            self.byte_level = True
        elif kind == "Metaspace":
            self._metaspace(step)
        elif kind != "WhitespaceSplit":
            raise refused(f"the pre-tokenizer {kind}")

    def _metaspace(self, step: Row) -> None:
        mark, scheme = (
            str(step.get("replacement", SPACE_MARK)),
            step.get("prepend_scheme", "always"),
        )
        if scheme not in ("always", "never"):
            raise refused(f"the pre-tokenizer Metaspace ({scheme})")
        self.cuts += [_SPELL, self.text(mark), int(scheme == "always")]
        if step.get("split", True):
            self.cut(f"{re.escape(mark)}?[^{re.escape(mark)}]+|{re.escape(mark)}")

    # --- decoders -----------------------------------------------------------------------------

    def decoders(self, steps: Sequence[Row], suffix: str) -> None:
        """The steps of `TokenDecoder`."""
        for step in steps:
            self._decoder(step)
        if not steps:
            self.decoding.append(_SPACED)
        if suffix:
            spaces = self.classes.add(members(is_any_space))
            self.decoding += [_END_OF_WORD, self.text(suffix), spaces]

    def _decoder(self, step: Row) -> None:
        kind = str(step.get("type"))
        if kind == "WordPiece":
            prefix = self.text(str(step.get("prefix", "##")))
            self.decoding += [_WORDPIECE, prefix, int(bool(step.get("cleanup", True)))]
        elif kind == "Metaspace":
            drops = step.get("prepend_scheme", "always") != "never"
            drops = drops and step.get("add_prefix_space", True) is not False
            mark = self.text(str(step.get("replacement", SPACE_MARK)))
            self.decoding += [_METASPACE, mark, int(drops)]
        elif kind == "BPEDecoder":
            self.decoding += [_SUFFIX, self.text(str(step.get("suffix", "</w>")))]
        elif kind == "Replace":
            self.decoding += [_REPLACE_TOKEN, *self._replaced(step)]
        elif kind == "Strip":
            sides = max(0, int(step["start"])), max(0, int(step["stop"]))
            self.decoding += [_STRIP_TOKEN, self.text(str(step["content"])), *sides]
        elif kind in _PLAIN_DECODERS:
            self.decoding.append(_PLAIN_DECODERS[kind])
        else:
            raise refused(f"the decoder {kind}")


_GONE: Final = ("Cc", "Cf", "Cs", "Co")


def _is_removed(char: str, kind: str) -> bool:
    return char in "\0\ufffd" or (kind in _GONE and char not in "\t\n\r")


def _is_space(char: str, kind: str) -> bool:
    return char in "\t\n\r" or (char in SPACES and kind not in _GONE)


def _is_chinese(char: str, kind: str) -> bool:
    return _CHINESE.match(char) is not None


def _is_accent(char: str, kind: str) -> bool:
    return _KINDS.get(char, kind) == "Mn"


def _is_mark(char: str, kind: str) -> bool:
    return kind[0] == "M"


def _changes(char: str, kind: str) -> bool:
    return char.lower() != char


_PLAIN_DECODERS: Final = {"ByteLevel": _BYTE_LEVEL, "ByteFallback": _BYTE_FALLBACK, "Fuse": _FUSE}


def packed(numbers: Iterable[int]) -> bytes:
    """Numbers as u32."""
    found = list(numbers)
    return struct.pack(f"<{len(found)}I", *found)


@functools.cache
def normal_forms() -> bytes:
    """The decompositions, compositions and combining classes of this Python's Unicode."""
    pool: list[int] = []
    tables: list[list[int]] = []
    syllables = range(0xAC00, 0xD7A4)  # by rule
    for form in ("NFD", "NFKD"):
        codes, ends = [], []
        for code in (code for code in range(len(categories())) if code not in syllables):
            changed = unicodedata.normalize(form, chr(code))
            if changed != chr(code):
                pool += map(ord, changed)
                codes.append(code)
                ends.append(len(pool))
        tables.append(codes + ends)
    pairs = []
    for code in tables[0][: len(tables[0]) // 2]:
        parts = unicodedata.decomposition(chr(code)).split()
        if len(parts) == 2 and unicodedata.normalize("NFC", chr(code)) == chr(code):
            pairs.append((int(parts[0], 16), int(parts[1], 16), code))
    marks: list[list[int]] = []
    for code in range(len(categories())):
        if found := unicodedata.combining(chr(code)):
            if marks and marks[-1][1:] == [code - 1, found]:
                marks[-1][1] = code
            else:
                marks.append([code, code, found])
    head = [len(tables[0]) // 2, len(tables[1]) // 2, len(pairs), len(marks), len(pool)]
    flat = [number for row in sorted(pairs) + marks for number in row]
    return packed([*head, *tables[0], *tables[1], *flat, *pool])
