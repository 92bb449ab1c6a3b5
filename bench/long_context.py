"""Decoding after a long context by Tallow and by libllama, in alternating runs of two processes.

Each side holds 8000 positions and decodes 32 tokens one by one, then forgets these. libllama reads
random tokens once and keeps its state in a file of the work folder; Tallow's keys and values are
random numbers. libllama's sides are its cache of f16 with flash attention (its default, and the
fastest on most machines) and without. Ratios are of runs next to each other; above 1, Tallow is
faster than the better one of libllama's sides. The share is the bytes that a token must read, the
weights and the cache, over its time, beside plain reads measured in the same run.

    python bench/long_context.py --peer-python …/bin/python [--cache f16 q8_0] [--pairs 7]
"""

from __future__ import annotations

import json
import random
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import _common as common

HERE = str(Path(__file__).resolve())
CACHES = ("f32", "f16", "bf16", "q8_0")
FLASH = {1: "llama.cpp", 0: "llama.cpp, no flash"}
MARGIN = 64  # positions behind the context
KEPT: list[Any] = []  # callbacks, as long as the process lives


def tallow_side(path: str, threads: int, context: int, count: int, cache: str) -> Any:
    """`run()` decodes `count` tokens after `context` positions; what a token reads in bytes."""
    import tallow as tl
    from tallow.generate.step import DecodeStep

    tl.set_num_threads(threads)
    model = tl.models.load(path)
    tl.manual_seed(0)
    state = model.make_state(1, context + MARGIN, dtype=getattr(tl, cache))
    with tl.inference_mode():
        state.reserve(context)
        for held in state.memory():
            shape = (*held.shape[:2], context, held.shape[3])
            held.narrow(2, 0, context).copy_(tl.randn(*shape).to(held.dtype))
        state.commit(context)
    step, draw = DecodeStep(model, state), random.Random(0)
    ids = [draw.randrange(model.vocab_size) for _ in range(count)]

    def run() -> float:
        state.trim(context)
        begin = perf_counter()
        for token in ids:
            step([token])
        return (perf_counter() - begin) / count

    return run, state.nbytes * (context + count / 2) / state.capacity


def llama_context(path: str, threads: int, context: int, flash: int) -> tuple[Any, Any]:
    """Libllama's model and context."""
    import llama_cpp as api

    quiet = api.llama_log_callback(lambda *_: None)
    api.llama_log_set(quiet, None)
    KEPT.append(quiet)
    api.llama_backend_init()
    model = api.llama_model_load_from_file(path.encode(), api.llama_model_default_params())
    wanted = api.llama_context_default_params()
    wanted.n_ctx = context + MARGIN
    wanted.n_threads = wanted.n_threads_batch = threads
    wanted.flash_attn_type = flash
    return model, api.llama_init_from_model(model, wanted)


def llama_side(
    path: str, threads: int, context: int, count: int, flash: str, kept: str
) -> Callable[[], float]:
    """The same by libllama's C API, one call a token."""
    import llama_cpp as api

    model, made = llama_context(path, threads, context, int(flash))
    memory, vocabulary = api.llama_get_memory(made), api.llama_model_get_vocab(model)
    draw, size = random.Random(0), api.llama_vocab_n_tokens(vocabulary)

    def feed(ids: list[int]) -> None:
        row = (api.llama_token * len(ids))(*ids)
        if api.llama_decode(made, api.llama_batch_get_one(row, len(ids))):
            raise SystemExit("llama_decode failed")
        api.llama_synchronize(made)

    file = f"{kept}.{context}.flash{flash}.state"
    found, room = (api.llama_token * 1)(), (api.ctypes.c_size_t * 1)()
    read = Path(file).exists() and api.llama_state_load_file(made, file.encode(), found, 0, room)
    if not read:
        for first in range(0, context, 512):
            feed([draw.randrange(size) for _ in range(min(512, context - first))])
        api.llama_state_save_file(made, file.encode(), found, 0)
    if api.llama_memory_seq_pos_max(memory, 0) != context - 1:
        raise SystemExit(f"{file}: expected {context} positions")
    ids = [draw.randrange(size) for _ in range(count)]

    def run() -> float:
        api.llama_memory_seq_rm(memory, 0, context, -1)
        begin = perf_counter()
        for token in ids:
            feed([token])
        return (perf_counter() - begin) / count

    return run


def child(side: str, path: str, *numbers: str) -> None:
    """Answer each line with the seconds of a token."""
    threads, context, count = map(int, numbers[:3])
    if side == "tallow":
        run, nbytes = tallow_side(path, threads, context, count, numbers[3])
    else:
        run, nbytes = llama_side(path, threads, context, count, *numbers[3:]), 0
    run()
    for _ in sys.stdin:
        print(json.dumps({"seconds": run(), "cache_bytes": nbytes}), flush=True)


def measure(args: Any, path: Path, python: str, threads: int, work: Path) -> list[dict[str, Any]]:
    """One row for each dtype of Tallow's cache."""
    from _limits import limits

    numbers = [str(path), str(threads), str(args.context), str(args.tokens)]
    peers = {flash: FLASH[flash] for flash in args.flash}
    commands = {
        **{
            name: [sys.executable, HERE, "--child", "tallow", *numbers, name] for name in args.cache
        },
        **{
            name: [python, HERE, "--child", "llama", *numbers, str(flash), str(work / path.stem)]
            for flash, name in peers.items()
        },
    }
    sides = {name: common.Side(name, command) for name, command in commands.items()}
    runs = common.alternate(
        {name: lambda side=side: side("run") for name, side in sides.items()},
        args.pairs, f"{path.name}, {threads} threads:",
    )  # fmt: skip
    for side in sides.values():
        side.close()
    times = {name: [one["seconds"] for one in found] for name, found in runs.items()}
    best = min(peers.values(), key=lambda name: statistics.median(times[name]))
    top = limits(work, threads)
    rows = []
    for name in args.cache:
        nbytes = weight_bytes(path) + runs[name][0]["cache_bytes"]
        row = {
            "file": path.name, "threads": threads, "cache": name, "peer": best,
            "ms": {each: milliseconds(times[each]) for each in (name, *peers.values())},
            "ratio": common.ratio(times[best], times[name]), "bytes_a_token": nbytes,
        }  # fmt: skip
        if top:
            row["share"] = nbytes / statistics.median(times[name]) / top["read_bytes_per_s"]
        rows.append(row)
    return rows


def milliseconds(seconds: list[float]) -> dict[str, float]:
    """Median and quartiles."""
    return common.quartiles([1e3 * each for each in seconds])


def weight_bytes(path: Path) -> int:
    """Bytes of all weights; a table that is tied to the head is among them, another one is not."""
    from tallow.weights import open_weights

    source = open_weights(path)
    names = [n for n in source.names() if n != "token_embd.weight" or "output.weight" not in source]
    return sum(source.info(name).nbytes for name in names)


def report(args: Any, rows: list[dict[str, Any]]) -> None:
    """Print the table."""
    made = common.table(
        f"ms per token after {args.context} positions, median (quartiles)",
        *(
            "file",
            "threads",
            "cache",
            "tallow",
            *(FLASH[each] for each in args.flash),
            "ratio",
            "share",
        ),
    )
    for row in rows:
        sides = [common.shown(row["ms"][side]) for side in row["ms"]]
        share = f"{row['share']:.0%}" if "share" in row else ""
        shown = common.shown(row["ratio"])
        made.add_row(row["file"][-16:], str(row["threads"]), row["cache"], *sides, shown, share)
    common.show(made)


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
        return
    parser = common.parser(__doc__, pairs=7)
    parser.add_argument("--models", nargs="+", default=[common.MODEL], help="GGUF files")
    parser.add_argument("--cache", nargs="+", default=["f16", "q8_0"], choices=CACHES)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--context", type=int, default=8000)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--flash", nargs="+", type=int, default=[1, 0], choices=(1, 0))
    parser.add_argument("--work", help="keeps the made files")
    args = parser.parse_args()
    peers = [python for python in args.peer_python if common.has_module(python, "llama_cpp")]
    if not peers:
        parser.error("give an interpreter with llama_cpp, by --peer-python")
    work = common.work_folder(args.work)
    paths = [common.model_path(model) for model in args.models]
    rows = [
        row for path in paths for threads in args.threads
        for row in measure(args, path, peers[0], threads, work)
    ]  # fmt: skip
    report(args, rows)
    settings = {"pairs": args.pairs, "context": args.context, "tokens": args.tokens}
    common.finish("long_context", {**settings, "rows": rows}, record=args.record)


if __name__ == "__main__":
    main()
