"""Single operations beside PyTorch: same threads, in turn, row by row.

Each library runs in a process of its own, in its mode for inference (backward passes apart); the
processes take turns, and the one that waits sleeps. A run is the best of three blocks of 30 ms; the
ratio is PyTorch's time over Tallow's, the median over the pairs of neighbouring runs. `share` is
what the row must at least move (or compute) per second over the bandwidth (or FMA peak) that was
measured before it: above 100% where the caches hold the operands.

    python bench/ops_vs_torch.py --peer-python …/bin/python [--threads 2 1] [--only softmax …]
"""

from __future__ import annotations

import math
import statistics
import sys
from pathlib import Path
from typing import Any

import _common as common
from _limits import limits
from _ops_rows import Benchmark, benchmarks

GOAL, FLOOR = 1.2, 0.8  # of PyTorch: the geometric mean, and the least of a row


def measure(
    row: Benchmark, sides: dict[str, common.Side], pairs: int, limit: dict[str, float] | None
) -> dict[str, Any]:
    """Seconds of both, their ratio, the share of the limit; or what is missing."""
    first = {name: side(row.name) for name, side in sides.items()}  # makes the arrays, warms up
    without = {
        name: answer.get("missing") or answer.get("failed")
        for name, answer in first.items()
        if "seconds" not in answer
    }
    if without:
        return {"name": row.name, "group": row.group, "without": without}
    runs = common.alternate(
        {name: lambda side=side: side(row.name)["seconds"] for name, side in sides.items()},
        pairs,
        row.name,
    )
    found: dict[str, Any] = {
        "name": row.name,
        "group": row.group,
        "microseconds": {
            name: common.quartiles([s * 1e6 for s in values]) for name, values in runs.items()
        },
        "ratio": common.ratio(runs["torch"], runs["tallow"]),
    }
    seconds = statistics.median(runs["tallow"])
    if limit and row.flops:
        found["share"] = row.flops / seconds / limit["flops_per_s"]
    elif limit and row.bytes:
        found["share"] = row.bytes / seconds / limit["read_bytes_per_s"]
    return found


def mean_ratio(found: list[dict[str, Any]]) -> float | None:
    """The geometric mean of the ratios; None without any."""
    logs = [math.log(row["ratio"]["median"]) for row in found if "ratio" in row]
    return math.exp(sum(logs) / len(logs)) if logs else None


def summary(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Geometric means, the rows below the floor, the rows that are missing."""
    groups = dict.fromkeys(row["group"] for row in found)
    forward = [row for row in found if row["group"] != "backward"]
    return {
        "geometric_mean": mean_ratio(forward),
        "geometric_mean_backward": mean_ratio([r for r in found if r["group"] == "backward"]),
        "groups": {name: mean_ratio([r for r in found if r["group"] == name]) for name in groups},
        "slow": {
            row["name"]: round(row["ratio"]["median"], 3)
            for row in found
            if "ratio" in row and row["ratio"]["median"] < FLOOR
        },
        "missing": {row["name"]: row["without"] for row in found if "without" in row},
    }


def report(threads: int, found: list[dict[str, Any]], total: dict[str, Any]) -> None:
    """Print the table of one number of threads and what it comes to."""
    made = common.table(
        f"{threads} threads, microseconds, median (quartiles); ratio: PyTorch's time over ours",
        *("", "Tallow", "PyTorch", "ratio", "share"),
    )
    for row in found:
        if "without" in row:
            made.add_row(
                row["name"], *(row["without"].get(n, "")[:40] for n in ("tallow", "torch"))
            )
            continue
        share = f"{row['share']:.0%}" if "share" in row else ""
        times = [common.shown(row["microseconds"][name], 1) for name in ("tallow", "torch")]
        made.add_row(row["name"], *times, common.shown(row["ratio"]), share)
    common.show(made)
    for label, value in (
        ("geometric mean", total["geometric_mean"]),
        ("backward", total["geometric_mean_backward"]),
        *total["groups"].items(),
    ):
        if value is not None:
            print(f"  {label}: {value:.2f}")
    print(f"  below {FLOOR}: {total['slow'] or 'none'}")
    print(f"  missing: {list(total['missing']) or 'none'}")


def main() -> None:
    parser = common.parser(__doc__, pairs=7)
    parser.add_argument("--threads", type=int, nargs="+", default=[2, 1])
    parser.add_argument("--only", nargs="+", help="rows whose name or group has one of these texts")
    parser.add_argument(
        "--cpu-time", action="store_true", help="processor time, for a busy machine; 1 thread"
    )
    parser.add_argument(
        "--torch-preload",
        metavar="LIBRARY",
        help="an allocator for PyTorch's process, libjemalloc.so.2: memory without page faults",
    )
    parser.add_argument("--list", action="store_true", help="print the names of the rows")
    args = parser.parse_args()
    if args.cpu_time and args.threads != [1]:
        parser.error("--cpu-time says something about --threads 1 only")
    chosen = [
        row
        for row in benchmarks()
        if not args.only or any(text in f"{row.group} {row.name}" for text in args.only)
    ]
    if args.list:
        print(*(f"{row.group:<10} {row.name}" for row in chosen), sep="\n")
        return
    result: dict[str, Any] = {"pairs": args.pairs, "cpu_time": args.cpu_time, "goal": GOAL}
    result |= {"floor": FLOOR, "torch_preload": args.torch_preload}
    pythons = interpreters(args.peer_python)
    result["threads"] = {n: compare(args, n, chosen, pythons) for n in args.threads}
    common.finish("ops_vs_torch", result, record=args.record)


def interpreters(peers: list[str]) -> dict[str, str]:
    """Of each side; SystemExit where none has PyTorch."""
    torch = common.interpreter(peers, "torch")
    if torch is None:
        raise SystemExit(
            "ops_vs_torch: expected an interpreter with torch (--peer-python), got none"
        )
    return {"tallow": common.interpreter([], "tallow") or sys.executable, "torch": torch}


def compare(
    args: Any, threads: int, chosen: list[Benchmark], pythons: dict[str, str]
) -> dict[str, Any]:
    """Measure all rows with so many threads, and print them."""
    # On a busy machine the limits would be wrong: wall time is all that a probe can take.
    limit = None if args.cpu_time else limits(common.work_folder(None), threads)
    script = str(Path(__file__).with_name("_ops_rows.py"))
    clock = ["cpu-time"] if args.cpu_time else []
    preload = {"torch": {"LD_PRELOAD": args.torch_preload}} if args.torch_preload else {}
    sides = {
        name: common.Side(
            name, [python, script, name, str(threads), *clock], **preload.get(name, {})
        )
        for name, python in pythons.items()
    }
    found = [measure(row, sides, args.pairs, limit) for row in chosen]
    for side in sides.values():
        side.close()
    total = summary(found)
    report(threads, found, total)
    return {"limits": limit, **total, "rows": found}


if __name__ == "__main__":
    main()
