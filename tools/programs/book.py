"""A section of the book "Dive into Deep Learning": its cells for PyTorch, run one after another.

child.py RESULT STEPS book.py SECTION.md
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import torch
from recording import note

CELL = re.compile(r"^```\{\.python .*?\}\n(.*?)^```", re.MULTILINE | re.DOTALL)
TAB = re.compile(r"^(?:%%tab|#@tab) (.*)$", re.MULTILINE)


class Tab:
    """What the book's own extension gives cells that serve several libraries."""

    @staticmethod
    def selected(*names: str) -> bool:
        """Whether PyTorch is among them."""
        return "pytorch" in names

    @staticmethod
    def interact_select(*_: Any) -> None:
        """Nothing to choose."""


def cells(path: Path) -> list[str]:
    """The cells for PyTorch, without the notebook's own commands."""
    found = []
    for cell in CELL.findall(path.read_text()):
        marks = TAB.findall(cell)
        names = {name.strip() for mark in marks for name in mark.split(",")}
        if names & {"pytorch", "all"}:
            lines = [line for line in cell.splitlines() if not line.startswith(("%", "!"))]
            found.append("\n".join(lines))
    return found


def main() -> None:
    path = Path(sys.argv[1])
    torch.manual_seed(0)
    space: dict[str, Any] = {"__name__": "__main__", "tab": Tab}
    count = 0
    for number, cell in enumerate(cells(path), 1):
        exec(compile(cell, f"{path.name}: cell {number}", "exec"), space)
        count += 1
        for name, value in sorted(space.items()):
            if isinstance(value, torch.Tensor) and value.is_floating_point():
                both = torch.stack([value.detach().sum(), value.detach().norm()]).double()
                note(f"{number} {name}", both)
    print(count, "cells")


if __name__ == "__main__":
    main()
