"""One process's side of bench/onnx_vs_ort.py: passes of an ONNX model.

    python bench/_onnx_side.py tallow|onnxruntime THREADS FOLDER [NAME]

With a name, three passes at the last size are made; the answer is how far the peak of memory grew,
and how long importing the library, opening the model and the first pass took.

A line on standard input is `NAME SIZE-INDEX`; the answer is the seconds of a pass, at its first
time also how long opening and the first two passes took, and sums of the outputs.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "onnx"))

import real_models as real  # noqa: E402

BLOCK = 0.15  # seconds of one measurement, at least two passes
STATUS = Path("/proc/self/status")  # of Linux
EXPORTS = Path(sys.argv[3]) if len(sys.argv) > 3 else None


def image(size: int) -> Any:
    """Feeds of an exported model of pictures by batch."""
    return lambda batch: {"x": real.noise((batch, 3, size, size)).astype(np.float32)}


def sequences(size: tuple[int, int]) -> Any:
    """Feeds of MiniLM."""
    found = real.tokens(size)
    return {name: found[name] for name in ("input_ids", "attention_mask", "token_type_ids")}


def translation(size: tuple[int, int]) -> Any:
    """Feeds of T5."""
    draw = np.random.default_rng(3).integers
    return {
        "input_ids": draw(3, 30000, (1, size[0])),
        "decoder_input_ids": draw(3, 30000, (1, size[1])),
    }


EXPORTED: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "resnet18": (image(224), (1, 8)),
    "efficientnet-lite0": (image(224), (1, 8)),
    "mobilenet-v3": (image(224), (1, 8)),
    "vit-s14": (image(224), (1,)),
    "yolo-like": (image(640), (1,)),
    "minilm": (sequences, ((1, 32), (8, 128))),
    "minilm-dynamic": (sequences, ((1, 32), (8, 128))),
    "t5-small": (translation, ((64, 32),)),
}


def case(name: str) -> tuple[Path, Any, tuple[Any, ...]]:
    """The file of a model, its feeds, and its sizes."""
    if name in EXPORTED:
        assert EXPORTS is not None
        return EXPORTS / f"{name}.onnx", *EXPORTED[name]
    row = real.MODELS[name]
    return real.fetched(row.ref), row.feeds, row.sizes


def by_tallow(path: Path, threads: int) -> Any:
    """A function of feeds."""
    import tallow as tl

    tl.set_num_threads(threads)
    model = tl.onnx.load(path)

    def run(feeds: dict[str, Any]) -> list[Any]:
        found = model.run({name: tl.from_numpy(value) for name, value in feeds.items()})
        return [each.numpy() for each in found.values()]

    return run, [each.name for each in model.inputs]


def by_onnxruntime(path: Path, threads: int) -> Any:
    """A function of feeds; all optimisations are on, as they are by default."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda feeds: session.run(None, feeds), [each.name for each in session.get_inputs()]


def opened(name: str, index: int, open_: Any, threads: int) -> tuple[Any, dict[str, Any]]:
    """A pass of a model, and what opening it came to."""
    path, make, sizes = case(name)
    feeds = make(sizes[index])
    begin = time.perf_counter()
    run, names = open_(path, threads)
    feeds = {key: value for key, value in feeds.items() if key in names}
    found = run(feeds)
    first = time.perf_counter()
    run(feeds)
    second = time.perf_counter()
    sums = [float(np.abs(np.asarray(x, np.float64)).sum()) for x in found]
    return lambda: run(feeds), {"load": first - begin, "second": second - first, "sums": sums}


def resident() -> int:
    """Bytes that the process has now, from where `peak` begins anew."""
    if STATUS.exists():
        Path("/proc/self/clear_refs").write_text("5")
    return peak()


def peak() -> int:
    """The most bytes that the process had, where that can be since the last call of `resident`."""
    if not STATUS.exists():
        return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return 1024 * int(STATUS.read_text().split("VmHWM:")[1].split()[0])


def fresh(name: str, library: str, open_: Any, threads: int) -> dict[str, float]:
    """What a new process takes: bytes at most beyond those before, seconds to the first result."""
    path, make, sizes = case(name)
    feeds = make(sizes[-1])
    before, begin = resident(), time.perf_counter()
    __import__(library)
    run, names = open_(path, threads)
    feeds = {key: value for key, value in feeds.items() if key in names}
    run(feeds)
    start = time.perf_counter() - begin
    for _ in range(2):
        run(feeds)
    return {"peak": max(peak() - before, 4096), "start": start}


def main() -> None:
    """Answer lines until standard input ends."""
    library, threads = sys.argv[1], int(sys.argv[2])
    open_ = by_tallow if library == "tallow" else by_onnxruntime
    if len(sys.argv) > 4:
        print(json.dumps(fresh(sys.argv[4], library, open_, threads)))
        return
    __import__(library)  # no part of opening a model
    calls: dict[str, Any] = {}
    for line in sys.stdin:
        name, index = line.split()
        if line not in calls:
            calls.clear()
            calls[line], told = opened(name, int(index), open_, threads)
            print(json.dumps(told), flush=True)
            continue
        run, times, end = calls[line], [], time.perf_counter() + BLOCK
        while len(times) < 2 or time.perf_counter() < end:
            begin = time.perf_counter()
            run()
            times.append(time.perf_counter() - begin)
        print(json.dumps({"seconds": min(times)}), flush=True)


if __name__ == "__main__":
    main()
