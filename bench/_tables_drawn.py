"""Made tables laid out and drawn: positions of texts, lines and fills in points, then by Pillow."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from _tables_contents import MadeCell, MadeTable

Colour = tuple[int, int, int]
FONTS = Path("/usr/share/fonts")
# Families by the files of Debian's packages fonts-liberation, fonts-dejavu-core and fonts-noto-cjk;
# "plain" is the one that Pillow carries, and stands in for those that are not installed.
FAMILIES = {
    "sans": "truetype/liberation/LiberationSans-{}.ttf",
    "serif": "truetype/liberation/LiberationSerif-{}.ttf",
    "narrow": "truetype/liberation/LiberationSansNarrow-{}.ttf",
    "mono": "truetype/liberation/LiberationMono-{}.ttf",
    "dejavu": "truetype/dejavu/DejaVuSans{}.ttf",
    "dejavu-serif": "truetype/dejavu/DejaVuSerif{}.ttf",
    "cjk": "opentype/noto/NotoSansCJK-{}.ttc",
    "cjk-serif": "opentype/noto/NotoSerifCJK-{}.ttc",
}
WEIGHTS = {"dejavu": ("", "-Bold"), "dejavu-serif": ("", "-Bold")}
LEADING = 1.25  # of the font's size


class Theme(NamedTuple):
    """Colours of ground, text, lines, the header's fill and text, and every other row's fill."""

    ground: Colour = (255, 255, 255)
    text: Colour = (0, 0, 0)
    line: Colour = (0, 0, 0)
    head: Colour | None = None
    head_text: Colour = (0, 0, 0)
    stripe: Colour = (240, 240, 240)


PLAIN = Theme()


@dataclass(frozen=True)
class Look:
    """How a table looks: lengths in points."""

    style: str = "grid"  # grid, rows, booktabs, striped, columns, open
    family: str = "sans"
    size: float = 10.0
    padding: tuple[float, float] = (5.0, 3.0)
    line: float = 0.75
    theme: Theme = PLAIN
    wrap: float = 140.0
    bold_head: bool = True
    middle: bool = True  # of cells that span rows; else their text is at the top
    gap: float = 0.0  # more room between columns


class Text(NamedTuple):
    """A line of text: left end of its base line, font and colour."""

    x: float
    y: float
    text: str
    size: float
    bold: bool
    colour: Colour


class Area(NamedTuple):
    """A filled rectangle; lines are thin ones."""

    left: float
    top: float
    right: float
    bottom: float
    colour: Colour


@dataclass
class Drawing:
    """What is drawn: fills first, then lines and texts; `width` × `height` points."""

    width: float
    height: float
    family: str
    ground: Colour
    areas: list[Area] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)


@lru_cache(maxsize=256)
def font(family: str, bold: bool, size: float) -> Any:
    """A font; that of Pillow where the family is not installed."""
    from PIL import ImageFont

    name = FAMILIES.get(family)
    if name is not None:
        weight = WEIGHTS.get(family, ("Regular", "Bold"))[bold]
        if (FONTS / name.format(weight)).exists():
            return ImageFont.truetype(FONTS / name.format(weight), size)
    return ImageFont.load_default(size=size)


def installed(family: str) -> bool:
    """Whether a family is there, so that its characters can be drawn."""
    name = FAMILIES.get(family, "")
    return (FONTS / name.format(WEIGHTS.get(family, ("Regular",))[0])).exists()


def width_of(text: str, family: str, bold: bool, size: float) -> float:
    """Points that a text is wide."""
    return float(font(family, bold, 40.0).getlength(text)) * size / 40


def wrapped(text: str, look: Look, bold: bool) -> list[str]:
    """A text in lines that are not wider than the look allows, if words allow it."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if lines[-1] and width_of(longer, look.family, bold, look.size) > look.wrap:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


class _Layout:
    """Edges of columns and rows of a table, and lines of its cells."""

    def __init__(self, table: MadeTable, look: Look) -> None:
        self.table, self.look = table, look
        self.lines = {cell: wrapped(cell.text, look, self.bold(cell)) for cell in table.cells}
        widths = [2 * look.padding[0] + look.size] * table.columns
        heights = [self.needed_height(1)] * table.rows
        for cell in sorted(table.cells, key=lambda each: (each.column_span, each.row_span)):
            places = range(cell.column, cell.column + cell.column_span)
            _grow(widths, places, self.needed_width(cell))
            places = range(cell.row, cell.row + cell.row_span)
            _grow(heights, places, self.needed_height(len(self.lines[cell])))
        self.xs, self.ys = _sums(widths), _sums(heights)

    def bold(self, cell: MadeCell) -> bool:
        """Whether its text is."""
        return cell.section or (cell.header and self.look.bold_head)

    def needed_width(self, cell: MadeCell) -> float:
        """Points with padding; of the last column without the gap."""
        look = self.look
        bold = self.bold(cell)
        widest = max(width_of(line, look.family, bold, look.size) for line in self.lines[cell])
        mark = width_of(cell.mark, look.family, bold, look.size * 0.65)
        return widest + mark + 2 * look.padding[0] + look.gap

    def needed_height(self, lines: int) -> float:
        """Points with padding."""
        return lines * LEADING * self.look.size + 2 * self.look.padding[1]


def _grow(lengths: list[float], places: range, needed: float) -> None:
    more = needed - sum(lengths[place] for place in places)
    for place in places:
        lengths[place] += max(0.0, more) / len(places)


def _sums(lengths: Iterable[float]) -> list[float]:
    edges = [0.0]
    for length in lengths:
        edges.append(edges[-1] + length)
    return edges


def lay_out(table: MadeTable, look: Look) -> Drawing:
    """A table as it is drawn, its top left at (0, 0)."""
    layout = _Layout(table, look)
    made = Drawing(layout.xs[-1], layout.ys[-1], look.family, look.theme.ground)
    _fill(made, layout)
    for cell in table.cells:
        _write(made, layout, cell)
    _rule(made, layout)
    return made


def _fill(made: Drawing, layout: _Layout) -> None:
    theme, table, ys = layout.look.theme, layout.table, layout.ys
    if theme.head is not None and table.header_rows:
        made.areas.append(Area(0, 0, made.width, ys[table.header_rows], theme.head))
    if layout.look.style == "striped":
        for row in range(table.header_rows + 1, table.rows, 2):
            made.areas.append(Area(0, ys[row], made.width, ys[row + 1], theme.stripe))


def _write(made: Drawing, layout: _Layout, cell: MadeCell) -> None:
    look, lines = layout.look, layout.lines[cell]
    left = layout.xs[cell.column] + look.padding[0]
    right = layout.xs[cell.column + cell.column_span] - look.padding[0]
    top, bottom = layout.ys[cell.row], layout.ys[cell.row + cell.row_span]
    slack = bottom - top - len(lines) * LEADING * look.size
    y = top + (slack / 2 if look.middle or cell.row_span == 1 else look.padding[1])
    bold = layout.bold(cell)
    colour = look.theme.head_text if cell.header and look.theme.head else look.theme.text
    mark = width_of(cell.mark, look.family, bold, look.size * 0.65)
    for index, line in enumerate(lines):
        room = right - left - width_of(line, look.family, bold, look.size)
        room -= mark if index == len(lines) - 1 else 0.0
        x = left + room * {"left": 0.0, "center": 0.5, "right": 1.0}[cell.align]
        base = y + (index + 0.95) * LEADING * look.size - 0.1 * look.size
        if line:
            made.texts.append(Text(x, base, line, look.size, bold, colour))
        if cell.mark and index == len(lines) - 1:
            x += width_of(line, look.family, bold, look.size)
            base -= 0.35 * look.size
            made.texts.append(Text(x, base, cell.mark, look.size * 0.65, bold, colour))


def _line(made: Drawing, layout: _Layout, box: tuple[float, float, float, float],
          thick: float = 1.0) -> None:  # fmt: skip
    half = layout.look.line * thick / 2
    left, top, right, bottom = box
    made.areas.append(
        Area(left - half, top - half, right + half, bottom + half, layout.look.theme.line)
    )


def _rule(made: Drawing, layout: _Layout) -> None:
    table, look, xs, ys = layout.table, layout.look, layout.xs, layout.ys
    for cell in table.cells:
        left, right = xs[cell.column], xs[cell.column + cell.column_span]
        top, bottom = ys[cell.row], ys[cell.row + cell.row_span]
        if look.style in ("grid", "rows"):
            _line(made, layout, (left, top, right, top))
            _line(made, layout, (left, bottom, right, bottom))
        if look.style in ("grid", "columns"):
            _line(made, layout, (left, top, left, bottom))
            _line(made, layout, (right, top, right, bottom))
        group = look.style == "booktabs" and cell.header and cell.column_span > 1
        if group:
            inset = look.padding[0]
            _line(made, layout, (left + inset, bottom, right - inset, bottom))
    if look.style in ("booktabs", "columns"):
        head = ys[table.header_rows]
        for y, thick in ((0.0, 2.0), (head, 1.0), (ys[-1], 2.0)):
            _line(made, layout, (0.0, y, made.width, y), thick)


PROSE = ("The figures were collected over two years.", "All amounts are rounded.",
         "A second survey confirmed these findings.", "Details are given in the annex.",
         "The method has been described before.", "Changes are shown at the end.")  # fmt: skip


def on_page(table: Drawing, size: float, draw: random.Random) -> tuple[Drawing, float, float]:
    """The table on an A4 page between paragraphs of text, and where its top left is."""
    width = max(595.0, table.width + 120)
    made = Drawing(width, max(842.0, table.height + 260), table.family, table.ground)
    colour = table.texts[0].colour if table.texts else (0, 0, 0)
    y = _prose(made, 60.0, size, colour, draw)
    left = (width - table.width) / 2
    top = y + 2 * size
    for area in table.areas:
        made.areas.append(Area(area.left + left, area.top + top, area.right + left,
                               area.bottom + top, area.colour))  # fmt: skip
    made.texts += [text._replace(x=text.x + left, y=text.y + top) for text in table.texts]
    _prose(made, top + table.height + 3 * size, size, colour, draw)
    return made, left, top


def _prose(made: Drawing, y: float, size: float, colour: Colour, draw: random.Random) -> float:
    for _ in range(4):
        line = ""
        while True:
            longer = f"{line} {draw.choice(PROSE)}".strip()
            if width_of(longer, made.family, False, size) > made.width - 120:
                break
            line = longer
        made.texts.append(Text(60.0, y, line, size, False, colour))
        y += 1.4 * size
    return y


def painted(drawing: Drawing, scale: float, margin: float = 0.0) -> Any:
    """A picture of a drawing, RGB; `scale` pixels a point, `margin` points around it."""
    from PIL import Image, ImageDraw

    size = [round((side + 2 * margin) * scale) for side in (drawing.width, drawing.height)]
    image = Image.new("RGB", (size[0], size[1]), drawing.ground)
    pen = ImageDraw.Draw(image)
    for area in drawing.areas:
        left, top = (round((each + margin) * scale) for each in area[:2])
        right, bottom = (round((each + margin) * scale) - 1 for each in area[2:4])
        pen.rectangle((left, top, max(left, right), max(top, bottom)), fill=area.colour)
    for text in drawing.texts:
        place = ((text.x + margin) * scale, (text.y + margin) * scale)
        shape = font(drawing.family, text.bold, round(text.size * scale, 2))
        pen.text(place, text.text, fill=text.colour, font=shape, anchor="ls")
    return image
