"""CTC's rule, batches of lines, and the split of lines into words."""

from __future__ import annotations

import numpy as np
import pytest

from tallow.documents.ocr import models, recognition, words
from tallow.documents.ocr.recognition import Reading

MEANING = ("", "a", "b", "c", " ")


def test_repeats_are_one_and_blanks_divide():
    best = np.array([0, 1, 1, 0, 1, 2, 2, 4, 0, 3, 3])
    sure = np.linspace(0.5, 1, len(best))
    found = recognition.decoded(best, sure, MEANING, 8.0)
    assert found.text == "aab c"
    assert found.spans == ((8, 24), (32, 40), (40, 56), (56, 64), (72, 88))
    assert found.confidences == pytest.approx([sure[2], sure[4], sure[6], sure[7], sure[10]])
    assert found.confidence == pytest.approx(np.mean(found.confidences))


def test_nothing_but_blanks():
    found = recognition.decoded(np.zeros(9, int), np.ones(9), MEANING)
    assert (found.text, found.confidence) == ("", 0.0)


def test_batches_hold_each_line_once_and_few_shapes():
    widths = np.random.default_rng(0).integers(8, 3200, 500).tolist()
    found = recognition.batches(widths)
    assert sorted(i for _, batch in found for i in batch) == list(range(500))
    for width, batch in found:
        assert all(widths[i] <= width <= max(64, 1.3 * widths[i] + 16) for i in batch)
    assert len({(width, len(batch)) for width, batch in found}) < 60


def drawn(spans, height=48, width=400):
    """Ink in columns from start to end, 20 high, as a mask."""
    mask = np.zeros((height, width), bool)
    for start, end in spans:
        mask[14:34, start:end] = True
    return mask


def test_words_end_where_their_ink_ends():
    mask = drawn([(10, 50), (64, 100)])
    reading = Reading("ab c", (1.0, 0.5, 1.0, 0.8), ((16, 24), (40, 48), (52, 60), (80, 88)))
    first, second = words.pieces(reading, mask)
    assert (first.text, first.start, first.end) == ("ab", 10, 50)
    assert (second.text, second.start, second.end) == ("c", 64, 100)
    assert first.confidence == pytest.approx(0.75)


def test_a_wide_gap_divides_without_a_space_and_a_narrow_one_does_not():
    reading = Reading("ab", (1.0, 1.0), ((16, 24), (80, 88)))
    assert len(words.pieces(reading, drawn([(10, 50), (60, 100)]))) == 1
    first, second = words.pieces(reading, drawn([(10, 30), (70, 100)]))
    assert (first.end, second.start) == (30, 70)


def test_a_rule_is_no_ink():
    line = np.full((48, 300, 3), 255, np.uint8)
    line[14:34, 20:60] = 0
    line[44:46] = 0
    mask = words.ink(line)
    assert words.rows_of_ink(mask) == (14, 34)
    assert words.rows_of_ink(words.ink(255 - line)) == (14, 34), "light on dark"


def test_scalars_of_a_list_of_characters():
    scalars = ("'!'", "''''", "'\"'", "$", "\u3000")
    text = "A:\n  character_dict:\n" + "".join(f"  - {each}\n" for each in scalars) + "B: 1\n"
    assert models.listed_characters(text) == ["!", "'", '"', "$", "\u3000"]
    assert models.listed_characters("nothing") == []


@pytest.mark.needs_network
@pytest.mark.parametrize(("name", "count"), [("small", 18708), ("tiny", 6904), ("v5", 18383)])
def test_characters_of_packaged_models(name, count):
    found = models.characters(models.model_set(name))
    assert (found[0], found[-1], len(found)) == ("", " ", count + 2)
    assert {*"0123456789abcxyzABC-()%"} <= {*found}
