r"""The syntax of RE2's patterns (https://github.com/google/re2/wiki/Syntax) as trees."""

from __future__ import annotations

from typing import Final, NoReturn

from tallow.errors import ArgumentError
from tallow.lazy_dataclasses import dataclass
from tallow.onnx import re2_classes as classes
from tallow.text.table_patterns import Runs, joined, others

_MOST_REPEATED: Final = 1000
_MOST_NESTED: Final = 100
_ESCAPES: Final = {"a": 7, "f": 12, "t": 9, "n": 10, "r": 13, "v": 11}
_CLASSES: Final = {"d": classes.DIGIT, "s": classes.SPACE, "w": classes.WORD}
_ASSERTIONS: Final = {"A": "begin", "z": "end", "b": "word", "B": "not word"}


@dataclass(frozen=True)
class Node:
    """A part of a pattern.

    `kind`: chars, cat, alt, repeat, or an assertion (begin, end, begin line, end line, word, not
    word).
    """

    kind: str
    parts: tuple[Node, ...] = ()
    runs: Runs = ()
    folded: bool = False
    least: int = 0
    most: int = -1


def parsed(pattern: str) -> Node:
    """The tree of a pattern; ArgumentError for what RE2 has not."""
    return _Parser(pattern).whole()


class _Parser:
    def __init__(self, pattern: str) -> None:
        self._text, self._at, self._depth = pattern, 0, 0
        self._flags: frozenset[str] = frozenset()

    def whole(self) -> Node:
        found = self._alternatives()
        if self._at < len(self._text):
            self._refuse("an opening parenthesis before ')'")
        return found

    def _refuse(self, wanted: str) -> NoReturn:
        raise ArgumentError(
            f"RegexFullMatch: expected {wanted} in a pattern of RE2, got {self._text!r} "
            f"at character {self._at}"
        )

    def _peek(self, text: str) -> bool:
        """Take a text if it is what follows."""
        if self._text.startswith(text, self._at):
            self._at += len(text)
            return True
        return False

    def _next(self, wanted: str = "a character") -> str:
        if self._at >= len(self._text):
            self._refuse(wanted)
        self._at += 1
        return self._text[self._at - 1]

    # --- structure --------------------------------------------------------------------------------

    def _alternatives(self) -> Node:
        """All up to a closing parenthesis or the end; flags that are set in it end with it."""
        before = self._flags
        found = [self._sequence()]
        while self._peek("|"):
            found.append(self._sequence())
        self._flags = before
        return found[0] if len(found) == 1 else Node("alt", tuple(found))

    def _sequence(self) -> Node:
        found: list[Node] = []
        while self._at < len(self._text) and self._text[self._at] not in "|)":
            if self._peek(r"\Q"):
                end = self._text.find(r"\E", self._at)
                end = len(self._text) if end < 0 else end
                found += [self._char(ord(each)) for each in self._text[self._at : end]]
                self._at = end + 2 if end < len(self._text) else end
                continue
            part = self._repeated(self._atom())
            if part is not None:
                found.append(part)
        return Node("cat", tuple(found))

    def _repeated(self, part: Node | None) -> Node | None:
        counts = self._counts()
        if counts is None:
            return part
        if part is None:
            self._refuse("something before a repetition")
        self._peek("?")  # fewer first: of no consequence for whether all of a text matches
        if self._counts() is not None:
            self._refuse("one repetition")
        return Node("repeat", (part,), least=counts[0], most=counts[1])

    def _counts(self) -> tuple[int, int] | None:
        """The least and the most of a repetition, -1 for any number; None where there is none."""
        for sign, counts in (("*", (0, -1)), ("+", (1, -1)), ("?", (0, 1))):
            if self._peek(sign):
                return counts
        end = self._text.find("}", self._at)
        if not self._text.startswith("{", self._at) or end < 0:
            return None
        low, comma, high = self._text[self._at + 1 : end].partition(",")
        if not _is_number(low) or not (_is_number(high) or not high):
            return None  # as it stands
        least = int(low)
        most = int(high) if high else -1 if comma else least
        if max(least, most) > _MOST_REPEATED or 0 <= most < least:
            self._refuse(f"numbers of repetitions up to {_MOST_REPEATED}")
        self._at = end + 1
        return least, most

    def _atom(self) -> Node | None:
        """One character, class, group or assertion; None for flags."""
        if self._counts() is not None:
            self._refuse("something before a repetition")
        char = self._next()
        if char == "(":
            return self._group()
        if char == "[":
            return self._class()
        if char == ".":
            dot = classes.ANY if "s" in self._flags else others(((10, 10),))
            return Node("chars", runs=dot)
        if char in "^$":
            side = "begin" if char == "^" else "end"
            return Node(f"{side} line" if "m" in self._flags else side)
        if char == "\\":
            return self._escape()
        return self._char(ord(char))

    def _char(self, code: int) -> Node:
        return Node("chars", runs=((code, code),), folded="i" in self._flags)

    def _group(self) -> Node | None:
        self._depth += 1
        if self._depth > _MOST_NESTED:
            self._refuse(f"at most {_MOST_NESTED} groups in one another")
        before = self._flags
        if self._peek("?P<") or (self._peek("?<")):
            end = self._text.find(">", self._at)
            name = self._text[self._at : max(end, 0)]
            if not name or not name.replace("_", "a").isalnum():
                self._refuse("the name of a group")
            self._at = end + 1
        elif self._peek("?") and not self._set_flags():
            self._depth -= 1
            return None
        found = self._alternatives()
        if not self._peek(")"):
            self._refuse("a closing parenthesis")
        self._flags = before
        self._depth -= 1
        return found

    def _set_flags(self) -> bool:
        """Take flags; whether a group follows in which they hold."""
        on = True
        flags = set(self._flags)
        while (char := self._next("flags")) not in ":)":
            if char == "-" and on:
                on = False
            elif char in "imsU":
                (flags.add if on else flags.discard)(char)
            else:
                self._refuse("flags of imsU")
        self._flags = frozenset(flags)
        return char == ":"

    # --- characters -------------------------------------------------------------------------------

    def _escape(self) -> Node:
        char = self._text[self._at : self._at + 1]
        if char in _ASSERTIONS and char:
            self._at += 1
            return Node(_ASSERTIONS[char])
        runs = self._shorthand()
        if runs is not None:
            return Node("chars", runs=runs, folded="i" in self._flags)
        return self._char(self._code())

    def _shorthand(self) -> Runs | None:
        r"""The class after a backslash (`\d`, `\pL`), None where a character follows."""
        char = self._text[self._at : self._at + 1]
        if char.lower() in _CLASSES and char:
            self._at += 1
            runs = _CLASSES[char.lower()]
            return runs if char.islower() else others(runs)
        if char not in ("p", "P"):
            return None
        self._at += 1
        name = self._next("a category")
        if name == "{":
            end = self._text.find("}", self._at)
            name = self._text[self._at : max(end, self._at)]
            self._at = end + 1
        negated = (char == "P") != name.startswith("^")
        found = classes.category(name.removeprefix("^"))
        if found is None:
            self._refuse("a general category of Unicode (scripts are not there)")
        return others(found) if negated else found

    def _code(self) -> int:
        """The character after a backslash."""
        char = self._next("a character after a backslash")
        if char in _ESCAPES:
            return _ESCAPES[char]
        if char == "x":
            return self._hexadecimal()
        if char == "0" or (char in "1234567" and _is_octal(self._text[self._at : self._at + 1])):
            digits = char
            while len(digits) < 3 and _is_octal(self._text[self._at : self._at + 1]):
                digits += self._next()
            return int(digits, 8)
        if char.isalnum() and char.isascii():
            self._refuse("an escape that RE2 has (no references back)")
        return ord(char)

    def _hexadecimal(self) -> int:
        if self._peek("{"):
            end = self._text.find("}", self._at)
            digits = self._text[self._at : max(end, self._at)]
            self._at = end + 1
        else:
            digits = self._text[self._at : self._at + 2]
            self._at += 2
            digits = digits if len(digits) == 2 else ""
        if not digits or not all(each in "0123456789abcdefABCDEF" for each in digits):
            self._refuse("hexadecimal digits")
        code = int(digits, 16)
        if code > classes.LAST:
            self._refuse("a code point of Unicode")
        return code

    def _class(self) -> Node:
        negated = self._peek("^")
        runs: list[tuple[int, int]] = []
        first = True
        while first or not self._peek("]"):
            first = False
            found = self._posix() if self._text.startswith("[:", self._at) else None
            if found is None and self._text.startswith("\\", self._at):
                self._at += 1
                found = self._shorthand()
                self._at -= found is None
            runs += [self._range()] if found is None else found
        folded = "i" in self._flags
        whole = joined(runs)
        if not negated:
            return Node("chars", runs=whole, folded=folded)
        if folded:
            whole = classes.with_cases(whole)
        return Node("chars", runs=others(whole))

    def _posix(self) -> Runs | None:
        end = self._text.find(":]", self._at + 2)
        if end < 0:
            return None
        name = self._text[self._at + 2 : end]
        found = classes.POSIX.get(name.removeprefix("^"))
        if found is None:
            self._refuse("a class such as [:alpha:]")
        self._at = end + 2
        return others(found) if name.startswith("^") else found

    def _range(self) -> tuple[int, int]:
        low = self._member()
        rest = self._text[self._at : self._at + 2]
        if rest[:1] != "-" or rest[1:] in ("", "]"):
            return low, low
        self._at += 1
        high = self._member()
        if high < low:
            self._refuse("a range whose end is not before its beginning")
        return low, high

    def _member(self) -> int:
        char = self._next("a closing bracket")
        return self._code() if char == "\\" else ord(char)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _is_octal(text: str) -> bool:
    return text != "" and text in "01234567"
