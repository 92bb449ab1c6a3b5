"""Hyphens at the ends of lines: which are the word's own, and which divide it."""

import pytest

from tallow.documents.cells.hyphens import across_lines
from tallow.documents.cells.joining import joined
from tallow.documents.content import Word


@pytest.mark.parametrize(
    ("text", "following", "whole"),
    [
        ("the govern-", "ment of", "the government of"),
        ("anthra-", "cene", "anthracene"),
        ("(hydro-", "carbons)", "(hydrocarbons)"),
        ("govern\u00ad", "ment", "government"),
        ("non-", "smokers", "non-smokers"),
        ("long-", "term care", "long-term care"),
        ("oil-", "based", "oil-based"),
        ("Rheinland-", "Pfalz", "Rheinland-Pfalz"),
        ("COVID-", "19", "COVID-19"),
        ("DNA-", "binding", "DNA-binding"),
        ("2003–", "04", "2003–04"),
        ("state-of-the-", "art", "state-of-the-art"),
        ("Hand- und Fuß-", "ball", "Hand- und Fußball"),
        ("Hand-", "und Fußball", "Hand- und Fußball"),
        ("short-", "and long-term", "short- and long-term"),
        ("Total -", "all ages", "Total - all ages"),
        ("A", "b", "A b"),
        ("(ng/", "cig)", "(ng/cig)"),
        ("Dibenzo[a,h]anthra-", "cene", "Dibenzo[a,h]anthracene"),
        ("and /", "or", "and / or"),
    ],
)
def test_lines_are_joined_as_their_hyphen_says(text, following, whole):
    made, spaced = across_lines(text, following.split()[0])
    assert made + " " * spaced + following == whole


def test_words_of_a_cell_are_joined_across_lines():
    words = [Word("the", (0, 0, 20, 10)), Word("govern-", (25, 0, 70, 10)),
             Word("ment", (0, 14, 30, 24)), Word("2", (30, 12, 34, 18), raised=True)]  # fmt: skip
    assert joined(words) == ("the government2", ((14, 15),))
