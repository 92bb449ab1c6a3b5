"""What made tables hold: words, numbers of many notations, headers, spans, sections; by a seed.

A table is a grid of `MadeCell` that tile it, with the HTML that is its truth. Texts are put
together of lists of words and of drawn numbers; each typed text comes with what a spreadsheet
must hold, in the words of tables/dev/types.tsv.
"""

from __future__ import annotations

import html
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


NOUNS = _words(
    "Austria Belgium Denmark Estonia Finland Greece Hungary Ireland Latvia Norway Poland Portugal "
    "Romania Slovenia Spain Sweden Baseline Control Placebo Treatment Steel Timber Cement Copper "
    "Paper Cotton Wheat Barley Maize Butter Sugar Coffee Transport Storage Insurance Heating "
    "Water Lighting Repair Rental Training Research Marketing Travel Software Hardware Support"
)
ADJECTIVES = _words(
    "Total Net Gross Average Annual Monthly Urban Rural Northern Southern Eastern Western Public "
    "Private Domestic Foreign Direct Indirect Current Previous Adjusted Estimated Initial Final"
)
HEADS = _words(
    "Year Quantity Amount Share Price Rate Change Units Weight Age Count Mean Median Minimum "
    "Maximum Range Score Income Expenses Balance Budget Actual Area Length Volume Density Index"
)
GROUPS = ("2019", "2020", "2021", "First quarter", "Second quarter", "Men", "Women", "Model A",
          "Model B", "In euro", "Per capita", "Before", "After")  # fmt: skip
LONG = (
    "includes all deliveries that were registered before the end of the year",
    "applies to new contracts only and is reviewed by the board twice a year",
    "measured at three stations, values below the limit of detection are left out",
    "costs are shared between the members according to their number of employees",
    "see the notes on methods for changes of the classification since the last report",
)
CJK_NOUNS = _words(
    "北京 上海 广州 深圳 苹果 香蕉 荔枝 大米 小麦 钢材 水泥 电力 运输 保险 教育 医疗 住宅 设备"
)
CJK_HEADS = _words("名称 数量 单价 金额 产量 面积 增长率 比例 日期 备注 合计 平均 最高 最低")
CJK_GROUPS = _words("同比 环比 上半年 下半年 城镇 农村")


@dataclass(frozen=True)
class MadeCell:
    """A cell: place, spans, text, superscript mark, and what a spreadsheet must hold of it."""

    row: int
    column: int
    row_span: int = 1
    column_span: int = 1
    text: str = ""
    mark: str = ""
    header: bool = False
    section: bool = False
    align: str = "left"
    must: str = ""
    never: str = ""


@dataclass(frozen=True)
class MadeTable:
    """Cells that tile `rows` × `columns`; the first `header_rows` rows are the header."""

    rows: int
    columns: int
    header_rows: int
    cells: tuple[MadeCell, ...]

    def html(self) -> str:
        """The truth, in the form of tables/dev: header cells are th in thead."""
        lines: list[list[str]] = [[] for _ in range(self.rows)]
        for cell in sorted(self.cells, key=lambda each: (each.row, each.column)):
            tag = "th" if cell.header else "td"
            spans = f' rowspan="{cell.row_span}"' if cell.row_span > 1 else ""
            spans += f' colspan="{cell.column_span}"' if cell.column_span > 1 else ""
            mark = f"<sup>{html.escape(cell.mark)}</sup>" if cell.mark else ""
            lines[cell.row].append(f"<{tag}{spans}>{html.escape(cell.text)}{mark}</{tag}>")
        rows = [f"<tr>{''.join(line)}</tr>" for line in lines]
        head, body = rows[: self.header_rows], rows[self.header_rows :]
        thead = "<thead>\n" + "\n".join(head) + "\n</thead>\n" if head else ""
        return f"<table>\n{thead}<tbody>\n" + "\n".join(body) + "\n</tbody>\n</table>\n"


@dataclass(frozen=True)
class Kind:
    """What a class of tables is made of; shares are from 0 to 1."""

    rows: tuple[int, int] = (4, 12)
    columns: tuple[int, int] = (3, 7)
    levels: int = 1  # rows of the header
    groups: bool = False  # row spans in the first column
    totals: bool = False  # labels that span columns
    sections: bool = False
    multiline: float = 0.0  # of columns with long texts
    empty: float = 0.0  # of cells; with it also an empty column or row
    columns_of: tuple[str, ...] = ("integer", "decimal", "percent", "money", "word")
    marks: float = 0.0  # of numbers with a superscript
    cjk: bool = False


Notation = Callable[[random.Random, int], tuple[str, str, str]]


def _integer(draw: random.Random, scale: int) -> tuple[str, str, str]:
    value = draw.randrange(10**scale)
    return f"{value:,}", f"number {value}", "text, date"


def _decimal(draw: random.Random, scale: int) -> tuple[str, str, str]:
    value = draw.uniform(-1, 10) * 10 ** (scale - 2)
    text = f"{value:.{scale % 3 + 1}f}"
    return text, f"number {float(text)}", "text, date"


def _signed(draw: random.Random, scale: int) -> tuple[str, str, str]:
    value = draw.randrange(-(10**scale), 10**scale)
    minus = "-" if scale % 2 else "\u2212"
    return f"{value:,}".replace("-", minus), f"number {value}", "text"


def _parentheses(draw: random.Random, scale: int) -> tuple[str, str, str]:
    value = draw.randrange(1, 10**scale)
    if draw.random() < 0.4:
        return f"({value:,})", f"number -{value}", f"number {value}"
    return f"{value:,}", f"number {value}", "text"


def _percent(draw: random.Random, scale: int) -> tuple[str, str, str]:
    text = f"{draw.uniform(-5, 100):.{scale % 2}f}"
    return f"{text}%", f"number {round(float(text) / 100, 6)} as percent", f"number {text}"


def _money(draw: random.Random, scale: int) -> tuple[str, str, str]:
    sign = "$€£"[scale % 3]
    value = round(draw.uniform(1, 10 ** (scale + 1)), 2)
    return f"{sign}{value:,.2f}", f"number {value}", "text"


def _european(draw: random.Random, scale: int) -> tuple[str, str, str]:
    value = round(draw.uniform(1000, 10 ** (scale + 3)), 2)
    text = f"{value:,.2f}".translate(str.maketrans(",.", ".,"))
    return text, f"number {value}", "text, date"


def _dashed(draw: random.Random, scale: int) -> tuple[str, str, str]:
    if draw.random() < 0.35:
        dash = "-–—"[scale % 3]
        return dash, f'empty or text "{dash}"', "0"
    return _decimal(draw, scale)


def _date(draw: random.Random, scale: int) -> tuple[str, str, str]:
    year, month, day = draw.randint(1990, 2025), draw.randint(1, 12), draw.randint(13, 28)
    shown = (f"{year}-{month:02}-{day:02}", f"{day:02}/{month:02}/{year}")[scale % 2]
    return shown, f"date {year}-{month:02}-{day:02} or text", "number"


def _code(draw: random.Random, scale: int) -> tuple[str, str, str]:
    if scale % 2:
        return f"{draw.randrange(1000):05}", "text", "number, date"
    return f"{draw.choice('ABCDX')}-{draw.randrange(100, 999)}", "text", "number, date"


def _range(draw: random.Random, scale: int) -> tuple[str, str, str]:
    low = draw.randint(1, 9)
    return f"{low}-{low + draw.randint(1, 3)}", "text", "number, date"


def _tick(draw: random.Random, scale: int) -> tuple[str, str, str]:
    return draw.choice(("✓", "✗") if scale % 2 else ("✔", "")), "", ""


def _word(draw: random.Random, scale: int) -> tuple[str, str, str]:
    return draw.choice(NOUNS), "text", "number, date"


NOTATIONS: dict[str, Notation] = {
    "integer": _integer, "decimal": _decimal, "signed": _signed, "parentheses": _parentheses,
    "percent": _percent, "money": _money, "european": _european, "dashed": _dashed,
    "date": _date, "code": _code, "range": _range, "tick": _tick, "word": _word,
}  # fmt: skip


@dataclass
class _Maker:
    """A table that is being made: places that are taken, cells so far."""

    draw: random.Random
    kind: Kind
    rows: int = 0
    columns: int = 0
    cells: list[MadeCell] = field(default_factory=list)
    taken: set[tuple[int, int]] = field(default_factory=set)

    def put(self, cell: MadeCell) -> None:
        """Add a cell; its places must be free."""
        places = {
            (cell.row + r, cell.column + c)
            for r in range(cell.row_span)
            for c in range(cell.column_span)
        }
        assert not places & self.taken, cell
        self.taken |= places
        self.cells.append(cell)

    def label(self) -> str:
        """What heads a row."""
        if self.kind.cjk:
            return self.draw.choice(CJK_NOUNS)
        if self.draw.random() < 0.4:
            return f"{self.draw.choice(ADJECTIVES)} {self.draw.choice(NOUNS).lower()}"
        return self.draw.choice(NOUNS)

    def head(self) -> str:
        """What heads a column."""
        if self.kind.cjk:
            return self.draw.choice(CJK_HEADS)
        name = self.draw.choice(HEADS)
        return (
            f"{self.draw.choice(ADJECTIVES)} {name.lower()}" if self.draw.random() < 0.3 else name
        )


def _header(made: _Maker, aligns: list[str]) -> None:
    draw, levels = made.draw, made.kind.levels
    column = 0
    while column < made.columns:
        left = made.columns - column
        first = column == 0
        span = 1 if first or left < 2 or levels < 2 else min(left, draw.choice((1, 2, 2, 3)))
        if span == 1:
            text = "" if first and draw.random() < 0.3 else made.head()
            made.put(MadeCell(0, column, levels, 1, text, header=True, align=aligns[column]))
        else:
            names = CJK_GROUPS if made.kind.cjk else GROUPS
            made.put(MadeCell(0, column, 1, span, draw.choice(names), header=True, align="center"))
            for each in range(column, column + span):
                made.put(MadeCell(1, each, levels - 1, 1, made.head(), header=True,
                                  align=aligns[each]))  # fmt: skip
        column += span


def _body_cell(made: _Maker, row: int, column: int, notation: str, scale: int) -> MadeCell:
    draw, kind = made.draw, made.kind
    if draw.random() < kind.empty:
        return MadeCell(row, column)
    if notation == "label":
        return MadeCell(row, column, text=made.label())
    if notation == "long":
        return MadeCell(row, column, text=draw.choice(LONG))
    if notation == "blank":
        return MadeCell(row, column)
    text, must, never = NOTATIONS[notation](draw, scale)
    if notation == "word" and kind.cjk:
        text = draw.choice(CJK_NOUNS)
    align = "left" if notation in ("word", "code", "date") else "right"
    align = "center" if notation in ("tick", "range") else align
    mark = ""
    if notation in ("integer", "decimal") and draw.random() < kind.marks:
        mark = draw.choice("123ab")
        must = f"{must} with note {mark}, or text"
        never = f"number {text.replace(',', '')}{mark}" if mark.isdigit() else ""
    return MadeCell(row, column, text=text, mark=mark, align=align, must=must, never=never)


def _grouped(made: _Maker) -> Iterator[tuple[int, int]]:
    """(row, row span) of groups of the body's rows."""
    row = made.kind.levels
    last = made.rows - (1 if made.kind.totals else 0)
    while row < last:
        span = min(last - row, made.draw.choice((1, 2, 3, 4)))
        yield row, span
        row += span


def _body(made: _Maker, notations: list[str], scales: list[int]) -> None:
    draw, kind = made.draw, made.kind
    first = kind.levels
    if kind.totals:
        text = "合计" if kind.cjk else draw.choice(("Total", "Sum of all", "All together"))
        made.put(MadeCell(made.rows - 1, 0, 1, min(2, made.columns - 1), text))
    if kind.groups:
        for row, span in _grouped(made):
            made.put(MadeCell(row, 0, span, 1, made.label()))
    if kind.sections:
        for row in sorted(draw.sample(range(first, made.rows - 2), max(1, made.rows // 6))):
            if (row - 1, 1) not in made.taken:  # a section has rows of its own
                text = made.label() if kind.cjk else f"{draw.choice(ADJECTIVES)} figures"
                made.put(MadeCell(row, 0, 1, made.columns, text, section=True))
    blank = draw.randrange(first, made.rows) if kind.empty and draw.random() < 0.4 else -1
    for row in range(first, made.rows):
        for column in range(made.columns):
            if (row, column) not in made.taken:
                cell = _body_cell(made, row, column, notations[column], scales[column])
                made.put(MadeCell(row, column) if row == blank and column else cell)


def make(kind: Kind, seed: str) -> MadeTable:
    """A table of a kind; the same of the same seed."""
    draw = random.Random(seed)
    made = _Maker(draw, kind)
    made.columns = draw.randint(*kind.columns)
    made.rows = kind.levels + draw.randint(*kind.rows)
    notations = ["label", *draw.choices(kind.columns_of, k=made.columns - 1)]
    if kind.groups and made.columns > 2:
        notations[1] = "label"
    for column in range(1, made.columns):
        if draw.random() < kind.multiline:
            notations[column] = "long"
    if kind.multiline and "long" not in notations:
        notations[-1] = "long"
    if kind.empty and made.columns > 3 and draw.random() < 0.5:
        notations[draw.randrange(2, made.columns)] = "blank"
    scales = [draw.randint(2, 5) for _ in notations]
    numbers = {"label", "long", "word", "code", "date", "tick", "range"}
    aligns = ["left" if each in numbers else "right" for each in notations]
    if kind.levels:
        _header(made, aligns)
    _body(made, notations, scales)
    cells = tuple(sorted(made.cells, key=lambda cell: (cell.row, cell.column)))
    return MadeTable(made.rows, made.columns, kind.levels, cells)


def replaced(table: MadeTable, change: Callable[[str], str]) -> MadeTable:
    """The table with every text changed, as for a font that lacks characters."""
    cells = (replace(cell, text=change(cell.text), mark=change(cell.mark)) for cell in table.cells)
    return replace(table, cells=tuple(cells))
