"""Examples in a README, each run as it stands; the tensors that it leaves behind are noted.

child.py RESULT 0 readme.py README.md PATTERN…      the Python blocks that contain a pattern
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import torch
from recording import note

BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def main() -> None:
    path, *patterns = sys.argv[1:]
    blocks = BLOCK.findall(Path(path).read_text())
    for pattern in patterns:
        chosen = [block for block in blocks if re.search(pattern, block)]
        if not chosen:
            raise SystemExit(f"no block of {path} contains {pattern}")
        torch.manual_seed(0)
        space: dict[str, Any] = {"__name__": "__main__"}
        exec(compile(chosen[0], f"README: {pattern}", "exec"), space)
        for name, value in sorted(space.items()):
            if isinstance(value, torch.Tensor) and value.is_floating_point():
                note(f"{pattern} {name}", torch.stack([value.sum(), value.double().norm().float()]))
        print(pattern, flush=True)


if __name__ == "__main__":
    main()
