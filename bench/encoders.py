"""MiniLM's forward pass beside ONNX Runtime and PyTorch, from one token batch to large ones.

ONNX Runtime gets the model exported in f32 and fused by its own optimiser for transformers; PyTorch
runs transformers with its default attention. An eager pass of Tallow stands beside PyTorch's, a
captured plan beside ONNX Runtime's graph. Each library runs in a process of its own, the processes
take turns, a run is the best pass within 200 ms, a ratio the median over the pairs of neighbouring
runs. `share` is the multiply-adds per second of a plan's products and attention over the FMA peak
that was measured before.

    python bench/encoders.py [--peer-python …/bin/python] [--threads 2] [--shapes 1x16 1x128 32x128]
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import _common as common
from _limits import limits

SCRIPT = str(Path(__file__).with_name("_encoders_side.py"))
GOALS = {"1x16": 1.3, "1x128": 1.3, "32x128": 1.0}
BESIDE = {"torch": "tallow", "onnxruntime": "plan"}  # peer: how Tallow runs beside it


def flops(config: dict[str, Any], rows: int, length: int) -> float:
    """Multiply-adds of a pass, times two: the products with weights, and attention."""
    size, hidden, layers = (
        config[key] for key in ("hidden_size", "intermediate_size", "num_hidden_layers")
    )
    tokens = rows * length
    weights = 4 * size * size + 2 * size * hidden
    return 2.0 * layers * tokens * (weights + 2 * length * size)


def main() -> None:
    """Measure each shape, print a table."""
    options = common.parser(__doc__, pairs=7)
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--shapes", nargs="+", default=list(GOALS), help="rows × tokens")
    options.add_argument("--model", default="minilm")
    given = options.parse_args()
    folder = common.model_path(given.model)
    work = common.work_folder(None)
    onnx = work / "encoder.onnx"
    pythons = {"tallow": sys.executable, "plan": sys.executable}
    torch = common.interpreter(given.peer_python, "torch", "transformers")
    if torch is not None:
        pythons["torch"] = torch
    both = common.interpreter(given.peer_python, "torch", "transformers", "onnx", "onnxruntime")
    if both is not None:
        command = [both, SCRIPT, "export", str(folder), str(onnx), "0"]
        subprocess.run(command, check=True, env=common.environment())
        pythons["onnxruntime"] = both
    limit = limits(work, given.threads)
    sides = {
        name: common.Side(name, [python, SCRIPT, name, str(folder), str(onnx), str(given.threads)])
        for name, python in pythons.items()
    }
    config = json.loads((folder / "config.json").read_text())
    rows = []
    for shape in given.shapes:
        count, length = map(int, shape.split("x"))
        line = f"{count} {length}"
        sums = {name: side(line)["sum"] for name, side in sides.items()}
        if max(sums.values()) - min(sums.values()) > 1e-3 * max(sums.values()):
            raise SystemExit(f"{shape}: the outputs differ: {sums}")
        runs = common.alternate(
            {
                name: lambda side=side, line=line: side(line)["seconds"]
                for name, side in sides.items()
            },
            given.pairs,
            shape,
        )
        row: dict[str, Any] = {"shape": shape, "goal": GOALS.get(shape)}
        for name, seconds in runs.items():
            row[f"{name}_ms"] = 1e3 * statistics.median(seconds)
            if name in BESIDE:
                row[name] = common.ratio(seconds, runs[BESIDE[name]])
        if limit is not None:
            rate = flops(config, count, length) / (row["plan_ms"] / 1e3)
            row["share"] = rate / limit["flops_per_s"]
        rows.append(row)
    for side in sides.values():
        side.close()
    peers = [name for name in BESIDE if name in pythons]
    columns = ["rows × tokens", "eager ms", "plan ms", *(f"{name} ms" for name in peers)]
    columns += [*(f"{name} / {BESIDE[name]}" for name in peers), "share"]
    made = common.table(f"Peers' time over Tallow's, {given.threads} threads", *columns)
    for row in rows:
        cells = [f"{row[f'{name}_ms']:.2f}" for name in ("tallow", "plan", *peers)]
        ratios = [common.shown(row[name]) for name in peers]
        made.add_row(row["shape"], *cells, *ratios, f"{row.get('share', 0):.0%}")
    common.show(made)
    result = {"pairs": given.pairs, "threads": given.threads, "limits": limit, "rows": rows}
    common.finish("encoders", result, record=given.record)


if __name__ == "__main__":
    main()
