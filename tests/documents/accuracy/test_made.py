"""Made tables: truths that tile, the same of the same seed, pictures and PDFs that hold them."""

import random

import _tables_contents as contents
import _tables_made as made
import _tables_scores as scores
import _tables_set as sets
import pytest
from PIL import ImageChops

from tallow.documents.document import Cell

CLASSES = [name for name in made.CLASSES if made.available(name)]


@pytest.mark.parametrize("name", CLASSES)
def test_truth_tiles_its_grid(name):
    table = made.example(name, seed=3).table
    places = [
        (cell.row + r, cell.column + c)
        for cell in scores.placed(scores.rows_of(table.html()))
        for r in range(cell.row_span)
        for c in range(cell.column_span)
    ]
    assert len(places) == len(set(places)) == table.rows * table.columns


def test_the_same_seed_gives_the_same_table_and_picture():
    one, other, third = (made.example("noisy", seed) for seed in (1, 1, 2))
    assert one.table == other.table != third.table
    assert ImageChops.difference(one.picture, other.picture).getbbox() is None


@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
def test_pdf_shows_upright_text_whatever_its_rotation(rotate):
    pdfium = pytest.importorskip("pypdfium2")
    example = made.example("levels", seed=5)
    document = pdfium.PdfDocument(example.pdf(rotate))
    page = document[0]
    width, height = page.get_size()
    assert (width, height) == pytest.approx((example.drawing.width, example.drawing.height))
    shown = page.get_textpage().get_text_bounded()
    for cell in example.table.cells:
        assert all(word in shown for word in cell.text.split())


def test_a_folder_is_read_as_it_was_written(tmp_path):
    examples = made.examples(3, seed=7, classes=("ruled", "numbers", "rotated"))
    made.write(tmp_path, examples)
    found = sets.samples(tmp_path)
    assert [each.truth for each in found] == [each.table.html() for each in examples]
    assert [each.turned() for each in found] == [False, False, True]
    assert all(each.typed for each in found[1:2])


@pytest.mark.parametrize(
    ("cell", "must", "never", "verdict"),
    [
        (Cell(0, 0, text="-0.06", value=-0.06), "number -0.06", "text", "right"),
        (Cell(0, 0, text="-0.06"), "number -0.06", "text", "never"),
        (Cell(0, 0, text="95%", value=0.95, number_format="0%"), "number 0.95 as percent",
         "95 without percent", "right"),
        (Cell(0, 0, text="95%", value=95), "number 0.95 as percent", "95 without percent",
         "never"),
        (Cell(0, 0, text="24.91", value=24.91, note="2"), "number 24.91 with note 2, or text",
         "number 24.912", "right"),
        (Cell(0, 0, text="24.912", value=24.912), "number 24.91 with note 2, or text",
         "number 24.912", "never"),
        (Cell(0, 0, text="-"), 'empty or text "-"', "0", "right"),
        (Cell(0, 0, text="-", value=0), 'empty or text "-"', "0", "never"),
        (Cell(0, 0, text="7B"), "text", "number", "right"),
        (Cell(0, 0, text="10,000 (1)", value=100001),
         'text "10,000 (1)", or 10000 with the note kept', "100001, -1", "never"),
        (Cell(0, 0, text="24.91", value=3.0), "number 24.91", "date", "wrong"),
    ],
)  # fmt: skip
def test_types_are_judged_as_they_are_asked(cell, must, never, verdict):
    assert sets.judged(cell, sets.Typed(0, 0, cell.text, must, never)) == verdict


def test_notations_say_what_they_are():
    draw = random.Random(0)
    for name, notation in contents.NOTATIONS.items():
        for scale in range(2, 6):
            text, must, never = notation(draw, scale)
            if must:
                asked = sets.Typed(0, 0, text, must, never)
                assert sets.judged(Cell(0, 0, text=text), asked) in ("right", "wrong", "never")
            assert text or name == "tick"
