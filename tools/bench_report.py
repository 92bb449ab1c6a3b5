"""Write docs/benchmarks.md and its plot from the newest lines of bench/history."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
HISTORY = ROOT / "bench" / "history"
PAGE, PLOT = ROOT / "docs" / "benchmarks.md", ROOT / "docs" / "benchmarks.svg"
BY_HAND = "<!-- by hand -->"  # what follows it in the page is kept
MODES = {"fast": "int8", "exact": "float"}  # as older runs named activations
HEAD = """# Benchmarks

Written by `tools/bench_report.py` from the newest recorded run of each benchmark (`bench/history`).
Both sides run in turn on the same machine; a ratio is the median over pairs of neighbouring runs,
with its quartiles. Absolute numbers belong to that machine and hour and are not to be compared with
others. The limit of decoding is measured read bandwidth over the bytes of the weights, that of
prefill the measured float32 FMA peak over the multiplications.
"""


def newest(name: str) -> dict[str, Any] | None:
    """The last recorded result of a benchmark."""
    path = HISTORY / f"{name}.jsonl"
    if not path.exists():
        return None
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8").splitlines()[-1])
    return found


def main() -> None:
    """Write both files."""
    parts = [HEAD]
    for name, write in (
        ("llm_vs_llama_cpp", llm),
        ("cold_start", cold_start),
        ("overhead", overhead),
        ("load", load),
        ("qmatmul", qmatmul),
        ("quantized_perplexity", quantized),
        ("encoders", encoders),
        ("families", families),
    ):
        result = newest(name)
        if result:
            machine = result["machine"]
            about = (
                f"`bench/{name}.py`, {result.get('pairs', 1)} pairs, {machine['cores']} cores of "
                f"{machine['cpu']}, {machine['isa']} kernels, peers' instruction set: "
                f"{machine.get('peers', 'own')}, load before the run "
                f"{machine['load_before']:.1f}, {result['time'][:10]}."
            )
            parts += [write(result, about)]
    _, mark, by_hand = PAGE.read_text(encoding="utf-8").partition(BY_HAND)
    PAGE.write_text("\n".join(parts) + "\n" + mark + by_hand, encoding="utf-8")


def cell(row: dict[str, float], digits: int = 0) -> str:
    """Median (quartiles)."""
    return f"{row['median']:.{digits}f} ({row['q1']:.{digits}f}–{row['q3']:.{digits}f})"


def llm(result: dict[str, Any], about: str) -> str:
    """Tokens per second beside llama.cpp, and the plot."""
    lines = [
        "## A language model beside llama.cpp",
        "",
        about + " Decode of 128 tokens from an empty cache, prefill of 512; same files.",
        "",
        "![Ratios to llama.cpp](benchmarks.svg)",
        "",
        "| file | threads | test | Tallow tok/s | llama.cpp tok/s | ratio | share of limit |",
        "|---|---|---|---|---|---|---|",
    ]
    bars = []
    for row in result["rows"]:
        for test, name in (("tg", "decode"), ("pp", "prefill")):
            at = row[test]
            share = f"{at['share']:.0%}" if "share" in at else ""
            lines.append(
                f"| {row['form']} | {row['threads']} | {name} | {cell(at['tallow'])} | "
                f"{cell(at['llama.cpp'])} | **{cell(at['ratio'], 2)}** | {share} |"
            )
            label = f"{row['form']}, {row['threads']} thread{'s' * (row['threads'] > 1)}, {name}"
            bars.append((label, at["ratio"]))
    PLOT.write_text(plot(bars), encoding="utf-8")
    return "\n".join(lines) + "\n"


def plot(bars: list[tuple[str, dict[str, float]]]) -> str:
    """Horizontal bars of the median ratio with its quartiles, and a line at 1."""
    left, scale, step = 190, 110, 24
    widest = max(row["q3"] for _, row in bars)
    width, height = left + int(scale * widest) + 70, step * len(bars) + 40
    body = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            'font-family="sans-serif" font-size="12">'
        ),
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for i, (label, row) in enumerate(bars):
        y = 28 + i * step
        color = "#2a7f62" if row["median"] >= 1 else "#b5523b"
        body.append(f'<text x="{left - 8}" y="{y + 12}" text-anchor="end">{label}</text>')
        length = scale * row["median"]
        body.append(f'<rect x="{left}" y="{y}" width="{length:.0f}" height="16" fill="{color}"/>')
        q1, q3 = left + scale * row["q1"], left + scale * row["q3"]
        body.append(f'<path d="M{q1:.0f} {y + 8}H{q3:.0f}" stroke="black" stroke-width="2"/>')
        body.append(
            f'<text x="{max(q3, left + length) + 6:.0f}" y="{y + 12}">{row["median"]:.2f}×</text>'
        )
    x = left + scale
    body.append(f'<path d="M{x} 20V{height - 8}" stroke="#444" stroke-dasharray="4 3"/>')
    body.append(f'<text x="{x}" y="14" text-anchor="middle">llama.cpp = 1</text></svg>')
    return "\n".join(body)


def cold_start(result: dict[str, Any], about: str) -> str:
    """From nothing to the first token, beside the peers."""
    lines = ["## Cold start", "", about + f" Model {result['model']}.", ""]
    lines += ["```json", json.dumps({"rows": result["rows"], "import": result["import"]}, indent=1)]
    return "\n".join([*lines, "```"]) + "\n"


def overhead(result: dict[str, Any], about: str) -> str:
    """The cost of one small op."""
    lines = ["## One small op", "", about + " `a + b` of 16 floats.", "", "| | µs |", "|---|---|"]
    lines += [f"| {name} | {cell(row, 2)} |" for name, row in result["microseconds"].items()]
    return "\n".join(lines) + "\n"


def load(result: dict[str, Any], about: str) -> str:
    """Opening a mapped file."""
    rows = result["rows"]
    size = result["file_bytes"] / 1e6
    lines = [
        "## Loading",
        "",
        about,
        "",
        (
            f"A file of {size:.1f} MB: {cell(rows['milliseconds'], 1)} ms without the tokenizer, "
            f"{cell(rows['tokenizer_ms'], 1)} ms for the tokenizer; "
            f"{rows['file']['median'] / 1e6:.1f} MB of the file in memory afterwards, the process "
            f"{rows['total']['median'] / 1e6:.1f} MB larger."
        ),
    ]
    return "\n".join(lines) + "\n"


def qmatmul(result: dict[str, Any], about: str) -> str:
    """One matrix in every weight format, beside ggml."""
    size = result["size"]
    lines = [
        "## Products with weights of every format",
        "",
        (
            f"{about} {size} × {size}, decode with 1 row of activations and prefill with 512; the "
            f"peer is ggml's `{result['variant']}` kernels with weights in the buffer type that it "
            "prefers. Share: of the read bandwidth and of the float32 FMA peak (same instruction "
            "set) measured in the run."
        ),
        "",
        "| format | threads | decode GB/s | share | ratio | prefill GFLOP/s | share | ratio |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        cells = [row["form"], str(row["threads"])]
        for test, work, limit in (
            ("decode", row["bytes"], "read_bytes_per_s"),
            ("prefill", 2 * size * size * 512, "flops_per_s"),
        ):
            at = row[test]
            rate = work / at["tallow"]["median"]
            share = f"{rate / row['limits'][limit]:.0%}" if row["limits"] else ""
            cells += [f"{rate / 1e9:.1f}", share, f"**{cell(at['ratio'], 2)}**"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def quantized(result: dict[str, Any], _about: str) -> str:
    """Perplexity of the model in every file type, made by both quantisers."""
    mode = result["activations"]
    lines = [
        "## Perplexity of every file type",
        "",
        (
            f"`bench/quantized_perplexity.py`: {result['model']} made into each type from the same "
            f"f32 file by Tallow and by llama-quantize; {result['limit'] // 1000} kB of text, read "
            f"by Tallow with `{MODES.get(mode, mode)}` activations. In f32: {result['f32']:.4f}. "
            "Ratios below 1: Tallow's file predicts better."
        ),
        "",
        "| type | importance | bits a weight | Tallow | llama.cpp | ratio |",
        "|---|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        ours, theirs = row["tallow"], row.get("llama.cpp")
        importance = "yes" if row["with"] == "imatrix" else "no"
        line = f"| {row['type']} | {importance} | {ours['bits']:.2f} | {ours['perplexity']:.4f} | "
        if theirs:
            line += f"{theirs['perplexity']:.4f} | "
            line += "same bytes |" if row["equal"] else f"{row['ratio']:.4f} |"
        else:
            line += "| |"
        lines.append(line)
    return "\n".join(lines) + "\n"


def encoders(result: dict[str, Any], about: str) -> str:
    """The section about MiniLM."""
    peers = [name for name in ("onnxruntime", "torch") if name in result["rows"][0]]
    ours = {"onnxruntime": "a plan's", "torch": "an eager pass's"}
    head = [f"{name}'s time over {ours[name]}" for name in peers]
    lines = [
        "## An encoder: MiniLM in f32",
        "",
        about,
        "",
        "| rows × tokens | " + " | ".join(head) + " | share of the FMA peak |",
        "|---|" + "---|" * (len(head) + 1),
    ]
    for row in result["rows"]:
        cells = [cell(row[name], 2) for name in peers]
        lines.append(f"| {row['shape']} | " + " | ".join(cells) + f" | {row.get('share', 0):.0%} |")
    return "\n".join([*lines, ""])


def families(result: dict[str, Any], about: str) -> str:
    """The section about families of models."""
    rows = [row for row in result["rows"] if "ratio" in row]
    below = ", ".join(result["below"]) or "none"
    lines = [
        "## Families of models beside PyTorch with transformers",
        "",
        about,
        "",
        f"Forward passes of random models of middle size in f32, {result['threads']} threads.",
        f"Geometric mean {result['geometric_mean']:.2f} of {len(rows)}; under 0.9: {below}.",
        "",
        "| family | PyTorch's time over Tallow's |",
        "|---|---|",
        *(f"| {row['name']} | {cell(row['ratio'], 2)} |" for row in rows),
    ]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
