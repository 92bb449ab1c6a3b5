"""Tables of pictures and PDFs into a spreadsheet, step by step: `python examples/tables.py FILE…`.

Without files it reads examples/table.png. What `tallow table` does in one line is opened up here:
pages as they are read, what was decided of each column and why, cells that should be looked at, a
step replaced by another, and the workbook.
"""

import sys
from pathlib import Path

import tallow as tl
from tallow.documents import Document, Progress, Region

HERE = Path(__file__).parent
SURE = 0.9  # confidence below which a person should look


def tell(progress: Progress) -> None:
    """One line that is written over."""
    print(f"\r{progress.done}/{progress.count} pages: {progress.step:<12}", end="", file=sys.stderr)


def whole_page(content: tl.documents.PageContent) -> list[Region]:
    """A step of our own: where the pictures are tables and nothing else, all of the page is one."""
    return [Region((0, 0, content.width, content.height))] if content.words else []


def show(document: Document) -> None:
    """What was found, and how sure it is."""
    for page in document.pages:
        if page.error:
            print(f"{document.name}, page {page.number}: {page.error}")
    for table in document:
        print(f"{document.name}, page {table.page}: {table.rows} × {table.columns}, "
              f"{table.header_rows} header rows, by {table.source}")  # fmt: skip
        print(table.to_markdown())
        for number, column in enumerate(table.column_types):
            print(f"  column {number}: {column.kind}: {'; '.join(column.reasons)}")
        for cell in table.cells:
            if cell.confidence < SURE:
                print(f"  look at row {cell.row}, column {cell.column}: {cell.text!r}")


def main(paths: list[str]) -> None:
    reader = tl.TableReader(models="best")  # detect=whole_page: a step of our own in place of one
    for path in paths or [str(HERE / "table.png")]:
        document = reader.read(path, progress=tell)
        print(file=sys.stderr)
        show(document)
        if document.tables:
            target = Path(path).with_suffix(".xlsx").name
            document.to_excel(target)
            print(f"wrote {target}")


if __name__ == "__main__":
    main(sys.argv[1:])
