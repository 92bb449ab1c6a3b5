"""Columns of numbers written in many languages read back as the numbers that were written."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tables_made import table_of
from tallow.documents.values import type_cells

# (decimal mark, mark of thousands, digits of a group before the last three)
LOCALES = {
    "en": (".", ",", 3),
    "de": (",", ".", 3),
    "fr": (",", "\u202f", 3),
    "sv": (",", "\u00a0", 3),
    "ch": (".", "’", 3),
    "in": (".", ",", 2),
    "si": (",", " ", 3),
    "none": (".", "", 3),
}
# What is written around the digits of a number, negative or not.
FORMS = {
    "plain": ("{}", "-{}"),
    "typographic": ("{}", "−{}"),
    "accounting": ("{}", "({})"),
    "trailing": ("{}", "{}-"),
    "dollars": ("${}", "-${}"),
    "euros": ("{} €", "-{} €"),
    "francs": ("CHF {}", "CHF -{}"),
}


def grouped(digits, mark, size):
    if not mark or len(digits) <= 3:
        return digits
    parts, rest = [digits[-3:]], digits[:-3]
    while rest:
        parts.insert(0, rest[-size:])
        rest = rest[:-size]
    return mark.join(parts)


def written(number, places, locale, form):
    decimal, group, size = LOCALES[locale]
    whole, _, fraction = f"{abs(number):.{places}f}".partition(".")
    digits = grouped(whole, group, size) + (decimal + fraction if fraction else "")
    return FORMS[form][number < 0].format(digits)


def typed(texts, header="x"):
    table = table_of([[header], *[[text] for text in texts]])
    type_cells(table)
    return [cell.value for cell in table.cells[1:]]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("locale", LOCALES)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_what_is_written_is_read(locale, form, data):
    places = data.draw(st.sampled_from([1, 2]))
    numbers = data.draw(st.lists(st.integers(-(10**8), 10**8), min_size=2, max_size=8))
    numbers = [number / 10**places for number in [*numbers, 123]]
    got = typed([written(number, places, locale, form) for number in numbers])
    assert got == [float(f"{number:.{places}f}") for number in numbers]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("0123456789.,'-+()%$€EO/ ", max_size=12), min_size=1, max_size=6))
def test_whatever_the_text_a_number_has_its_digits(texts):
    """No number is invented: its digits are those of the text, in their order."""
    for text, value in zip(texts, typed(texts), strict=True):
        if isinstance(value, int | float):
            shown = f"{value:.15g}".lower().partition("e")[0]
            digits = "".join(c for c in shown if c.isdigit()).strip("0")
            assert digits in text.replace("O", "0").translate(str.maketrans("", "", ".,' "))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.dates(date(1930, 1, 1), date(2029, 12, 31)), min_size=2, max_size=8),
    st.sampled_from(["%d/%m/%Y", "%m/%d/%Y", "%d/%m/%y", "%m-%d-%y", "%d.%m.%Y", "%Y-%m-%d"]),
)
def test_dates_are_read_in_their_order_or_stay_texts(days, form):
    texts = [day.strftime(form) for day in days]
    got = typed(texts)
    known = form in ("%d.%m.%Y", "%Y-%m-%d") or any(day.day > 12 for day in days)
    if known:
        assert got == days
    else:
        assert all(value in (text, day) for value, text, day in zip(got, texts, days, strict=True))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=30), min_size=1, max_size=5))
def test_any_text_is_typed(texts):
    for text, value in zip(texts, typed(texts), strict=True):
        assert value is not None or not text.strip()
