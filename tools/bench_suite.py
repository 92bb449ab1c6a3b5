"""Run the benchmarks that this machine has peers for, record them, and write docs/benchmarks.md.

    python tools/bench_suite.py [NAME...] [--pairs N]

Names are files of bench/ without .py; none: all. What a benchmark needs stands in `NEEDS`; one of
another name is tried, and is left out where it ends with an error, whose last line is shown.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import bench_report

ROOT = Path(__file__).resolve().parents[1]
BENCH = ROOT / "bench"


class Need(NamedTuple):
    """Modules that an interpreter must have, variables of the environment, or why never."""

    modules: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    never: str = ""


NEEDS = {
    "compiled": Need(("torch", "onnx", "onnxruntime")),
    "encoders": Need(("torch", "transformers")),
    "families": Need(("torch", "transformers")),
    "gemm": Need(("numpy",)),
    "llm_vs_llama_cpp": Need((), ("LLAMA_BENCH",)),
    "memory_vs_torch": Need(("torch",)),
    "ops_vs_torch": Need(("torch",)),
    "page_sharing": Need(("torch", "safetensors")),
    "qmatmul": Need((), ("LLAMA_LIB",)),
    "quantized_perplexity": Need(never="it wants a text, by --text"),
    "table_accuracy": Need(never="it wants a folder of pictures with truth, or `made`"),
    "table_speed": Need(("onnxruntime", "PIL", "pypdfium2")),
    "train_vs_torch": Need(("torch",)),
    "vec_dot": Need((), ("LLAMA_LIB",)),
    "versions": Need(never="it wants another version, by --before"),
}


def scripts() -> list[str]:
    """Names of all benchmarks."""
    return sorted(path.stem for path in BENCH.glob("[!_]*.py"))


def interpreter() -> str:
    """That of the peers, as `make bench` takes it, or the one that runs here."""
    peers = ROOT / ".venv-oracle" / "bin" / "python"
    return str(peers) if peers.exists() else sys.executable


def lacking(name: str, python: str) -> str:
    """Why a benchmark cannot run here; an empty text where it can."""
    need = NEEDS.get(name, Need())
    absent = [each for each in need.variables if not os.environ.get(each)]
    if need.never or absent:
        return need.never or f"{' and '.join(absent)} not set"
    probe = "import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, sys.argv[1:])))"
    if need.modules and subprocess.run([python, "-c", probe, *need.modules]).returncode:
        return f"no {' or '.join(need.modules)} here"
    return ""


def run(name: str, python: str, options: list[str]) -> str:
    """What became of one benchmark; its output is shown as it comes."""
    why = lacking(name, python)
    if why:
        return f"left out: {why}"
    print(f"\n=== {name}", flush=True)
    begin = time.monotonic()
    command = [python, str(BENCH / f"{name}.py"), "--record", "--peer-python", python, *options]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return f"left out: {last}"
    return f"done in {time.monotonic() - begin:.0f} s"


def main() -> int:
    """Run what was named, tell what became of each, and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="files of bench/ without .py")
    parser.add_argument("--pairs", type=int, help="alternating runs of each side")
    args = parser.parse_args()
    unknown = sorted({*args.names} - {*scripts()})
    if unknown:
        parser.error(f"expected some of {', '.join(scripts())}, got {', '.join(unknown)}")
    options = [] if args.pairs is None else ["--pairs", str(args.pairs)]
    python = interpreter()
    told = {name: run(name, python, options) for name in args.names or scripts()}
    print()
    for name, what in told.items():
        print(f"{name:24}{what}")
    if any(what.startswith("done") for what in told.values()):
        bench_report.main()
        print(f"\nwritten: {bench_report.PAGE}")
    return 0 if any(what.startswith("done") for what in told.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
