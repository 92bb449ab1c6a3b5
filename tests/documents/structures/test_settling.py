"""Larger models are asked only where the others do not agree."""

from __future__ import annotations

import numpy as np

from documents.simple_steps import simple_steps
from tallow.documents import PageContent, Region, Slot, Structure, Word
from tallow.documents.content import Ruling
from tallow.documents.inputs import InputPage
from tallow.documents.page_reading import PageReader
from tallow.documents.structures.settling import settled
from tallow.lazy_dataclasses import replace

WORDS = [
    Word(text, (x, y, x + 30.0, y + 10.0))
    for y, row in ((10.0, "ab"), (40.0, "cd"))
    for x, text in zip((10.0, 110.0), row, strict=True)
]
REGION = Region((0.0, 0.0, 200.0, 60.0))


def page() -> PageContent:
    return PageContent(200, 60, "picture", [*WORDS])


def grid(rows: int, columns: int, source: str) -> Structure:
    slots = tuple(
        Slot(
            r,
            c,
            box=(c * 200 / columns, r * 60 / rows, (c + 1) * 200 / columns, (r + 1) * 60 / rows),
        )
        for r in range(rows)
        for c in range(columns)
    )
    return Structure(rows, columns, slots, source)


def test_two_sources_of_the_same_cells_settle():
    assert settled(page(), REGION, [grid(2, 2, "a"), grid(2, 2, "b")])


def test_one_source_alone_or_another_grid_does_not():
    assert not settled(page(), REGION, [])
    assert not settled(page(), REGION, [grid(2, 2, "a"), grid(2, 2, "a")])
    assert not settled(page(), REGION, [grid(2, 2, "a"), grid(2, 1, "b")])


def test_what_is_settled_asks_no_further():
    asked = []
    pixels = np.zeros((60, 200, 3), np.uint8)

    def source(name: str, rows: int, columns: int):
        def propose(content, region):
            asked.append(name)
            return [grid(rows, columns, name)]

        return propose

    class Reader:
        def read(self, pixels):
            return [*WORDS]

    for columns, expected in ((2, ["a", "b"]), (1, ["a", "b", "large"])):
        asked.clear()
        first = [source("a", 2, 2), source("b", 2, columns)]
        steps = replace(simple_steps(), reader=Reader(), propose=[first, [source("large", 2, 2)]])
        found = PageReader(steps, lambda step: None).read(InputPage(1, None, lambda: pixels))
        assert len(found.tables) == 1
        assert asked == expected


def test_a_grid_that_a_text_layers_rulings_draw_settles_alone():
    rulings = [Ruling(True, y, 0.0, 200.0) for y in (0.0, 30.0, 60.0)]
    rulings += [Ruling(False, x, 0.0, 60.0) for x in (0.0, 100.0, 200.0)]
    drawn = replace(page(), source="text layer", rulings=rulings)
    assert settled(drawn, REGION, [grid(2, 2, "a"), grid(2, 1, "b")])
    assert not settled(replace(drawn, source="picture"), REGION, [grid(2, 2, "a")])
