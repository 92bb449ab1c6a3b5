"""ResNet-18 by tl.compile beside eager Tallow, PyTorch and ONNX Runtime, batches of 1 and 8.

All have the same random weights and compute in f32 on 224 × 224 pixels; ONNX Runtime folds the
batch norms and fuses by itself. Each library runs in a process of its own, the processes take
turns, a run is the best pass within 300 ms, a ratio the median over the pairs of neighbouring runs.

    python bench/compiled.py [--peer-python …/bin/python] [--threads 1 2] [--batches 1 8]
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import _common as common

SCRIPT = str(Path(__file__).with_name("_compiled_side.py"))
GOALS = {"torch": 1.5, "onnxruntime": 1.1}  # their time over that of tl.compile


def measure(sides: dict[str, common.Side], batch: int, pairs: int) -> dict[str, Any]:
    """Milliseconds of each side, and the others' time over that of tl.compile."""
    line = str(batch)
    sums = {name: side(line)["sum"] for name, side in sides.items()}
    if max(sums.values()) - min(sums.values()) > 1e-3 * max(sums.values()):
        raise SystemExit(f"batch {batch}: the outputs differ: {sums}")
    runs = common.alternate(
        {name: lambda side=side: side(line)["seconds"] for name, side in sides.items()},
        pairs,
        f"batch {batch}",
    )
    row: dict[str, Any] = {"batch": batch}
    for name, seconds in runs.items():
        row[f"{name}_ms"] = 1e3 * statistics.median(seconds)
        if name != "compiled":
            row[name] = common.ratio(seconds, runs["compiled"])
    return row


def main() -> None:
    """Measure each number of threads and batch, print a table."""
    options = common.parser(__doc__, pairs=7)
    options.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    options.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    given = options.parse_args()
    onnx = common.work_folder(None) / "resnet18.onnx"
    pythons = {"compiled": sys.executable, "eager": sys.executable}
    torch = common.interpreter(given.peer_python, "torch")
    if torch is not None:
        pythons["torch"] = torch
    runtime = common.interpreter(given.peer_python, "onnx", "onnxruntime")
    if runtime is not None:
        subprocess.run([runtime, SCRIPT, "export", str(onnx), "0"], check=True)
        pythons["onnxruntime"] = runtime
    rows = []
    for threads in given.threads:
        sides = {
            name: common.Side(name, [python, SCRIPT, name, str(onnx), str(threads)])
            for name, python in pythons.items()
        }
        rows += [
            {"threads": threads, **measure(sides, batch, given.pairs)} for batch in given.batches
        ]
        for side in sides.values():
            side.close()
    others = [name for name in pythons if name != "compiled"]
    columns = ["threads", "batch", *(f"{name} ms" for name in pythons)]
    made = common.table("ResNet-18", *columns, *(f"{name} / compiled" for name in others))
    for row in rows:
        cells = [f"{row[f'{name}_ms']:.1f}" for name in pythons]
        ratios = [common.shown(row[name]) for name in others]
        made.add_row(str(row["threads"]), str(row["batch"]), *cells, *ratios)
    common.show(made)
    result = {"pairs": given.pairs, "goals": GOALS, "rows": rows}
    common.finish("compiled", result, record=given.record)


if __name__ == "__main__":
    main()
