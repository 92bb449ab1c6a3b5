"""Opening a model: how long without the tokenizer, and how much of the file it reads into memory.

Each run is a process of its own. `file` is the resident part of the map of the model's file, from
/proc/self/smaps: what was read of it; `total` is the growth of the whole process.

    python bench/load.py [--model smollm2-135m] [--pairs 7]
"""

from __future__ import annotations

import os
import sys

import _common as common

SCRIPT = """
import json, sys, time
import tallow as tl
from tallow.models import load

def resident(name=None):
    total, counted = 0, name is None
    with open("/proc/self/smaps") as file:
        for line in file:
            words = line.split()
            if "-" in words[0] and ":" not in words[0]:
                counted = name is None or line.rstrip().endswith(name)
            elif words[0] == "Rss:" and counted:
                total += int(words[1]) * 1024
    return total

path = sys.argv[1]
before = resident()
begin = time.perf_counter()
model = load(path)
seconds = time.perf_counter() - begin
out = {"milliseconds": 1e3 * seconds, "file": resident(path), "total": resident() - before}
begin = time.perf_counter()
model.tokenizer
out["tokenizer_ms"] = 1e3 * (time.perf_counter() - begin)
print(json.dumps(out))
"""


def main() -> None:
    parser = common.parser(__doc__, pairs=7)
    parser.add_argument("--model", default=common.MODEL)
    args = parser.parse_args()
    path = common.model_path(args.model)
    command = [sys.executable, "-c", SCRIPT, str(path)]
    sides = {"tallow": lambda: common.last_json(common.call(command))}
    runs = common.alternate(sides, args.pairs, "load")["tallow"]
    rows = {key: common.spread([run[key] for run in runs]) for key in runs[0]}
    size = os.path.getsize(path)
    made = common.table(f"opening {path.name}, {size / 1e6:.1f} MB; median (quartiles)", "", "")
    made.add_row("load, without the tokenizer", f"{common.shown(rows['milliseconds'], 1)} ms")
    made.add_row("tokenizer", f"{common.shown(rows['tokenizer_ms'], 1)} ms")
    for key, name in (("file", "of the file in memory"), ("total", "growth of the process")):
        made.add_row(name, f"{rows[key]['median'] / 1e6:.1f} MB")
    common.show(made)
    result = {"pairs": args.pairs, "model": args.model, "file_bytes": size, "rows": rows}
    common.finish("load", result, record=args.record)


if __name__ == "__main__":
    main()
