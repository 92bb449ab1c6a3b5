"""The comparison in docs/guide/formats.md says what its tests show, cell by cell.

A cell is a test in `test_comparison_*.py`, named after its row and column, marked with its verdict.
What has no package that is small enough (SavedModel, pdparams) has a source there for each cell.
"""

import ast
import re
from pathlib import Path

HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[1] / "docs" / "guide" / "formats.md"
CITED = {"SavedModel", "pdparams"}


def cells():
    """Row and column → verdict, from the sources: not every environment can run all of them."""
    found = {}
    for path in HERE.glob("test_comparison_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "cell":
                row, column, verdict = (argument.value for argument in node.args)
                assert (row, column) not in found
                found[row, column] = verdict
    return found


def table():
    """The comparison as the page shows it: row and column → the text of the cell."""
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:1] == "|"]
    start = next(i for i, line in enumerate(lines) if "zero-copy" in line)
    columns = [part.strip() for part in lines[start].strip("|").split("|")][1:]
    found = {}
    for line in lines[start + 2 :]:
        row, *cells = (part.strip() for part in line.strip("|").split("|"))
        if len(cells) != len(columns):
            break
        found |= {(row, column): text for column, text in zip(columns, cells, strict=True)}
    return found


def test_every_cell_of_the_page_is_tested_or_cited():
    shown = table()
    assert len(shown) == 11 * 7
    cited = {place: text for place, text in shown.items() if place[0] in CITED}
    tested = {place: text for place, text in shown.items() if place[0] not in CITED}
    assert tested == cells()
    notes = set(re.findall(r"^\[\^(\w+)\]: .*https?://", PAGE.read_text(encoding="utf-8"), re.M))
    for place, text in cited.items():
        assert (named := re.findall(r"\[\^(\w+)\]$", text)), f"{place} has no source: {text}"
        assert {*named} <= notes, f"{place}: {text}"
