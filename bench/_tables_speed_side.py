"""One process's side of bench/table_speed.py: the pipeline of tables over Tallow or ONNX Runtime.

    python bench/_tables_speed_side.py tallow|onnxruntime THREADS MODELS [--fresh FILE …]

A line on standard input is the path of a picture or PDF; the answer is {"seconds", "steps", "html",
"processor"} of reading it: seconds inside models are the step "models", those of the processor
apart. With `--fresh` all files are read
once; the answer is by how many bytes the peak of memory grew, from before libraries are imported.
"""

from __future__ import annotations

import functools
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

STATUS = Path("/proc/self/status")  # of Linux
SPENT = [0.0]


def memory(what: str) -> int:
    """Bytes of VmRSS or VmHWM."""
    for line in STATUS.read_text().splitlines():
        if line.startswith(what):
            return int(line.split()[1]) * 1024
    raise SystemExit(f"{STATUS}: expected {what}, got none")


def by_onnxruntime(path: Path, threads: int, *, likeliest: bool = False) -> Any:
    """A model of ONNX Runtime as a function of arrays, all optimisations on.

    `likeliest`: the places of the largest elements along the last axis, and these.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors: SLANet's loop warns at each of its steps
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]

    def run(*arrays: Any) -> Sequence[Any]:
        found: Sequence[Any] = session.run(None, dict(zip(names, arrays, strict=True)))
        return (found[0].argmax(-1), found[0].max(-1)) if likeliest else found

    return run


def timed(load: Any) -> Any:
    """A loader whose models count their seconds."""

    def opened(path: Path, **given: Any) -> Any:
        run = load(path, **given)

        def counted(*arrays: Any) -> Any:
            begin = time.perf_counter()
            try:
                return run(*arrays)
            finally:
                SPENT[0] += time.perf_counter() - begin

        return counted

    return opened


def reader(side: str, threads: int, models: Any) -> Any:
    """The reader, its models run by the side's library."""
    import tallow
    from tallow.documents import sessions
    from tallow.documents.reader import TableReader

    tallow.set_num_threads(threads)
    if side == "onnxruntime":
        sessions.load = timed(functools.partial(by_onnxruntime, threads=threads))
    else:
        sessions.load = timed(sessions.load_with_tallow)
    return TableReader(models=models)


def read(tables: Any, path: str) -> dict[str, Any]:
    """One file."""
    SPENT[0] = 0.0
    begin, used = time.perf_counter(), time.process_time()
    document = tables.read(path)
    seconds, processor = time.perf_counter() - begin, time.process_time() - used
    steps: dict[str, float] = {}
    for page in document.pages:
        if page.error:
            raise SystemExit(f"{path}, page {page.number}: {page.error}")
        for name, spent in page.seconds.items():
            steps[name] = steps.get(name, 0.0) + spent
    return {
        "seconds": seconds,
        "processor": processor,
        "steps": {**steps, "models": SPENT[0]},
        "html": "".join(table.to_html() for table in document.tables),
    }


def grown(tables: Any, path: str) -> dict[str, int]:
    """By how much the peak grows over the pages of a file, after the tenth and after the last."""
    before = memory("VmHWM")
    at = {}
    for page in tables.pages(path):
        at[page.number] = memory("VmHWM") - before
        if page.error:
            raise SystemExit(f"{path}, page {page.number}: {page.error}")
    return {"pages": len(at), "ten": at.get(10, 0), "last": at[max(at)]}


def main() -> None:
    """Answer lines, or once."""
    side, threads, models, *rest = sys.argv[1:]
    before = memory("VmRSS")
    tables = reader(side, int(threads), models)
    if rest[:1] == ["--fresh"]:
        for path in rest[1:]:
            read(tables, path)
        print(json.dumps({"peak": memory("VmHWM") - before}))
    elif rest[:1] == ["--pages"]:
        print(json.dumps(grown(tables, rest[1])))
    else:
        for line in sys.stdin:
            print(json.dumps(read(tables, line.strip())), flush=True)


if __name__ == "__main__":
    main()
