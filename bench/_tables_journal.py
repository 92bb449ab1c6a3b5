"""Tables as journals print them, drawn by Chromium at 72 dpi, with their truth.

    python bench/_tables_journal.py FOLDER [--count N] [--seed S]

writes a folder in the form of tables/dev. Such tables have three rules and no other lines, wrapped
labels and heads, sections, groups of columns with a rule under each, groups of rows, blank cells.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from _tables_journal_words import GROUPS, ITEMS, MEASURES, SECTIONS, SENTENCES, VALUES

FONTS = ("Liberation Serif", "Liberation Sans", "Liberation Sans Narrow", "DejaVu Sans Condensed",
         "DejaVu Serif Condensed", "TeX Gyre Termes")  # fmt: skip
WIDTHS = (238, 310, 410, 486, 486)
"""Of a column of a page, and of a page, in pixels of 1/72 inch."""

SCALE = 3  # drawn so many times as large, and made smaller, as scans are


@dataclass
class Cell:
    """A cell of a row: its HTML, its spans and how it is set."""

    text: str = ""
    columns: int = 1
    rows: int = 1
    kind: str = ""  # classes of the style sheet

    def html(self, tag: str, style: bool) -> str:
        """The cell as HTML, with its classes if `style`."""
        spans = f' rowspan="{self.rows}"' * (self.rows > 1)
        spans += f' colspan="{self.columns}"' * (self.columns > 1)
        text = f"<div>{self.text}</div>" if style else self.text
        shown = f' class="{self.kind}"' if style else ""
        return f"<{tag}{spans}{shown}>{text}</{tag}>"


@dataclass
class Made:
    """Rows of a table: those of the header, and the others; what kinds of things it has."""

    head: list[list[Cell]] = field(default_factory=list)
    body: list[list[Cell]] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    wide: bool = True  # over the page

    def html(self, style: bool = False) -> str:
        """The table; its truth without `style`."""
        tag = "td" if style else "th"
        head = "\n".join(_row(cells, tag, style) for cells in self.head)
        body = "\n".join(_row(cells, "td", style) for cells in self.body)
        return f"<table><thead>{head}</thead><tbody>{body}</tbody></table>"


def _row(cells: list[Cell], tag: str, style: bool) -> str:
    return "<tr>" + "".join(cell.html(tag, style) for cell in cells) + "</tr>"


def _value(draw: random.Random, kind: str) -> str:
    return VALUES[kind](draw)


def _heads(draw: random.Random, columns: int, made: Made, stubs: list[str]) -> None:
    """Header rows: heads of one level, or with groups over some of two or three columns each."""
    heads = [draw.choice(MEASURES) for _ in range(columns)]
    group = draw.choice((1, 1, 2, 2, 3))
    if group == 1 or columns < 2 * group:
        made.head = [[Cell(stub, kind="stub") for stub in stubs] + [Cell(each) for each in heads]]
        return
    made.classes.append("spans")
    below = draw.random() < 0.4  # labels of the stubs at the bottom, blank cells above
    rows: list[list[Cell]] = [[], []]
    for stub in stubs:
        rows[0].append(Cell("" if below else stub, rows=1 if below else 2, kind="stub"))
        rows[1] += [Cell(stub, kind="stub")] if below else []
    again = heads[:group]
    place = 0
    while place < columns:
        if columns - place < group or (place and draw.random() < 0.15):
            rows[0].append(Cell(heads[place], rows=2))
            place += 1
            continue
        rows[0].append(Cell(draw.choice(GROUPS), columns=group, kind="group"))
        rows[1] += [Cell(each) for each in again]
        place += group
    made.head = rows


def _trial(draw: random.Random) -> Made:
    """Labels with sections, values of groups beside them."""
    columns = draw.randint(2, 6)
    made = Made(classes=["section"], wide=columns > 2)
    _heads(draw, columns, made, [draw.choice(("Characteristics", "Variable", "", "Parameter"))])
    kinds = [draw.choice(list(VALUES)) for _ in range(columns)]
    spanning, indent = draw.random() < 0.4, draw.random() < 0.75
    for _ in range(draw.randint(2, 4)):
        section, own = draw.choice(SECTIONS), draw.random() < 0.25
        if spanning and not own:
            made.body.append([Cell(section, columns=columns + 1, kind="section")])
        else:
            values = [Cell(_value(draw, kinds[k]) if own and k == columns - 1 else "")
                      for k in range(columns)]  # fmt: skip
            made.body.append([Cell(section, kind="section"), *values])
        for _ in range(draw.randint(1, 5)):
            blank = draw.choice((0.0, 0.0, 0.2))
            values = [Cell("" if draw.random() < blank else _value(draw, kind)) for kind in kinds]
            made.body.append([Cell(draw.choice(ITEMS), kind="in" if indent else ""), *values])
    return made


def _numbers(draw: random.Random) -> Made:
    """Labels and many columns of numbers."""
    columns = draw.randint(3, 9)
    made = Made(classes=["numbers"])
    _heads(draw, columns, made, [draw.choice(("Analyte", "Sample", "Model", "Gene", "Study"))])
    kinds = [draw.choice(list(VALUES)) for _ in range(columns)]
    for _ in range(draw.randint(4, 16)):
        blank = draw.choice((0.0, 0.0, 0.0, 0.3))
        values = [Cell("" if draw.random() < blank else _value(draw, kind)) for kind in kinds]
        made.body.append([Cell(draw.choice(ITEMS)), *values])
    if draw.random() < 0.3:
        made.body.append([Cell("Total"), *(Cell(_value(draw, kind)) for kind in kinds)])
    return made


def _grouped(draw: random.Random) -> Made:
    """Labels that stand once for several rows, their items, and values."""
    columns = draw.randint(1, 5)
    made = Made(classes=["groups"], wide=columns > 1)
    _heads(draw, columns, made, [draw.choice(("Group", "Study", "Treatment", "Site")),
                                 draw.choice(("Outcome", "Variable", "Time"))])  # fmt: skip
    kinds = [draw.choice(list(VALUES)) for _ in range(columns)]
    spanned = draw.random() < 0.6  # the label's cell over all rows, else blank cells below it
    for _ in range(draw.randint(2, 5)):
        count, shared = draw.randint(1, 5), draw.random() < 0.3
        for index in range(count):
            label = [Cell(draw.choice(SECTIONS), rows=count if spanned else 1)]
            first = label if index == 0 else [] if spanned else [Cell()]
            values = [Cell(_value(draw, kind)) for kind in kinds]
            if shared and spanned:
                values = values[:-1] + ([Cell(values[-1].text, rows=count)] if not index else [])
            made.body.append([*first, Cell(draw.choice(ITEMS)), *values])
    return made


def _texts(draw: random.Random) -> Made:
    """Wrapped sentences in most columns."""
    columns = draw.randint(2, 4)
    bullets = draw.random() < 0.25
    made = Made(classes=["multiline"])
    _heads(draw, columns, made, [draw.choice(("Study", "Domain", "Author, year", "Code"))])
    kinds = [draw.choice(("text", "text", "text", "number")) for _ in range(columns)]
    for _ in range(draw.randint(3, 8)):
        row = [Cell(draw.choice(ITEMS))]
        for kind in kinds:
            text = draw.choice(SENTENCES)
            text = " ".join(text.split()[: draw.randint(2, 14)])
            value = f"• {text}" if bullets else text
            value = value if kind == "text" else _value(draw, draw.choice(list(VALUES)))
            row.append(Cell("" if draw.random() < 0.1 else value, kind="hang" if bullets else ""))
        made.body.append(row)
    return made


KINDS: tuple[Callable[[random.Random], Made], ...] = (_trial, _trial, _numbers, _grouped, _texts)


def style_sheet(draw: random.Random, wide: bool) -> str:
    """How a journal sets its tables."""
    size = draw.uniform(6.3, 8.4)
    width = draw.choice(WIDTHS if not wide else WIDTHS[2:])
    pad, side = draw.uniform(0.6, 3.2), draw.uniform(2, 6)
    leading = draw.uniform(1.08, 1.3)
    bold, align = draw.random() < 0.6, draw.choice(("left", "left", "center", "right"))
    stub = draw.uniform(18, 34)
    rules = draw.choice(("#000", "#000", "#555"))
    heavy = draw.choice((0.75, 1, 1.5))
    middle, bottom = draw.choice((0, 0.5, 0.75)), draw.choice(("top", "top", "middle"))
    family = draw.choice(FONTS)
    return f"""
    body {{ margin: 0; background: white; font: {size:.2f}px '{family}'; color:
      {draw.choice(("#000", "#222", "#444"))} }}
    #crop {{ display: inline-block; padding: {draw.uniform(0, 3):.1f}px }}
    table {{ border-collapse: collapse; width: {width}px; line-height: {leading:.2f};
      border-top: {heavy}px solid {rules}; border-bottom: {heavy}px solid {rules} }}
    td {{ padding: {pad:.1f}px {side:.1f}px {pad:.1f}px 1px; text-align: {align};
      vertical-align: {bottom} }}
    td:first-child, td.stub, td.hang {{ text-align: left }}
    tr td:first-child {{ width: {stub:.0f}% }}
    thead td {{ font-weight: {"bold" if bold else "normal"};
      vertical-align: {draw.choice(("top", "bottom"))} }}
    thead tr:last-child td {{ border-bottom: {max(middle, 0.5)}px solid {rules} }}
    thead td[rowspan] {{ border-bottom: {max(middle, 0.5)}px solid {rules} }}
    thead td.group {{ text-align: {draw.choice(("center", "left"))} }}
    thead td.group div {{ border-bottom: {middle}px solid {rules};
      padding-bottom: {pad:.1f}px }}
    td.in {{ padding-left: {draw.uniform(4, 9):.1f}px }}
    td.hang div {{ padding-left: 6px; text-indent: -6px }}
    td.section {{ font-style: {draw.choice(("normal", "italic"))};
      font-weight: {draw.choice(("normal", "normal", "bold"))}; text-align: left }}
    sup {{ font-size: 70%; line-height: 0 }}
    """


def pages(count: int, seed: int) -> list[tuple[Made, str]]:
    """Made tables, each with the HTML page that shows it."""
    found = []
    for index in range(count):
        draw = random.Random(f"journal/{seed}/{index}")
        made = draw.choice(KINDS)(draw)
        sheet = style_sheet(draw, made.wide)
        page = f"<style>{sheet}</style><div id=crop>{made.html(style=True)}</div>"
        found.append((made, f"<!doctype html><meta charset=utf-8>{page}"))
    return found


def write(folder: Path, count: int, seed: int) -> None:
    """Pictures by Chromium, drawn larger and made smaller, as scans are."""
    import io

    from PIL import Image
    from playwright.sync_api import sync_playwright

    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path="/usr/bin/chromium")
        page = browser.new_page(device_scale_factor=SCALE, viewport={"width": 600, "height": 900})
        for index, (made, source) in enumerate(pages(count, seed), 1):
            page.set_content(source)
            size = page.evaluate(
                "(() => { const b = document.getElementById('crop').getBoundingClientRect();"
                " return [b.width, b.height] })()"
            )
            shot = page.screenshot(clip={"x": 0, "y": 0, "width": size[0], "height": size[1]},
                                   full_page=True)  # fmt: skip
            picture = Image.open(io.BytesIO(shot)).convert("RGB")
            small = (max(1, picture.width // SCALE), max(1, picture.height // SCALE))
            picture.resize(small, Image.Resampling.BOX).save(folder / f"{index:03}.png")
            (folder / f"{index:03}.html").write_text(made.html(), encoding="utf-8")
            classes = " ".join(["journal", "lowres", "borderless", *made.classes])
            lines.append(f"{index:03}\tjournal{index}\t{classes}\t\t\tdrawn\n")
        browser.close()
    (folder / "sources.tsv").write_text("".join(lines), encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Write the folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=14)
    given = parser.parse_args(arguments)
    write(given.folder, given.count, given.seed)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
