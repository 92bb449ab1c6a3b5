r"""Translates `\p{L}`-style patterns to Python's `re`, and cuts text by a sequence of them."""

from __future__ import annotations

import functools
import itertools
import re
import sys
import unicodedata
from collections.abc import Sequence
from typing import Final

from tallow.errors import ModelError

# Unicode's White_Space; Python's own `\s` also takes U+001C to U+001F.
SPACE: Final = "\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_NO_SPACE = (
    "\0-\x08\x0e-\x1f!-\x84\x86-\x9f\xa1-\u167f\u1681-\u1fff\u200b-\u2027\u202a-\u202e\u2030-\u205e"
    "\u2060-\u2fff\u3001-\U0010ffff"
)
# All letters, marks, numbers, punctuation and symbols live in these planes.
_PLANES = (range(0x32400), range(0xE0000, 0xE0200))
_ASCII = (range(0x80),)
_NEVER = "\U0010ffff"  # a member of ASCII's empty classes


@functools.cache
def _runs(ascii_only: bool) -> dict[str, list[tuple[int, int]]]:
    """Two-letter category → runs `(first, last)` of code points, by one pass over `unicodedata`."""
    runs: dict[str, list[tuple[int, int]]] = {}
    for plane in _ASCII if ascii_only else _PLANES:
        categories = map(unicodedata.category, map(chr, plane))
        start = plane.start
        for category, group in itertools.groupby(categories):
            end = start + sum(1 for _ in group)
            runs.setdefault(category, []).append((start, end - 1))
            start = end
    return runs


@functools.cache
def _members(name: str, ascii_only: bool) -> str:
    """The inside of a character class for a general category such as `L` or `Lu`."""
    found = sorted(
        run
        for category, runs in _runs(ascii_only).items()
        if category.startswith(name)
        for run in runs
    )
    if not found and ascii_only and name in _CATEGORIES:
        return _NEVER
    if not found:
        raise ModelError(f"tokenizer pattern: unknown class \\p{{{name}}}")
    return "".join(f"{re.escape(chr(a))}-{re.escape(chr(b))}" for a, b in found)


_CATEGORIES: Final = {"M", "Nl", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "No", "Pi", "Pf", "Cf"}
# What Oniguruma, the engine of `tokenizers`, calls part of a word: alphabetic (letters in circles
# too), marks, decimal digits, connectors; outside a class Latin-1's other numbers too. Python's own
# `\w` and `\b` count no mark, and every number.
_WORD_CLASS: Final = (
    r"\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\u24b6-\u24e9"
    r"\U0001f130-\U0001f149\U0001f150-\U0001f169\U0001f170-\U0001f189"
)
_WORD: Final = rf"[{_WORD_CLASS}\xb2\xb3\xb9\xbc-\xbe]"
_BOUNDARY: Final = f"(?:(?<={_WORD})(?!{_WORD})|(?<!{_WORD})(?={_WORD}))"
_TOKEN = re.compile(r"\\p\{(\w+)\}|\\.|\[\^?|\]|[^\\\[\]]+", re.DOTALL)


def translate(pattern: str, ascii_only: bool = False) -> str:
    r"""The same pattern for `re`: `\p{…}`, `\s`, `\S` spelled out as ranges.

    With `ascii_only` it serves ASCII text alone, and spares the pass over all of Unicode.

    Raises:
        ModelError: a class that is not a Unicode general category.
    """
    out: list[str] = []
    inside = False
    for match in _TOKEN.finditer(pattern):
        token = match.group()
        if match.group(1):
            members = _members(match.group(1), ascii_only)
            out.append(members if inside else f"[{members}]")
        elif token == r"\s":
            out.append(SPACE if inside else f"[{SPACE}]")
        elif token == r"\S":
            out.append(_NO_SPACE if inside else f"[^{SPACE}]")
        elif token == r"\w":
            members = translate(f"[{_WORD_CLASS}]", ascii_only)[1:-1]
            out.append(members if inside else translate(_WORD, ascii_only))
        elif token == r"\W" and not inside:
            out.append(f"[^{translate(_WORD, ascii_only)[1:-1]}]")
        elif token == r"\b" and not inside:
            out.append(translate(_BOUNDARY, ascii_only))
        elif token in ("[", "[^"):
            if inside:
                raise ModelError("tokenizer pattern: nested character classes are not supported")
            inside = True
            out.append(token)
        else:
            inside = inside and token != "]"
            out.append(token)
    return "".join(out)


@functools.cache
def compile_pattern(pattern: str, ascii_only: bool = False) -> re.Pattern[str]:
    """The translated pattern, compiled.

    Raises:
        ModelError: the pattern has a construct that `re` lacks.
    """
    try:
        return re.compile(translate(pattern, ascii_only))
    except re.error as error:
        raise ModelError(f"tokenizer pattern: {error}; Python {sys.version_info[:2]}") from error


def split(text: str, patterns: Sequence[re.Pattern[str]]) -> list[str]:
    """Cut `text` at every match of the first pattern, the pieces at those of the next, and so on.

    Matches and the gaps between them are both pieces; nothing is lost.
    """
    pieces = [text] if text else []
    for pattern in patterns:
        finer: list[str] = []
        for piece in pieces:
            at = 0
            for match in pattern.finditer(piece):
                start, end = match.span()
                if start > at:
                    finer.append(piece[at:start])
                if end > start:
                    finer.append(piece[start:end])
                at = end
            if at < len(piece):
                finer.append(piece[at:])
        pieces = finer
    return pieces
