"""Writes `csrc/core/grid_codes.h`, the codebooks of llama.cpp's IQ formats, from gguf's.

The codebooks are facts of the file formats: which 8 (or 4) magnitudes an index of so many bits
stands for. They were found by search, not by a rule, so they are a table. An entry is kept as one
16-bit number: element i in bits 2i, 2i + 1 (8 elements) or 3i … 3i + 2 (4 elements), a code into
the few magnitudes that the format knows. `csrc/core/grids.cpp` expands the numbers into vectors.

    python tools/make_grids.py [--check]

`--check` compares instead of writing, and fails when the file is not what would be written.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

TARGET = Path(__file__).resolve().parents[1] / "csrc" / "core" / "grid_codes.h"
HEAD = """\
// The codebooks of the IQ formats, written by tools/make_grids.py from the gguf package; not edited
// by hand. An entry holds its elements' codes, 2 bits each (8 elements) or 3 bits each (4).
#pragma once
#include <cstdint>

namespace tl {

// clang-format off
"""
TAIL = """\
// clang-format on

}  // namespace tl
"""
GRIDS = ("IQ1_S", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S")


def codes(quant: Any) -> list[int]:
    """The entries of a format's codebook as packed codes."""
    import numpy as np

    quant.init_grid()
    grid = quant.grid.reshape(quant.grid_shape)
    magnitudes = np.array(quant.grid_map, np.float32)
    found = np.argmax(grid[..., None] == magnitudes, axis=-1)
    if not np.array_equal(magnitudes[found], grid):
        raise SystemExit(f"{quant.__name__}: a value of the grid is not in its map")
    width = 2 if grid.shape[1] == 8 else 3
    return [int(sum(int(c) << width * i for i, c in enumerate(row))) for row in found]


def array(name: str, values: list[int]) -> str:
    """A C++ array, as many numbers a line as 100 columns take."""
    lines = [
        "    " + ", ".join(f"0x{v:04x}" for v in values[at : at + 12]) + ","
        for at in range(0, len(values), 12)
    ]
    return "\n".join(
        [f"inline constexpr uint16_t k{name}Codes[{len(values)}] = {{", *lines, "};", ""]
    )


def text() -> str:
    """The whole header."""
    from gguf import quants

    arrays = [
        array(name.replace("_", "").capitalize(), codes(getattr(quants, name))) for name in GRIDS
    ]
    return HEAD + "\n".join(arrays) + TAIL


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    wanted = text()
    if not parser.parse_args().check:
        TARGET.write_text(wanted, encoding="utf-8")
    elif TARGET.read_text(encoding="utf-8") != wanted:
        sys.exit(f"{TARGET.name} is not what tools/make_grids.py writes")


if __name__ == "__main__":
    main()
