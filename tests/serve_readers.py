"""Readers without models for the tests of the table app; each runs in the process of a job."""

import os
import sys
import time
from pathlib import Path

from tallow.documents.document import Cell, Document, Page, Table
from tallow.documents.inputs import open_input, selected
from tallow.documents.steps import Progress
from tallow.errors import TallowError

TEXTS = [["Name", "2023", "2024"], ["Apples", "1,234", "(12)"], ["=cmd|x", "0049", "-7.5%"]]


def table_of(texts, number, width, height, *, left=20.0, top=20.0):
    """A table over a page whose cells have equal boxes; the first row is its header."""
    rows, columns = len(texts), len(texts[0])
    w, h = (width - 2 * left) / columns, (height - 2 * top) / rows
    cells = [
        Cell(
            r, c, text=text, header="column" if r == 0 else "",
            box=(left + c * w, top + r * h, left + (c + 1) * w, top + (r + 1) * h),
            confidence=0.55 if (r, c) == (1, 1) else 0.98,
        )
        for r, row in enumerate(texts)
        for c, text in enumerate(row)
    ]  # fmt: skip
    box = (left, top, width - left, height - top)
    return Table(
        rows, columns, cells, box=box, page=number, pages=(number,), source="fake", header_rows=1
    )


class Fake:
    """Finds a table on each page; which, and what else it does, depends on the file's name."""

    def __init__(self, options):
        self.options = options

    def read(self, path, *, name, pages, password, progress):
        document = Document(name)
        with open_input(path, name=name, password=password) as opened:
            numbers = selected(pages, opened.count, name)
            for done, number in enumerate(numbers):
                for step in ("open", "words", "structure"):
                    progress(Progress(number, done, len(numbers), step))
                    self.misbehave(name, Path(path))
                try:
                    document.pages.append(self.page(opened.page(number), name))
                except TallowError as error:
                    document.pages.append(Page(number, 0, 0, error=str(error)))
        document.tables = [table for page in document.pages for table in page.tables]
        return document

    def page(self, source, name):
        height, width = source.pixels().shape[:2]
        page = Page(source.number, width, height)
        if "blank" not in name:
            times = 180 if "huge" in name else 60
            texts = [row * 5 for row in TEXTS * times] if "large" in name else TEXTS
            page.tables = [table_of(texts, source.number, width, height)]
        return page

    def misbehave(self, name, path):
        if "slow" in name:
            time.sleep(float(os.environ.get("FAKE_SECONDS", "0.5")))
        if "forever" in name:
            (path.parent / "started").touch()
            time.sleep(600)
        if "crash" in name:
            os.abort()
        if "mistake" in name:
            raise RuntimeError("no such thing")
        if "hungry" in name:
            held = [bytearray(100_000_000) for _ in range(1000)]
            print(len(held))
        if "full disk" in name:
            result = path.parent / f"result-{path.name.removeprefix('input-')}.json"
            if not result.is_symlink():
                result.symlink_to("/dev/full")
        if "talk" in name:
            print("{not json", flush=True)
            print("{not json", file=sys.stderr, flush=True)


def fake(options):
    return Fake(options)
