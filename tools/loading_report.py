"""Fill the measured parts of docs/guide/zero-copy.md, and its plot, from bench/history.

What stands between `<!-- NAME -->` and `<!-- /NAME -->` is written from the newest recorded run of
bench/page_sharing.py (`sharing`) and bench/load.py (`loading`).
"""

from __future__ import annotations

import re
from typing import Any

from bench_report import ROOT, cell, newest

PAGE, PLOT = ROOT / "docs" / "guide" / "zero-copy.md", ROOT / "docs" / "guide" / "page-sharing.svg"
SHARED, PRIVATE = "#2a7f62", "#b5523b"


def main() -> None:
    """Write the page's parts and the plot."""
    text = PAGE.read_text(encoding="utf-8")
    for name, write in (("sharing", sharing), ("loading", loading)):
        result = newest({"sharing": "page_sharing", "loading": "load"}[name])
        if result and (lines := write(result)):
            body = "\n".join(lines)
            text, count = re.subn(
                rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)",
                lambda found, body=body: f"{found[1]}{body}\n{found[2]}",
                text,
                flags=re.S,
            )
            assert count == 1, f"{PAGE.name} has no place for {name}"
    PAGE.write_text(text, encoding="utf-8")


def about(result: dict[str, Any]) -> str:
    """Where and when a run was made."""
    machine = result["machine"]
    return f"{machine['cores']} cores of {machine['cpu']}, {result['time'][:10]}"


def sharing(result: dict[str, Any]) -> list[str]:
    """Two processes with the same file: a table, and the plot beside it."""
    size = result["file_bytes"] / 1e6
    intro = (
        f"`python bench/page_sharing.py --size {result['size_mb']}`: {result['processes']} "
        f"processes with the same {size:.0f} MB, all of it read; growth of all together in MB "
        f"({about(result)})."
    )
    lines = [
        intro,
        "",
        "| | RSS | PSS | shared | private |",
        "|---|---|---|---|---|",
    ]
    bars = []
    for side, row in result["rows"].items():
        middle = {kind: row[kind]["median"] / 1e6 for kind in row}
        cells = " | ".join(f"{middle[kind]:.1f}" for kind in ("rss", "pss", "shared", "private"))
        lines.append(f"| {side} | {cells} |")
        bars.append((side, middle["pss"] - middle["private"], middle["private"]))
    PLOT.write_text(plot(bars, size), encoding="utf-8")
    return lines


def plot(bars: list[tuple[str, float, float]], size: float) -> str:
    """What the machine has to find for all processes: shared pages, then private ones."""
    left, step, wide = 170, 26, 420
    scale = wide / max(shared + private for _, shared, private in bars)
    height = step * len(bars) + 52
    body = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + wide + 80}" height="{height}" '
            'font-family="sans-serif" font-size="12">'
        ),
        f'<rect width="{left + wide + 80}" height="{height}" fill="white"/>',
    ]
    for i, (label, shared, private) in enumerate(bars):
        y = 26 + i * step
        body.append(f'<text x="{left - 8}" y="{y + 13}" text-anchor="end">{label}</text>')
        at = float(left)
        for value, color in ((shared, SHARED), (private, PRIVATE)):
            length = max(value, 0) * scale
            body.append(
                f'<rect x="{at:.1f}" y="{y}" width="{length:.1f}" height="18" fill="{color}"/>'
            )
            at += length
        body.append(f'<text x="{at + 6:.0f}" y="{y + 13}">{shared + private:.0f} MB</text>')
    x = left + size * scale
    body.append(f'<path d="M{x:.0f} 20V{height - 24}" stroke="#444" stroke-dasharray="4 3"/>')
    body.append(f'<text x="{x:.0f}" y="14" text-anchor="middle">the file</text>')
    for at, color, name in ((left, SHARED, "shared"), (left + 90, PRIVATE, "private")):
        body.append(f'<rect x="{at}" y="{height - 16}" width="10" height="10" fill="{color}"/>')
        body.append(f'<text x="{at + 15}" y="{height - 7}">{name}</text>')
    return "\n".join([*body, "</svg>"]) + "\n"


def loading(result: dict[str, Any]) -> list[str]:
    """The same tensors in each format, beside the packages that the formats come from."""
    if not result.get("formats"):
        return []
    intro = (
        f"`python bench/load.py`, {result['pairs']} pairs, files of {result['size_mb']} MB, in the "
        f"page cache ({about(result)}). Growth of the process in MB, private + mapped, when every "
        "tensor is there, and when one element of each was read."
    )
    lines = [
        intro,
        "",
        "| file | loaded by | ms | × Tallow | growth | first elements |",
        "|---|---|---|---|---|---|",
    ]
    for name, part in result["formats"].items():
        for side, row in (part or {"rows": {}})["rows"].items():
            growth = [
                " + ".join(f"{row[f'{s}_{k}']['median'] / 1e6:.1f}" for k in ("anonymous", "file"))
                for s in ("load", "first")
            ]
            cells = [name, side, cell(row["load_ms"], 2), cell(row["times_ours"], 1), *growth]
            lines.append(f"| {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    main()
