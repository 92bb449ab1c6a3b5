"""Forward passes of model families beside PyTorch with transformers: same checkpoints and threads.

Each library runs in a process of its own; the processes take turns. A run is the best pass within
100 ms; the ratio is PyTorch's time over Tallow's, the median over the pairs of neighbouring runs.

    python bench/families.py [--peer-python …/bin/python] [--threads 2] [--only bert vit …]
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import _common as common
from _families_rows import ROWS

GOAL, FLOOR = 1.3, 0.9
SCRIPT = str(Path(__file__).with_name("_families_rows.py"))


def measure(name: str, sides: dict[str, common.Side], pairs: int) -> dict[str, Any]:
    """Milliseconds of both and their ratio; or what is missing."""
    first = {library: side(name) for library, side in sides.items()}
    failed = {library: each["failed"] for library, each in first.items() if "failed" in each}
    if failed:
        return {"name": name, "failed": failed}
    sums = [each["sum"] for each in first.values()]
    if abs(sums[0] - sums[1]) > 1e-3 * abs(sums[1]):
        return {"name": name, "failed": {"outputs": f"sums of {sums[0]:g} and {sums[1]:g}"}}
    runs = common.alternate(
        {library: lambda side=side: side(name)["seconds"] for library, side in sides.items()},
        pairs,
        name,
    )
    return {
        "name": name,
        "tallow_ms": 1e3 * statistics.median(runs["tallow"]),
        "torch_ms": 1e3 * statistics.median(runs["torch"]),
        "ratio": common.ratio(runs["torch"], runs["tallow"]),
    }


def main() -> None:
    """Measure every family, print a table and the geometric mean."""
    options = common.parser(__doc__, pairs=7)
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--only", nargs="+", help="families")
    options.add_argument("--work", help="where the checkpoints are kept")
    given = options.parse_args()
    torch = common.interpreter(given.peer_python, "torch", "transformers")
    if torch is None:
        raise SystemExit("families: expected an interpreter with torch and transformers")
    folder = common.work_folder(given.work) / "families"
    subprocess.run([torch, SCRIPT, "make", str(folder), "0"], check=True, env=common.environment())
    sides = {
        name: common.Side(name, [python, SCRIPT, name, str(folder), str(given.threads)])
        for name, python in (("tallow", sys.executable), ("torch", torch))
    }
    rows = [measure(name, sides, given.pairs) for name in given.only or ROWS]
    for side in sides.values():
        side.close()
    made = common.table(
        f"PyTorch's time over Tallow's, {given.threads} threads (median and quartiles)",
        "family", "Tallow ms", "PyTorch ms", "ratio",
    )  # fmt: skip
    for row in rows:
        if "failed" in row:
            made.add_row(
                row["name"], "", "", "; ".join(f"{k}: {v}" for k, v in row["failed"].items())
            )
        else:
            made.add_row(
                row["name"],
                f"{row['tallow_ms']:.2f}",
                f"{row['torch_ms']:.2f}",
                common.shown(row["ratio"]),
            )
    common.show(made)
    ratios = [row["ratio"]["median"] for row in rows if "ratio" in row]
    mean = statistics.geometric_mean(ratios) if ratios else 0.0
    low = [row["name"] for row in rows if "ratio" in row and row["ratio"]["median"] < FLOOR]
    print(
        f"geometric mean {mean:.2f} of {len(ratios)} (goal {GOAL}); under {FLOOR}: {low or 'none'}"
    )
    result = {
        "pairs": given.pairs,
        "threads": given.threads,
        "rows": rows,
        "geometric_mean": mean,
        "below": low,
    }
    common.finish("families", result, record=given.record)


if __name__ == "__main__":
    main()
