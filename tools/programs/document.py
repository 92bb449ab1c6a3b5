"""The page docs/programs.md, from what the last runs of tools/programs.py gave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

HEAD = """# Public PyTorch programs on Tallow

Each program below was run twice, as its authors wrote it: once with PyTorch {torch}, once with
Tallow as `python -m tallow.torch SCRIPT`, which registers `tallow.torch` under the name `torch`.
Nothing of a program was changed; packages that import torch themselves (torchvision's Python, timm,
einops) were taken as they are too. Both sides drew the same random numbers and read the same small
made-up data in the real ones' formats; runs are short (a few steps at small sizes, on one thread).
*Equal* means that every loss (and whatever else the row compares) agrees to a relative
{tolerance:g}; a number near 0 is compared relative to a hundredth of the curve's largest.

*Rounding grows* means that the difference is larger, but that torch differs as much (within a
factor of two) from itself: when it runs without oneDNN, when each number that it draws is replaced
by a neighbour in f32, or from its own run in f64; or that Tallow equals the run without oneDNN. A
program of large steps on a few samples amplifies the last bit.

{equal} of {total} programs ran with only the import replaced and equal results.{rest}

`make programs SOURCES=folder` repeats it: [tools/programs.toml](../tools/programs.toml) says what
the folder must hold, with commits, arguments, data and stand-ins. No source of a program is part of
this repository. Programs of these repositories that PyTorch itself cannot run on a CPU any more are
left out.

"""
SAID = {
    "equal": "equal", "amplifies": "ran, rounding grows", "differs": "ran, differs",
    "fails": "fails", "torch": "not run",
    "torch fails": "torch itself fails", None: "not run",
}  # fmt: skip


def _clean(text: str) -> str:
    """One short line that a table can hold, without paths of this machine."""
    words = [Path(w).name if "/" in w and len(w) > 20 else w for w in text.split()]
    return " ".join(words).replace("|", "\\|")[:150]


def _line(row: dict[str, Any], found: dict[str, Any] | None) -> str:
    state = found["state"] if found else None
    compared = difference = ""
    if found and "worst" in found:
        compared, difference = found["said"], f"{found['worst']:.0e}"
        if "itself" in found:
            difference += f" (torch with itself {found['itself']:.0e})"
        if "from_exact" in found:
            difference += " (from f64 {:.0e}, torch {:.0e})".format(*found["from_exact"])
    elif found:
        compared = _clean(found["said"]) if state != "torch" else ""
    return f"| {row['name']} | {SAID[state]} | {compared} | {difference} |"


def write(path: Path, table: dict[str, Any], lines: dict[str, Any]) -> None:
    """Write the page; a program without a result is listed as not run."""
    rows = table["program"]
    states = [lines[row["name"]]["state"] if row["name"] in lines else None for row in rows]
    said = [SAID[s] for s in states if s != "equal"]
    rest = "".join(f" {said.count(s)}: {s}." for s in dict.fromkeys(sorted(said)))
    version = next((v["torch"] for v in lines.values() if "torch" in v), "2.13.0")
    text = HEAD.format(
        torch=version, tolerance=1e-4, equal=states.count("equal"), total=len(rows), rest=rest
    )
    for source in dict.fromkeys(row["source"] for row in rows):
        commit = table["sources"].get(source)
        packages = [n for n in table["packages"]["names"] if n.split("==")[0] == source]
        about = f"commit `{commit}`" if commit else f"package `{(packages or [source])[0]}`"
        where = f"[{source}](https://github.com/{source})" if commit else source
        text += f"## {where}\n\n{about}\n\n"
        text += "| program | result | compared | difference |\n|---|---|---|---|\n"
        own = [row for row in rows if row["source"] == source]
        text += "\n".join(_line(row, lines.get(row["name"])) for row in own) + "\n\n"
    path.write_text(text.rstrip() + "\n")
