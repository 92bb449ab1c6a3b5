"""How right tables of pictures and PDFs are read: TEDS, structure, cells, headers, types, seconds.

    python bench/table_accuracy.py FOLDER [--peers DIR] [--turns] [--sheet FILE.html]
    python bench/table_accuracy.py made --count 46 --seed 1

FOLDER has the form of tables/dev (`_tables_set.py`); `made` draws tables of our own
(`_tables_made.py`). Numbers are means over the pictures of a class, of header-F1 over those whose
truth marks a header. Peers (`_tables_peers.py --install DIR`) are asked once of a file; their
answers are kept in the system's folder for temporary files.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import _common as common
import _tables_made as made
import _tables_scores as scores
import _tables_set as sets
import _tables_sheet as sheets
from _tables_peers import PDFS, PICTURES, Peers
from _tables_set import Sample

GOALS = {"picture": {"teds": 0.92, "struct": 0.97, "cell_f1": 0.85, "header_f1": 0.9},
         "pdf": {"teds": 0.97}}  # fmt: skip
OURS = "tallow"
Row = dict[str, Any]  # kind, number, classes, side, metrics, seconds, html, error


def arguments() -> argparse.Namespace:
    """What was asked for."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("folder", help="a folder, or `made`")
    options.add_argument("--count", type=int, default=2 * len(made.CLASSES))
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--only", nargs="+", default=[], help="numbers of pictures")
    options.add_argument("--classes", nargs="+", default=[], help="pictures of any of these")
    options.add_argument("--kinds", nargs="+", default=["picture", "pdf"])
    options.add_argument("--peers", type=Path, metavar="DIR", help="where they are installed")
    options.add_argument("--without-ours", action="store_true")
    options.add_argument("--models", default="best", choices=["best", "fast"])
    options.add_argument("--turns", action="store_true", help="also turned by 90, 180 and 270")
    options.add_argument("--sheet", type=Path, metavar="FILE", help="a contact sheet as HTML")
    options.add_argument("--worst", type=Path, metavar="FILE", help="what is wrong, as Markdown")
    options.add_argument("--record", action="store_true", help="append the result to bench/history")
    return options.parse_args()


def chosen(given: argparse.Namespace) -> list[Sample]:
    """The samples that are meant."""
    folder = Path(given.folder)
    if given.folder == "made":
        folder = common.work_folder(None) / "tables" / f"made-{given.seed}-{given.count}"
        made.write(folder, made.examples(given.count, given.seed))
    found = [
        each for each in sets.samples(folder)
        if (not given.only or each.number in given.only)
        and (not given.classes or {*given.classes} & {*each.classes})
    ]  # fmt: skip
    if not found:
        raise SystemExit(f"{folder}: expected pictures NNN.png with NNN.html, got none")
    return found


def picked(tables: Sequence[Mapping[str, Any]], box: sets.Box | None) -> Mapping[str, Any] | None:
    """The table that is meant: the one that shares most with a box, else that of most cells."""

    def shared(table: Mapping[str, Any]) -> tuple[float, int]:
        share = 0.0
        if box and table["box"]:
            a, b = box, table["box"]
            width, height = (max(0.0, min(a[i + 2], b[i + 2]) - max(a[i], b[i])) for i in (0, 1))
            areas = sum((each[2] - each[0]) * (each[3] - each[1]) for each in (a, b))
            share = width * height / max(areas - width * height, 1e-9)
        return share, table["html"].count("<td") + table["html"].count("<th")

    return max(tables, key=shared, default=None)


class Ours:
    """Tallow's reader, asked as the peers are."""

    def __init__(self, models: Any) -> None:
        from tallow.documents.reader import TableReader

        self.reader = TableReader(models=models)

    def tables(self, path: Path) -> dict[str, Any]:
        """Tables and seconds."""
        begin = time.perf_counter()
        try:
            document = self.reader.read(str(path))
        except Exception as error:  # of one file, the others are asked all the same
            return {"tables": [], "seconds": time.perf_counter() - begin, "error": repr(error)}
        seconds = time.perf_counter() - begin
        errors = "; ".join(page.error for page in document.pages if page.error)
        tables = [{"html": table.to_html(), "box": table.box, "table": table}
                  for table in document.tables]  # fmt: skip
        steps: dict[str, float] = {}
        for page in document.pages:
            for name, spent in page.seconds.items():
                steps[name] = steps.get(name, 0.0) + spent
        return {"tables": tables, "seconds": seconds, "error": errors, "steps": steps}


def kept(peers: Peers, name: str, path: Path) -> dict[str, Any]:
    """A peer's answer, from the folder of those that were given before."""
    key = hashlib.sha256(name.encode() + path.read_bytes()).hexdigest()[:24]
    file = common.work_folder(None) / "tables" / "answers" / f"{key}.json"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(peers.tables(name, path)), encoding="utf-8")
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def row_of(sample: Sample, kind: str, side: str, told: Mapping[str, Any]) -> Row:
    """One answer, scored."""
    box = sample.box if kind == "pdf" else None
    table = picked(told["tables"], box)
    text = str(table["html"]) if table else ""
    types = {"right": 0, "wrong": 0, "never": 0}
    missed = []
    if table and "table" in table:
        for asked in sample.typed:
            verdict = typed(table["table"], asked)
            types[verdict] += 1
            if verdict != "right":
                missed.append(f"{verdict}: {asked.text!r} must be {asked.must}")
    metrics = scores.score(text, sample.truth)
    return {
        "kind": kind, "number": sample.number, "classes": sample.classes, "side": side, **metrics,
        "seconds": told["seconds"], "html": text, "error": told.get("error") or "",
        "source": getattr((table or {}).get("table"), "source", ""), "types": types,
        "missed": missed, "steps": told.get("steps", {}),
    }  # fmt: skip


def typed(table: Any, asked: sets.Typed) -> str:
    """What became of one cell; wrong where there is no such cell."""
    try:
        return sets.judged(table.cell(asked.row, asked.column), asked)
    except IndexError:
        return "wrong"


def turned_copies(sample: Sample, folder: Path) -> Iterable[tuple[int, Path]]:
    """The picture turned by 90, 180 and 270 degrees."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    with Image.open(sample.picture) as image:
        for degrees in (90, 180, 270):
            path = folder / f"{sample.number}-{degrees}.png"
            image.convert("RGB").rotate(-degrees, expand=True).save(path)
            yield degrees, path


def rows_of(given: argparse.Namespace, samples: Sequence[Sample]) -> list[Row]:
    """All answers of all sides, scored."""
    sides: dict[str, dict[str, Callable[[Path], dict[str, Any]]]] = {"picture": {}, "pdf": {}}
    peers = Peers(given.peers) if given.peers else None
    if peers:
        for kind, names in (("picture", PICTURES), ("pdf", PDFS)):
            sides[kind] = {name: lambda path, name=name: kept(peers, name, path) for name in names}
    ours = None if given.without_ours else Ours(given.models)
    if ours:
        sides = {kind: {OURS: ours.tables, **others} for kind, others in sides.items()}
    rows = []
    for sample in samples:
        for kind, path in (("picture", sample.picture), ("pdf", sample.pdf)):
            if path is None or kind not in given.kinds:
                continue
            for side, ask in sides[kind].items():
                common.progress(f"{sample.number} {kind} {side}")
                rows.append(row_of(sample, kind, side, ask(path)))
        if given.turns and ours and not sample.turned():
            folder = common.work_folder(None) / "tables" / "turned"
            for degrees, path in turned_copies(sample, folder):
                common.progress(f"{sample.number} turned by {degrees}")
                rows.append(row_of(sample, f"turned {degrees}", OURS, ours.tables(path)))
    common.progress("")
    if peers:
        peers.close()
    return rows


def mean(rows: Iterable[Row], what: str) -> float | None:
    """Of those that have it."""
    values = [row[what] for row in rows if row[what] is not None]
    return sum(values) / len(values) if values else None


def means(rows: Sequence[Row]) -> dict[str, Any]:
    """Means of all metrics, counts of types."""
    told: dict[str, Any] = {what: mean(rows, what) for what in (*scores.METRICS, "seconds")}
    types = {name: sum(row["types"][name] for row in rows) for name in ("right", "wrong", "never")}
    return {"count": len(rows), **told, "types": types}


def summary(rows: Sequence[Row]) -> dict[str, dict[str, dict[str, Any]]]:
    """Means by kind, then class, then side."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for kind in dict.fromkeys(row["kind"] for row in rows):
        of_kind = [row for row in rows if row["kind"] == kind]
        classes = sorted({each for row in of_kind for each in row["classes"]})
        for name in ("all", *classes):
            inside = [row for row in of_kind if name == "all" or name in row["classes"]]
            sides = dict.fromkeys(row["side"] for row in inside)
            found.setdefault(kind, {})[name] = {
                side: means([row for row in inside if row["side"] == side]) for side in sides
            }
    return found


def show(told: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> None:
    """Print a table a kind; below the best peer's TEDS or structure: marked."""
    for kind, classes in told.items():
        table = common.table(
            f"{kind}: TEDS, struct, cell-F1, header-F1; types right/wrong/never", "class", "n",
            "side", "TEDS", "struct", "cell-F1", "header-F1", "types", "seconds", "",
        )  # fmt: skip
        for name, sides in classes.items():
            for side, row in sides.items():
                numbers = ("–" if row[m] is None else f"{row[m]:.3f}" for m in scores.METRICS)
                types = "/".join(map(str, row["types"].values())) if side == OURS else ""
                table.add_row(name, str(row["count"]), side, *numbers, types,
                              f"{row['seconds']:.1f}", note(kind, name, side, sides))  # fmt: skip
        common.show(table)


def note(kind: str, name: str, side: str, sides: Mapping[str, Any]) -> str:
    """Which metrics of ours are below the best single peer's, or below a goal."""
    if side != OURS:
        return ""
    others = [row for other, row in sides.items() if other != OURS]
    below = []
    for what in ("teds", "struct", "cell_f1"):
        best = max((row[what] for row in others), default=0.0)
        if sides[OURS][what] < best - 1e-9:
            below.append(f"{what} < {best:.3f}")
    if name == "all":
        for what, goal in GOALS.get(kind, {}).items():
            if (sides[OURS][what] or 0.0) < goal:
                below.append(f"{what} < goal {goal}")
    return ", ".join(below)


def turns(rows: Sequence[Row]) -> dict[str, float]:
    """TEDS of turned pictures over that of the same ones upright."""
    ours = [row for row in rows if row["side"] == OURS]
    upright = {row["number"]: row["teds"] for row in ours if row["kind"] == "picture"}
    found = {}
    for kind in sorted({row["kind"] for row in ours if row["kind"].startswith("turned")}):
        inside = [row for row in ours if row["kind"] == kind]
        whole = sum(upright[row["number"]] for row in inside)
        found[kind] = sum(row["teds"] for row in inside) / whole if whole else 0.0
    return found


def worst(rows: Sequence[Row], samples: Sequence[Sample]) -> list[dict[str, Any]]:
    """Answers of ours with what is wrong of them, the worst first."""
    by_number = {each.number: each for each in samples}
    others: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if row["side"] != OURS:
            told = f"{row['side']} {row['teds']:.3f}/{row['struct']:.3f}"
            others.setdefault((row["kind"], row["number"]), []).append(told)
    found = []
    ours = (row for row in rows if row["side"] == OURS)
    for row in sorted(ours, key=lambda row: row["teds"] + row["struct"]):
        sample = by_number[row["number"]]
        peers = "; peers " + ", ".join(others.get((row["kind"], row["number"]), ["–"]))
        about = (
            f"TEDS {row['teds']:.3f}, struct {row['struct']:.3f}, cell-F1 {row['cell_f1']:.3f}, "
            f"{row['seconds']:.1f} s, by {row['source']}{peers}"
        )
        wrong = sheets.differences(row["html"], sample.truth) + row["missed"]
        found.append({
            "name": f"{row['number']} {row['kind']} ({' '.join(row['classes'])})", "about": about,
            "wrong": [*filter(None, [row["error"]]), *wrong], "picture": sample.picture,
            "truth": sample.truth, "ours": row["html"],
        })  # fmt: skip
    return found


def main() -> None:
    """Read, score, print, and write what was asked for."""
    given = arguments()
    samples = chosen(given)
    rows = rows_of(given, samples)
    told = summary(rows)
    show(told)
    turned = turns(rows)
    for kind, ratio in turned.items():
        print(f"{kind}: {ratio:.3f} of the upright TEDS")
    listed = worst(rows, samples)
    if given.sheet:
        given.sheet.write_text(sheets.sheet(listed, f"Tables of {given.folder}"), encoding="utf-8")
    if given.worst:
        lines = [
            "\n".join([f"## {row['name']}", row["about"], *(f"- {each}" for each in row["wrong"])])
            for row in listed
        ]
        given.worst.write_text("\n\n".join(lines) + "\n", encoding="utf-8")
    flat = [
        {"kind": kind, "class": name, "side": side, **row,
         "types": "/".join(map(str, row["types"].values()))}
        for kind, classes in told.items()
        for name, sides in classes.items()
        for side, row in sides.items()
    ]  # fmt: skip
    result = {"set": Path(given.folder).name, "models": given.models, "turned": turned,
              "rows": flat}  # fmt: skip
    common.finish("table_accuracy", result, record=given.record)


if __name__ == "__main__":
    main()
