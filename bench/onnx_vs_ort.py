"""ONNX models beside ONNX Runtime: the real ones that can be fetched, and exports of PyTorch.

Both get numpy arrays and give them; ONNX Runtime has all optimisations on. Each library runs in a
process of its own, the processes take turns, a run is the best pass within 150 ms, a ratio the
median over the pairs of neighbouring runs. `load` is opening a model with its first pass. New
processes tell how far the peak of memory grows from before the library is imported until after
three passes, and how long it takes to the first result.

With TALLOW_ISA=avx2, ONNX Runtime takes AVX2 as well.

    python bench/onnx_vs_ort.py [--peer-python …/bin/python] [--threads 1 2] [--models NAME …]
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import _common as common
from _onnxruntime_avx2 import without_avx512

SCRIPT = str(Path(__file__).with_name("_onnx_side.py"))
EXPORTER = str(Path(__file__).with_name("_onnx_exports.py"))
GOALS = {"geometric mean": 1.15, "least": 0.85, "load": 1.0}
EXPORTED = {
    "resnet18": 2, "efficientnet-lite0": 2, "mobilenet-v3": 2, "vit-s14": 1, "yolo-like": 1,
    "minilm": 2, "minilm-dynamic": 2, "t5-small": 1,
}  # fmt: skip


def cases(chosen: list[str]) -> list[tuple[str, int]]:
    """Names with indices of their sizes."""
    sys.path.insert(0, str(common.ROOT / "tests" / "onnx"))
    import real_models as real

    sizes = {name: len(row.sizes) for name, row in real.MODELS.items()} | EXPORTED
    return [(n, i) for n, count in sizes.items() if not chosen or n in chosen for i in range(count)]


def measure(sides: dict[str, common.Side], name: str, index: int, pairs: int) -> dict[str, Any]:
    """Milliseconds of both, and ONNX Runtime's time over Tallow's."""
    line = f"{name} {index}"
    told = {side: call(line) for side, call in sides.items()}
    for ours, theirs in zip(told["tallow"]["sums"], told["onnxruntime"]["sums"], strict=True):
        if not math.isclose(ours, theirs, rel_tol=0.02, abs_tol=1e-3):
            raise SystemExit(f"{line}: the outputs differ: {ours} and {theirs}")
    runs = common.alternate(
        {side: lambda call=call: call(line)["seconds"] for side, call in sides.items()},
        pairs, line,
    )  # fmt: skip
    row: dict[str, Any] = {"model": name, "size": index}
    for side, seconds in runs.items():
        row[f"{side}_ms"] = 1e3 * common.quartiles(seconds)["median"]
        row[f"first_{side}"] = told[side]["load"]  # seconds
    row["ratio"] = common.ratio(runs["onnxruntime"], runs["tallow"])
    row["load"] = told["tallow"]["load"] / told["onnxruntime"]["load"]
    print(f"{line}: {common.shown(row['ratio'])}, load {row['load']:.2f}", flush=True)
    return row


def fresh(pythons: dict[str, str], folder: Path, name: str, path: str) -> dict[str, float]:
    """Of new processes, Tallow's over ONNX Runtime's: growth of the peak, time to the first result.

    The least of three of each.
    """
    found: dict[str, list[dict[str, float]]] = {side: [] for side in pythons}
    for _ in range(3):
        for side, python in pythons.items():
            common.progress(f"fresh {name} {side}")
            told = common.call([python, SCRIPT, side, "1", str(folder), name], **paths(side, path))
            found[side].append(common.last_json(told))
    least = {
        side: {what: min(run[what] for run in runs) for what in runs[0]}
        for side, runs in found.items()
    }
    return {k: least["tallow"][k] / max(least["onnxruntime"][k], 1e-9) for k in ("peak", "start")}


def mean(values: list[float]) -> float:
    """The geometric one."""
    return math.exp(sum(map(math.log, values)) / len(values)) if values else math.nan


def paths(side: str, path: str) -> dict[str, str]:
    """Where a side's process finds packages beside those of its interpreter."""
    return {"PYTHONPATH": path} if path and side == "onnxruntime" else {}


def of_new_processes(
    pythons: dict[str, str], folder: Path, names: list[str], path: str
) -> dict[str, Any]:
    """Memory and starts of all models, printed."""
    result: dict[str, Any] = {"fresh": {n: fresh(pythons, folder, n, path) for n in names}}
    common.progress("")
    for what, title in (("peak", "memory"), ("start", "import, open and first pass")):
        ratios = {name: row[what] for name, row in result["fresh"].items()}
        worst = max(ratios, key=lambda name: ratios[name])
        result[f"{what}_mean"] = mean([*ratios.values()])
        print(f"{title}: geometric mean {result[f'{what}_mean']:.2f}, most {ratios[worst]:.2f} "
              f"({worst})")  # fmt: skip
    return result


def show(rows: list[dict[str, Any]]) -> None:
    """Print a table."""
    made = common.table(
        "ONNX models", "model", "size", "threads", "tallow ms", "onnxruntime ms",
        "onnxruntime / tallow", "load / onnxruntime's",
    )  # fmt: skip
    for row in rows:
        numbers = (f"{row[f'{side}_ms']:.2f}" for side in ("tallow", "onnxruntime"))
        made.add_row(row["model"], str(row["size"]), str(row["threads"]), *numbers,
                     common.shown(row["ratio"]), f"{row['load']:.2f}")  # fmt: skip
    common.show(made)


def main() -> None:
    """Measure each model and number of threads, print a table."""
    options = common.parser(__doc__, pairs=7)
    options.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    options.add_argument("--models", nargs="+", default=[])
    options.add_argument("--exporter", help="an interpreter with torch, timm and transformers")
    given = options.parse_args()
    folder = common.work_folder(None) / "onnx"
    runtime = common.interpreter(given.peer_python, "onnxruntime")
    if runtime is None:
        raise SystemExit("onnxruntime is needed")
    if given.exporter:
        subprocess.run([given.exporter, EXPORTER, str(folder)], check=True)
    path = ""
    if os.environ.get("TALLOW_ISA") == "avx2":
        path = str(without_avx512(runtime, folder.parent))
    rows = []
    pythons = {"tallow": sys.executable, "onnxruntime": runtime}
    for threads in given.threads:
        sides = {
            name: common.Side(
                name, [python, SCRIPT, name, str(threads), str(folder)], **paths(name, path)
            )
            for name, python in pythons.items()
        }
        for name, index in cases(given.models):
            rows.append({"threads": threads, **measure(sides, name, index, given.pairs)})
        for side in sides.values():
            side.close()
    show(rows)
    result: dict[str, Any] = {"pairs": given.pairs, "goals": GOALS, "rows": rows}
    for threads in given.threads:
        ratios = [row["ratio"]["median"] for row in rows if row["threads"] == threads]
        result[f"mean_{threads}"] = mean(ratios)
        loads = mean([row["load"] for row in rows if row["threads"] == threads])
        print(f"{threads} threads: geometric mean {mean(ratios):.2f}, least {min(ratios):.2f}, "
              f"load {loads:.2f}")  # fmt: skip
    names = list(dict.fromkeys(name for name, _ in cases(given.models)))
    result |= of_new_processes(pythons, folder, names, path)
    common.finish("onnx_vs_ort", result, record=given.record)


if __name__ == "__main__":
    main()
