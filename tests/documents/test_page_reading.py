"""What a page's regions become."""

import pytest

from tallow.documents import Region, Slot, Structure
from tallow.documents.page_reading import is_credible
from tallow.documents.structure import tiled


@pytest.mark.parametrize(
    ("rows", "columns", "source", "credible"),
    [
        (1, 1, "whole", False),  # a photograph in which a word was read
        (1, 1, "grid+layout", False),
        (1, 1, "page", True),  # said to be one
        (1, 1, "", True),  # of a detector that is not ours
        (1, 2, "whole", True),
        (3, 1, "grid", True),
        (3, 1, "alignment", False),
        (3, 1, "alignment+layout", True),
    ],
)
def test_what_is_a_table(rows, columns, source, credible):
    structure = Structure(rows, columns, tiled(rows, columns, [Slot(0, 0)]), "simple")
    assert is_credible(structure, Region((0, 0, 9, 9), source=source)) is credible
