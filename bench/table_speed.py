"""Seconds and memory of reading tables, beside the same pipeline over ONNX Runtime.

    python bench/table_speed.py [FOLDER] [--peer-python …/bin/python] [--threads 1 2]

Both sides run the same steps with the same models; only what runs the models differs
(`tallow.documents.sessions.load`). Each is a process of its own, the processes take turns, a run is
a pass over all files, a ratio the median over pairs of neighbouring runs; the first pass of each,
which loads models, is not counted. New processes tell how far the peak of memory grows from before
libraries are imported until all files are read once. A PDF of 100 pages tells whether memory is
bounded. Without FOLDER (NNN.png, as tables/dev) the pictures are made.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import _common as common
import _tables_made as made
import _tables_pdf as portable
import _tables_set as sets

SIDE = str(Path(__file__).with_name("_tables_speed_side.py"))
CLASSES = ("ruled", "borderless", "striped", "levels")
SEED = 20
GOALS = {"seconds": 1.25, "peak": 1.0}  # theirs over ours
PAGES = 100


def pictures(given: argparse.Namespace, work: Path) -> list[Path]:
    """The files of a pass."""
    if given.folder:
        found = sets.samples(Path(given.folder))
        return [each.picture for each in found if not given.only or each.number in given.only]
    paths = []
    for name in given.classes:
        path = work / f"{name}-{SEED}.png"
        made.example(name, SEED).picture.save(path)
        paths.append(path)
    return paths


def long_pdf(path: Path) -> Path:
    """A PDF of 100 pages with a table each."""
    names = (*CLASSES, "sections")
    drawings: list[Any] = []
    index = 0
    while len(drawings) < PAGES:
        drawing = made.example(names[index % len(names)], SEED, index).drawing
        if drawing.family == "sans":  # one font is embedded a file
            drawings.append(drawing)
        index += 1
    path.write_bytes(portable.pdf(drawings))
    return path


def one_pass(side: common.Side, files: list[Path], clock: str) -> dict[str, Any]:
    """Seconds and steps over all files, and the tables' HTML."""
    told = [side(str(path)) for path in files]
    steps: dict[str, float] = {}
    for each in told:
        for name, spent in each["steps"].items():
            steps[name] = steps.get(name, 0.0) + spent
    return {"seconds": sum(each[clock] for each in told), "steps": steps,
            "html": [each["html"] for each in told]}  # fmt: skip


def measured(
    command: dict[str, list[str]], files: list[Path], pairs: int, clock: str
) -> dict[str, Any]:
    """Both sides in turn: seconds a file, ratio, steps of the median run."""
    sides = {name: common.Side(name, line, **PATHS) for name, line in command.items()}
    first = {name: one_pass(side, files, clock) for name, side in sides.items()}
    same = sum(a == b for a, b in zip(*(first[name]["html"] for name in sides), strict=True))
    runs = common.alternate(
        {name: lambda side=side: one_pass(side, files, clock) for name, side in sides.items()},
        pairs,
    )
    for side in sides.values():
        side.close()
    seconds = {name: [run["seconds"] / len(files) for run in each] for name, each in runs.items()}
    row: dict[str, Any] = {
        "case": "seconds a picture",
        "tables": {"the same": same, "of": len(files)},
        "first_pass": {f"by {name}": first[name]["seconds"] for name in sides},
    }
    for name, each in runs.items():
        middle = sorted(each, key=lambda run: run["seconds"])[len(each) // 2]
        row[name] = common.quartiles(seconds[name])
        row[f"{name}_steps"] = {k: v / len(files) for k, v in middle["steps"].items()}
    row["ratio"] = common.ratio(seconds["onnxruntime"], seconds["tallow"])
    return row


PATHS = {"PYTHONPATH": str(common.ROOT / "src")}


def fresh(command: dict[str, list[str]], files: list[Path]) -> dict[str, Any]:
    """The least growth of the peak of three new processes of each, in MB, and theirs over ours."""
    peaks: dict[str, list[float]] = {name: [] for name in command}
    for _ in range(3):
        for name, line in command.items():
            common.progress(f"memory of {name}")
            told = common.call([*line, "--fresh", *map(str, files)], **PATHS)
            peaks[name].append(common.last_json(told)["peak"] / 1e6)
    common.progress("")
    least = {name: min(each) for name, each in peaks.items()}
    ratio = least["onnxruntime"] / least["tallow"]
    return {"case": "peak of memory, MB", **least, "ratio": ratio}


def show(rows: list[dict[str, Any]]) -> None:
    """Seconds a picture by step."""
    table = common.table(
        "Seconds a picture", "threads", "", "tallow", "onnxruntime", "onnxruntime / tallow"
    )
    for row in rows:
        numbers = (f"{row[side]['median']:.2f}" for side in ("tallow", "onnxruntime"))
        table.add_row(str(row["threads"]), "all", *numbers, common.shown(row["ratio"]))
        for step, spent in sorted(row["tallow_steps"].items(), key=lambda each: -each[1]):
            theirs = row["onnxruntime_steps"].get(step, 0.0)
            table.add_row("", step, f"{spent:.2f}", f"{theirs:.2f}",
                          f"{theirs / max(spent, 1e-9):.2f}")  # fmt: skip
    common.show(table)


def main() -> None:
    """Measure, print."""
    options = common.parser(__doc__, pairs=7)
    options.add_argument("folder", nargs="?", help="pictures with truth; none: made ones")
    options.add_argument("--only", nargs="+", default=[], help="numbers of pictures")
    options.add_argument("--classes", nargs="+", default=CLASSES, help="of made pictures")
    options.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    options.add_argument("--models", default="best", choices=["best", "fast"])
    options.add_argument("--cpu-time", action="store_true", help="count the processor's seconds")
    options.add_argument("--without-memory", action="store_true")
    given = options.parse_args()
    needed = ("onnxruntime", "numpy", "PIL", "pypdfium2")
    python = common.interpreter(given.peer_python, *needed)
    if python is None:
        raise SystemExit("onnxruntime is needed")
    work = common.work_folder(None) / "tables" / "speed"
    work.mkdir(parents=True, exist_ok=True)
    files = pictures(given, work)
    clock = "processor" if given.cpu_time else "seconds"
    rows = []
    for threads in given.threads:
        command = {
            name: [python, SIDE, name, str(threads), given.models]
            for name in ("tallow", "onnxruntime")
        }
        rows.append({"threads": threads, **measured(command, files, given.pairs, clock)})
    show(rows)
    result: dict[str, Any] = {"pairs": given.pairs, "goals": GOALS, "models": given.models,
                              "cpu_time": given.cpu_time,
                              "rows": rows}  # fmt: skip
    if not given.without_memory:
        result["memory"] = fresh(command, files)
        print("peak of memory: tallow {tallow:.0f} MB, onnxruntime {onnxruntime:.0f} MB, "
              "ratio {ratio:.2f}".format(**result["memory"]))  # fmt: skip
        pages = common.call(
            [*command["tallow"], "--pages", str(long_pdf(work / "long.pdf"))], **PATHS
        )
        result["long_pdf"] = told = common.last_json(pages)
        print(f"a PDF of {told['pages']} pages: the peak grows by {told['ten'] / 1e6:.0f} MB "
              f"over ten, {told['last'] / 1e6:.0f} MB over all")  # fmt: skip
    common.finish("table_speed", result, record=given.record)


if __name__ == "__main__":
    sys.exit(main())
