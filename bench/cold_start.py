"""From the start of the process to the first token; import time, memory, size on disk.

Tallow's side is the command `tallow generate`; the peers' are the shortest scripts that do the same
with llama-cpp-python, and with torch and transformers. Each run is a process of its own; the clock
stops at the first byte on its standard output. The model's file is in the page cache for all.

    python bench/cold_start.py --peer-python …/bin/python [--pairs 7]
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import _common as common

PROMPT = "The capital of France is"
HEAVY = ("numpy", "tokenizers", "jinja2", "rich", "huggingface_hub", "ml_dtypes")
TALLOW = "import sys; from tallow.cli import main; sys.exit(main(sys.argv[1:]))"
LLAMA = """
import sys
from llama_cpp import Llama
llm = Llama(sys.argv[1], verbose=False)
for part in llm.create_completion(sys.argv[2], max_tokens=1, temperature=0, stream=True):
    sys.stdout.write(part["choices"][0]["text"])
    sys.stdout.flush()
"""
TRANSFORMERS = """
import os, sys
from transformers import AutoModelForCausalLM, AutoTokenizer
folder, file = os.path.split(sys.argv[1])
tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file)
model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file)
ids = tokenizer(sys.argv[2], return_tensors="pt")
out = model.generate(**ids, max_new_tokens=1, do_sample=False)
print(tokenizer.decode(out[0, -1:]), flush=True)
"""
PACKAGES = {
    "tallow": ("tallow",),
    "llama-cpp-python": ("llama_cpp",),
    "transformers": ("torch", "transformers"),
}


def main() -> None:
    parser = common.parser(__doc__, pairs=7)
    parser.add_argument("--model", default=common.MODEL)
    parser.add_argument("--transformers-runs", type=int, default=3)
    args = parser.parse_args()
    path = str(common.model_path(args.model))
    Path(path).read_bytes()  # into the page cache
    generate = ["generate", path, "--prompt", PROMPT, "--max-tokens", "1"]
    calls = {
        "tallow": [TALLOW, *generate],
        "llama-cpp-python": [LLAMA, path, PROMPT],
        "transformers": [TRANSFORMERS, path, PROMPT],
    }
    found = {name: common.interpreter(args.peer_python, *PACKAGES[name]) for name in calls}
    pythons = {name: python for name, python in found.items() if python is not None}
    scripts = {name: [python, "-c", *calls[name]] for name, python in pythons.items()}
    for command in scripts.values():
        first_byte(command)  # byte code and libraries into the page cache
    quick = {n: lambda c=c: first_byte(c) for n, c in scripts.items() if n != "transformers"}
    runs = common.alternate(quick, args.pairs, "cold start")
    if "transformers" in scripts:
        slow = {n: lambda c=scripts[n]: first_byte(c) for n in ("tallow", "transformers")}
        again = common.alternate(slow, args.transformers_runs, "cold start, transformers")
        runs["transformers"] = again["transformers"]
        runs["tallow beside transformers"] = again["tallow"]
    rows = summarise(runs)
    for name in rows.keys() & PACKAGES.keys():
        rows[name]["installed_bytes"] = sum(size(pythons[name], each) for each in PACKAGES[name])
    imported = import_cost(args.pairs)
    report(rows, imported)
    result = {"pairs": args.pairs, "model": args.model, "rows": rows, "import": imported}
    common.finish("cold_start", result, record=args.record)


def first_byte(command: list[str]) -> dict[str, float]:
    """Seconds to the first byte of the answer and to the end, CPU seconds and peak memory."""
    begin = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=common.environment()
    )
    assert process.stdout is not None and process.stderr is not None
    byte = process.stdout.read(1)
    first = time.perf_counter() - begin
    process.stdout.read()
    said = process.stderr.read().decode(errors="replace")
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode or not byte:
        raise SystemExit(f"{command[:2]} failed: {said[-1500:]}")
    return {
        "first_s": first,
        "end_s": time.perf_counter() - begin,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_rss": usage.ru_maxrss * 1024,
    }


def summarise(runs: dict[str, list[dict[str, float]]]) -> dict[str, dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = {
        name: {key: common.quartiles([run[key] for run in found]) for key in found[0]}
        for name, found in runs.items()
    }
    for name, ours in (
        ("llama-cpp-python", "tallow"),
        ("transformers", "tallow beside transformers"),
    ):
        if name in runs:
            times = [[run["first_s"] for run in runs[side]] for side in (ours, name)]
            rows[name]["tallow_ratio"] = common.ratio(*times)
    return rows


def size(python: str, package: str) -> int:
    """Bytes of a package's own files, without byte code."""
    where = f"import importlib.util as u; print(u.find_spec({package!r}).origin)"
    folder = Path(common.call([python, "-c", where]).strip()).parent
    files = (f for f in folder.rglob("*") if f.is_file() and "__pycache__" not in f.parts)
    return sum(file.stat().st_size for file in files)


def import_cost(rounds: int) -> dict[str, Any]:
    """Milliseconds of `import tallow`, what takes them, and which heavy modules it brings."""
    clock = (
        "import sys, time; begin = time.perf_counter(); import tallow;"
        "print(1e3 * (time.perf_counter() - begin), *set(sys.modules) & set(sys.argv[1:]))"
    )
    outs = [common.call([sys.executable, "-c", clock, *HEAVY]).split() for _ in range(rounds)]
    command = [sys.executable, "-X", "importtime", "-c", "import tallow"]
    done = subprocess.run(command, capture_output=True, text=True, env=common.environment())
    lines = re.findall(r"import time:\s+(\d+) \|\s+\d+ \|\s*(\S+)", done.stderr)
    slowest = sorted(((int(us) / 1e3, name) for us, name in lines), reverse=True)[:8]
    return {
        "milliseconds": common.quartiles([float(out[0]) for out in outs]),
        "heavy_modules": outs[0][1:],
        "modules": len(lines),
        "slowest_own_ms": {name: ms for ms, name in slowest},
    }


def report(rows: dict[str, dict[str, Any]], imported: dict[str, Any]) -> None:
    made = common.table(
        "process start to first token, median (quartiles)",
        *("", "seconds", "CPU seconds", "peak memory", "tallow / it", "installed"),
    )
    for name, row in rows.items():
        ratio = common.shown(row["tallow_ratio"]) if "tallow_ratio" in row else ""
        megabytes = f"{row['installed_bytes'] / 1e6:.1f} MB" if "installed_bytes" in row else ""
        memory = f"{row['peak_rss']['median'] / 1e6:.0f} MB"
        seconds, cpu = common.shown(row["first_s"], 3), common.shown(row["cpu_s"])
        made.add_row(name, seconds, cpu, memory, ratio, megabytes)
    common.show(made)
    heavy = ", ".join(imported["heavy_modules"]) or "none"
    slowest = ", ".join(f"{n} {ms:.1f}" for n, ms in imported["slowest_own_ms"].items())
    print(f"import tallow: {common.shown(imported['milliseconds'], 1)} ms; of the heavy: {heavy}")
    print(f"{imported['modules']} modules; slowest by themselves (ms, when traced): {slowest}")


if __name__ == "__main__":
    main()
