"""Decode and prefill of one matrix in every weight format, by Tallow and by llama.cpp's ggml.

Both sides multiply the very same bytes, random blocks of 4096 × 4096, with 1 row of activations
(decode) and 512 (prefill). Each side is a process of its own that times itself on demand, so that
threads that spin never meet; the sides alternate, and a ratio is of runs next to each other. Decode
walks over so many copies of the matrix that a GB passes before one is read again: nothing of it is
in any cache. Results of both sides are compared before anything is measured.

The peer is ggml's CPU backend for one instruction set (`--variant haswell` is AVX2, FMA and F16C,
what Tallow's kernels are compiled for), its weights in the buffer type that it prefers: CPU_REPACK,
which rearranges the bytes on loading, where it takes the format, else plain memory.

    python bench/qmatmul.py --llama-lib …/build/bin [--types q4_0 q6_k] [--threads 1 2] [--pairs 7]

The limit of decode is read bandwidth over the matrix's bytes, that of prefill the float32 FMA peak
of the same instruction set: multiplying in 8 bits may go beyond it. Ratios above 1: Tallow is
faster.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import _common as common
from _limits import limits

WORKER = Path(__file__).with_name("_qmatmul_sides.py")
PLAIN = ("f32", "f16", "bf16")
# Not in the list: formats that ggml has no product for (q8_1, q8_k) and our own f8e4m3_128.
TYPES = (
    *("q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q2_k", "q3_k", "q4_k", "q5_k", "q6_k"),
    *("iq4_nl", "iq4_xs", "mxfp4", "nvfp4", "tq1_0", "tq2_0", "q1_0", "q2_0"),
    *("iq1_s", "iq1_m", "iq2_xxs", "iq2_xs", "iq2_s", "iq3_xxs", "iq3_s"),
    *PLAIN,
)
SIZE = 4096
TESTS = {"decode": 1, "prefill": 512}


class Side:
    """A process that multiplies: `run(m)` gives the seconds of one product."""

    def __init__(self, name: str, settings: dict[str, Any]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(WORKER), name, json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=common.environment(),
        )
        self.about: dict[str, Any] = self._answer()

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"a side ended early: {self.process.args}")
        return json.loads(line)

    def ask(self, what: str, m: int) -> Any:
        """The answer to "time" or "result" for that many rows."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{what} {m}\n")
        self.process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """End the process."""
        self.process.communicate()


def main() -> None:
    parser = common.parser(__doc__, pairs=7)
    parser.add_argument("--llama-lib", default=os.environ.get("LLAMA_LIB"), help="its folder")
    parser.add_argument("--variant", default="haswell", help="of libggml-cpu-….so")
    parser.add_argument("--isa", help="TALLOW_ISA for our side (default: what the machine has)")
    parser.add_argument("--types", nargs="+", default=list(TYPES), choices=TYPES)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--tests", nargs="+", default=list(TESTS), choices=list(TESTS))
    parser.add_argument(
        "--cpu-time", action="store_true", help="processor time, for a busy machine; 1 thread"
    )
    parser.add_argument("--walk", type=int, default=1 << 30, help="bytes between two reads of one")
    args = parser.parse_args()
    if not args.llama_lib or not (Path(args.llama_lib) / library(args.variant)).is_file():
        parser.error("give the folder of libggml-cpu-….so, by --llama-lib or LLAMA_LIB")
    if args.cpu_time and args.threads != [1]:
        parser.error("--cpu-time says something about --threads 1 only")
    march = args.variant if args.variant != "x64" else "x86-64"
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for threads in args.threads:
            # On a busy machine the limits would be wrong: wall time is all that a probe can take.
            top = None if args.cpu_time else limits(Path(folder), threads, march)
            rows += [measure(args, form, threads) | {"limits": top} for form in args.types]
    report(rows)
    common.finish(
        "qmatmul",
        {
            "pairs": args.pairs,
            "variant": args.variant,
            "cpu_time": args.cpu_time,
            "size": SIZE,
            "rows": rows,
        },
        record=args.record,
    )


def library(variant: str) -> str:
    """The file of ggml's CPU backend for one instruction set."""
    return f"libggml-cpu-{variant}.so"


def measure(args: Any, form: str, threads: int) -> dict[str, Any]:
    """Seconds of both sides in pairs, and their ratio."""
    settings = {
        "form": form,
        "threads": threads,
        "size": SIZE,
        "walk": args.walk,
        "rows": [TESTS[test] for test in args.tests],
        "llama_lib": str(Path(args.llama_lib).resolve()),
        "variant": args.variant,
        "isa": args.isa,
        "cpu_time": args.cpu_time,
    }
    sides = {name: Side(name, settings) for name in ("tallow", "llama.cpp")}
    row: dict[str, Any] = {"form": form, "threads": threads}
    row["bytes"] = sides["tallow"].about["bytes"]
    row["buffer"] = sides["llama.cpp"].about["buffer"]
    for test in args.tests:
        m = TESTS[test]
        check(form, test, *(side.ask("result", m) for side in sides.values()))
        runs = common.alternate(
            {name: partial(side.ask, "time", m) for name, side in sides.items()},
            args.pairs,
            f"{form}, {threads} threads, {test}:",
        )
        row[test] = {name: common.quartiles(found) for name, found in runs.items()}
        row[test]["ratio"] = common.ratio(runs["llama.cpp"], runs["tallow"])
    for side in sides.values():
        side.close()
    return row


def check(form: str, test: str, ours: list[float], theirs: list[float]) -> None:
    """Both sides round activations, each in its own way: equal but for that."""
    wrong = sum((a - b) ** 2 for a, b in zip(ours, theirs, strict=True))
    size = sum(b * b for b in theirs)
    if not wrong <= 0.03**2 * size:
        raise SystemExit(f"{form}, {test}: the sides differ by {(wrong / size) ** 0.5:.1%}")


def report(rows: list[dict[str, Any]]) -> None:
    made = common.table(
        f"{SIZE} × {SIZE}: GB/s (decode) and GFLOP/s (prefill), share of the limit; "
        "ratio above 1: Tallow is faster",
        *("format", "threads", "test", "tallow", "llama.cpp", "share", "ratio", "its buffer"),
    )
    for row in rows:
        for test, m in TESTS.items():
            if test not in row:
                continue
            cell = row[test]
            work = row["bytes"] if test == "decode" else 2 * SIZE * SIZE * m
            best = "read_bytes_per_s" if test == "decode" else "flops_per_s"
            rate = {name: work / cell[name]["median"] for name in ("tallow", "llama.cpp")}
            share = f"{rate['tallow'] / row['limits'][best]:.0%}" if row["limits"] else ""
            shown = [f"{value / 1e9:.1f}" for value in rate.values()]
            ratio = common.shown(cell["ratio"])
            made.add_row(
                row["form"], str(row["threads"]), test, *shown, share, ratio, row["buffer"]
            )
    common.show(made)


if __name__ == "__main__":
    main()
