"""What a column of numbers is: its decimal mark, and which of its cells are safer as texts."""

from __future__ import annotations

import re
from collections import Counter

from tallow.documents.values.columns import (
    Column,
    DecimalMark,
    Item,
    majority,
    mark_of,
    slips,
    votes,
)
from tallow.documents.values.numbers import (
    THREE_DECIMALS,
    Number,
    Reading,
)


def column_mark(
    column: Column, of_table: DecimalMark, of_language: DecimalMark
) -> tuple[DecimalMark, str]:
    """The decimal mark of a column, and the sentence that says what shows it."""
    found = votes([column])
    own = majority(found)
    if own and of_table and own != of_table:
        text = found[own][0]
        return (
            of_table,
            f"the decimal mark is {_named(of_table)} in the other columns, not as {text!r}",
        )
    if own:
        return own, f"the decimal mark is {_named(own)}, as {found[own][0]!r} shows"
    if found["."] and found[","]:
        # 5,678.9 has both marks; 12,34 may be a slip.
        sure = {mark for mark in found for text in found[mark] if {*".,"} <= {*text}}
        if len(sure) == 1:
            mark: DecimalMark = "." if "." in sure else ","
            both = next(text for text in found[mark] if {*".,"} <= {*text})
            return mark, f"the decimal mark is {_named(mark)}, as {both!r} shows"
        if of_table:
            return of_table, f"the decimal mark is {_named(of_table)}, as in the other columns"
        return "", f"{found['.'][0]!r} and {found[','][0]!r} have different decimal marks"
    doubtful = [item for item in column.numbers() if item.marked and item.marked.number.ambiguous]
    if not doubtful:
        return "", ""
    if of_table:
        return of_table, f"the decimal mark is {_named(of_table)}, as in the other columns"
    unsure = slips(column)
    if unsure and not of_language:
        return (
            "",
            f"{doubtful[0].text!r} may be in thousands or, as {unsure[0].text!r}, have decimals",
        )
    return _mark_by_form(column, doubtful, of_language)


def _mark_by_form(
    column: Column, doubtful: list[Item], of_language: DecimalMark
) -> tuple[DecimalMark, str]:
    """The mark of a column that has none but such as 1.234."""
    first = doubtful[0]
    assert first.marked is not None
    marks = {_group(item.marked.number) for item in doubtful if item.marked}
    if len(marks) > 1:
        return "", "its numbers have a point or a comma before three digits, and both"
    thousands: DecimalMark = "," if marks == {"."} else "."
    number = first.marked.number
    if number.currency and number.currency not in THREE_DECIMALS:
        return thousands, f"money has no three decimals, so {first.text!r} is in thousands"
    whole = [item.marked.number.readings[0].whole for item in column.numbers()
             if item.marked and not mark_of(item.marked.number.readings[0])]  # fmt: skip
    if any(len(digits) == 3 for digits in whole) and all(len(digits) <= 3 for digits in whole):
        return thousands, (
            f"{first.text!r} is in thousands: what is less has no mark, and nothing has decimals"
        )
    if of_language:
        return of_language, f"the decimal mark is {_named(of_language)}, as in its words' language"
    if number.percent:
        return "", f"{first.text!r} may be in thousands or have decimals"
    if thousands == ".":
        return ".", f"a comma before three digits is of thousands, as in {first.text!r}"
    return "", f"{first.text!r} may be in thousands or have decimals, and nothing tells"


def _group(number: Number) -> str:
    return next(reading.group for reading in number.readings if reading.group)


def _named(mark: str) -> str:
    return {".": "a point", ",": "a comma"}[mark]


def reading_with(number: Number, mark: DecimalMark) -> Reading | None:
    """The reading that a decimal mark leaves; None where it leaves none, or two.

    12.480,16 and $5.00 have one whatever the others of their column are.
    """
    first = number.readings[0]
    sure = first.group in (".", ",") or (number.currency and len(first.fraction) == 2)
    if not number.ambiguous and first.decimal in (".", ",") and sure:
        return first
    fitting = [each for each in number.readings if mark_of(each) in ("", mark)]
    if number.ambiguous and not mark:
        return None
    return fitting[0] if len(fitting) == 1 else None


def doubts(column: Column, mark: DecimalMark, first_texts: dict[int, str]) -> None:
    """Give the items of a column of numbers that are safer as texts the reason for it."""
    items = [item for item in column.numbers() if not item.reason]
    _doubt_parentheses(items, first_texts, column)
    _doubt_enclosed_marks(items, column)
    _doubt_joined_marks(items, mark)
    _doubt_points_for_commas(items, mark)
    _doubt_exponents(items, column)
    _doubt_spaces(items)


def _doubt_parentheses(items: list[Item], first_texts: dict[int, str], column: Column) -> None:
    """Parentheses are a minus, unless all have them or they hold errors of the number above."""
    inside = [item for item in items if item.marked and item.marked.number.parentheses]
    if not inside:
        return
    plain = [item for item in items if item not in inside]
    above = {item.cell.bottom for item in plain}
    beneath = [item for item in inside if item.cell.row in above]
    unlabelled = all(not first_texts.get(item.cell.row, "") for item in inside)
    reason = ""
    share = [i for i in inside if i.marked and i.marked.number.percent]
    if share and not any(item.marked and item.marked.number.percent for item in plain):
        reason = "a share in parentheses is beside what it is a share of, and not negative"
    elif not plain and not any(_is_accounting(item) for item in inside):
        reason = "every cell is in parentheses, which are no minus then"
    elif not plain and all(re.fullmatch(r"\((?:1[5-9]|20)\d\d\)", item.text) for item in inside):
        reason = "they are years in parentheses"
    elif column.index > 0 and unlabelled and len(beneath) == len(inside) and len(inside) > 1:
        reason = "it stands in parentheses beneath a number in a row without a name, as errors do"
    elif not any(map(_is_accounting, inside)) and _is_small(inside, plain):
        reason = "a small number in parentheses may be a note"
    for item in inside:
        item.reason = reason


def _is_accounting(item: Item) -> bool:
    """Whether a number in parentheses has the form of sums of money: thousands or a currency."""
    assert item.marked is not None
    number = item.marked.number
    return bool(number.currency) or any(r.group or len(r.whole) > 2 for r in number.readings)


def _is_small(inside: list[Item], plain: list[Item]) -> bool:
    """Whether numbers in parentheses are of one digit where all others have three or more."""
    short = all(len(i.marked.number.readings[0].whole) == 1 and not i.marked.number.readings[0]
                .fraction for i in inside if i.marked)  # fmt: skip
    return short and all(len(i.marked.number.readings[0].whole) > 2 for i in plain if i.marked)


def _doubt_enclosed_marks(items: list[Item], column: Column) -> None:
    """`10,000 (1)` has a mark; where most cells have one, `12 (3)` is a pair of numbers."""
    enclosed = [item for item in items if item.marked and item.marked.enclosed]
    pairs = re.search(r"\((?:%|sd|se|s\.d\.|s\.e\.|n|range|ci|iqr)\)", column.header.lower())
    long = [item for item in enclosed if item.marked and any(
        reading.group or reading.fraction for reading in item.marked.number.readings)]  # fmt: skip
    other = sum(1 for item in column.told if re.search(r"\(\S+\)\s*$", item.text)) - len(enclosed)
    few = 2 * len(enclosed) <= len(column.told) or len(long) == len(enclosed)
    if pairs or other or not few:
        for item in enclosed:
            item.reason = "what stands in parentheses behind it may be another number"


def _doubt_joined_marks(items: list[Item], mark: DecimalMark) -> None:
    """24.912 among numbers of two decimals at most may be 24.91 with a mark that was raised.

    Others of as many digits before their mark must be written so, for tables that give four digits
    of each number have 4.912 beside 23.57.
    """
    found = []
    for item in items:
        reading = reading_with(item.marked.number, mark) if item.marked else None
        if reading and reading.decimal and item.marked and not item.marked.mark:
            found.append((item, reading))
    lengths = Counter(len(reading.fraction) for _, reading in found)
    most, usual = max(lengths, default=0), lengths.most_common(1)[0][0] if lengths else 0
    # Eight of one length are no accident; among fewer, heights of 1.74 have one of 1.728.
    if lengths[most] != 1 or most != usual + 1 or lengths[usual] < 8 or not usual:
        return
    for item, reading in found:
        beside = sum(len(other.whole) == len(reading.whole) and len(other.fraction) == usual
                     for _, other in found)  # fmt: skip
        # Zeros before the last digit are a small number's, as of 0.001; no mark is 0.
        kept = (reading.whole + reading.fraction[:-1]).strip("0")
        if len(reading.fraction) == most and beside > 1 and kept and reading.fraction[-1] != "0":
            item.reason = f"its last digit may be a footnote's, as no other has {most} decimals"


def _doubt_points_for_commas(items: list[Item], mark: DecimalMark) -> None:
    """190.000 beneath 240,000 and 1,190,000 is a comma read as a point, where nothing has decimals.

    It would be a thousandth of what was printed.
    """
    read = [(item, reading) for item in items
            if item.marked and (reading := reading_with(item.marked.number, mark))]  # fmt: skip
    grouped = [item for item, reading in read if reading.group in (".", ",")]
    doubtful = [item for item, reading in read
                if item.marked and item.marked.number.ambiguous and reading.decimal]  # fmt: skip
    others = [item for item, reading in read if reading.fraction and item not in doubtful]
    if not others and len(grouped) > len(doubtful):
        for item in doubtful:
            item.reason = "nothing else has decimals, so its mark may be of thousands, misread"


def _doubt_exponents(items: list[Item], column: Column) -> None:
    """1E5 is a code, unless half of a column are numbers of science."""
    powers = [item for item in items if item.marked and item.marked.number.exponent]
    sure = [item for item in powers if re.search(r"[.,]\d+[eE]|[eE][-+−]", item.text)]
    if len(sure) < 2 or 2 * len(powers) < len(column.told):
        for item in powers:
            item.reason = "an E between digits may be of a code"


def _doubt_spaces(items: list[Item]) -> None:
    """12 345 may be two numbers where others have four digits and more without a space."""
    spaced = [i for i in items if i.marked and i.marked.number.readings[0].group == " "]
    plain = [i for i in items if i.marked and not i.marked.number.readings[0].group
             and len(i.marked.number.readings[0].whole) > 4]  # fmt: skip
    if spaced and plain:
        for item in spaced:
            item.reason = f"it may be two numbers, as {plain[0].text!r} has no space"
