"""Decode and prefill of one GGUF file by Tallow and by llama-bench, in alternating processes.

Both sides warm up, then read 512 random tokens on an empty cache (one row of logits at the end) and
decode 128 tokens one by one from an empty cache. llama-bench keeps its cache in f16, Tallow in f32,
each as by default. Every ratio is of runs next to each other; above 1, Tallow is faster.

    python bench/llm_vs_llama_cpp.py --llama-bench …/bin/llama-bench [--forms q4_1 q4_0] [--pairs 7]

The packaged file is Q4_1. The others are made from it by llama-quantize (which stands beside
llama-bench) through float32, with the token embedding in q8_0 as in the packaged file (not f16).

The limit of decoding is read bandwidth over the bytes of the weights, that of prefill the float32
FMA peak over the multiplications; `int8` activations multiply in 8 bits and may go beyond it.
"""

from __future__ import annotations

import json
import math
import os
import sys
from pathlib import Path
from typing import Any

import _common as common
from _limits import limits

FORMS = ("q4_1", "q4_0", "q8_0", "f16")
TALLOW = "import sys; from tallow.cli import main; sys.exit(main(sys.argv[1:]))"


def main() -> None:
    parser = common.parser(__doc__, pairs=7)
    parser.add_argument("--llama-bench", default=os.environ.get("LLAMA_BENCH"), help="its path")
    parser.add_argument("--model", default=common.MODEL, help="the packaged file")
    parser.add_argument("--forms", nargs="+", default=list(FORMS), choices=FORMS)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--prompt-tokens", type=int, default=512)
    parser.add_argument("--gen-tokens", type=int, default=128)
    parser.add_argument("--activations", default="int8", choices=("int8", "float"))
    parser.add_argument("--work", help="keeps the made files")
    args = parser.parse_args()
    if not args.llama_bench or not Path(args.llama_bench).is_file():
        parser.error("give the path of llama-bench, by --llama-bench or LLAMA_BENCH")
    work = common.work_folder(args.work)
    packaged = common.model_path(args.model)
    rows = []
    for form in args.forms:
        path = make(form, packaged, Path(args.llama_bench), work)
        rows += [measure(args, form, path, threads, work) for threads in args.threads]
    report(rows)
    settings = {name: getattr(args, name) for name in ("pairs", "activations", "model")}
    sizes = {"prompt_tokens": args.prompt_tokens, "gen_tokens": args.gen_tokens}
    common.finish("llm_vs_llama_cpp", {**settings, **sizes, "rows": rows}, record=args.record)


def make(form: str, packaged: Path, llama_bench: Path, work: Path) -> Path:
    """The model in another format; both sides read this very file."""
    if form == "q4_1":
        return packaged
    path = work / f"{packaged.stem}.{form}.gguf"
    if path.exists():
        return path
    quantize = str(llama_bench.with_name("llama-quantize"))
    floats = work / f"{packaged.stem}.f32.gguf"
    if not floats.exists():
        _quantize([quantize, "--allow-requantize"], packaged, floats, "F32")
    flags = [] if form == "f16" else ["--pure", "--token-embedding-type", "q8_0"]
    _quantize([quantize, *flags], floats, path, form.upper())
    return path


def _quantize(command: list[str], source: Path, target: Path, form: str) -> None:
    beside = target.with_name(target.name + ".part")
    common.call([*command, str(source), str(beside), form])
    beside.replace(target)


def measure(args: Any, form: str, path: Path, threads: int, work: Path) -> dict[str, Any]:
    """Rates of both sides in pairs, their ratio, and their share of the machine's limits."""
    pp, tg = str(args.prompt_tokens), str(args.gen_tokens)
    counts = ["--prompt-tokens", pp, "--gen-tokens", tg, "--runs", "1", "--json"]
    how = ["--threads", str(threads), "--activations", args.activations]
    ours = [sys.executable, "-c", TALLOW, "bench", str(path), *counts, *how]
    theirs = [args.llama_bench, "-m", str(path), "-p", pp, "-n", tg, "-r", "1", "-o", "json"]

    def tallow() -> dict[str, float]:
        found = common.last_json(common.call(ours))
        return {row["test"][:2]: row["mean"] for row in found["tests"]}

    def llama() -> dict[str, float]:
        found = json.loads(common.call([*theirs, "-t", str(threads)]))
        return {"pp" if row["n_prompt"] else "tg": row["avg_ts"] for row in found}

    sides = {"tallow": tallow, "llama.cpp": llama}
    top = limits(work, threads)
    runs = common.alternate(sides, args.pairs, f"{form}, {threads} threads:")
    row: dict[str, Any] = {"form": form, "threads": threads, "dtypes": dtypes(path), "limits": top}
    best = rate_limits(path, top) if top else {}
    for test in ("tg", "pp"):
        rates = {side: [run[test] for run in found] for side, found in runs.items()}
        row[test] = {side: common.quartiles(values) for side, values in rates.items()}
        row[test]["ratio"] = common.ratio(rates["tallow"], rates["llama.cpp"])
        if best:
            row[test]["limit"] = best[test]
            row[test]["share"] = row[test]["tallow"]["median"] / best[test]
    return row


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
    return {"tg": top["read_bytes_per_s"] / read, "pp": top["flops_per_s"] / flops}


def report(rows: list[dict[str, Any]]) -> None:
    made = common.table(
        "tokens per second, median (quartiles); ratio above 1: Tallow is faster",
        *("file", "threads", "test", "tallow", "llama.cpp", "ratio", "limit", "share"),
    )
    for row in rows:
        for test, name in (("tg", "decode"), ("pp", "prefill")):
            cell = row[test]
            limit = (
                [f"{cell['limit']:.0f}", f"{cell['share']:.0%}"] if "limit" in cell else ["", ""]
            )
            sides = [common.shown(cell[side], 1) for side in ("tallow", "llama.cpp")]
            ratio = common.shown(cell["ratio"])
            made.add_row(row["form"], str(row["threads"]), name, *sides, ratio, *limit)
    common.show(made)


if __name__ == "__main__":
    main()
