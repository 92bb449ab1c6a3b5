"""The grammar of numbers in tables: signs, currency, percent, and every reading of their marks."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from tallow.lazy_dataclasses import dataclass

# Longer texts are no numbers; 15 digits are what a double, and so a spreadsheet, holds exactly.
MOST_TEXT, MOST_DIGITS = 48, 15
_MOST_GAIN: Final = 6  # digits of a whole number behind a plus; more are a telephone number's
MISSING: Final = frozenset({
    "-", "–", "—", "−", "‐", "‑", "―", "--", "---", "...", "…", "..", ".", "·", "n/a", "na", "n.a.",
    "n.a", "n/d", "nd", "n.d.", "nil", "none", "null", "nan", "－", "ー",
})  # fmt: skip
"""What tables print, in lower case, where there is no number."""

# Unicode CLDR, "currencies": symbols, and codes and abbreviations that stand beside numbers.
_CURRENCIES: Final = (
    "US$", "A$", "C$", "AU$", "CA$", "HK$", "NZ$", "NT$", "S$", "R$", "MX$", "$", "£", "€", "¥",
    "￥", "₹", "₽", "₩", "₺", "₪", "₫", "฿", "₱", "₴", "₦", "¢", "Rs.", "Rs", "kr.", "kr", "Kč",
    "zł", "Ft", "Fr.", "SFr.", "CHF", "EUR", "USD", "GBP", "JPY", "CNY", "RMB", "INR", "BRL", "SEK",
    "NOK", "DKK", "PLN", "CZK", "HUF", "AUD", "CAD", "NZD", "HKD", "SGD", "KRW", "MXN", "ZAR",
    "RUB", "TRY", "KWD", "BHD", "OMR", "JOD", "TND", "元", "円", "원", "руб.", "руб", "TL", "lei",
)  # fmt: skip
THREE_DECIMALS: Final = frozenset({"KWD", "BHD", "OMR", "JOD", "TND"})
_CURRENCY: Final = "|".join(map(re.escape, sorted(_CURRENCIES, key=len, reverse=True)))
_TOKEN: Final = re.compile(rf"\s*({_CURRENCY}|[-+()%])\s*")
_WHOLE: Final = re.compile(
    rf"(?P<before>(?:(?:{_CURRENCY}|[-+(%])\s*)*)"
    r"(?P<body>[.,·]?\d(?:[\d.,' ·]*\d)?)"
    r"(?P<exponent>[eE][-+]?\d{1,3})?"
    rf"(?P<after>(?:\s*(?:{_CURRENCY}|[-)%]))*)"
)
_SPACES: Final = "\u00a0\u2007\u2009\u202f\u2002\u2003\u2004\u2005\u2006\u2008\u200a\u3000"
_SAME: Final = str.maketrans(
    {
        **dict.fromkeys(_SPACES, " "),
        **dict.fromkeys("−‐‑‒–—﹣－", "-"),
        **dict.fromkeys("’ʼ´`′＇‘", "'"),
        "％": "%",
        "（": "(",
        "）": ")",
        "，": ",",
        "．": ".",
        "＋": "+",
        "＄": "$",
        "\u200b": "",
    }
)
_BODY: Final = re.compile(r"\d+")
_GROUPED: Final = re.compile(r"\d{1,3}(?:(?P<mark>[.,' ])\d{3})(?:(?P=mark)\d{3})*")
_INDIAN: Final = re.compile(r"\d{1,2}(?:,\d{2})+,\d{3}")


@dataclass(frozen=True)
class Reading:
    """One reading of a number's digits: the marks that it takes for decimal and thousands."""

    whole: str
    fraction: str = ""
    decimal: str = ""
    group: str = ""


@dataclass(frozen=True)
class Number:
    """A text that is a number: what stands around its digits, and the readings of these.

    `loose` is one that only a column of numbers makes credible: a minus that stands behind it or
    apart from it. `first` says that the currency stands before the number, `apart` with a space.
    """

    readings: tuple[Reading, ...]
    negative: bool = False
    plus: bool = False
    parentheses: bool = False
    percent: bool = False
    currency: str = ""
    first: bool = False
    apart: bool = False
    exponent: str = ""
    loose: bool = False

    @property
    def ambiguous(self) -> bool:
        """Whether its mark may be one of decimals or of thousands, as in `1.234`."""
        return len(self.readings) > 1


def same_marks(text: str) -> str:
    """Text with one form of each digit, space, dash, apostrophe and percent sign."""
    text = text.strip().translate(_SAME)
    if text.isascii():
        return text
    digits = (unicodedata.decimal(char, None) for char in text)
    return "".join(char if digit is None else str(digit)
                   for char, digit in zip(text, digits, strict=True))  # fmt: skip


def parse(text: str) -> Number | None:
    """The number that a text is, or None: nothing but digits, their marks, sign and unit of money.

    Leading zeros, more digits than a double holds, ranges, fractions and versions are none.
    """
    if len(text) > MOST_TEXT:
        return None
    found = _WHOLE.fullmatch(same_marks(text))
    if found is None:
        return None
    readings = tuple(filter(_is_exact, read_body(found["body"])))
    before, after = _TOKEN.findall(found["before"]), _TOKEN.findall(found["after"])
    if not readings or not _fits(before, after, found["exponent"]):
        return None
    if "+" in before and not readings[0].fraction and len(readings[0].whole) > _MOST_GAIN:
        return None
    money = [each for each in (*before, *after) if each not in "-+()%"]
    first = bool(money) and money[0] in before
    return Number(
        readings,
        negative="-" in before or "-" in after or "(" in before,
        plus="+" in before,
        parentheses="(" in before,
        percent="%" in before or "%" in after,
        currency=money[0] if money else "",
        first=first,
        apart=bool(money) and _is_apart(found["before"], found["after"], first),
        exponent=found["exponent"] or "",
        loose="-" in after or ("-" in before and found["before"].endswith(" ") and not money),
    )


def _fits(before: list[str], after: list[str], exponent: str | None) -> bool:
    """Whether what stands around digits makes sense: one sign, one currency, both parentheses."""
    every = before + after
    signs = sum(every.count(sign) for sign in "-+")
    money = sum(each not in "-+()%" for each in every)
    closed = every.count("(") == every.count(")") == (1 if "(" in before else 0)
    one = signs + every.count("(") <= 1 and money + every.count("%") <= 1
    return closed and one and not (exponent and (money or "%" in every))


def _is_apart(before: str, after: str, first: bool) -> bool:
    return before.endswith(" ") if first else after.startswith(" ")


def read_body(body: str) -> list[Reading]:
    """Every reading of digits with marks between them.

    `1.234` is 1.234 or 1234, and so are all that have one mark before three digits after one to
    three that are not 0; all else has one reading or none.
    """
    if _BODY.fullmatch(body):
        return [Reading(body)]
    readings = []
    grouped = _GROUPED.fullmatch(body)
    if grouped and not body.startswith("0") and not _is_address(body):
        readings.append(Reading(re.sub(r"\D", "", body), group=grouped["mark"]))
    if _INDIAN.fullmatch(body) and not body.startswith("0"):
        readings.append(Reading(body.replace(",", ""), group=","))
    at = max(body.rfind(mark) for mark in ".,·")
    if at >= 0:
        whole, fraction, mark = body[:at], body[at + 1 :], body[at]
        if fraction.isdigit() and mark not in whole:
            readings += [Reading(each.whole, fraction, mark, each.group)
                         for each in (read_body(whole) if whole else [Reading("")])
                         if not each.decimal and not (each.group and each.group == mark)
                         and (not whole or each.group or whole.isdigit())]  # fmt: skip
    return readings


def _is_address(body: str) -> bool:
    """Whether this is an address of a network, as 192.168.100.200."""
    parts = body.split(".")
    return len(parts) == 4 and all(part.isdigit() and int(part) <= 255 for part in parts)


def _is_exact(reading: Reading) -> bool:
    """Whether a spreadsheet holds it as it is written: no leading zero, at most 15 digits."""
    led = len(reading.whole) > 1 and reading.whole.startswith("0")
    return not led and len((reading.whole + reading.fraction).lstrip("0")) <= MOST_DIGITS


def value_of(number: Number, reading: Reading) -> int | float:
    """What a number is: an int where it is whole, percent as their hundredth."""
    from decimal import Decimal

    made = Decimal(f"{reading.whole or '0'}.{reading.fraction or '0'}{number.exponent}")
    if number.percent:
        made = made.scaleb(-2)
    if number.negative:
        made = -made
    whole = not (reading.fraction or number.exponent or number.percent)
    return int(made) if whole else float(made)


def format_of(number: Number, reading: Reading) -> str:
    """How Excel shows a number as the table does: its decimals, thousands, sign and currency.

    Excel's own marks follow the language of who opens the file (ISO/IEC 29500-1, 18.8.31).
    """
    body = "#,##0" if reading.group else "0"
    if reading.fraction:
        body += "." + "0" * len(reading.fraction)
    if number.exponent:
        return body + "E+00"
    if number.percent:
        body += "%"
    if number.currency:
        symbol, space = f"[${number.currency}]", " " if number.apart else ""
        body = f"{symbol}{space}{body}" if number.first else f"{body}{space}{symbol}"
    if number.parentheses:
        return f"{body}_);({body})"
    return f"+{body};-{body};{body}" if number.plus else body
