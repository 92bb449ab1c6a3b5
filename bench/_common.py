"""What the benchmarks share: alternating runs, medians and ratios, the report, the history."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
HISTORY = ROOT / "bench" / "history"
MODEL = "smollm2-135m"
# Settings that pin numpy's BLAS on some machines: a peer is measured as its user gets it.
LOAD = os.getloadavg()[0]  # before this benchmark adds to it
# With TALLOW_ISA=avx2 the peers that can be told so keep to AVX2, too: PyTorch with oneDNN and MKL.
# Of ONNX Runtime, which cannot, a changed copy does (_onnxruntime_avx2.py).
AVX2 = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
}
PINNED = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "L2_SIZE")


def parser(description: str | None, *, pairs: int) -> argparse.ArgumentParser:
    """Options that every benchmark has."""
    if LOAD > 0.5:
        # Threads that spin at barriers (OpenMP in llama.cpp) lose most when they must share cores.
        print(f"warning: other programs are running (load {LOAD:.1f}): this run proves nothing")
    made = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    made.add_argument("--pairs", type=int, default=pairs, help="alternating runs of each side")
    made.add_argument("--record", action="store_true", help="append the result to bench/history")
    made.add_argument(
        "--peer-python", nargs="+", default=[], help="interpreters that have the peers' packages"
    )
    return made


def alternate(
    sides: Mapping[str, Callable[[], Any]], rounds: int, label: str = ""
) -> dict[str, list[Any]]:
    """Run every side once a round; each round in the opposite order of the one before."""
    found: dict[str, list[Any]] = {name: [] for name in sides}
    for index in range(rounds):
        names = list(sides)[:: 1 if index % 2 == 0 else -1]
        for name in names:
            progress(f"{label} {index + 1}/{rounds} {name}")
            found[name].append(sides[name]())
    progress("")
    return found


def progress(text: str) -> None:
    """Show on a terminal what is being done, in the place of what was shown before."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


class Side:
    """A process that answers each line with one line of JSON; it waits asleep between them."""

    def __init__(self, label: str, command: Sequence[str], **more: str) -> None:
        self.label = label
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(**more),
        )

    def __call__(self, line: str) -> dict[str, Any]:
        """Its answer to a line."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"the process of {self.label} ended at {line}")
        found: dict[str, Any] = json.loads(answer)
        return found

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def quartiles(values: Sequence[float]) -> dict[str, float]:
    """Median, quartiles and extremes."""
    low, high = min(values), max(values)
    quarters = (
        statistics.quantiles(values, n=4, method="inclusive")
        if len(values) > 1
        else [low, low, low]
    )
    middle = statistics.median(values)
    return {"median": middle, "q1": quarters[0], "q3": quarters[2], "min": low, "max": high}


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, float]:
    """The quartiles of `ours / theirs`, pair by pair: what both suffer falls out."""
    return quartiles([a / b for a, b in zip(ours, theirs, strict=True)])


def shown(row: Mapping[str, float], digits: int = 2) -> str:
    """`1.23 (1.20–1.26)`: median and quartiles."""
    return f"{row['median']:.{digits}f} ({row['q1']:.{digits}f}–{row['q3']:.{digits}f})"


def environment(**more: str) -> dict[str, str]:
    """The environment for a run, without settings that pin a peer to another machine's best.

    Modules are compiled once, as those of an installed package are: a process that may not keep
    their code would tell how long compiling takes.
    """
    left_out = (*PINNED, "PYTHONDONTWRITEBYTECODE")
    clean = {name: value for name, value in os.environ.items() if name not in left_out}
    clean.setdefault("PYTHONPYCACHEPREFIX", str(work_folder(None) / "pycache"))
    if os.environ.get("TALLOW_ISA") == "avx2":
        clean |= AVX2
    return {**clean, "PYTHONWARNINGS": "ignore", "TOKENIZERS_PARALLELISM": "false", **more}


def call(command: Sequence[str], **more: str) -> str:
    """Standard output of a program; what it says on standard error is shown when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, env=environment(**more))
    if done.returncode:
        raise SystemExit(f"{' '.join(command)[:300]}\n{done.stderr[-2000:]}")
    return done.stdout


def last_json(text: str) -> Any:
    """The JSON document in the last line."""
    return json.loads(text.strip().splitlines()[-1])


def interpreter(peers: Sequence[str], *modules: str) -> str | None:
    """The first interpreter, this one included, that has all modules; None, and a line, if none."""
    for python in (sys.executable, *peers):
        if all(has_module(python, name) for name in modules):
            return python
    print(f"left out, no interpreter (--peer-python) has it: {' '.join(modules)}", file=sys.stderr)
    return None


def has_module(python: str, name: str) -> bool:
    """Whether that interpreter finds a module; it is not imported."""
    probe = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({name!r}) is None)"
    return subprocess.run([python, "-c", probe], capture_output=True).returncode == 0


def model_path(reference: str) -> Path:
    """The local file of a model reference."""
    from tallow.hub import resolve

    return Path(resolve(reference)).resolve()


def machine() -> dict[str, Any]:
    """Where this ran."""
    from tallow import _native
    from tallow._version import __version__

    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "load_before": LOAD,
        "isa": _native.ISA,
        "peers": "avx2 where they can be told" if os.environ.get("TALLOW_ISA") == "avx2" else "own",
        "python": platform.python_version(),
        "tallow": __version__,
    }


def table(title: str, *columns: str) -> Any:
    """An empty rich table under a title, the first column to the left."""
    from rich import box
    from rich.table import Table

    print(title)
    made = Table(box=box.SIMPLE_HEAD)
    for index, column in enumerate(columns):
        made.add_column(column, justify="right" if index else "left", no_wrap=True)
    return made


def show(made: Any) -> None:
    """Print a table as wide as it needs to be."""
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else 160, highlight=False).print(made)


def finish(name: str, result: Mapping[str, Any], *, record: bool) -> None:
    """Print the result as one line of JSON, the last one, and keep it when asked to."""
    about = {"bench": name, "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    line = json.dumps({**about, "machine": machine(), **result})
    if record:
        HISTORY.mkdir(parents=True, exist_ok=True)
        with open(HISTORY / f"{name}.jsonl", "a", encoding="utf-8") as file:
            file.write(line + "\n")
    print(line)


def work_folder(given: str | None) -> Path:
    """Where made files are kept between runs: `--work`, else a folder of the system's own."""
    folder = Path(given) if given else Path(tempfile.gettempdir()) / "tallow-bench"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
