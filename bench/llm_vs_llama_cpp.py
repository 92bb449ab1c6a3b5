"""Decode and prefill of one GGUF file by Tallow and by llama-bench, in alternating processes.

Both sides warm up, then read random tokens on an empty cache (one row of logits at the end) and
decode 128 tokens one by one from an empty cache. Both keep their cache in f16, as by default (older
records of Tallow: f32). Every ratio is of runs next to each other; above 1, Tallow is faster.

    python bench/llm_vs_llama_cpp.py --llama-bench …/bin/llama-bench [--forms q4_1 q4_0] [--pairs 7]

The packaged file is Q4_1. The others are made from it by llama-quantize (which stands beside
llama-bench) through float32, with the token embedding in q8_0 as in the packaged file (not f16;
Q4_K_M as llama-quantize mixes it). `--random` measures a Llama of 1.5 billion random weights.

The limit of decoding is read bandwidth over the bytes of the weights, from plain memory and from
the mapped file, that of prefill the float32 FMA peak over the multiplications; `int8` activations
multiply in 8 bits and may go beyond it.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _common as common
import _synthetic_llama
from _limits import limits

FORMS = ("q4_1", "q4_0", "q8_0", "q4_k_m", "f16")
MIXED = ("f16", "q4_k_m")  # made as llama-quantize does by default
TALLOW = "import sys; from tallow.cli import main; sys.exit(main(sys.argv[1:]))"


def main() -> None:
    parser = common.parser(__doc__, pairs=7)
    parser.add_argument("--llama-bench", default=os.environ.get("LLAMA_BENCH"), help="its path")
    parser.add_argument("--model", default=common.MODEL, help="the packaged file")
    parser.add_argument("--forms", nargs="+", choices=FORMS, help="all, or of random weights two")
    parser.add_argument("--random", action="store_true", help="1.5 billion random weights")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--prompt-tokens", nargs="+", type=int, default=[128, 512])
    parser.add_argument("--gen-tokens", type=int, default=128)
    parser.add_argument("--weights", default="mapped", choices=("mapped", "resident"))
    parser.add_argument("--activations", default="int8", choices=("int8", "float"))
    parser.add_argument("--work", help="keeps the made files")
    args = parser.parse_args()
    if not args.llama_bench or not Path(args.llama_bench).is_file():
        parser.error("give the path of llama-bench, by --llama-bench or LLAMA_BENCH")
    work = common.work_folder(args.work)
    packaged = common.model_path(args.model)
    rows = []
    for form in args.forms or (("q4_0", "q4_k_m") if args.random else FORMS):
        path = make(form, packaged, Path(args.llama_bench), work, random=args.random)
        rows += [measure(args, form, path, threads, work) for threads in args.threads]
    report(rows)
    settings = {name: getattr(args, name) for name in ("pairs", "activations", "model", "random")}
    settings["resident"] = args.weights == "resident"
    sizes = {"prompt_tokens": args.prompt_tokens, "gen_tokens": args.gen_tokens}
    result = {**settings, **sizes, "peer": built_for(), "rows": rows}
    common.finish("llm_vs_llama_cpp", result, record=args.record)


def make(form: str, packaged: Path, llama_bench: Path, work: Path, *, random: bool) -> Path:
    """The model in another format; both sides read this very file."""
    if form == "q4_1" and not random:
        return packaged
    stem = "random-1.5b" if random else packaged.stem
    path = work / f"{stem}.{form}.gguf"
    if path.exists():
        return path
    quantize = str(llama_bench.with_name("llama-quantize"))
    floats = work / (f"{stem}.f16.gguf" if random else f"{stem}.f32.gguf")
    if not floats.exists():
        if random:
            _synthetic_llama.write(packaged, floats)
        else:
            _quantize([quantize, "--allow-requantize"], packaged, floats, "F32")
    if path != floats:
        flags = [] if form in MIXED else ["--pure", "--token-embedding-type", "q8_0"]
        _quantize([quantize, *flags], floats, path, form.upper())
    return path


def built_for() -> str:
    """The instruction sets that llama.cpp was compiled for, where LLAMA_PYTHON has it."""
    python = os.environ.get("LLAMA_PYTHON")
    if not python:
        return "unknown"
    said = "import llama_cpp as l; print(l.llama_print_system_info().decode())"
    return common.call([python, "-c", said]).strip()


def _quantize(command: list[str], source: Path, target: Path, form: str) -> None:
    beside = target.with_name(target.name + ".part")
    common.call([*command, str(source), str(beside), form])
    lay_out(beside)
    beside.replace(target)


def lay_out(path: Path) -> None:
    """Write a file again in pieces of 4 MB, as downloads are.

    So it lies in the file cache in large pages, where the system has these, as it does when it is
    read from disk; for both sides.
    """
    other = path.with_name(path.name + ".pieces")
    with path.open("rb") as source, other.open("wb", buffering=0) as made:
        while piece := source.read(4 << 20):
            made.write(piece)
    other.replace(path)


Side = Callable[[], dict[str, float]]  # tokens per second by test: tg128, pp512, …


def measure(args: Any, form: str, path: Path, threads: int, work: Path) -> dict[str, Any]:
    """Rates of both sides in pairs, their ratio, and their share of the machine's limits."""
    top = limits(work, threads, mapped=path)
    runs = common.alternate(sides(args, path, threads), args.pairs, f"{form}, {threads} threads:")
    row: dict[str, Any] = {"form": form, "threads": threads, "dtypes": dtypes(path), "limits": top}
    best = rate_limits(path, top) if top else {}
    row["tests"] = {}
    for test in sorted(runs["tallow"][0], key=lambda name: (name[0] != "t", int(name[2:]))):
        rates = {side: [run[test] for run in found] for side, found in runs.items()}
        at: dict[str, Any] = {side: common.quartiles(values) for side, values in rates.items()}
        at["ratio"] = common.ratio(rates["tallow"], rates["llama.cpp"])
        if best:
            kind = test[:2]
            at["limit"] = best[kind]
            at["share"] = at["tallow"]["median"] / best[kind]
            if kind == "tg":
                at["mapped_share"] = at["tallow"]["median"] / best["tg mapped"]
        row["tests"][test] = at
    return row


def sides(args: Any, path: Path, threads: int) -> dict[str, Side]:
    """What runs each side once; decoding goes with the first prompt."""
    how = ["--activations", args.activations, "--weights", args.weights, "--runs", "1", "--json"]
    ours = [sys.executable, "-c", TALLOW, "bench", str(path), "--threads", str(threads), *how]
    theirs = [args.llama_bench, "-m", str(path), "-t", str(threads), "-r", "1", "-o", "json"]
    calls = [(p, args.gen_tokens * (i == 0)) for i, p in enumerate(args.prompt_tokens)]

    def tallow() -> dict[str, float]:
        found = {}
        for p, n in calls:
            counts = ["--prompt-tokens", str(p), "--gen-tokens", str(n)]
            rows = common.last_json(common.call([*ours, *counts]))["tests"]
            found |= {row["test"]: row["mean"] for row in rows}
        return found

    def llama() -> dict[str, float]:
        found = {}
        for p, n in calls:
            for row in json.loads(common.call([*theirs, "-p", str(p), "-n", str(n)])):
                test = f"pp{row['n_prompt']}" if row["n_prompt"] else f"tg{row['n_gen']}"
                found[test] = row["avg_ts"]
        return found

    return {"tallow": tallow, "llama.cpp": llama}


def dtypes(path: Path) -> dict[str, int]:
    """How many tensors of the file have which dtype."""
    from tallow.weights import open_weights

    source = open_weights(path)
    names = [source.info(name).dtype for name in source.names()]
    return {name: names.count(name) for name in sorted(set(names))}


def rate_limits(path: Path, top: dict[str, float]) -> dict[str, float]:
    """Tokens per second if decoding only read each weight once, and prefill only multiplied."""
    from tallow.weights import open_weights

    source = open_weights(path)
    infos = [source.info(name) for name in source.names()]
    table = source.info("token_embd.weight")
    read = sum(info.nbytes for info in infos)
    if "output.weight" in source:  # then the table is looked up, not multiplied with
        read -= table.nbytes
    matrices = [
        i for i in infos if len(i.shape) == 2 and i.name not in (table.name, "output.weight")
    ]
    flops = 2 * sum(math.prod(info.shape) for info in matrices)
    return {
        "tg": top["read_bytes_per_s"] / read,
        "tg mapped": top["mapped_bytes_per_s"] / read,
        "pp": top["flops_per_s"] / flops,
    }


def report(rows: list[dict[str, Any]]) -> None:
    made = common.table(
        "tokens per second, median (quartiles); ratio above 1: Tallow is faster",
        *("file", "threads", "test", "tallow", "llama.cpp", "ratio", "share", "of mapped"),
    )
    for row in rows:
        for test, cell in row["tests"].items():
            shares = [f"{cell[n]:.0%}" if n in cell else "" for n in ("share", "mapped_share")]
            sides = [common.shown(cell[side], 1) for side in ("tallow", "llama.cpp")]
            ratio = common.shown(cell["ratio"])
            made.add_row(row["form"], str(row["threads"]), test, *sides, ratio, *shares)
    common.show(made)


if __name__ == "__main__":
    main()
