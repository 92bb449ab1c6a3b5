"""The grammar of dates and times in tables, and the order of day and month in a column."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, time
from typing import Final, Literal, TypeAlias

from tallow.documents.document import Value
from tallow.documents.values.numbers import same_marks
from tallow.lazy_dataclasses import dataclass

Order: TypeAlias = Literal["", "dmy", "mdy"]
"""Whether a column's days stand before its months; empty where nothing tells."""

# Years of two digits as spreadsheets read what is typed: 00 to 29 are of this century.
_FIRST_OF_LAST_CENTURY: Final = 30
_MOST_TEXT: Final = 40
# Unicode CLDR, "calendars/gregorian/months": English, German, French, Spanish, Italian,
# Portuguese and Dutch; a name counts in full and from its first three letters on.
_MONTHS: Final = (
    "january januar janvier enero gennaio janeiro januari jänner",
    "february februar février febrero febbraio fevereiro februari feber fev",
    "march märz mars marzo março maart mrt mär mrz",
    "april avril abril aprile avr abr",
    "may mai mayo maggio maio mei",
    "june juni juin junio giugno junho",
    "july juli juillet julio luglio julho",
    "august août agosto augustus ago",
    "september septembre septiembre settembre setembro sept set",
    "october oktober octobre octubre ottobre outubro okt out",
    "november novembre noviembre novembro",
    "december dezember décembre diciembre dicembre dezembro dez dic",
)
_CLOCK: Final = r"(?:[T ]?\s*(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d))?)?"
_YEAR_FIRST: Final = re.compile(
    r"(?P<year>\d{4})(?P<mark>[-/.])(?P<month>\d{1,2})(?P=mark)(?P<day>\d{1,2})" + _CLOCK
)
_YEAR_LAST: Final = re.compile(
    r"(?P<a>\d{1,2})(?P<mark>[-/.])(?P<b>\d{1,2})(?P=mark)(?P<year>\d{4}|\d\d)" + _CLOCK
)
_DAY_NAME: Final = re.compile(
    r"(?P<day>\d{1,2})(?:st|nd|rd|th|er|\.)?[- ]?(?:de )?(?P<name>[^\W\d_]{3,10})\.?,?[- ]?(?:de )?"
    r"(?P<year>\d{4}|\d\d)"
)
_NAME_DAY: Final = re.compile(
    r"(?P<name>[^\W\d_]{3,10})\.? (?P<day>\d{1,2})(?:st|nd|rd|th)?,? (?P<year>\d{4})"
)
_EAST_ASIAN: Final = re.compile(
    r"(?P<year>\d{4}) ?[年년] ?(?P<month>\d{1,2}) ?[月월] ?(?P<day>\d{1,2}) ?[日일]"
)
_TIME: Final = re.compile(
    r"(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d))? ?(?P<half>[AaPp]\.?[Mm]\.?)?"
)


@dataclass(frozen=True)
class Dated:
    """A date as it is written: `values` by the order of day and month that they hold for.

    `formats` show it as it is written; `clear` is one that nothing else can be: the year of four
    digits first, or the month by name.
    """

    values: dict[str, date]
    formats: dict[str, str]
    clear: bool = False
    mark: str = ""


def parse_date(text: str) -> Dated | None:
    """The date that a text is, in each order of day and month that gives one; else None."""
    if len(text) > _MOST_TEXT:
        return None
    text = same_marks(text)
    for pattern, read in _READERS:
        found = pattern.fullmatch(text)
        if found:
            return read(found)
    return None


def parse_time(text: str) -> tuple[time, str] | None:
    """The time of day that a text is, and how Excel shows it so; else None."""
    found = _TIME.fullmatch(same_marks(text)) if len(text) <= _MOST_TEXT else None
    if not found:
        return None
    hour, half = int(found["hour"]), (found["half"] or "").lower()
    if half and not 1 <= hour <= 12:
        return None
    hour = hour % 12 + (12 if half.startswith("p") else 0) if half else hour
    shown = ("hh" if len(found["hour"]) == 2 else "h") + ":mm"
    shown += (":ss" if found["second"] else "") + (" AM/PM" if half else "")
    try:
        return time(hour, int(found["minute"]), int(found["second"] or 0)), shown
    except ValueError:
        return None


def order_of(dates: Iterable[Dated]) -> tuple[Order, bool]:
    """The order that the impossible months of dates leave, and whether they contradict it."""
    seen: set[str] = {next(iter(each.values)) for each in dates if len(each.values) == 1}
    seen -= {""}
    if len(seen) == 1:
        return ("dmy" if "dmy" in seen else "mdy"), False
    return "", len(seen) > 1


def order_in_header(header: str) -> Order:
    """The order that a header states, as in `Date (dd/mm/yyyy)`; empty where it states none."""
    found = re.search(r"(?i)\b(d{1,2}[-/. ]?m{1,3}|m{1,3}[-/. ]?d{1,2})[-/. ]?y{2,4}", header)
    if not found:
        return ""
    return "dmy" if found[1].lower().startswith("d") else "mdy"


def value_in(dated: Dated, order: Order) -> tuple[Value, str] | None:
    """The date and its format in an order; None where the order gives none or is not known."""
    if "" in dated.values:
        return dated.values[""], dated.formats[""]
    if order not in dated.values:
        same = len(set(dated.values.values())) == 1 and len(dated.values) > 1
        return (dated.values["dmy"], dated.formats["dmy"]) if same else None
    return dated.values[order], dated.formats[order]


def _year(text: str) -> int:
    number = int(text)
    if len(text) > 2:
        return number
    return number + (2000 if number < _FIRST_OF_LAST_CENTURY else 1900)


def _made(found: re.Match[str], day: str, month: int | str) -> date | None:
    try:
        made = date(_year(found["year"]), int(month), int(day))
        if found.groupdict().get("hour"):
            clock = time(int(found["hour"]), int(found["minute"]), int(found["second"] or 0))
            return datetime.combine(made, clock)
        return made
    except ValueError:
        return None


def _clock_format(found: re.Match[str]) -> str:
    if not found["hour"]:
        return ""
    return " hh:mm" + (":ss" if found["second"] else "")


def _year_first(found: re.Match[str]) -> Dated | None:
    made = _made(found, found["day"], found["month"])
    if made is None:
        return None
    mark = found["mark"]
    month = "mm" if len(found["month"]) == 2 else "m"
    day = "dd" if len(found["day"]) == 2 else "d"
    shown = f"yyyy{mark}{month}{mark}{day}" + _clock_format(found)
    return Dated({"": made}, {"": shown}, clear=True, mark=mark)


def _year_last(found: re.Match[str]) -> Dated | None:
    """`31/12/13`; 1.2.10 is a version, as dates with points have zeros or the whole year."""
    a, b, mark, year = found["a"], found["b"], found["mark"], found["year"]
    if mark == "." and len(year) == 2 and not len(a) == len(b) == 2:
        return None
    both = [("dmy", a, b)] if mark == "." else [("dmy", a, b), ("mdy", b, a)]
    values, formats = {}, {}
    for order, day, month in both:
        made = _made(found, day, month)
        if made is not None:
            parts = ["d" * len(day), "m" * len(month)]
            parts = parts if order == "dmy" else parts[::-1]
            values[order] = made
            formats[order] = mark.join([*parts, "y" * len(year)]) + _clock_format(found)
    return Dated(values, formats, mark=mark) if values else None


def _named(found: re.Match[str]) -> Dated | None:
    month = month_of(found["name"])
    made = _made(found, found["day"], month) if month else None
    if made is None:
        return None
    name = "mmm" if len(found["name"]) <= 4 else "mmmm"
    if found.re is _NAME_DAY:
        comma = "," if "," in found[0] else ""
        shown = f"{name} d{comma} yyyy"
    else:
        mark = "-" if "-" in found[0] else " "
        day = "d" * len(found["day"]) + ("." if re.match(r"\d+\.", found[0]) else "")
        shown = mark.join([day, name, "y" * len(found["year"])])
    return Dated({"": made}, {"": shown}, clear=len(found["year"]) == 4)


def _east_asian(found: re.Match[str]) -> Dated | None:
    made = _made(found, found["day"], found["month"])
    if made is None:
        return None
    signs = ("년", "월", "일") if "년" in found[0] else ("年", "月", "日")
    shown = "".join(f'{part}"{sign}"' for part, sign in zip(("yyyy", "m", "d"), signs, strict=True))
    return Dated({"": made}, {"": shown}, clear=True)


def month_of(name: str) -> int:
    """The month of a name or of its beginning, from 1; 0 of what is none."""
    name = name.lower()
    for number, names in enumerate(_MONTHS, 1):
        for full in names.split():
            if full == name or (3 <= len(name) <= 4 and full.startswith(name) and len(full) > 3):
                return number
    return 0


_READERS: Final[Sequence[tuple[re.Pattern[str], Callable[[re.Match[str]], Dated | None]]]] = (
    (_YEAR_FIRST, _year_first),
    (_YEAR_LAST, _year_last),
    (_DAY_NAME, _named),
    (_NAME_DAY, _named),
    (_EAST_ASIAN, _east_asian),
)
