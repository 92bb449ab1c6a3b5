"""Write docs/reference/ops.md from the op rows: `op_reference.py [--check]`.

One table per module of `tallow.ops`: the op with its parameters, what it gives, how it is computed
(kernel, or ops of its meaning) and where its gradient comes from.
"""

from __future__ import annotations

import inspect
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import tallow as tl
from tallow.registry import ROWS, Row

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "ops.md"
HEAD = """# Op reference

Generated from the rows by `tools/op_reference.py`. Names, arguments and results are PyTorch's; the
first tensor argument is positional. *Kernel*: native code (those with a meaning beside it are
tested against it); *meaning*: computed by other ops. *Gradient*: by a rule of its own, through the
meaning, or none (results that are integers or bools, random numbers). A `_` behind the name: an
in-place twin exists. Ops whose first parameter is `x` or `a` are methods of `Tensor`, too.
"""


def signature(row: Row[..., Any]) -> str:
    """`name(x, dim=None, *, keepdim=False)`."""
    parts = []
    starred = False
    for p in inspect.signature(row.meaning).parameters.values():
        if p.kind is p.KEYWORD_ONLY and not starred:
            parts.append("*")
        starred = starred or p.kind in (p.KEYWORD_ONLY, p.VAR_POSITIONAL)
        star = "*" if p.kind is p.VAR_POSITIONAL else ""
        default = "" if p.default is p.empty else f"={p.default!r}"
        parts.append(f"{star}{p.name}{default}")
    return f"{row.__name__}({', '.join(parts)})"


def computed(row: Row[..., Any]) -> str:
    """Whether a kernel or other ops do the work."""
    if row.is_view:
        return "view"
    return "kernel" if row.cpu is not None or row.native is not None else "meaning"


def gradient(row: Row[..., Any]) -> str:
    """Where the gradient comes from."""
    if row.gradient is not None:
        return "rule"
    return "—" if row.is_primitive else "meaning"


def page() -> str:
    """The text of the page."""
    tl.ops.open_all()
    rooms: dict[str, list[Row[..., Any]]] = defaultdict(list)
    for row in ROWS.values():
        if row.__module__.startswith("tallow."):
            rooms[row.__module__].append(row)
    lines = [HEAD, f"{sum(len(rows) for rows in rooms.values())} ops.\n"]
    for module in sorted(rooms):
        purpose = (sys.modules[module].__doc__ or "").strip().split("\n")[0]
        lines.append(f"\n## {module.rsplit('.', 1)[1]}\n\n{purpose}\n")
        lines.append("| op | gives | computed by | gradient |\n|---|---|---|---|")
        for row in sorted(rooms[module], key=lambda row: row.__name__):
            says = (row.__doc__ or "").strip().split("\n\n")[0].replace("\n", " ")
            says = " ".join(says.split()).replace("|", "\\|")
            twin = " `_`" if row.has_inplace or row.native is not None else ""
            shown = signature(row).replace("|", "\\|")
            lines.append(f"| `{shown}`{twin} | {says} | {computed(row)} | {gradient(row)} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    wanted = page()
    if "--check" in sys.argv[1:]:
        if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != wanted:
            print("docs/reference/ops.md is stale; run tools/op_reference.py")
            return 1
        return 0
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
