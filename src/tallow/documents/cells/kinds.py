"""Kinds of text in cells: numbers with what stands around them, years, signs for nothing."""

from __future__ import annotations

import re

_NUMBER = re.compile(
    r"[\s(\[<>≤≥~≈±+\-−–—$€£¥%]*\d[\d\s.,:/()\[\]%±+\-−–—*×^eE$€£¥†‡§]*"
    r"(?:%|[a-zA-Z]{0,2})?"
)
_NOTHING = re.compile(r"[\s.\-−–—*/]*|[nN]\.?/?[aA]\.?")
_YEAR = re.compile(r"(?:1[5-9]|20)\d\d(?:\s?[-–/]\s?\d{2,4})?")


def is_number(text: str) -> bool:
    """Whether a text is a number, with what stands around numbers in tables: "(2.5)", "12%"."""
    return bool(_NUMBER.fullmatch(text.strip()))


def is_year(text: str) -> bool:
    """Whether a text is a year or years, such as 2009 and 2010/11."""
    return bool(_YEAR.fullmatch(text.strip()))


def is_nothing(text: str) -> bool:
    """Whether a text says that there is no value: a dash, dots, n/a."""
    return bool(_NOTHING.fullmatch(text))
