"""Loading: a file of 1 GB in each format beside the package it comes from, and opening a model.

Every run is a process of its own; Tallow and its peers load the same file in turn, which is read
once before each round, so that it lies in the page cache for all. Time runs until every tensor is
there, and until the first element of each was read; memory is the growth of the process by then
(bench/_load_sides.py). For a model: how long opening takes without the tokenizer, and how much of
the model's file is then in memory.

    python bench/load.py [--size 1000] [--pairs 7] [--parts files llama model] [--keep] [--record]
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import _common as common

MODEL_SCRIPT = """
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
HERE = Path(__file__).parent
OURS = "tallow"
# Format → the peers' sides and the modules that they and the maker of the file need.
FILES = {
    "safetensors": (["safe_open, torch", "load_file, torch", "load_file, numpy"], ["torch"]),
    "pt": (["torch.load", "torch.load, mmap=True", "torch.load, weights_only=False"], ["torch"]),
    "npz": (["numpy.load"], []),
    "aligned.npz": (["numpy.load"], []),
    "gguf": (["GGUFReader"], ["gguf"]),
}
PARTS = ("files", "llama", "model")
LLAMA = ["llama.cpp, mmap", "llama.cpp, no mmap"]
GOAL_SPEED, GOAL_MEMORY = 20, 0.01  # × torch.load; growth as a share of the file


def main() -> None:
    parser = common.parser(__doc__, pairs=7)
    parser.add_argument("--model", default=common.MODEL)
    parser.add_argument("--size", type=int, default=1000, help="MB of each made file")
    parser.add_argument(
        "--parts",
        nargs="+",
        choices=PARTS,
        default=PARTS,
    )
    parser.add_argument("--work", help="folder for the made files")
    parser.add_argument("--keep", action="store_true", help="leave the made files there")
    args = parser.parse_args()
    if args.record and len({*args.parts}) < len(PARTS):
        parser.error("only a run of all parts is recorded: the reports expect them")
    result: dict[str, Any] = {"pairs": args.pairs, "size_mb": args.size}
    if "files" in args.parts:
        result["formats"] = {name: compare(name, args) for name in FILES}
    if "llama" in args.parts:
        result["formats"] = {**result.get("formats", {}), "llama.gguf": compare_llama(args)}
    if "files" in args.parts:
        result["goals"] = goals(result["formats"])
    if "model" in args.parts:
        result |= open_model(args)
    common.finish("load", result, record=args.record)


def compare(name: str, args: argparse.Namespace) -> dict[str, Any] | None:
    """One format: the file made, the sides alternating, the table shown."""
    peers, modules = FILES[name]
    python = common.interpreter(args.peer_python, *modules, "numpy", "safetensors")
    if python is None:
        return None
    commands = {side: (sys.executable if side == OURS else python) for side in [OURS, *peers]}
    return measure(name, commands, python, args)


def compare_llama(args: argparse.Namespace) -> dict[str, Any] | None:
    """A whole model: what opening it costs here and in llama.cpp."""
    maker = common.interpreter(args.peer_python, "gguf")
    peer = common.interpreter(args.peer_python, "llama_cpp")
    if maker is None:
        return None
    commands = {OURS: sys.executable, "tallow model": sys.executable}
    commands |= dict.fromkeys(LLAMA if peer else [], peer or "")
    return measure("llama.gguf", commands, maker, args)


def measure(
    name: str, commands: dict[str, str], maker: str, args: argparse.Namespace
) -> dict[str, Any]:
    work = common.work_folder(args.work)
    path = work / f"load-{args.size}.{name}"
    common.progress(f"making {path.name}")
    common.call([maker, str(HERE / "_load_files.py"), str(work), str(args.size), name])
    try:
        sides = {
            side: lambda side=side, python=python: common.last_json(
                common.call([python, str(HERE / "_load_sides.py"), side, str(path)])
            )
            for side, python in commands.items()
        }
        warm = {"": lambda: read_through(path)}
        runs = common.alternate(warm | sides, args.pairs, name)
        size = path.stat().st_size
    finally:
        if not args.keep:
            path.unlink(missing_ok=True)
    del runs[""]
    rows = {
        side: {key: common.quartiles([run[key] for run in found]) for key in found[0]}
        for side, found in runs.items()
    }
    for side, found in runs.items():
        ours = [run["load_ms"] for run in runs[OURS]]
        rows[side]["times_ours"] = common.ratio([run["load_ms"] for run in found], ours)
    show(name, size, rows)
    return {"file_bytes": size, "rows": rows}


def read_through(path: Path) -> None:
    """Read the file once, so that no side pays the disk for another."""
    space = bytearray(1 << 20)
    with open(path, "rb", buffering=0) as file:
        while file.readinto(space):
            pass


def show(name: str, size: int, rows: dict[str, Any]) -> None:
    growth_is = "growth of the process in MB: private + mapped"
    made = common.table(
        f"{name}, {size / 1e6:.0f} MB; median (quartiles); {growth_is}",
        "",
        "tensors there, ms",
        "× tallow",
        "first elements, ms",
        "growth",
        "growth, first elements",
    )
    for side, row in rows.items():
        grown = {key: f"{values['median'] / 1e6:.1f}" for key, values in row.items()}
        growth = [f"{grown[f'{s}_anonymous']} + {grown[f'{s}_file']}" for s in ("load", "first")]
        made.add_row(
            side,
            common.shown(row["load_ms"], 1),
            common.shown(row["times_ours"], 1),
            common.shown(row["first_ms"], 1),
            *growth,
        )
    common.show(made)


def goals(formats: dict[str, Any]) -> dict[str, Any]:
    """How often faster than torch.load, and the largest growth as a share of the file."""
    found: dict[str, Any] = {}
    if formats.get("pt"):
        faster = formats["pt"]["rows"]["torch.load"]["times_ours"]["median"]
        found["times_torch_load"] = faster
        print(f"{faster:.0f} × faster than torch.load (goal: {GOAL_SPEED})")
    shares = {
        name: sum(part["rows"][OURS][f"load_{kind}"]["median"] for kind in ("anonymous", "file"))
        / part["file_bytes"]
        for name, part in formats.items()
        if part
    }
    found["growth_share"] = shares
    listed = ", ".join(f"{name} {100 * share:.2f}%" for name, share in shares.items())
    print(f"growth of the process by the file's size: {listed} (goal: {100 * GOAL_MEMORY:.0f}%)")
    if "npz" in shares:
        print("numpy's npz puts most arrays at odd places in the file: these are copied")
    return found


def open_model(args: argparse.Namespace) -> dict[str, Any]:
    """The model's file as it comes: time to open it and what of it is then in memory."""
    path = common.model_path(args.model)
    command = [sys.executable, "-c", MODEL_SCRIPT, str(path)]
    sides = {OURS: lambda: common.last_json(common.call(command))}
    runs = common.alternate(sides, args.pairs, "model")[OURS]
    rows = {key: common.quartiles([run[key] for run in runs]) for key in runs[0]}
    size = os.path.getsize(path)
    made = common.table(f"opening {path.name}, {size / 1e6:.1f} MB; median (quartiles)", "", "")
    made.add_row("load, without the tokenizer", f"{common.shown(rows['milliseconds'], 1)} ms")
    made.add_row("tokenizer", f"{common.shown(rows['tokenizer_ms'], 1)} ms")
    for key, name in (("file", "of the file in memory"), ("total", "growth of the process")):
        made.add_row(name, f"{rows[key]['median'] / 1e6:.1f} MB")
    common.show(made)
    return {"model": args.model, "file_bytes": size, "rows": rows}


if __name__ == "__main__":
    main()
