"""Normalizers and pre-tokenizers of tokenizer.json in plain Python.

Source: Hugging Face's `tokenizers`.
"""

from __future__ import annotations

import base64
import functools
import itertools
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from tallow.errors import MissingExtraError
from tallow.text.charsmap import CharsMap
from tallow.text.pretokenizers import by_name
from tallow.text.unicode_regex import SPACE, compile_pattern
from tallow.text.vocab import SPACE_MARK, byte_chars

Normalize = Callable[[str], str]
Cut = Callable[[Sequence[str]], list[str]]  # the pieces of a text, made finer

_CHINESE: Final = re.compile(
    "([\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002a6df\U0002a700-\U0002b73f"
    "\U0002b740-\U0002b81f\U0002b920-\U0002ceaf\U0002f800-\U0002fa1f])"
)
_SPACE: Final = re.compile(f"[{SPACE}]+")
SPACES: Final = "".join([c for c in map(chr, range(0x3001)) if re.match(f"[{SPACE}]", c)])
# What the engine, which knows Unicode of another year, takes for a mark, and what not.
_KINDS: Final = {"\u1734": "Mn", "\u1885": "Lo", "\u1886": "Lo"}
_ASCII_PUNCTUATION: Final = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"


def missing(what: str) -> MissingExtraError:
    """The error for a step that only the package knows; the stand-in never guesses."""
    return MissingExtraError(
        f"tokenizer.json: {what} needs the package tokenizers: pip install 'tallow[text]'"
    )


def normalizer(steps: Sequence[Mapping[str, Any]]) -> Normalize:
    """All steps, one after the other."""
    made = [_normalizer(step) for step in steps]

    def run(text: str) -> str:
        for step in made:
            text = step(text)
        return text

    return run


def _normalizer(step: Mapping[str, Any]) -> Normalize:
    kind = step.get("type")
    if kind in ("NFC", "NFD", "NFKC", "NFKD"):
        return functools.partial(unicodedata.normalize, kind)
    make = _NORMALIZERS.get(kind)
    if make is None:
        raise missing(f"the step {kind}")
    return make(step)


def _lower(text: str) -> str:
    """Small letters, each by itself: unlike `str.lower`, which knows the end of Greek words."""
    return text.lower() if text.isascii() else "".join([char.lower() for char in text])


@functools.lru_cache(maxsize=65536)
def _cleaned(char: str) -> str:
    if char in "\t\n\r":
        return " "
    if char in "\0\ufffd" or unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co"):
        return ""
    return " " if char in SPACES else char


@functools.lru_cache(maxsize=65536)
def _is_accent(char: str) -> bool:
    return (_KINDS.get(char) or unicodedata.category(char)) == "Mn"


def _bert(step: Mapping[str, Any]) -> Normalize:
    clean, chinese = step.get("clean_text", True), step.get("handle_chinese_chars", True)
    lowers, strips = step.get("lowercase", True), step.get("strip_accents")
    strips = lowers if strips is None else strips

    def run(text: str) -> str:
        if clean:
            text = "".join(map(_cleaned, text))
        if chinese and not text.isascii():
            text = _CHINESE.sub(r" \1 ", text)
        if strips and not text.isascii():
            parts = unicodedata.normalize("NFD", text)
            text = "".join([char for char in parts if not _is_accent(char)])
        return _lower(text) if lowers else text

    return run


def _strip(step: Mapping[str, Any]) -> Normalize:
    left, right = step.get("strip_left", True), step.get("strip_right", True)

    def run(text: str) -> str:
        text = text.lstrip(SPACES) if left else text
        return text.rstrip(SPACES) if right else text

    return run


def _replace(step: Mapping[str, Any]) -> Normalize:
    pattern, content = step["pattern"], str(step["content"])
    if "String" in pattern:
        return lambda text: text.replace(str(pattern["String"]), content)
    found = compile_pattern(str(pattern["Regex"]))
    return lambda text: found.sub(lambda _: content, text)


def _precompiled(step: Mapping[str, Any]) -> Normalize:
    """Replaces what a reader sees as one character, if it is short, else code point by code point.

    A text is replaced as a whole by what its shortest beginning in the map is replaced by.
    """
    chars = CharsMap(base64.b64decode(step["precompiled_charsmap"]))

    @functools.lru_cache(maxsize=65536)
    def one(text: str) -> str | None:
        found = next(chars.matches(text.encode()), None)
        return None if found is None else found[1].decode("utf-8", "replace")

    def seen(match: re.Match[str]) -> str:
        text = match.group()
        whole = one(text) if len(text.encode()) < 6 else None
        if whole is not None:
            return whole
        return "".join([char if (new := one(char)) is None else new for char in text])

    return lambda text: _graphemes().sub(seen, text)


@functools.cache
def _graphemes() -> re.Pattern[str]:
    """What a reader sees as one character, as far as that has less than 6 bytes of UTF-8."""
    extends = r"\p{Mn}\p{Me}\p{Mc}\u0e33\u0eb3\u200c\u200d\uff9e\uff9f"
    extends += "\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f"
    before = "\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\u0d4e"
    control = (
        r"\p{Cc}\p{Zl}\p{Zp}\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    )
    whole = f"\\r\\n|[{before}]*[^{control}{before}{extends}][{extends}]*|[{extends}]+|"
    return compile_pattern(f"{whole}[{before}]+[{extends}]*|[^{before}]")


_NORMALIZERS: Final[Mapping[Any, Callable[[Mapping[str, Any]], Normalize]]] = {
    "BertNormalizer": _bert,
    "Lowercase": lambda step: _lower,
    "StripAccents": lambda step: (
        lambda text: "".join([char for char in text if unicodedata.category(char)[0] != "M"])
    ),
    "Strip": _strip,
    "Replace": _replace,
    "Prepend": lambda step: lambda text: f"{step['prepend']}{text}" if text else text,
    "Precompiled": _precompiled,
}


def cutter(steps: Sequence[Mapping[str, Any]]) -> Cut:
    """All steps, each on the pieces of the one before."""
    made = []
    for step in steps:
        make = _CUTS.get(step.get("type"))
        if make is None:
            raise missing(f"the step {step.get('type')}")
        made.append(make(step))

    def run(pieces: Sequence[str]) -> list[str]:
        for step in made:
            pieces = step(pieces)
        return [piece for piece in pieces if piece]

    return run


# What becomes of what a pattern matches: a piece of its own, nothing, a part of the piece before or
# behind it, one piece with the matches beside it.
BEHAVIORS: Final = ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous")


def _cut_at(pattern: re.Pattern[str], behavior: str = "Isolated", *, invert: bool = False) -> Cut:
    """Cuts at each match; `invert` swaps matches and gaps."""
    joined = _JOINED.get(behavior)

    def run(pieces: Sequence[str]) -> list[str]:
        found: list[str] = []
        for piece in pieces:
            parts: list[tuple[str, bool]] = []
            at = 0
            for match in pattern.finditer(piece):
                start, end = match.span()
                parts += [(piece[at:start], invert), (piece[start:end], not invert)]
                at = end
            parts = [part for part in (*parts, (piece[at:], invert)) if part[0]]
            if joined is not None:
                found += joined(parts)
            else:
                found += [text for text, match in parts if behavior == "Isolated" or not match]
        return found

    return run


def _with_previous(parts: Sequence[tuple[str, bool]]) -> list[str]:
    found: list[str] = []
    before = False
    for text, match in parts:
        if match and not before and found:
            found[-1] += text
        else:
            found.append(text)
        before = match
    return found


def _with_next(parts: Sequence[tuple[str, bool]]) -> list[str]:
    return [text[::-1] for text in _with_previous([(t[::-1], m) for t, m in parts[::-1]])][::-1]


def _contiguous(parts: Sequence[tuple[str, bool]]) -> list[str]:
    groups = itertools.groupby(parts, key=lambda part: part[1])
    return ["".join(text for text, _ in group) for _, group in groups]


_JOINED: Final[Mapping[str, Callable[[Sequence[tuple[str, bool]]], list[str]]]] = {
    "MergedWithPrevious": _with_previous,
    "MergedWithNext": _with_next,
    "Contiguous": _contiguous,
}


@functools.cache
def _punctuation() -> re.Pattern[str]:
    return compile_pattern(f"[{re.escape(_ASCII_PUNCTUATION)}\\p{{P}}\u166d]")


def _bert_cut(step: Mapping[str, Any]) -> Cut:
    words, marks = _cut_at(_SPACE, "Removed"), _cut_at(_punctuation())
    return lambda pieces: marks(words(pieces))


def _split(step: Mapping[str, Any]) -> Cut:
    pattern, behavior = step["pattern"], step.get("behavior")
    if behavior not in BEHAVIORS:
        raise missing(f"the step Split ({behavior})")
    source = pattern.get("Regex")
    source = re.escape(str(pattern["String"])) if source is None else str(source)
    return _cut_at(compile_pattern(source), str(behavior), invert=bool(step.get("invert")))


def _punctuation_cut(step: Mapping[str, Any]) -> Cut:
    behavior = str(step.get("behavior", "Isolated"))
    if behavior not in BEHAVIORS:
        raise missing(f"the step Punctuation ({behavior})")
    return _cut_at(_punctuation(), behavior)


def _digits(step: Mapping[str, Any]) -> Cut:
    pattern = r"\p{N}" if step.get("individual_digits") else r"\p{N}+"
    return _cut_at(compile_pattern(pattern))


def _metaspace(step: Mapping[str, Any]) -> Cut:
    mark, scheme = str(step.get("replacement", SPACE_MARK)), step.get("prepend_scheme", "always")
    if scheme not in ("always", "never"):
        raise missing(f"the step Metaspace ({scheme})")
    words = re.compile(f"{re.escape(mark)}?[^{re.escape(mark)}]+|{re.escape(mark)}")
    splits = step.get("split", True)

    def run(pieces: Sequence[str]) -> list[str]:
        found: list[str] = []
        for piece in pieces:
            text = piece.replace(" ", mark)
            if scheme == "always" and text and not text.startswith(mark):
                text = mark + text
            found += words.findall(text) if splits else [text]
        return found

    return run


def _byte_level(step: Mapping[str, Any]) -> Cut:
    spaced, chars = step.get("add_prefix_space", True), byte_chars()
    regex = step.get("use_regex", True)
    words = [_cut_at(compile_pattern(p)) for p in by_name("gpt2").patterns if regex]

    def run(pieces: Sequence[str]) -> list[str]:
        if spaced:
            pieces = [p if p.startswith(" ") or not p else f" {p}" for p in pieces]
        for cut in words:
            pieces = cut(pieces)
        return ["".join([chars[byte] for byte in piece.encode()]) for piece in pieces]

    return run


_CUTS: Final[Mapping[Any, Callable[[Mapping[str, Any]], Cut]]] = {
    "BertPreTokenizer": _bert_cut,
    "WhitespaceSplit": lambda step: _cut_at(_SPACE, "Removed"),
    "Split": _split,
    "Punctuation": _punctuation_cut,
    "Digits": _digits,
    "Metaspace": _metaspace,
    "ByteLevel": _byte_level,
}
