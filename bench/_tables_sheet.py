"""A contact sheet of read tables as one HTML file: picture, truth and ours, differences marked.

A cell of ours is green where place, spans and text are the truth's, yellow where the text differs
(the truth's is below it), red where no cell of the truth stands so; red in the truth: not found.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import _tables_scores as scores

STYLE = """body { font: 14px sans-serif; margin: 1rem; }
section { border-top: 2px solid #888; padding: .5rem 0; }
.three { display: flex; gap: 1rem; align-items: flex-start; flex-wrap: wrap; }
.three > div { flex: 1 1 28rem; min-width: 0; overflow-x: auto; }
.three img { max-width: 100%; max-height: 40rem; border: 1px solid #ccc; }
table { border-collapse: collapse; font-size: 11px; }
td, th { border: 1px solid #999; padding: 1px 4px; text-align: left; vertical-align: top; }
th { font-weight: bold; border-bottom: 2px solid #333; }
.same { background: #dff2df; } .text { background: #fff0a8; } .place { background: #f7c6c6; }
small { display: block; color: #555; } h2 { font-size: 1rem; margin: .2rem 0; }"""
WIDEST = 1000  # pixels of a picture in the sheet


def differences(predicted: str, truth: str) -> list[str]:
    """What is wrong of a table, in a line each; most general first."""
    found, wanted = scores.placed(scores.rows_of(predicted)), scores.placed(scores.rows_of(truth))
    if not found:
        return ["no table"]
    lines = []
    if _shape(found) != _shape(wanted):
        lines.append("shape {}×{}, truth {}×{}".format(*_shape(found), *_shape(wanted)))
    at = {cell[:4]: cell.text for cell in wanted}
    lost = [cell for cell in wanted if cell[:4] not in {each[:4] for each in found}]
    spans = [cell for cell in lost if cell.row_span > 1 or cell.column_span > 1]
    if spans:
        shown = ", ".join(f"{_place(cell)} {cell.text[:20]!r}" for cell in spans[:4])
        lines.append(f"{len(spans)} spans of the truth not found: {shown}")
    texts = [(cell, at[cell[:4]]) for cell in found if cell[:4] in at]
    wrong = [(cell, text) for cell, text in texts if _bare(cell.text) != _bare(text)]
    if wrong:
        shown = "; ".join(f"{_place(cell)} {cell.text[:24]!r} for {text[:24]!r}"
                          for cell, text in wrong[:6])  # fmt: skip
        lines.append(f"{len(wrong)} texts differ: {shown}")
    heads = [{cell.row for cell in cells if cell.header} for cells in (found, wanted)]
    if heads[0] != heads[1] and heads[1]:
        lines.append(f"header rows {sorted(heads[0])}, truth {sorted(heads[1])}")
    return lines


def _bare(text: str) -> str:
    return "".join(text.split())


def _shape(cells: Sequence[scores.Placed]) -> tuple[int, int]:
    return (max(cell.row + cell.row_span for cell in cells),
            max(cell.column + cell.column_span for cell in cells))  # fmt: skip


def _place(cell: scores.Placed) -> str:
    spans = f"+{cell.row_span}×{cell.column_span}" if cell[2:4] != (1, 1) else ""
    return f"({cell.row},{cell.column}){spans}"


def marked(shown: str, other: str, *, with_other: bool) -> str:
    """One table with its cells marked by what the other has in their places."""
    cells = scores.placed(scores.rows_of(shown))
    texts = {cell[:4]: cell.text for cell in scores.placed(scores.rows_of(other))}
    rows: dict[int, list[str]] = {}
    for cell in cells:
        text, body = texts.get(cell[:4]), html.escape(cell.text)
        kind = "place" if text is None else "same"
        if text is not None and _bare(text) != _bare(cell.text):
            kind = "text"
            body += f"<small>{html.escape(text) or '∅'}</small>" if with_other else ""
        tag = "th" if cell.header else "td"
        spans = f' rowspan="{cell.row_span}" colspan="{cell.column_span}"'
        rows.setdefault(cell.row, []).append(f'<{tag} class="{kind}"{spans}>{body}</{tag}>')
    count = max(rows, default=-1) + 1
    lines = ("".join(rows.get(row, [])) for row in range(count))
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def inlined(path: Path) -> str:
    """A picture as a URL that holds it, no wider than `WIDEST` pixels."""
    from PIL import Image

    file = io.BytesIO()
    with Image.open(path) as image:
        small = image.convert("RGB")
        small.thumbnail((WIDEST, 4 * WIDEST))
        small.save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def sheet(rows: Sequence[Mapping[str, Any]], title: str) -> str:
    """The page; each row has "name", "about", "picture" (a path), "truth" and "ours" (HTML)."""
    parts = []
    for row in rows:
        wrong = "".join(f"<li>{html.escape(each)}</li>" for each in row["wrong"])
        parts.append(
            f"<section><h2>{html.escape(row['name'])}</h2><p>{html.escape(row['about'])}</p>"
            f"<ul>{wrong}</ul>"
            f'<div class="three"><div><img alt="" src="{inlined(row["picture"])}"></div>'
            f"<div>truth{marked(row['truth'], row['ours'], with_other=False)}</div>"
            f"<div>ours{marked(row['ours'], row['truth'], with_other=True)}</div></div></section>"
        )
    return (f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
            f"<style>{STYLE}</style></head><body><h1>{title}</h1>{''.join(parts)}</body></html>\n"
            )  # fmt: skip
