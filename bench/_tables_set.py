"""Folders of tables with truth, in the form of tables/dev, and what types.tsv asks of cells.

A folder holds NNN.png (or .jpg) with NNN.html; `sources.tsv` says classes, `types.tsv` what cells
must be, `pdf/index.tsv` where the table of pdf/NNN.pdf is. Only pictures and truth must be there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, NamedTuple

PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp")
Box = tuple[float, float, float, float]


class Typed(NamedTuple):
    """What a cell of the truth must and must not be in a spreadsheet."""

    row: int
    column: int
    text: str
    must: str
    never: str


class Sample(NamedTuple):
    """A picture with its truth."""

    number: str
    classes: tuple[str, ...]
    picture: Path
    truth: str
    pdf: Path | None = None
    box: Box | None = None  # of the table on the PDF's page, in points from its top left
    typed: tuple[Typed, ...] = ()

    def turned(self) -> bool:
        """Whether its picture does not stand upright."""
        return any(re.fullmatch(r"rot\d*|rotated|turned", each) for each in self.classes)


def _lines(path: Path) -> Iterator[list[str]]:
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.strip() and not line.startswith("#"):
                yield line.split("\t")


def samples(folder: Path) -> list[Sample]:
    """All pictures of a folder that have a truth."""
    classes = {row[0]: tuple(row[2].split()) for row in _lines(folder / "sources.tsv")}
    pdfs = {}
    for number, name, box, *_ in _lines(folder / "pdf" / "index.tsv"):
        left, top, right, bottom = map(float, box.split())
        pdfs[number] = (folder / name, (left, top, right, bottom))
    typed: dict[str, list[Typed]] = {}
    for number, row, column, text, must, *never in _lines(folder / "types.tsv"):
        asked = Typed(int(row), int(column), text, must, "".join(never[:1]))
        typed.setdefault(number, []).append(asked)
    found = []
    for truth in sorted(folder.glob("*.html")):
        number = truth.stem
        for path in (truth.with_suffix(suffix) for suffix in PICTURES):
            if path.exists():
                text = truth.read_text(encoding="utf-8")
                pdf, box = pdfs.get(number, (None, None))
                found.append(Sample(number, classes.get(number, ()), path, text, pdf, box,
                                    tuple(typed.get(number, ()))))  # fmt: skip
                break
    return found


NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _numbers_like(cell: Any, wanted: str) -> bool:
    return _is_number(cell.value) and math.isclose(
        cell.value, float(wanted), rel_tol=1e-9, abs_tol=1e-12
    )


def _is(cell: Any, wanted: str) -> bool:
    """Whether a cell is one of the things that `must` names."""
    value = cell.value
    if wanted == "text":
        return isinstance(value, str) or (value is None and cell.text != "")
    if wanted == "empty":
        return value is None and cell.text.strip() == ""
    if quoted := re.fullmatch(r'text "(.*)"', wanted):
        return (value is None or isinstance(value, str)) and cell.text == quoted[1]
    if dated := re.fullmatch(r"date (\d{4}-\d\d-\d\d)", wanted):
        return isinstance(value, date) and value.isoformat()[:10] == dated[1]
    if kept := re.fullmatch(rf"({NUMBER.pattern}) with the note kept", wanted):
        return _numbers_like(cell, kept[1]) and cell.note != ""
    form = rf"(?:number )?({NUMBER.pattern})( as percent)?(?: with note (\S+))?"
    if number := re.fullmatch(form, wanted):
        percent = not number[2] or "%" in cell.number_format
        note = number[3] is None or cell.note == number[3]
        return _numbers_like(cell, number[1]) and percent and note
    raise ValueError(f"types.tsv: expected one of its forms, got {wanted!r}")


def _is_never(cell: Any, asked: str, must: str) -> bool:
    """Whether a cell is what `never` names."""
    value = cell.value
    if asked == "number":
        return _is_number(value)
    if asked.startswith("date"):
        return isinstance(value, date | datetime | time)
    if asked == "other date":
        return isinstance(value, date) and value.isoformat()[:10] not in must
    if re.fullmatch(r"\d{4}-\d\d-\d\d", asked):
        return isinstance(value, date) and value.isoformat()[:10] == asked
    if plain := re.fullmatch(rf"({NUMBER.pattern}) without percent", asked):
        return _numbers_like(cell, plain[1]) and "%" not in cell.number_format
    return _is(cell, asked)


def judged(cell: Any, asked: Typed) -> str:
    """What a cell of ours is: right, wrong, or never, which is what it must never be."""
    never = re.split(r", ", asked.never) if asked.never.strip() else []
    if any(_is_never(cell, each.strip(), asked.must) for each in never):
        return "never"
    must = re.sub(r"(?<=\d) \([^)]*\)", "", asked.must) if '"' not in asked.must else asked.must
    ways = re.split(r",? or (?=text|number|date|empty|\d)", must)
    return "right" if any(_is(cell, each.strip()) for each in ways) else "wrong"
