"""The whole reader over made tables: lower bounds of what must be right, pictures and PDFs."""

import _tables_made as made
import _tables_scores as scores
import pytest

from tallow.documents.reader import TableReader

PICTURES = ("ruled", "borderless", "striped", "levels")
PDFS = (*PICTURES, "spans", "sections", "multiline", "empty")
SEED = 11


@pytest.fixture(scope="module")
def reader():
    return TableReader(models="fast")


def best(document, truth):
    """Scores of the table that fits best; a page may hold more than was asked for."""
    found = [scores.score(table.to_html(), truth) for table in document.tables]
    return max(found, key=lambda each: each["teds"], default=scores.score("", truth))


@pytest.mark.needs_network
@pytest.mark.parametrize("name", PICTURES)
def test_pictures_are_read(name, reader):
    example = made.example(name, SEED)
    document = reader.read(example.picture)
    assert not document.pages[0].error
    found = best(document, example.table.html())
    assert found["struct"] >= 0.95, found
    assert found["cell_f1"] >= 0.85, found


@pytest.mark.needs_network
@pytest.mark.parametrize("rotate", [0, 90])
@pytest.mark.parametrize("name", PDFS)
def test_pdfs_are_read(name, rotate, reader):
    example = next(
        each for each in (made.example(name, SEED, index) for index in range(9)) if each.pdf()
    )
    document = reader.read(example.pdf(rotate))
    assert not document.pages[0].error
    found = best(document, example.table.html())
    assert found["struct"] >= 0.9, found
    assert found["cell_f1"] >= 0.9, found
