"""Columns whose digits name something (codes, telephones, versions) and are no numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final

from tallow.documents.values.columns import Column
from tallow.documents.values.numbers import same_marks

_NAMES: Final = re.compile(
    r"(?i)\b(?:tele?phones?|phones?|tel|fax|mobile|cell ?phone|zip|zip ?code|post(?:al)? ?codes?"
    r"|plz|postleitzahl|iban|isbn|issn|ean|upc|gtin|barcodes?|ssn|imei|sku|account n\w+"
    r"|kontonummer|t[ée]l[ée]phone|telefon\w*|tel[ée]fono|c[óo]digo postal|code postal)\b"
    r"|电话|手机|邮编|電話|郵便番号|身份证|条码|전화"
)
# Headers of such columns that count them: mobile subscriptions, telephones per 100 people.
_COUNTS: Final = re.compile(r"(?i)\b(?:per|lines?|users?|subscri\w+|number of|total|count|in)\b|%")
_LISTS: Final = re.compile(r"(?i)\b(?:ref|refs|references?|citations?|notes?)\b")
_CODE: Final = re.compile(r"[A-Za-z]{1,6}[-_./ ]?\d[\w./-]*|\d+[-_./]?[A-Za-z]{1,3}\d*")
_VERSION: Final = re.compile(r"v?\d+(?:\.\d+){2,}", re.IGNORECASE)
_MONTH: Final = re.compile(r"(?:0?[1-9]|1[0-2])\.(?:19|20)\d\d")


def name_reason(column: Column) -> str:
    """Why all digits of a column name something, as a sentence; empty where they are numbers."""
    texts = [item.text for item in column.told]
    reasons = (rule(column, texts) for rule in _RULES)
    return next((reason for reason in reasons if reason), "")


def _by_header(column: Column, texts: Sequence[str]) -> str:
    found = _NAMES.search(column.header)
    whole = [text for text in texts if text.isdigit()]
    marked = [item for item in column.numbers() if not item.text.isdigit()]
    counted = bool(marked) or any(len(text) < 4 for text in whole)  # what is named is counted
    if found and whole and not counted and not _COUNTS.search(column.header):
        return f"its header says {found[0]!r}, whose digits name something"
    return ""


def _lists(column: Column, texts: Sequence[str]) -> str:
    listed = [text for text in texts if re.fullmatch(r"\d{1,3}(?:, ?\d{1,3})+", text)]
    if listed and _LISTS.search(column.header):
        return f"{listed[0]!r} is a list, as the header says {column.header!r}"
    return ""


def _leading_zeros(column: Column, texts: Sequence[str]) -> str:
    whole = [text for text in texts if text.isdigit()]
    led = [text for text in whole if len(text) > 1 and text.startswith("0")]
    if led and len({len(text) for text in whole}) == 1:
        return f"its whole numbers are of one length, and {led[0]!r} begins with a zero"
    pairs = [text for text in texts if re.fullmatch(r"\d\d\.\d\d", text)]
    led = [text for text in pairs if text.startswith("0") and not text.startswith("00")]
    if led and len(pairs) == len(texts):
        return f"{led[0]!r} begins with a zero, as days, months and times do"
    return ""


def _versions(column: Column, texts: Sequence[str]) -> str:
    if all(re.fullmatch(r"v?\d+(?:\.\d+)*", text) for text in texts):
        if re.search(r"(?i)\bversions?\b", column.header):
            return "its header says so of versions"
        numbers = {item.text for item in column.numbers()}
        found = [text for text in texts if _VERSION.fullmatch(text) and text not in numbers]
        if found:
            return f"{found[0]!r} is a version, and the others have its form"
    return ""


def _months(column: Column, texts: Sequence[str]) -> str:
    if texts and all(map(_MONTH.fullmatch, texts)):
        return f"{texts[0]!r} is a month of a year, as are the others"
    return ""


def _outline(column: Column, texts: Sequence[str]) -> str:
    """Numbers of sections: 1.10 behind 1.9, or 1.1 behind 1 and 2.1 behind 2."""
    for at in range(2, len(texts)):
        stem, mark, last = texts[at].rpartition(".")
        if mark and last == "10" and list(texts[at - 2 : at]) == [f"{stem}.8", f"{stem}.9"]:
            return f"{texts[at]!r} stands behind {texts[at - 1]!r}, as sections are numbered"
    parts = [a for a, b in pairwise(texts) if a.isdigit() and b == f"{a}.1"]
    if len(parts) > 1:
        return f"{parts[1] + '.1'!r} stands behind {parts[1]!r}, as sections are numbered"
    return ""


def _codes(column: Column, texts: Sequence[str]) -> str:
    unread = [i.text for i in column.told if not i.marked or i.marked.number.exponent]
    codes = [text for text in unread if _CODE.fullmatch(text)]
    # 5kg and 25g are quantities of one unit.
    units = {re.sub(r"[\d.]", "", code) for code in codes}
    measured = len(units) == 1 and codes[0][0].isdigit()
    if 2 * len(codes) >= len(texts) and len(codes) > 1 and not measured:
        return f"{len(codes)} of {len(texts)} cells are codes as {codes[0]!r}"
    return ""


def _telephones(column: Column, texts: Sequence[str]) -> str:
    same = [text for text in texts if re.fullmatch(r"\d{2,4}(?: \d{2,4})+", same_marks(text))]
    digits = {len(re.sub(r"\D", "", text)) for text in same}
    if len(same) > 1 and len(same) == len(texts) and len(digits) == 1 and digits <= {9, 10, 11, 12}:
        return f"every cell has {digits.pop()} digits in groups, as telephone numbers have"
    return ""


_RULES: Final[Sequence[Callable[[Column, Sequence[str]], str]]] = (
    _by_header,
    _lists,
    _leading_zeros,
    _versions,
    _months,
    _outline,
    _codes,
    _telephones,
)
