"""Another version of Tallow beside this one: small calls, ops, import, training, a language model.

Both versions run the rows of this tree, each in processes of its own interpreter, in turn; with
`--peer-python` PyTorch runs the ops too, with `--llama-bench` llama.cpp the model. A ratio is the
time of the other version over that of this one: above 1, this one is faster.

    python bench/versions.py --before …/other/bin/python [--parts import calls ops train llm]
"""

from __future__ import annotations

import functools
import json
import math
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import _common as common
from _calls_rows import calls
from _ops_rows import benchmarks

PARTS = ("import", "calls", "ops", "train", "llm")
SLOWER = 0.95  # rows below are told by name
TALLOW = "import sys; from tallow.cli import main; sys.exit(main(sys.argv[1:]))"
Runs = dict[str, list[float]]


def ratios(runs: Runs) -> dict[str, Any]:
    """Medians, and the ratios of the other version and of the peer to this one."""
    found: dict[str, Any] = {"median": {n: statistics.median(v) for n, v in runs.items()}}
    for name in runs:
        if name != "after":
            found[name] = common.ratio(runs[name], runs["after"])
    return found


def microseconds(side: common.Side, name: str) -> float:
    return float(side(name)["seconds"]) * 1e6


def measure_rows(
    chosen: list[Any], pythons: dict[str, str], threads: int, pairs: int
) -> dict[str, dict[str, Any]]:
    """Every row by every side, in microseconds."""
    script = str(Path(__file__).with_name("_ops_rows.py"))
    sides = {
        name: common.Side(
            name, [python, script, "torch" if name == "peer" else "tallow", str(threads)]
        )
        for name, python in pythons.items()
    }
    found = {}
    for row in chosen:
        first = {name: side(row.name) for name, side in sides.items()}
        if without := {n: a for n, a in first.items() if "seconds" not in a}:
            found[row.name] = {"without": {n: next(iter(a.values())) for n, a in without.items()}}
            continue
        runs = common.alternate(
            {n: functools.partial(microseconds, s, row.name) for n, s in sides.items()},
            pairs,
            row.name,
        )
        found[row.name] = {"group": row.group, **ratios(runs)}
    for side in sides.values():
        side.close()
    return found


def import_time(python: str) -> float:
    """Milliseconds of `import tallow` in a new process, the best of five."""
    code = "import time as t; b = t.perf_counter(); import tallow; print(t.perf_counter() - b)"
    return 1e3 * min(float(common.call([python, "-c", code])) for _ in range(5))


def train(python: str, job: str, library: str) -> float:
    """Milliseconds of a step of an example."""
    script = str(Path(__file__).with_name("train_vs_torch.py"))
    done = common.call([python, script, "--run", job, library, "60"])
    return float(common.last_json(done)["step"]) * 1e3


@functools.cache
def model() -> str:
    return str(common.model_path(common.MODEL))


def rate(command: list[str], name: str) -> dict[str, float]:
    """Milliseconds a token: decoding, and reading the prompt."""
    if name == "peer":
        options = ["-p", "512", "-n", "128", "-r", "1", "-o", "json", "-t", "2"]
        found = json.loads(common.call([*command, "-m", model(), *options]))
        return {"prefill" if r["n_prompt"] else "decode": 1e3 / r["avg_ts"] for r in found}
    counts = ["--prompt-tokens", "512", "--gen-tokens", "128", "--runs", "1", "--threads", "2"]
    made = common.last_json(
        common.call([*command, "-c", TALLOW, "bench", model(), *counts, "--json"])
    )
    kinds = {"pp": "prefill", "tg": "decode"}
    return {kinds[row["test"][:2]]: 1e3 / row["mean"] for row in made["tests"]}


def measure(part: str, args: Any, pythons: dict[str, str]) -> dict[str, dict[str, Any]]:
    """The rows of one part."""
    two = {name: pythons[name] for name in ("before", "after")}
    if part in ("calls", "ops"):
        chosen = list(calls()) if part == "calls" else benchmarks()
        return measure_rows(chosen, pythons, 1 if part == "calls" else 2, args.pairs)
    if part == "import":
        return {"import": ratios(common.alternate(
            {n: functools.partial(import_time, p) for n, p in two.items()}, args.pairs, part
        ))}  # fmt: skip
    if part == "train":
        return {job: ratios(common.alternate(
            {n: functools.partial(train, p, job, "torch" if n == "peer" else "tallow")
             for n, p in pythons.items()}, args.pairs, job,
        )) for job in ("fashion_mnist", "char_gpt")}  # fmt: skip
    commands = {name: [python] for name, python in two.items()}
    if args.llama_bench:
        commands["peer"] = [args.llama_bench]
    runs = common.alternate(
        {n: functools.partial(rate, c, n) for n, c in commands.items()}, args.pairs, part
    )
    return {
        test: ratios({name: [run[test] for run in found] for name, found in runs.items()})
        for test in ("decode", "prefill")
    }


def geometric_mean(found: dict[str, dict[str, Any]], name: str) -> float | None:
    logs = [math.log(row[name]["median"]) for row in found.values() if name in row]
    return math.exp(statistics.fmean(logs)) if logs else None


def report(part: str, found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Print a table of a part; its geometric means and what got slower."""
    made = common.table(part, "", "before", "after", "peer", "before / after", "peer / after")
    for name, row in found.items():
        cells = row.get("without") or {n: f"{t:.4g}" for n, t in row["median"].items()}
        shares = [common.shown(row[n]) if n in row else "" for n in ("before", "peer")]
        made.add_row(name, *(cells.get(n, "")[:30] for n in ("before", "after", "peer")), *shares)
    common.show(made)
    total = {
        "geometric_mean": {name: geometric_mean(found, name) for name in ("before", "peer")},
        "slower": {
            name: round(row["before"]["median"], 3)
            for name, row in found.items()
            if "before" in row and row["before"]["median"] < SLOWER
        },
    }
    print(f"  {part}: {total}")
    return total


def main() -> None:
    parser = common.parser(__doc__, pairs=7)
    parser.add_argument("--before", required=True, help="the other version's interpreter")
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS)
    parser.add_argument("--llama-bench", help="its path")
    args = parser.parse_args()
    pythons = {"before": args.before, "after": sys.executable}
    peer = common.interpreter(args.peer_python, "torch")
    if peer:
        pythons["peer"] = peer
    result: dict[str, Any] = {"pairs": args.pairs, "parts": {}}
    begin = time.monotonic()
    for part in args.parts:
        found = measure(part, args, pythons)
        result["parts"][part] = {**report(part, found), "rows": found}
    print(f"  {(time.monotonic() - begin) / 60:.0f} min")
    common.finish("versions", result, record=args.record)


if __name__ == "__main__":
    main()
