"""XLSX: one sheet a table, with typed values, merged cells, frozen bold headers and widths."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from tallow.documents.document import Cell, Document, Table, Value
from tallow.documents.writers.sheets import (
    check_limits,
    column_widths,
    cut_text,
    line_count,
    row_heights,
    sheet_names,
)
from tallow.documents.writers.text import clean, held, is_number, runs
from tallow.errors import ArgumentError, MissingExtraError, expect

if TYPE_CHECKING:
    from openpyxl.worksheet.worksheet import Worksheet

_Looks: TypeAlias = dict[tuple[Any, ...], Any]
"""Styles that were made, by what they depend on; to make one takes longer than to write a cell."""

# Excel reads `_x0041_` in a text as the character of that number; `_x005F_` is the underscore.
_LIKE_ESCAPE: Final = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)")
_FORMULA_STARTS: Final = ("=", "+", "-", "@")
# Rows that stay in sight: more of them leave no room for the others on a small screen.
_MOST_FROZEN: Final = 8
_FONT: Final[dict[str, Any]] = {"name": "Calibri", "sz": 11}  # openpyxl's, as Excel's was
_SHADE: Final = "F2F2F2"  # of headers
_PORTRAIT: Final = 90  # widths of a digit that a page of A4 has between its margins
_PLAIN: Final = "0123456789+-=()abcdefghijklmnoprstuvwxyz"
_RAISED: Final = "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻ"
RAISED: Final = str.maketrans(_PLAIN, _RAISED)


def document_xlsx(document: Document) -> bytes:
    """A document as an XLSX workbook, one sheet a table (ISO/IEC 29500, SpreadsheetML).

    Texts are texts whatever they begin with, never formulas. A footnote mark that was split off a
    number is shown by its number format and told in a comment. A text longer than the 32,767
    characters of a cell is cut, which a comment tells.

    Raises:
        MissingExtraError: openpyxl is not installed.
        ArgumentError: there is no table, or one is larger than a sheet.
    """
    import io

    try:
        from openpyxl import Workbook
    except ImportError:
        raise MissingExtraError(
            "Document.to_excel: needs the package openpyxl: pip install 'tallow[table]'"
        ) from None
    expect(bool(document.tables), "Document.to_excel", "a table", "none", ArgumentError)
    book = Workbook()
    book.remove(book.active)
    book.properties.creator = "Tallow"
    book.properties.title = clean(document.name)
    looks: _Looks = {}
    for name, table in zip(sheet_names(document), document.tables, strict=True):
        check_limits(table, f"Document.to_excel, {name}")
        _fill(book.create_sheet(name), table, looks)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _fill(sheet: Worksheet, table: Table, looks: _Looks) -> None:
    from openpyxl.utils import get_column_letter
    from openpyxl.worksheet.properties import PageSetupProperties

    widths = column_widths(table)
    taken: set[tuple[int, int]] = set()
    for cell in sorted(table.cells, key=lambda cell: (cell.row, cell.column)):
        places = {(r, c) for r in range(cell.row, cell.bottom)
                  for c in range(cell.column, cell.right)}  # fmt: skip
        if (cell.row, cell.column) in taken:
            continue
        _write(sheet, cell, widths, looks)
        # Excel does not open a file whose merged areas overlap.
        if len(places) > 1 and not places & taken:
            sheet.merge_cells(None, cell.row + 1, cell.column + 1, cell.bottom, cell.right)
        taken |= places
    for column, width in enumerate(widths, 1):
        sheet.column_dimensions[get_column_letter(column)].width = round(width, 1)
    for row, height in row_heights(table, widths).items():
        sheet.row_dimensions[row + 1].height = height
    sheet.page_setup.orientation = "landscape" if sum(widths) > _PORTRAIT else "portrait"
    sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight = 1, 0
    sheet.sheet_properties.pageSetUpPr = PageSetupProperties(fitToPage=True)
    if 0 < table.header_rows < table.rows and table.header_rows <= _MOST_FROZEN:
        sheet.freeze_panes = f"A{table.header_rows + 1}"
        sheet.print_title_rows = f"1:{table.header_rows}"


def _write(sheet: Worksheet, cell: Cell, widths: list[float], looks: _Looks) -> None:
    place = sheet.cell(cell.row + 1, cell.column + 1)
    value = _storable(held(cell))
    cut = False
    if isinstance(value, str):
        value, cut = cut_text(value)
        _write_text(place, cell, value, cut)
    elif value is not None:
        place.value = value
        if cell.number_format or cell.note:
            place.number_format = shown_with(cell.number_format or "General", cell.note)
    _look(place, cell, sum(widths[cell.column : cell.right]), isinstance(value, str), looks)
    _comment(place, cell, value, cut)


def _look(place: Any, cell: Cell, width: float, is_text: bool, looks: _Looks) -> None:
    """Bold and shaded headers, alignment, and lines where a text is wider than its columns."""
    from copy import copy

    head = cell.header == "column"
    # A number that is wrapped is shown as ####.
    wraps = is_text and line_count(cell.text, max(width - 1.5, 1.0)) > 1
    vertical = "center" if cell.row_span > 1 or head else "top"
    horizontal = "center" if head else cell.align or None
    bold = bool(cell.header) or cell.bold
    key = (head, bold, wraps, vertical, horizontal, place.number_format, place.quotePrefix)
    if key in looks:
        place._style = copy(looks[key])
        return
    _style(place, head, bold)
    place.alignment = _alignment(horizontal, vertical, wraps)
    looks[key] = place._style


def _style(place: Any, head: bool, bold: bool) -> None:
    from openpyxl.styles import Font, PatternFill

    if bold:
        place.font = Font(**_FONT, family=2, scheme="minor", bold=True)
    if head:
        place.fill = PatternFill("solid", fgColor=_SHADE)


def _alignment(horizontal: str | None, vertical: str, wraps: bool) -> Any:
    from openpyxl.styles import Alignment

    # Numbers keep off the text of the next column.
    indent = 1 if horizontal == "right" else 0
    return Alignment(horizontal=horizontal, vertical=vertical, wrap_text=wraps, indent=indent)


def _write_text(place: Any, cell: Cell, value: str, cut: bool) -> None:
    from openpyxl.cell.rich_text import CellRichText, TextBlock
    from openpyxl.cell.text import InlineFont

    if not value:
        return
    pieces = runs(cell)
    if not cut and "".join(piece for piece, _ in pieces) == value and len(pieces) > 1:
        bold = bool(cell.header or cell.bold) or None
        normal = InlineFont(rFont=_FONT["name"], sz=_FONT["sz"], b=bold)
        raised = InlineFont(rFont=_FONT["name"], sz=_FONT["sz"], b=bold, vertAlign="superscript")
        place.value = CellRichText(
            *(TextBlock(raised if up else normal, _escaped(piece)) for piece, up in pieces)
        )
    else:
        place.value = _escaped(value)
        place.data_type = "s"  # not the formula or the error that openpyxl takes it for
    if value.startswith(_FORMULA_STARTS):
        place.quotePrefix = True


def _comment(place: Any, cell: Cell, value: Value, cut: bool) -> None:
    """Tell of a cut text, and of a footnote's mark; stars are no footnotes' and too many."""
    told = []
    if cell.note.strip("* ") and is_number(value):
        told.append(f"Footnote mark: {clean(cell.note)}")
    if cut:
        told.append("The text is longer than a cell can hold, and was cut.")
    if told:
        from openpyxl.comments import Comment

        place.comment = Comment("\n".join(told), "Tallow")


def _storable(value: Value) -> Value:
    """A date that Excel has no number for as its text; all else as it is.

    Excel's days begin with 1900, and it takes 1900-02-29 for one.
    """
    if isinstance(value, date):
        day = value.date() if isinstance(value, datetime) else value
        return value if date(1900, 3, 1) <= day else value.isoformat()
    return value


def shown_with(number_format: str, note: str) -> str:
    """A number format that shows a footnote mark after the number, raised if it can be."""
    mark = clean(note).replace('"', "")
    if not mark:
        return number_format
    small = mark.translate(RAISED)
    raised = all(char in _RAISED for char in small) and not mark.startswith("(")
    literal = f'"{small}"' if raised else f'" {mark}"' if mark.startswith("(") else f'"{mark}"'
    return ";".join(section + literal for section in number_format.split(";"))


def _escaped(text: str) -> str:
    return _LIKE_ESCAPE.sub("_x005F_", text)
