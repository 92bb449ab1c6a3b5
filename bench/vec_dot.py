"""One row of activations times weights that are in cache: ns for 32 weights of every block format.

Tallow's side is `linear` of 256 rows of 1024 weights, ggml's its own `vec_dot` on the very same
bytes as one row. From both the time of the same on few weights is taken off: what a call costs,
and the rounding of activations. Both sums are compared first. Sides alternate on one thread; the
time is the processor's, the least of all rounds. Weights and activations are in the second-level
cache. Processors that others use, too, make all this longer and the ratio uncertain.

    python bench/vec_dot.py --llama-lib …/site-packages/llama_cpp/lib [--types q4_0] [--record]

Ratios above 1: Tallow is faster.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["TALLOW_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import _common as common
import numpy as np
from qmatmul import PLAIN, TYPES

from native.blocks import BLOCKS, random_blocks
from tallow import _native
from tallow.formats.gguf import GGML_TYPES

ROWS, FEW, COLUMNS = 256, 16, 1024
SPAN = 2e-3  # seconds of one measurement


class Traits(ctypes.Structure):
    """`struct ggml_type_traits_cpu`."""

    _fields_ = (
        ("from_float", ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 2, ctypes.c_int64)),
        (
            "vec_dot",
            ctypes.CFUNCTYPE(
                None,
                ctypes.c_int,
                *[ctypes.c_void_p, ctypes.c_size_t] * 3,
                ctypes.c_int,
            ),
        ),
        ("vec_dot_type", ctypes.c_int),
        ("nrows", ctypes.c_int64),
    )


class Ggml:
    """Dot products of one format by ggml's CPU backend."""

    def __init__(self, library: ctypes.CDLL, form: str, data: Any, x: Any) -> None:
        library.ggml_get_type_traits_cpu.restype = ctypes.POINTER(Traits)
        code = next(code for code, row in GGML_TYPES.items() if row[0] == form)
        traits = library.ggml_get_type_traits_cpu(code).contents
        self.dot, self.data = traits.vec_dot, data
        kind = library.ggml_get_type_traits_cpu(traits.vec_dot_type).contents
        self.x = np.zeros(x.size * 8, np.uint8)  # room for any format
        kind.from_float(x.ctypes.data, self.x.ctypes.data, x.size)
        self.sum = np.zeros(4, np.float32)

    def __call__(self, count: int) -> float:
        """The dot product of the first `count` weights."""
        at, w, x = self.sum.ctypes.data, self.data.ctypes.data, self.x.ctypes.data
        self.dot(count, at, 0, w, 0, x, 0, 1)
        return float(self.sum[0])


class Tallow:
    """`linear` on the bytes as they are."""

    def __init__(self, form: str, data: Any, x: Any) -> None:
        codes = {name: code for code, (name, *_) in enumerate(_native.DTYPES)}
        self.x = _native.Array.from_strided(x.reshape(1, -1))
        self.out = np.zeros((1, ROWS), np.float32)
        self.sides = {
            rows: (
                _native.Array.from_strided(self.out[:, :rows]),
                _native.Array.from_buffer(data, codes[form], (rows, COLUMNS), 0),
            )
            for rows in (FEW, ROWS)
        }

    def __call__(self, rows: int) -> None:
        """The products of the first `rows` rows."""
        out, weight = self.sides[rows]
        _native.call("linear", out, self.x, weight, None, 0)


def seconds(run: Callable[[], Any]) -> float:
    """Processor time of one call, the mean of as many as fill a span."""
    begin, count = time.thread_time(), 0
    while time.thread_time() - begin < SPAN:
        for _ in range(16):
            run()
        count += 16
    return (time.thread_time() - begin) / count


def measure(library: ctypes.CDLL, form: str, pairs: int) -> dict[str, Any]:
    """Both sides' ns for 32 weights."""
    rng = np.random.default_rng(7)
    block = BLOCKS[form][0]
    data = random_blocks(rng, form, ROWS, COLUMNS // block)
    x = rng.normal(size=COLUMNS).astype(np.float32)
    ours, theirs = Tallow(form, data, x), Ggml(library, form, data, np.tile(x, ROWS))
    ours(ROWS)
    mine, other = float(ours.out.sum()), theirs(ROWS * COLUMNS)
    scale = float(np.abs(ours.out).sum())
    if not abs(mine - other) <= 0.02 * scale:
        raise SystemExit(f"{form}: expected the same sum of both, got {mine} and {other}")
    sides = {
        "tallow": lambda: seconds(lambda: ours(ROWS)) - seconds(lambda: ours(FEW)),
        "ggml": lambda: (
            seconds(lambda: theirs(ROWS * COLUMNS)) - seconds(lambda: theirs(FEW * COLUMNS))
        ),
    }
    found = common.alternate(sides, pairs, form)
    row = {name: min(times) / ((ROWS - FEW) * COLUMNS // 32) * 1e9 for name, times in found.items()}
    return {"form": form, "ns": row, "ratio": row["ggml"] / row["tallow"]}


def main() -> None:
    parser = common.parser(__doc__, pairs=9)
    parser.add_argument("--llama-lib", default=os.environ.get("LLAMA_LIB"), help="its folder")
    forms = [form for form in TYPES if form not in PLAIN]
    parser.add_argument("--types", nargs="+", default=forms, choices=forms)
    args = parser.parse_args()
    name = "libggml-cpu.so"
    if not args.llama_lib or not (Path(args.llama_lib) / name).is_file():
        parser.error(f"give the folder of {name}, by --llama-lib or LLAMA_LIB")
    ctypes.CDLL(str(Path(args.llama_lib) / "libggml-base.so"), ctypes.RTLD_GLOBAL)
    library = ctypes.CDLL(str(Path(args.llama_lib) / name), ctypes.RTLD_GLOBAL)
    library.ggml_cpu_init()
    rows = [measure(library, form, args.pairs) for form in args.types]
    made = common.table("ns for 32 weights", "format", "tallow", "ggml", "ratio")
    for row in rows:
        sides = [f"{row['ns'][name]:.2f}" for name in ("tallow", "ggml")]
        made.add_row(row["form"], *sides, f"{row['ratio']:.2f}")
    common.show(made)
    common.finish("vec_dot", {"pairs": args.pairs, "threads": 1, "rows": rows}, record=args.record)


if __name__ == "__main__":
    main()
