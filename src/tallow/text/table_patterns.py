"""Regular expressions as the small programs and character classes of tokenizer tables.

The instructions are those of csrc/text/pattern.h. What has none is refused by name.
"""

from __future__ import annotations

import functools
import importlib
import re
import unicodedata
from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from tallow.errors import ModelError
from tallow.text.unicode_regex import translate

Runs = tuple[tuple[int, int], ...]  # first and last code points, sorted, not touching

_LAST: Final = 0x10FFFF
_MATCH, _ONE, _RUN, _SPLIT, _JUMP, _LOOK, _BEHIND, _END, _STOP = range(9)
_ENDLESS: Final = 0xFFFFFFFF
_MOST_WORDS: Final = 1 << 16
_PLACES: Final = {"AT_END": _END, "AT_END_STRING": _STOP}


@functools.cache
def categories() -> list[str]:
    """The general category of each code point."""
    return list(map(unicodedata.category, map(chr, range(_LAST + 1))))


@functools.cache
def members(accepts: Callable[[str, str], bool]) -> Runs:
    """The characters that `accepts(character, category)`."""
    found = (code for code, kind in enumerate(categories()) if accepts(chr(code), kind))
    return joined((code, code) for code in found)


def runs_of(text: str) -> Runs:
    """The characters of a text."""
    return joined((ord(char), ord(char)) for char in text)


def is_any_space(char: str, kind: str) -> bool:
    """What Python's `str.strip` takes."""
    return char.isspace()


def joined(runs: Iterable[tuple[int, int]]) -> Runs:
    """The same characters as few runs."""
    found: list[tuple[int, int]] = []
    for first, last in sorted(runs):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(last, found[-1][1]))
        else:
            found.append((first, last))
    return tuple(found)


def others(runs: Runs) -> Runs:
    """All other characters."""
    found, at = [], 0
    for first, last in runs:
        if at < first:
            found.append((at, first - 1))
        at = last + 1
    return (*found, (at, _LAST)) if at <= _LAST else tuple(found)


def refused(what: str) -> ModelError:
    """The error for what tokenizer tables have no form for."""
    return ModelError(f"tokenizer tables: {what} has no form there")


def _is_digit(char: str, kind: str) -> bool:
    return kind == "Nd"


class Classes:
    """Sets of characters, each once, by number."""

    def __init__(self) -> None:
        self.ends, self.numbers = array("I"), array("I")
        self._known: dict[Runs, int] = {}

    def add(self, runs: Runs) -> int:
        """The number of a class."""
        found = self._known.get(runs)
        if found is None:
            found = self._known[runs] = len(self._known)
            bits = sum(1 << code for a, b in runs for code in range(a, min(b, 127) + 1))
            self.numbers.extend(bits >> shift & 0xFFFFFFFF for shift in (0, 32, 64, 96))
            beyond = [(max(a, 128), b) for a, b in runs if b >= 128]
            self.numbers.extend(code for run in beyond for code in run)
            self.ends.append(len(self.numbers))
        return found


class Programs:
    """Patterns as programs, each once, by the address at which it begins."""

    def __init__(self, classes: Classes) -> None:
        self.code: list[int] = []
        self._classes = classes
        self._known: dict[str, int] = {}

    def add(self, pattern: str, *, translated: bool = False) -> int:
        r"""The program of a pattern; `translated` says that `\p{…}` is spelled out.

        Raises:
            ModelError: a construct that the programs lack.
        """
        source = pattern if translated else translate(pattern)
        if source not in self._known:
            tree = _parsed(source)
            begin = len(self.code)
            self._sequence(tree, tree.state.flags)
            self.code.append(_MATCH)
            self._known[source] = begin
        return self._known[source]

    def _sequence(self, items: Iterable[tuple[Any, Any]], flags: int) -> None:
        for op, value in items:
            if len(self.code) > _MOST_WORDS:
                raise refused("so long a pattern")
            runs = _single(op, value, flags)
            if runs is not None:
                self.code += [_ONE, self._classes.add(runs)]
                continue
            emit = getattr(self, f"_{str(op).lower()}", None)
            if emit is None:
                raise refused(f"the construct {str(op).lower()} of a pattern")
            emit(value, flags)

    def _subpattern(self, value: Any, flags: int) -> None:
        _, more, less, inner = value
        self._sequence(inner, (flags | more) & ~less)

    def _branch(self, value: Any, flags: int) -> None:
        exits = []
        *firsts, last = value[1]
        for inner in firsts:
            split = self._split()
            self._sequence(inner, flags)
            exits.append(len(self.code) + 1)
            self.code += [_JUMP, 0]
            self.code[split + 2] = len(self.code)
        self._sequence(last, flags)
        for place in exits:
            self.code[place] = len(self.code)

    def _split(self) -> int:
        at = len(self.code)
        self.code += [_SPLIT, at + 3, 0]
        return at

    def _max_repeat(self, value: Any, flags: int) -> None:
        least, most, inner = value
        endless = most >= _ENDLESS or str(most) == "MAXREPEAT"
        runs = _single("SUBPATTERN", (None, 0, 0, inner), flags)
        if runs is not None:
            last = _ENDLESS if endless else int(most)
            self.code += [_RUN, self._classes.add(runs), int(least), last]
            return
        if endless and not inner.getwidth()[0]:
            raise refused("a repeat of what may be empty")
        for _ in range(least):
            self._sequence(inner, flags)
        splits = []
        for _ in range(1 if endless else most - least):
            splits.append(self._split())
            self._sequence(inner, flags)
        if endless:
            self.code += [_JUMP, splits[0]]
        for split in splits:
            self.code[split + 2] = len(self.code)

    def _assert(self, value: Any, flags: int, negated: int = 0) -> None:
        direction, inner = value
        if direction < 0:
            runs = _single("SUBPATTERN", (None, 0, 0, inner), flags)
            if runs is None:
                raise refused("a look behind of more than a character")
            self.code += [_BEHIND, negated, self._classes.add(runs)]
            return
        at = len(self.code)
        self.code += [_LOOK, negated, 0]
        self._sequence(inner, flags)
        self.code.append(_MATCH)
        self.code[at + 2] = len(self.code)

    def _assert_not(self, value: Any, flags: int) -> None:
        self._assert(value, flags, 1)

    def _at(self, value: Any, flags: int) -> None:
        place = _PLACES.get(str(value))
        if place is None or flags & re.MULTILINE:
            raise refused(f"the place {str(value).lower()} of a pattern")
        self.code.append(place)


@functools.lru_cache(maxsize=64)
def _parsed(source: str) -> Any:
    try:
        return importlib.import_module("re._parser").parse(source)
    except (re.error, OverflowError, RecursionError) as error:
        raise ModelError(f"tokenizer pattern: {error}") from error


def _single(op: Any, value: Any, flags: int) -> Runs | None:
    """The class of a part of a pattern that takes one character, else None."""
    name = str(op)
    if name == "LITERAL":
        return _any_case(((value, value),), flags)
    if name == "NOT_LITERAL":
        return others(_any_case(((value, value),), flags))
    if name == "ANY":
        return ((0, _LAST),) if flags & re.DOTALL else others(((10, 10),))
    if name == "IN":
        return _class(value, flags)
    if name != "SUBPATTERN":
        return None
    _, more, less, inner = value
    flags = (flags | more) & ~less
    items = list(inner)
    if len(items) == 1:
        return _single(items[0][0], items[0][1], flags)
    if len(items) == 2 and str(items[0][0]) == "ASSERT_NOT" and items[0][1][0] > 0:
        barred = _single("SUBPATTERN", (None, 0, 0, items[0][1][1]), flags)
        allowed = _single(items[1][0], items[1][1], flags)
        if barred is not None and allowed is not None:
            return others(joined((*others(allowed), *barred)))
    return None


def _class(items: Sequence[tuple[Any, Any]], flags: int) -> Runs:
    runs: list[tuple[int, int]] = []
    negated = False
    for op, value in items:
        name = str(op)
        if name == "NEGATE":
            negated = True
        elif name == "LITERAL":
            runs.append((value, value))
        elif name == "RANGE":
            runs.append(value)
        elif str(value) == "CATEGORY_DIGIT":
            runs += members(_is_digit)
        else:
            raise refused(f"the class {str(value).lower()} of a pattern")
    found = _any_case(joined(runs), flags)
    return others(found) if negated else found


def _any_case(runs: Runs, flags: int) -> Runs:
    if not flags & re.IGNORECASE:
        return runs
    if sum(last - first + 1 for first, last in runs) > 256:
        raise refused("a large class without case")
    texts = "".join(chr(code) for first, last in runs for code in range(first, last + 1))
    extra = importlib.import_module("re._casefix")._EXTRA_CASES
    near = {*texts, *texts.lower(), *texts.upper()}
    near |= {chr(code) for char in near for code in extra.get(ord(char), ())}
    known = re.compile(f"[{re.escape(texts)}]", re.IGNORECASE)
    return runs_of("".join(sorted(filter(known.fullmatch, near))))
