"""Write docs/benchmarks.md and its plots from the newest lines of bench/history, one a variant.

Every benchmark that was ever recorded has a section: a plot, and a table of its comparisons
(`bench_cases`); what else it recorded stands in a table of its own. A benchmark of a new name needs
no line here; `SECTIONS` gives those that are there a title, an order and a sentence.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench_cases import (
    Case,
    cases_of,
    geometric_mean,
    is_number,
    is_quartiles,
    median,
)
from bench_plot import MOST, plot

ROOT = Path(__file__).resolve().parents[1]
HISTORY = ROOT / "bench" / "history"
PAGE, PLOTS = ROOT / "docs" / "benchmarks.md", ROOT / "docs" / "benchmarks"
# Settings that make another comparison of a run, as its heading tells.
VARIANTS = {
    "random": "1.5 billion random weights",
    "resident": "weights in huge pages",
    "torch_preload": "another allocator for torch",
    "cpu_time": "processor time",
}
OPEN = 24  # rows; a longer table is folded
HEAD = """# Benchmarks

Written by `tools/bench_report.py` from the newest recorded run of each benchmark (`bench/history`);
`tallow bench --suite` runs those that a machine has peers for, and writes this page. Both sides run
in turn on the same machine; a ratio is the median over pairs of neighbouring runs, with its
quartiles, and above 1 Tallow is ahead. Absolute numbers belong to that machine and hour and are not
to be compared with others. The limit of what reads weights is measured read bandwidth, that of what
multiplies the measured float32 multiply-add peak; products of 8-bit integers may go beyond it. Bars
end at the median, lines at the quartiles.
"""


class Section(NamedTuple):
    """What stands above the table of a benchmark."""

    title: str
    about: str = ""


SECTIONS = {
    "llm_vs_llama_cpp": Section(
        "A language model beside llama.cpp",
        "{model}: decode of {gen_tokens} tokens from an empty cache, prefill of {prompt_tokens}; "
        "same files.",
    ),
    "moe_decode": Section(
        "A mixture of experts beside llama.cpp",
        "A Qwen3-MoE of a billion random weights, 8 of 64 experts a token; llama-bench on the same "
        "files.",
    ),
    "transcribe": Section(
        "Speech to text beside transformers and faster-whisper",
        "Whisper tiny.en from file to text, {threads} threads, {pairs} pairs, greedy. `tallow` and "
        "float32 have the file's floats, `tallow-q8_0` and int8 weights of 8 bits.",
    ),
    "long_context": Section("Decoding behind a long context, beside llama.cpp"),
    "cold_start": Section(
        "Cold start",
        "From nothing to the first token of {model}; `import tallow` takes "
        "{import[milliseconds][median]:.0f} ms.",
    ),
    "onnx_vs_ort": Section(
        "ONNX models beside ONNX Runtime",
        "By model and size; {pairs} pairs, numpy in and out. ONNX Runtime is a copy that takes no "
        "AVX-512 where Tallow takes none.",
    ),
    "table_speed": Section(
        "Reading tables beside the same steps over ONNX Runtime",
        "Made pictures, all steps; only what runs the models differs. Memory is the growth of the "
        "peak of a new process that reads all once.",
    ),
    "table_accuracy": Section(
        "Tables read right, beside packaged pipelines",
        "The set `{set}`. TEDS with text and of the structure alone, F1 of cells (place, spans, "
        "text) and of header cells; types are right, wrong and never allowed ones. All pipelines "
        "but those of PDFs read by PP-OCR's small models.",
    ),
    "qmatmul": Section(
        "Products with weights of every format",
        "{size} × {size}, decode with 1 row of activations and prefill with 512; the peer is ggml's"
        " `{variant}` kernels with weights in the buffer type that it prefers.",
    ),
    "vec_dot": Section("Inner loops beside ggml's"),
    "gemm": Section("Float32 products beside OpenBLAS and candle"),
    "ops_vs_torch": Section("Ops beside torch", "Medians of microseconds a call."),
    "compiled": Section("ResNet-18 by `tl.compile`"),
    "encoders": Section(
        "An encoder: MiniLM in f32",
        "Rows × tokens. Beside ONNX Runtime a plan runs, beside torch an eager pass; the share is "
        "of the multiply-add peak.",
    ),
    "families": Section(
        "Families of models beside PyTorch with transformers",
        "Forward passes of random models of middle size in f32, {threads} threads.",
    ),
    "overhead": Section("One small op"),
    "train_vs_torch": Section("Training beside torch"),
    "memory_vs_torch": Section("Memory of training beside torch", "Peak of a step."),
    "memory_vs_llama_cpp": Section(
        "Memory beside llama.cpp",
        "Peak above the loaded library: a prompt of {prompt_tokens} tokens, {gen_tokens} more.",
    ),
    "speculation": Section(
        "Speculation", "Prompt lookup beside plain decoding of the same tokens of {model}."
    ),
    "load": Section(
        "Loading",
        "Files of {size_mb} MB, in the page cache: every tensor is there. {model} itself takes "
        "{rows[milliseconds][median]:.1f} ms, its tokenizer {rows[tokenizer_ms][median]:.1f} ms.",
    ),
    "page_sharing": Section(
        "Sharing pages",
        "Processes with the same file of {size_mb} MB, all of it read: what all have together.",
    ),
    "quantized_perplexity": Section(
        "Perplexity of every file type",
        "{model} made into each type from the same f32 file by Tallow and by llama-quantize, read "
        "by Tallow. In f32: {f32:.4f}. Above 1: Tallow's file predicts better.",
    ),
    "versions": Section("Beside the version before", "The other version's time over this one's."),
}


def newest(name: str) -> dict[str, Any] | None:
    """The last recorded result of a benchmark."""
    path = HISTORY / f"{name}.jsonl"
    if not path.exists():
        return None
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8").splitlines()[-1])
    return found


def variants(name: str) -> dict[str, dict[str, Any]]:
    """The last result of each way in which a benchmark was run, by what tells it from others."""
    found: dict[str, dict[str, Any]] = {}
    for line in (HISTORY / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
        result = json.loads(line)
        said = [f"{result['machine']['isa']} kernels"]
        said += [text for key, text in VARIANTS.items() if result.get(key)]
        if name == "llm_vs_llama_cpp" and {row.get("threads") for row in result["rows"]} == {1}:
            said.append("one thread")
        found.pop(", ".join(said), None)
        found[", ".join(said)] = {**result, "bench": name}
    return found


def main() -> None:
    """Write the page, and a plot for each run that compares."""
    recorded = {path.stem for path in HISTORY.glob("*.jsonl")}
    names = [name for name in SECTIONS if name in recorded]
    names += sorted(recorded - SECTIONS.keys())
    parts, plots = [HEAD], dict[str, str]()
    for name in names:
        found = variants(name)
        parts.append(f"## {titled(name).title}\n")
        for variant, result in found.items():
            stem = name if len(found) == 1 else f"{name}-{re.sub('[^a-z0-9]+', '-', variant)}"
            cases = cases_of(result)
            if cases:
                plots[f"{stem}.svg"] = plot(cases)
            if len(found) > 1:
                parts.append(f"### With {variant}\n")
            parts.append("\n".join(section(name, result, cases, stem)))
    PAGE.write_text("\n".join(parts), encoding="utf-8")
    PLOTS.mkdir(exist_ok=True)
    for old in PLOTS.glob("*.svg"):
        if old.name not in plots:
            old.unlink()
    for file, text in plots.items():
        (PLOTS / file).write_text(text, encoding="utf-8")


def titled(name: str) -> Section:
    """Title and sentence of a benchmark."""
    return SECTIONS.get(name, Section(name.replace("_", " ").capitalize()))


def section(
    name: str, result: Mapping[str, Any], cases: Sequence[Case], stem: str
) -> Iterator[str]:
    """Where and when, plot and tables of one run."""
    told = {key: listed(value) for key, value in result.items()}
    yield f"{about(name, result)} {titled(name).about.format(**told)}".strip()
    yield ""
    if cases:
        yield f"![Ratios of {stem}](benchmarks/{stem}.svg)"
        yield from ("", summary(cases), "")
        yield from folded(list(case_table(cases)), len(cases))
    rows = [] if cases else list(plain_rows(result))
    if rows:
        yield from folded(list(plain_table(rows)), len(rows))


def listed(value: Any) -> Any:
    """A list of plain values as a text."""
    plain = isinstance(value, list) and not any(isinstance(v, list | Mapping) for v in value)
    return " and ".join(map(str, value)) if plain else value


def about(name: str, result: Mapping[str, Any]) -> str:
    """Which benchmark ran where, and when."""
    machine = result["machine"]
    pairs = f", {result['pairs']} pairs" if "pairs" in result else ""
    return (
        f"`bench/{name}.py`{pairs}, {machine['cores']} cores of "
        f"{machine['cpu']}, {machine['isa']} kernels, peers' instruction set: "
        f"{machine.get('peers', 'own')}, load before the run {machine['load_before']:.1f}, "
        f"{result['time'][:10]}."
    )


def summary(cases: Sequence[Case]) -> str:
    """Geometric means by number of threads, and how many cases are behind."""
    parts = []
    for threads in dict.fromkeys(case.threads for case in cases):
        some = [case for case in cases if case.threads == threads]
        behind = sum(case.ratio["median"] < 1 for case in some)
        many = f" with {threads} thread{'s' * (threads != 1)}" if threads else ""
        parts.append(
            f"Geometric mean of {len(some)} cases{many}: **{geometric_mean(some):.2f}**, "
            f"{behind} below 1."
        )
    if len(cases) > MOST:
        parts.append("A bar is a group's geometric mean, its line goes from the least to the most.")
    return " ".join(parts)


def folded(lines: list[str], rows: int) -> list[str]:
    """A long table opens when asked to."""
    if rows <= OPEN:
        return [*lines, ""]
    return [f"<details><summary>All {rows} rows</summary>", "", *lines, "", "</details>", ""]


def case_table(cases: Sequence[Case]) -> Iterator[str]:
    """A row for each comparison; columns that no row needs are left out."""
    peers, units = {case.peer for case in cases}, {case.unit for case in cases}
    peer = peers.pop() if len(peers) == 1 else "peer"
    unit = units.pop() if len(units) == 1 else None
    threads = any(case.threads for case in cases)
    shares = any(case.share is not None for case in cases)
    mapped = any(case.mapped_share is not None for case in cases)
    beside = f", {unit}" if unit else ""
    fine = int(all(0.9 < case.ratio["median"] < 1.1 for case in cases))
    head = ["case", *["threads"] * threads, f"Tallow{beside}", f"{peer}{beside}", "ratio"]
    head += ["share of limit"] * shares + ["of a mapped file's"] * mapped
    yield from (f"| {' | '.join(head)} |", "|---" * len(head) + "|")
    for case in cases:
        own = "" if unit is not None or not case.unit else f" {case.unit}"
        cells = [case.name, *[str(case.threads or "")] * threads]
        cells += [
            f"{shown(x, fine)}{own}" if x is not None else "" for x in (case.ours, case.theirs)
        ]
        cells.append(f"**{cell(case.ratio, 2 + fine)}**")
        cells += [percent(case.share)] * shares + [percent(case.mapped_share)] * mapped
        yield f"| {' | '.join(cells)} |"


def percent(share: float | None) -> str:
    """A share, or nothing."""
    return "" if share is None else f"{share:.0%}"


def cell(row: Mapping[str, float], digits: int = 0) -> str:
    """Median (quartiles), the median alone where they are the same."""
    if row["q1"] == row["q3"]:
        return f"{row['median']:.{digits}f}"
    return f"{row['median']:.{digits}f} ({row['q1']:.{digits}f}–{row['q3']:.{digits}f})"


def shown(value: Any, more: int = 0) -> str:
    """A number to three places that count, and `more`, or quartiles of it."""
    size = abs(median(value))
    digits = more + (0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3)
    return cell(value, digits) if is_quartiles(value) else f"{value:.{digits}f}"


# --- what compares nothing ------------------------------------------------------------------------


def plain_rows(node: Any, name: str = "") -> Iterator[dict[str, str]]:
    """Rows as they were recorded, nested measures under joined names."""
    if isinstance(node, list) and node and all(isinstance(each, Mapping) for each in node):
        for each in node:
            yield {**({"": name} if name else {}), **dict(flat(each))}
    elif isinstance(node, Mapping) and not is_quartiles(node):
        inner = {k: v for k, v in node.items() if isinstance(v, Mapping | list)}
        inner = {k: v for k, v in inner.items() if k not in ("machine", "limits")}
        if name and not any(isinstance(v, list) for v in inner.values()):
            yield {"": name, **dict(flat(node))}
            return
        for key, value in inner.items():
            below = name if key in ("rows", "parts") else f"{name} {key}".strip()
            if not is_quartiles(value):
                yield from plain_rows(value, below)
            else:
                yield {"": below, "measured": shown(value)}


def flat(node: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Names and texts of what a row holds."""
    for key, value in node.items():
        name = f"{before} {key}".strip()
        if is_number(value):
            yield name, shown(value)
        elif isinstance(value, Mapping):
            yield from flat(value, name)
        elif isinstance(value, str | bool):
            yield name, str(value)


def plain_table(rows: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """A table of all their columns."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    yield from (f"| {' | '.join(columns)} |", "|---" * len(columns) + "|")
    for row in rows:
        yield f"| {' | '.join(row.get(column, '') for column in columns)} |"


if __name__ == "__main__":
    main()
