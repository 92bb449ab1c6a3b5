"""Memory of several processes that have the same weights open: shared pages, or a copy for each.

Each side starts `--processes` processes; when all have imported what they need, each loads the same
file, reads every byte of every tensor and waits. The kernel is asked before and after what memory
they hold, and the growth is added up: resident memory (RSS counts a shared page in each process),
the proportional share (PSS counts it once: what the machine has to find), and the pages that are
shared and that are one process's own.

    python bench/page_sharing.py [--size 256] [--processes 2] [--pairs 5] [--work FOLDER]
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import _common as common

HERE = Path(__file__).parent
WORKER = """
import sys
import numpy
sys.path.insert(0, sys.argv[3])
from _load_sides import SIDES
load = SIDES[sys.argv[1]]()
print("ready", flush=True)
sys.stdin.readline()
kept, read_firsts = load(sys.argv[2])
total = 0
for array in kept.values():
    array = array if hasattr(array, "__array_interface__") else array.numpy()
    total += int(array.reshape(-1).view("u1").sum())
print(total, flush=True)
sys.stdin.read()
"""
# Tallow first: the others are compared with it.
SIDES = {
    "tallow": "safetensors",
    "load_file, torch": "safetensors",
    "load_file, numpy": "safetensors",
    "torch.load": "pt",
    "torch.load, mmap=True": "pt",
}
KINDS = {  # of the kernel's smaps_rollup
    "rss": ["Rss"],
    "pss": ["Pss"],
    "shared": ["Shared_Clean", "Shared_Dirty"],
    "private": ["Private_Clean", "Private_Dirty"],
}


def main() -> None:
    parser = common.parser(__doc__, pairs=5)
    parser.add_argument("--size", type=int, default=256, help="MB of the file")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--work", help="folder for the made files")
    args = parser.parse_args()
    python = common.interpreter(args.peer_python, "torch", "safetensors")
    chosen = {side: kind for side, kind in SIDES.items() if side == "tallow" or python}
    work = common.work_folder(args.work)
    maker = python or sys.executable
    kinds = sorted({*chosen.values()})
    common.call([maker, str(HERE / "_load_files.py"), str(work), str(args.size), *kinds])
    paths = {kind: work / f"load-{args.size}.{kind}" for kind in kinds}
    os.sync()  # pages that wait for the disk count as changed
    try:
        sides = {
            side: lambda side=side, kind=kind: together(
                sys.executable if side == "tallow" else maker, side, paths[kind], args.processes
            )
            for side, kind in chosen.items()
        }
        runs = common.alternate(sides, args.pairs, "page_sharing")
        size = paths["safetensors"].stat().st_size
    finally:
        for path in paths.values():
            path.unlink(missing_ok=True)
    rows = {
        side: {key: common.quartiles([run[key] for run in found]) for key in found[0]}
        for side, found in runs.items()
    }
    made = common.table(
        f"{args.processes} processes, each with the same {size / 1e6:.0f} MB read; MB, medians",
        "growth, all processes together",
        "RSS",
        "PSS",
        "shared",
        "private",
    )
    for side, row in rows.items():
        made.add_row(side, *(f"{row[kind]['median'] / 1e6:.1f}" for kind in KINDS))
    common.show(made)
    result = {
        "pairs": args.pairs,
        "processes": args.processes,
        "size_mb": args.size,
        "file_bytes": size,
        "rows": rows,
    }
    common.finish("page_sharing", result, record=args.record)


def together(python: str, side: str, path: Path, count: int) -> dict[str, int]:
    """Start the processes, wait until all have read all, and add up by how much they grew."""
    command = [python, "-c", WORKER, side, str(path), str(HERE)]
    pipe = subprocess.PIPE
    workers = [
        subprocess.Popen(command, stdin=pipe, stdout=pipe, env=common.environment())
        for _ in range(count)
    ]
    try:
        expect_same(side, [worker.stdout for worker in workers])
        before = memory(workers)
        for worker in workers:
            worker.stdin.write(b"go\n")
            worker.stdin.flush()
        expect_same(side, [worker.stdout for worker in workers])
        after = memory(workers)
    finally:
        for worker in workers:
            worker.communicate()
    return {kind: after[kind] - before[kind] for kind in KINDS}


def expect_same(side: str, outputs: list[Any]) -> None:
    """Wait for a line of each process; they must say the same: they read the same bytes."""
    lines = {output.readline() for output in outputs}
    if len(lines) != 1 or not lines.pop().strip():
        raise SystemExit(f"{side}: the processes read different bytes, or one failed")


def memory(workers: list[Any]) -> dict[str, int]:
    """The processes' memory added up, in bytes."""
    total = dict.fromkeys(KINDS, 0)
    for worker in workers:
        text = Path(f"/proc/{worker.pid}/smaps_rollup").read_text(encoding="ascii")
        rows = {words[0].rstrip(":"): words[1] for words in map(str.split, text.splitlines())}
        for kind, names in KINDS.items():
            total[kind] += sum(int(rows[name]) * 1024 for name in names)
    return total


if __name__ == "__main__":
    main()
