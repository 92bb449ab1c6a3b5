"""Tables of our own with their truth: classes, pictures and PDFs, the same of the same seed.

    python bench/_tables_made.py FOLDER [--count N] [--seed S] [--classes …]

writes a folder in the form of tables/dev: NNN.png, NNN.html, sources.tsv, types.tsv, and
pdf/NNN.pdf with pdf/index.tsv where a table can be written with a text layer.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import _tables_camera as camera
import _tables_drawn as drawn
import _tables_pdf as portable
from _tables_contents import Kind, MadeTable, make, replaced
from _tables_drawn import Colour, Drawing, Look, Theme


class Class(NamedTuple):
    """Tables of a kind, with looks to choose from, and what happens to their pictures."""

    kind: Kind = Kind()
    styles: tuple[str, ...] = ("grid", "booktabs", "striped", "rows", "open")
    families: tuple[str, ...] = ("sans", "serif")
    camera: tuple[Callable[[Any, random.Random], Any], ...] = ()
    dark: bool = False
    scale: tuple[float, float] = (1.3, 2.2)
    page: bool = False
    upright: bool = True  # else its picture is turned already


NUMBERS = ("integer", "decimal", "signed", "parentheses", "percent", "money", "european",
           "dashed", "date", "code", "range")  # fmt: skip
SPANS = Kind(levels=2, totals=True, columns=(4, 8))
GROUPED = Kind(groups=True, totals=True, columns=(3, 6), rows=(6, 14))
LINES = ("grid", "rows")
CLASSES = {
    "ruled": Class(styles=("grid",)),
    "borderless": Class(Kind(rows=(5, 16)), ("booktabs", "open")),
    "striped": Class(styles=("striped",)),
    "spans": Class(GROUPED, LINES),
    "levels": Class(SPANS, ("grid", "booktabs", "rows")),
    "sections": Class(Kind(sections=True, rows=(8, 16))),
    "multiline": Class(Kind(multiline=0.3, columns=(2, 5)), ("grid", "rows", "striped")),
    "empty": Class(Kind(empty=0.2, rows=(5, 14)), ("grid",)),
    "tall": Class(Kind(rows=(25, 45))),
    "numbers": Class(Kind(columns_of=NUMBERS, columns=(4, 8))),
    "superscript": Class(Kind(columns_of=("integer", "decimal"), marks=0.3)),
    "ticks": Class(Kind(columns_of=("tick", "tick", "word")), LINES, ("dejavu",)),
    "cjk": Class(Kind(cjk=True, levels=2), (*LINES, "booktabs"), ("cjk", "cjk-serif")),
    "fonts": Class(families=("narrow", "mono", "dejavu", "dejavu-serif", "plain")),
    "rotated": Class(SPANS, camera=(camera.turned,), upright=False),
    "skewed": Class(camera=(camera.skewed,)),
    "perspective": Class(styles=("grid", "striped"), camera=(camera.perspective, camera.lit)),
    "noisy": Class(camera=(camera.noisy,)),
    "jpeg": Class(camera=(camera.jpeg,)),
    "blurred": Class(camera=(camera.blurred,)),
    "lowres": Class(Kind(levels=2), ("booktabs", "open"), scale=(0.9, 1.0)),
    "dark": Class(styles=("striped", "rows", "open"), dark=True),
    "page": Class(SPANS, ("grid", "booktabs"), page=True),
}
DARK = (
    Theme((30, 30, 34), (230, 230, 230), (80, 80, 90), (55, 60, 80), (255, 255, 255), (42, 42, 48)),
    Theme((13, 17, 23), (201, 209, 217), (48, 54, 61), None, (255, 255, 255), (22, 27, 34)),
)
HEADS: tuple[tuple[Colour | None, Colour], ...] = (
    (None, (0, 0, 0)), (None, (0, 0, 0)), ((221, 235, 247), (0, 0, 0)), ((31, 78, 121), (255,) * 3),
    ((217, 217, 217), (0, 0, 0)), ((84, 130, 53), (255, 255, 255)),
)  # fmt: skip


@dataclass(frozen=True)
class Example:
    """A made table: its classes, truth, drawing, where the table is on that, and its picture.

    `upright` says whether the picture may be turned to ask for turned pages.
    """

    name: str
    classes: tuple[str, ...]
    table: MadeTable
    drawing: Drawing
    box: tuple[float, float, float, float]
    picture: Any
    upright: bool

    def pdf(self, rotate: int = 0) -> bytes | None:
        """The page with a text layer; None where no font that every viewer has fits."""
        if not portable.can_write(self.drawing.family):
            return None
        return portable.pdf([self.drawing], rotate)


def _look(chosen: Class, draw: random.Random) -> Look:
    """A look of a class."""
    family = draw.choice(chosen.families)
    head, head_text = draw.choice(HEADS)
    style = draw.choice(chosen.styles)
    if style in ("booktabs", "open"):
        head, head_text = None, (0, 0, 0)
    theme = Theme(head=head, head_text=head_text)
    if draw.random() < 0.3:
        theme = theme._replace(line=(150, 150, 150))
    if chosen.dark:
        theme = draw.choice(DARK)
    spaced = style in ("booktabs", "open", "striped")
    return Look(
        style, family, draw.uniform(8.5, 11.5),
        (draw.uniform(3, 7), draw.uniform(1.5, 5)), draw.choice((0.5, 0.75, 1.0)), theme,
        draw.uniform(90, 160), draw.random() < 0.75, draw.random() < 0.7,
        draw.uniform(4, 16) if spaced else 0.0,
    )  # fmt: skip


def example(name: str, seed: int, index: int = 0) -> Example:
    """The table of a class, a seed and an index.

    Raises:
        KeyError: there is no such class.
    """
    chosen = CLASSES[name]
    key = f"{seed}/{name}/{index}"
    draw = random.Random(key)
    table = make(chosen.kind, key)
    look = _look(chosen, draw)
    if portable.can_write(look.family):
        table = replaced(table, portable.latin)
    drawing = drawn.lay_out(table, look)
    margin = draw.uniform(4, 24)
    page, left, top = drawn.on_page(drawing, look.size, draw)
    scale = draw.uniform(*chosen.scale)
    if chosen.page:
        picture = drawn.painted(page, scale)
    else:
        picture = drawn.painted(drawing, scale, margin)
    for change in chosen.camera:
        picture = change(picture, draw)
    classes = tuple(dict.fromkeys((name, look.style)))
    box = (left, top, left + drawing.width, top + drawing.height)
    return Example(key, classes, table, page, box, picture, chosen.upright)


def available(name: str) -> bool:
    """Whether a font of each family of a class is there; only CJK's and ticks' cannot be missed."""
    families = CLASSES[name].families
    return name not in ("cjk", "ticks") or all(map(drawn.installed, families))


def examples(count: int, seed: int, classes: tuple[str, ...] = ()) -> list[Example]:
    """`count` tables, the classes in turn."""
    names = [each for each in classes or CLASSES if available(each)]
    return [example(names[i % len(names)], seed, i // len(names)) for i in range(count)]


def _types(number: str, table: MadeTable, draw: random.Random) -> list[str]:
    cells = [cell for cell in table.cells if cell.must]
    chosen = draw.sample(cells, min(6, len(cells)))
    return [
        "\t".join((number, str(each.row), str(each.column), each.text + each.mark, each.must,
                   each.never))
        for each in chosen
    ]  # fmt: skip


def write(folder: Path, made: list[Example]) -> None:
    """Write examples as a folder in the form of tables/dev."""
    (folder / "pdf").mkdir(parents=True, exist_ok=True)
    sources = ["# number, name, classes, size, rows x cols, source"]
    types = ["# number\trow\tcol\ttext in the picture\tmust be\tmust never be"]
    boxes = ["# number\tfile\ttable box x0 top x1 bottom (points from the top left of the page)"]
    for index, each in enumerate(made, 1):
        number, table = f"{index:03}", each.table
        each.picture.save(folder / f"{number}.png")
        (folder / f"{number}.html").write_text(table.html(), encoding="utf-8")
        draw = random.Random(each.name)
        types += _types(number, table, draw)
        size = "x".join(map(str, each.picture.size))
        labels = [*each.classes]
        body = each.pdf(draw.choice((0, 0, 90, 180, 270)))
        if body is not None:
            labels.append("pdf")
            (folder / "pdf" / f"{number}.pdf").write_bytes(body)
            box = " ".join(f"{edge:.1f}" for edge in each.box)
            boxes.append(f"{number}\tpdf/{number}.pdf\t{box}\t")
        if not each.upright:
            labels.append("turned")
        sources.append("\t".join((number, each.name, " ".join(labels), size,
                                  f"{table.rows}x{table.columns}", "made")))  # fmt: skip
    for name, lines in (("sources", sources), ("types", types), ("pdf/index", boxes)):
        (folder / f"{name}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def without_page(made: Example) -> Example:
    """The example with a PDF page that is no larger than its table with a margin of 20 points."""
    left, top, right, bottom = made.box
    move_x, move_y = 20 - left, 20 - top
    inside = [each for each in made.drawing.texts if top <= each.y <= bottom]
    drawing = replace(
        made.drawing, width=right - left + 40, height=bottom - top + 40,
        areas=[area._replace(left=area.left + move_x, right=area.right + move_x,
                             top=area.top + move_y, bottom=area.bottom + move_y)
               for area in made.drawing.areas],
        texts=[each._replace(x=each.x + move_x, y=each.y + move_y) for each in inside],
    )  # fmt: skip
    box = (20.0, 20.0, drawing.width - 20, drawing.height - 20)
    return replace(made, drawing=drawing, box=box)


def main() -> int:
    """Write a folder."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("folder", type=Path)
    options.add_argument("--count", type=int, default=2 * len(CLASSES))
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--classes", nargs="+", default=[], choices=[*CLASSES])
    given = options.parse_args()
    write(given.folder, examples(given.count, given.seed, tuple(given.classes)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
