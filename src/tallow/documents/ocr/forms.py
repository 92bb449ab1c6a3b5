"""Forms of characters: full-width marks beside ideographs, closing quotes, signs that are several.

A full-width parenthesis or colon has the room of an ideograph, half of which is blank (JIS X 4051):
that blank tells it from the narrow one, which readers take it for as often as not.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from tallow.documents.ocr.recognition import Reading
from tallow.lazy_dataclasses import replace

_IDEOGRAPH: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
_WIDE: Final = {"(": "\uff08", ")": "\uff09", ":": "\uff1a", ",": "\uff0c", ";": "\uff1b",
                "?": "\uff1f", "!": "\uff01"}  # fmt: skip
_BLANK: Final = 0.33  # heights of a line's ink beside a full-width mark; a narrow one has 0.15
_SPACE: Final = 0.75  # from here on a space and a full-width mark's own room stand there
_SEVERAL: Final = {
    "\u2103": "\u00b0C", "\u2109": "\u00b0F",
    **{chr(0x2160 + i): each for i, each in enumerate(
        ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"))},
    "\ufb01": "fi", "\ufb02": "fl",
}  # fmt: skip
_SPELLED: Final = (
    (re.compile("\u00b0+(?=\u00b0[CF])"), ""),
    (re.compile("(?<=[\u00bd\u00bc\u00be])[24](?!\\d)"), ""),  # the half's own 2, read again
    (re.compile(r"\bSI(?=\.? ?No\b)"), "Sl"),  # the serial number's abbreviation
    (re.compile(r"(?<=[%\d] )Cl\b"), "CI"),  # a confidence interval's
)


def spelled(text: str) -> str:
    """A word's or line's text with usual characters for those that stand for several."""
    if not _IDEOGRAPH.search(text):
        text = "".join(_SEVERAL.get(char, char) for char in text)
    for pattern, made in _SPELLED:
        text = pattern.sub(made, text)
    return text


def with_forms(
    reading: Reading, gap: Callable[[int, int], tuple[float, float]], height: float
) -> Reading:
    """A line's reading with full-width marks where their room is, and quotes closed as opened.

    `gap` gives the columns without ink between two characters, `height` is that of the line's ink.
    """
    text = _quoted(reading.text)
    if not _IDEOGRAPH.search(text):
        return replace(reading, text=text) if text != reading.text else reading
    made = [*text]
    dropped: set[int] = set()
    opened: list[bool] = []
    for i, char in enumerate(text):
        if char not in _WIDE:
            continue
        blank = _blank_before if char == "(" else _blank_behind
        wide, spaces = blank(made, i, gap, height)
        if char == "(":
            opened.append(wide)
        elif char == ")":
            wide = (opened.pop() if opened else False) or wide
        if wide:
            made[i] = _WIDE[char]
            dropped.update(spaces)
    kept = [i for i in range(len(made)) if i not in dropped]
    return Reading(
        "".join(made[i] for i in kept),
        tuple(reading.confidences[i] for i in kept),
        tuple(reading.spans[i] for i in kept),
    )


def _blank_before(
    text: list[str], i: int, gap: Callable[[int, int], tuple[float, float]], height: float
) -> tuple[bool, list[int]]:
    """Whether the room before a mark behind an ideograph is blank, and the spaces read there."""
    k = i - 1
    while k >= 0 and text[k] == " ":
        k -= 1
    if k < 0 or not _is_wide(text[k]):
        return False, []
    start, end = gap(k, i)
    return _BLANK * height <= end - start < _SPACE * height, [*range(k + 1, i)]


def _blank_behind(
    text: list[str], i: int, gap: Callable[[int, int], tuple[float, float]], height: float
) -> tuple[bool, list[int]]:
    """Whether the room behind a mark before an ideograph is blank, and the spaces read there."""
    k = i + 1
    while k < len(text) and text[k] == " ":
        k += 1
    if k >= len(text) or i == 0 or not (_is_wide(text[i - 1]) and _is_wide(text[k])):
        return False, []
    start, end = gap(i, k)
    return _BLANK * height <= end - start < _SPACE * height, [*range(i + 1, k)]


def _is_wide(char: str) -> bool:
    return (
        bool(_IDEOGRAPH.match(char)) or "\u3000" <= char <= "\u303f" or "\uff00" <= char <= "\uff60"
    )


def _quoted(text: str) -> str:
    """Quotes that are closed as they were opened: of one pair readers mistake one."""
    if "\u201c" in text and '"' in text:
        opened, found = False, []
        for char in text:
            if char == "\u201c":
                opened = True
            elif char == '"' and opened:
                char, opened = "\u201d", False
            elif char == "\u201d":
                opened = False
            found.append(char)
        text = "".join(found)
    elif "\u201d" in text and text.count('"') == 1 and text.index('"') < text.index("\u201d"):
        text = text.replace('"', "\u201c")
    return text
