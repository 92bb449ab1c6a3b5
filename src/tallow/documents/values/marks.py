"""Footnote marks behind numbers: raised ones, stars and daggers, and those in parentheses."""

from __future__ import annotations

import re
from typing import Final

from tallow.documents.document import Cell
from tallow.documents.values.numbers import Number, parse
from tallow.lazy_dataclasses import dataclass

_RAISED: Final = "⁰¹²³⁴⁵⁶⁷⁸⁹ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻ"
_PLAIN: Final = "0123456789abcdefghijklmnoprstuvwxyz"
_FLAT: Final = str.maketrans(_RAISED, _PLAIN)
_ONE: Final = rf"{_RAISED}*†‡§¶#‖"
_BEHIND: Final = re.compile(
    rf"(?P<core>[^{_ONE}]*[^{_ONE}\s])\s*(?P<mark>[{_ONE}](?:[, ]{{0,2}}[{_ONE}])*)"
)
_BEFORE: Final = re.compile(r"(?P<mark>[*†‡§¶]{1,3}) ?(?P<core>[^*†‡§¶]+)")
_ENCLOSED: Final = re.compile(r"(?P<core>.*\S)\s*(?P<mark>\((?:\d|[a-z])\)|\[(?:\d{1,2}|[a-z])\])")
_POWER: Final = re.compile(r"(?:^|[x×·*]\s*)[-+−]?10$")
# Not the raised ends of ordinals (1st, 2nd) nor a degree that was read as a raised o.
_RAISED_MARK: Final = re.compile(r"[(\[]?(?:\d{1,2}|[a-np-zA-Z]|[*†‡§¶#‖]{1,3})[)\]]?")


@dataclass(frozen=True)
class Marked:
    """A number and its mark; `enclosed` is a mark in parentheses, which may be another number."""

    number: Number
    mark: str = ""
    enclosed: bool = False


def read(cell: Cell) -> Marked | None:
    """The number and the footnote mark of a cell, or None where it is no number.

    A raised digit is never a digit of the number; on 10 it is a power, and so the cell a text.
    """
    text, raised = cell.text.strip(), _raised_ends(cell)
    if raised is not None:
        core, mark = raised
        pieces = re.split(r"[,;\s]+", mark.translate(_FLAT))
        is_mark = all(map(_RAISED_MARK.fullmatch, pieces)) and not _is_power(core, mark)
        number = parse(core) if is_mark else None
        return Marked(number, mark.translate(_FLAT)) if number else None
    number = parse(text)
    if number:
        return Marked(number)
    for pattern in (_BEHIND, _BEFORE, _ENCLOSED):
        found = pattern.fullmatch(text)
        number = parse(found["core"]) if found else None
        if found and number:
            mark = found["mark"].translate(_FLAT)
            if _is_power(found["core"], mark):
                return None
            return Marked(number, mark, pattern is _ENCLOSED)
    return None


def _raised_ends(cell: Cell) -> tuple[str, str] | None:
    """A cell's text without what is raised at its end or beginning, and that; None: none is.

    What is raised in the middle of a text is all that is left of it: no number.
    """
    text = cell.text
    spans = [(max(0, a), min(len(text), b)) for a, b in cell.raised]
    spans = [(a, b) for a, b in spans if a < b and text[a:b].strip()]
    if not spans:
        return None
    start, end = min(a for a, _ in spans), max(b for _, b in spans)
    before, mark, behind = text[:start].strip(), text[start:end].strip(), text[end:].strip()
    if before and behind:
        return "", mark
    return (before or behind, mark) if before or behind else None


def _is_power(core: str, mark: str) -> bool:
    """Whether this is a power of ten, whose raised digits are no mark."""
    return bool(_POWER.search(core) and re.fullmatch(r"[-+−]?\d+", mark))
