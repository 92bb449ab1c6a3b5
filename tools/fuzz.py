"""Coverage-guided fuzzing of every reader of files: nothing but its one error may come out.

    python tools/fuzz.py [FORMAT...] [--runs 100000] [--seconds S] [--fresh] [--replay FILE...]

Each format of `tests/hostile/corpora` is fuzzed by a process of its own under atheris (libFuzzer),
from the committed hostile files and the valid ones, with libFuzzer's mutations and those of
`tests/hostile`. An input is opened from memory (an index: from a file beside its shards), and
everything that a user can reach is read. It fails on any exception but `FormatError`, on taking
longer than `LIMIT_SECONDS`, and on more memory than a small multiple of its size (of Python's,
measured for each input; of the process, by a limit on its address space). What libFuzzer found
stays in `build/fuzz`, so that the next run goes on from there; an input that failed lies in
`build/fuzz/failed`, and belongs into `tests/hostile/corpora` before the reader is mended. The last
line is JSON: executions by format.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import pkgutil
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / "build" / "fuzz"
LIMIT_SECONDS = 5
LIMIT_SPACE = 256 << 20  # bytes of address space beyond what the process has before the first input
MAX_LENGTH = 16_384
CHILD = "--child"  # FORMAT LIBFUZZER-FLAGS...


def target(corpora: Any, module: ModuleType, folder: Path) -> Any:
    """One input: opened, read through, and measured."""
    by_path = folder / "fuzzed.json" if hasattr(module, "BESIDE") else None
    for name, raw in getattr(module, "BESIDE", {}).items():
        (folder / name).write_bytes(raw)

    def run(data: bytes) -> None:
        source: Any = data
        if by_path is not None:
            by_path.write_bytes(data)
            source = by_path
        corpora.read_measured(module, source, len(data))

    return run


def mutator(mutations: Any, module: ModuleType) -> Any:
    """Mutations of libFuzzer half of the time, those that know the format the other half."""
    further = getattr(module, "MUTATIONS", ())

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        import atheris

        rng = random.Random(seed)
        if not data or rng.random() < 0.5:
            return bytes(atheris.Mutate(data, max_size))
        return bytes(mutations.mutant(data, rng, further)[:max_size])

    return mutate


def child(name: str, flags: list[str]) -> None:
    """Fuzz one format in this process; libFuzzer ends it."""
    import atheris

    sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]
    importlib.import_module("tallow.tensor")  # what lies below the readers: not instrumented
    with atheris.instrument_imports(
        include=["tallow.formats", "tallow.weights", "tallow.programs", "tallow.onnx"]
    ):
        import tallow.formats
        import tallow.weights
        from hostile import corpora, mutations

        # Some are imported when they are used: not while memory is counted.
        for package in (tallow.formats, tallow.weights):
            for _, part, _ in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
                importlib.import_module(part)
        module = corpora.modules()[name]
    memory = Path("/dev/shm")  # where a file costs no write to a disk
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        run = target(corpora, module, Path(folder))
        tracemalloc.start()
        for raw in module.VALID.values():  # imports what is imported when used
            run(raw)
        space = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        # The fork server of the sanitizer's runtime is not here: the space is what it seems.
        resource.setrlimit(resource.RLIMIT_AS, (space + LIMIT_SPACE, resource.RLIM_INFINITY))
        atheris.Setup([name, *flags], run, custom_mutator=mutator(mutations, module))
        atheris.Fuzz()


def seed_folder(corpora: Any, name: str, module: ModuleType) -> Path:
    """The committed files as a folder for libFuzzer."""
    folder = WORK / "seeds" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number, raw in enumerate(corpora.seeds(module)):
        (folder / str(number)).write_bytes(raw)
    return folder


def fuzz(corpora: Any, name: str, module: ModuleType, args: argparse.Namespace) -> dict[str, Any]:
    """Run the child and read from its report what it did."""
    found, failed = WORK / "found" / name, WORK / "failed"
    if args.fresh:
        shutil.rmtree(found, ignore_errors=True)
    for folder in (found, failed):
        folder.mkdir(parents=True, exist_ok=True)
    flags = [
        f"-runs={args.runs}",
        f"-max_total_time={args.seconds}",
        f"-timeout={LIMIT_SECONDS}",
        f"-max_len={MAX_LENGTH}",
        f"-artifact_prefix={failed / name}-",
        f"-seed={args.seed}",
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
    ]
    folders = [str(found), str(seed_folder(corpora, name, module))]
    command = [sys.executable, __file__, CHILD, name, *flags, *folders]
    begin = time.monotonic()
    log = WORK / f"{name}.log"
    with log.open("w", encoding="utf-8") as file:
        code = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT).returncode
    text = log.read_text(encoding="utf-8", errors="replace")
    return {
        "executions": executions(text),
        "edges": max(map(int, re.findall(r" cov: (\d+)", text)), default=0),
        "inputs": len(list(found.iterdir())),
        "seconds": round(time.monotonic() - begin, 1),
        "failed": re.findall(r"Test unit written to (\S+)", text) or (code and [f"exit {code}"]),
        "log": str(log),
    }


def executions(log: str) -> int:
    """How many inputs a run took, from its closing statistics or, if it has none, its last line."""
    final = re.findall(r"stat::number_of_executed_units:\s*(\d+)", log)
    return int(final[-1]) if final else max(map(int, re.findall(r"^#(\d+)", log, re.M)), default=0)


def replay(name: str, files: list[Path]) -> None:
    """Read inputs as the fuzzer does, without atheris: the error comes out with its traceback."""
    sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]
    from hostile import corpora

    tracemalloc.start()
    with tempfile.TemporaryDirectory() as folder:
        run = target(corpora, corpora.modules()[name], Path(folder))
        for file in files:
            print(file)
            run(file.read_bytes())


def main(arguments: list[str]) -> int:
    """Fuzz the formats one after the other; 1 when an input failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("formats", nargs="*", help="modules of tests/hostile/corpora; all")
    parser.add_argument("--runs", type=int, default=100_000, help="executions of each format")
    parser.add_argument("--seconds", type=int, default=0, help="at most so long for each format")
    parser.add_argument("--seed", type=int, default=0, help="of the mutations; 0: another each run")
    parser.add_argument("--fresh", action="store_true", help="forget what earlier runs found")
    parser.add_argument("--replay", nargs="+", type=Path, help="inputs to read once, no fuzzing")
    args = parser.parse_args(arguments)
    if args.replay:
        replay(args.formats[0], args.replay)
        return 0
    sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]
    from hostile import corpora

    modules = corpora.modules()
    if unknown := {*args.formats} - modules.keys():
        parser.error(f"expected some of {' '.join(modules)}, got {' '.join(sorted(unknown))}")
    WORK.mkdir(parents=True, exist_ok=True)
    rows = {}
    for name in args.formats or modules:
        row = rows[name] = fuzz(corpora, name, modules[name], args)
        state = f"FAILED: {row['failed']}, see {row['log']}" if row["failed"] else "ok"
        rate = row["executions"] / max(row["seconds"], 0.1)
        print(
            f"{name:20} {row['executions']:>9} executions, {rate:>6.0f} a second, "
            f"{row['edges']:>5} edges, {row['inputs']:>5} inputs kept: {state}",
            flush=True,
        )
    total = sum(row["executions"] for row in rows.values())
    print(json.dumps({"executions": total, "rows": rows}))
    return int(any(row["failed"] for row in rows.values()))


if __name__ == "__main__":
    if sys.argv[1:2] == [CHILD]:
        child(sys.argv[2], sys.argv[3:])
    os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")  # an instrumented run is not for others
    sys.exit(main(sys.argv[1:]))
