"""Peak memory of a prompt of 512 tokens and an answer of 128 beside libllama's.

Each side runs in a process of its own: the peak of the resident memory above what was resident once
the library was loaded, and how much of the memory at the end is the process's own (anonymous) or
pages of the file, which other processes share. libllama keeps its cache in f16, with room for just
these tokens; Tallow is measured with the same, its default, and with f32. A ratio below 1: Tallow
takes less than libllama.

    python bench/memory_vs_llama_cpp.py --peer-python …/bin/python --models a.gguf b.gguf
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

import _common as common

HERE = str(Path(__file__).resolve())
SIDES = ("f16", "f32", "llama.cpp")


def resident(field: str) -> int:
    """A size of /proc/self/status in bytes, such as VmHWM or RssAnon."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(field)


def tallow(path: str, threads: int, prompt: int, count: int, cache: str) -> None:
    """Answer random tokens."""
    import tallow as tl

    tl.set_num_threads(threads)
    before = start()
    draw = random.Random(0)
    with tl.LLM(path, cache_dtype=cache) as llm:
        ids = [draw.randrange(llm.model.vocab_size) for _ in range(prompt)]
        llm.generate(ids, max_tokens=count, ignore_eos=True)
        report(before)


def llama(path: str, threads: int, prompt: int, count: int) -> None:
    """The same by libllama's C API."""
    import llama_cpp as api

    quiet = api.llama_log_callback(lambda *_: None)
    api.llama_log_set(quiet, None)
    api.llama_backend_init()
    before = start()
    model = api.llama_model_load_from_file(path.encode(), api.llama_model_default_params())
    wanted = api.llama_context_default_params()
    wanted.n_ctx = prompt + count
    wanted.n_threads = wanted.n_threads_batch = threads
    made = api.llama_init_from_model(model, wanted)
    size = api.llama_vocab_n_tokens(api.llama_model_get_vocab(model))
    draw = random.Random(0)
    for length in (prompt, *[1] * (count - 1)):
        row = (api.llama_token * length)(*(draw.randrange(size) for _ in range(length)))
        if api.llama_decode(made, api.llama_batch_get_one(row, length)):
            raise SystemExit("llama_decode failed")
        if not api.llama_get_logits_ith(made, -1):
            raise SystemExit("no logits")
    report(before)


def start() -> int:
    """What is resident now; peaks count from here on."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return resident("VmRSS")


def report(before: int) -> None:
    """Print the sizes."""
    found = {"peak": resident("VmHWM") - before, "library": before}
    for name in ("RssAnon", "RssFile"):
        found[name] = resident(name)
    print(json.dumps(found))


def child(side: str, path: str, *numbers: str) -> None:
    """Measure one side and print the result."""
    threads, prompt, count = map(int, numbers)
    if side == "llama.cpp":
        llama(path, threads, prompt, count)
    else:
        tallow(path, threads, prompt, count, side)


def measure(args: Any, path: Path, pythons: dict[str, str], threads: int) -> list[dict[str, Any]]:
    """One row a side."""
    numbers = [str(path), str(threads), str(args.prompt_tokens), str(args.gen_tokens)]

    def run(side: str) -> Any:
        return common.last_json(common.call([pythons[side], HERE, "--child", side, *numbers]))

    runs = common.alternate(
        {side: (lambda side=side: run(side)) for side in SIDES},
        args.pairs, f"{path.name}, {threads} threads:",
    )  # fmt: skip
    peaks = {side: [one["peak"] / 1e6 for one in found] for side, found in runs.items()}
    return [
        {
            "file": path.name, "threads": threads, "side": side,
            "peak_mb": common.quartiles(peaks[side]),
            "ratio": common.ratio(peaks[side], peaks["llama.cpp"]),
            **{
                name: common.quartiles([one[name] / 1e6 for one in found])
                for name in ("library", "RssAnon", "RssFile")
            },
        }
        for side, found in runs.items()
    ]  # fmt: skip


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
        return
    parser = common.parser(__doc__, pairs=7)
    parser.add_argument("--models", nargs="+", default=[common.MODEL], help="GGUF files")
    parser.add_argument("--threads", nargs="+", type=int, default=[2])
    parser.add_argument("--prompt-tokens", type=int, default=512)
    parser.add_argument("--gen-tokens", type=int, default=128)
    args = parser.parse_args()
    peers = [python for python in args.peer_python if common.has_module(python, "llama_cpp")]
    if not peers:
        parser.error("give an interpreter with llama_cpp, by --peer-python")
    pythons = {side: peers[0] if side == "llama.cpp" else sys.executable for side in SIDES}
    rows = [
        row for model in args.models for threads in args.threads
        for row in measure(args, common.model_path(model), pythons, threads)
    ]  # fmt: skip
    made = common.table(
        "MB, medians; peak: above the loaded library",
        *("file", "threads", "cache", "peak", "ratio", "library", "own at the end", "of files"),
    )
    for row in rows:
        sizes = [f"{row[name]['median']:.1f}" for name in ("library", "RssAnon", "RssFile")]
        peak, ratio = f"{row['peak_mb']['median']:.1f}", common.shown(row["ratio"])
        made.add_row(row["file"][-16:], str(row["threads"]), row["side"], peak, ratio, *sizes)
    common.show(made)
    settings = {name: getattr(args, name) for name in ("pairs", "prompt_tokens", "gen_tokens")}
    common.finish("memory_vs_llama_cpp", {**settings, "rows": rows}, record=args.record)


if __name__ == "__main__":
    main()
