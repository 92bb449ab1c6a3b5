"""Float32 products of matrices beside OpenBLAS (numpy's) and candle: same shapes, in turn.

Each side is a process of its own, and the one that waits sleeps: a block begins after a pause, as
OpenBLAS' threads spin for a while after a product. A run is the best of three blocks of 30 ms; the
ratio is OpenBLAS' time over Tallow's, the median over the pairs of neighbouring runs. OpenBLAS
chooses its kernels itself (settings that pin them are taken away); with TALLOW_ISA=avx2 it is told
to take those for AVX2. `share` is of the FMA peak measured before, for a single row of the
bandwidth. Results of Tallow and OpenBLAS are compared before anything is measured. candle is the
package candle-nn of an interpreter that has it; it chooses its kernels itself.

    python bench/gemm.py [--peer-python …/bin/python] [--threads 1 2] [--only row batched …]
"""

from __future__ import annotations

import json
import math
import os
import statistics
import sys
import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import _common as common
from _limits import limits

GOAL, FLOOR = 1.0, 0.9
PAUSE = 0.05  # seconds, longer than OpenBLAS' threads spin by default
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Product:
    """`a @ b`; `turned` operands are transposes of what lies in memory."""

    group: str
    a: Shape
    b: Shape
    turned: str = ""

    @property
    def name(self) -> str:
        """`64 x 576 by 576 x 1536, b turned`."""
        left, right = (" x ".join(map(str, shape)) for shape in (self.a, self.b))
        return f"{left} by {right}{f', {self.turned} turned' if self.turned else ''}"

    @property
    def flops(self) -> float:
        """Multiplications and additions."""
        return 2.0 * math.prod(self.a) * self.b[-1]


def products() -> list[Product]:
    """All rows of the table."""
    square = [Product("square", (n, n), (n, n)) for n in (64, 128, 256, 512, 1024, 2048)]
    sizes = [(512, 576, 1536), (128, 1536, 576), (16, 576, 1536), (4, 576, 1536)]
    plain = [Product("plain", (m, k), (k, n)) for m, k, n in sizes]
    row = [
        Product("row", (1, k), (k, n), turned)
        for k, n in ((576, 1536), (1536, 576), (1024, 1024), (4096, 4096))
        for turned in ("", "b")
    ]
    turned = [
        Product("turned", (512, 576), (576, 1536), "b"),
        Product("turned", (512, 576), (576, 1536), "a"),
        Product("turned", (16, 576), (576, 1536), "b"),
        Product("turned", (1024, 1024), (1024, 1024), "a and b"),
    ]
    batched = [
        Product("batched", (12, 256, 64), (12, 64, 256)),
        Product("batched", (12, 256, 64), (12, 64, 256), "b"),
        Product("batched", (12, 256, 256), (12, 256, 64)),
        Product("batched", (8, 512, 512), (8, 512, 512)),
        Product("batched", (64, 32, 32), (64, 32, 32)),
    ]
    column = [
        Product("column", (1024, 1024), (1024, 1)),
        Product("column", (4096, 4096), (4096, 1)),
    ]
    return [*square, *plain, *row, *column, *turned, *batched]


# --- one side ---------------------------------------------------------------------------------


def operand(shape: Shape, turned: bool) -> Any:
    """Standard normal numbers; `turned`: a view of those of the transpose."""
    import numpy as np

    stored = (*shape[:-2], shape[-1], shape[-2]) if turned else shape
    x = np.random.default_rng(sum(shape)).standard_normal(stored, dtype=np.float32)
    return x.swapaxes(-1, -2) if turned else x


def candle_operand(shape: Shape, turned: bool) -> Any:
    """Random numbers: candle takes no numpy array, and lists of millions take minutes."""
    import candle

    stored = (*shape[:-2], shape[-1], shape[-2]) if turned else shape
    x = candle.randn(stored)
    return x.transpose(len(shape) - 2, len(shape) - 1) if turned else x


def candle_side() -> None:
    """Answer names of rows with seconds."""
    from _ops_rows import Clock

    table = {row.name: row for row in products()}
    name, clock = "", None
    for line in sys.stdin:
        row = table[line.strip()]
        if clock is None or row.name != name:
            name = row.name
            a, b = (
                candle_operand(row.a, "a" in row.turned),
                candle_operand(row.b, "b" in row.turned),
            )
            clock = Clock(partial(a.matmul, b))
        time.sleep(PAUSE)
        print(json.dumps({"seconds": clock.best()}), flush=True)


def side(library: str, threads: int) -> None:
    """Answer names of rows with seconds; the first time with the sum of the result, too."""
    import numpy as np
    from _ops_rows import Clock

    if library == "tallow":
        import tallow as tl

        tl.set_num_threads(threads)
    table = {row.name: row for row in products()}
    name, clock = "", None
    for line in sys.stdin:
        row, answer = table[line.strip()], dict[str, Any]()
        if clock is None or row.name != name:
            clock, name = None, row.name
            a, b = operand(row.a, "a" in row.turned), operand(row.b, "b" in row.turned)
            if library == "tallow":
                a, b = tl.from_numpy(a), tl.from_numpy(b)
            answer["squares"] = float(np.square(np.asarray(a @ b), dtype=np.float64).sum())
            clock = Clock(partial(type(a).__matmul__, a, b))
        time.sleep(PAUSE)
        print(json.dumps(answer | {"seconds": clock.best()}), flush=True)


# --- the comparison ---------------------------------------------------------------------------


def measure(
    row: Product, sides: dict[str, common.Side], pairs: int, limit: dict[str, float] | None
) -> dict[str, Any]:
    """Seconds of both, their ratio and the share of the limit."""
    ours, theirs = (sides[name](row.name)["squares"] for name in ("tallow", "openblas"))
    if abs(ours - theirs) > 1e-4 * theirs:
        raise SystemExit(f"{row.name}: the sides differ, sums of squares {ours:g} and {theirs:g}")
    runs = common.alternate(
        {name: lambda each=each: each(row.name)["seconds"] for name, each in sides.items()},
        pairs,
        row.name,
    )
    best = {name: statistics.median(seconds) for name, seconds in runs.items()}
    found: dict[str, Any] = {
        "name": row.name,
        "group": row.group,
        "gflops": {name: row.flops / seconds / 1e9 for name, seconds in best.items()},
        "ratio": common.ratio(runs["openblas"], runs["tallow"]),
    }
    if "candle" in runs:
        found["candle_ratio"] = common.ratio(runs["candle"], runs["tallow"])
    if limit and row.group in ("row", "column"):
        found["share"] = 2 * row.flops / best["tallow"] / limit["read_bytes_per_s"]
    elif limit:
        found["share"] = row.flops / best["tallow"] / limit["flops_per_s"]
    return found


def report(threads: int, found: list[dict[str, Any]]) -> dict[str, Any]:
    """Print the table of one number of threads; the geometric mean and the rows below the floor."""
    made = common.table(
        f"{threads} threads, GFLOP/s, medians; ratios: a peer's time over ours (quartiles)",
        *("", "Tallow", "OpenBLAS", "candle", "OpenBLAS' ratio", "candle's", "share"),
    )
    for row in found:
        names = ("tallow", "openblas", "candle")
        rates = [f"{row['gflops'][name]:.1f}" if name in row["gflops"] else "" for name in names]
        share = f"{row['share']:.0%}" if "share" in row else ""
        candle = common.shown(row["candle_ratio"]) if "candle_ratio" in row else ""
        made.add_row(row["name"], *rates, common.shown(row["ratio"]), candle, share)
    common.show(made)
    ratios = {row["name"]: row["ratio"]["median"] for row in found}
    total = {
        "geometric_mean": math.exp(statistics.fmean(map(math.log, ratios.values()))),
        "slow": {name: round(ratio, 3) for name, ratio in ratios.items() if ratio < FLOOR},
    }
    print(f"  geometric mean: {total['geometric_mean']:.2f}")
    beside = [row["candle_ratio"]["median"] for row in found if "candle_ratio" in row]
    if beside:
        total["candle_geometric_mean"] = math.exp(statistics.fmean(map(math.log, beside)))
        print(f"  beside candle: {total['candle_geometric_mean']:.2f}")
    print(f"  below {FLOOR}: {total['slow'] or 'none'}")
    return total


def main() -> None:
    if sys.argv[1:2] == ["side"]:
        candle_side() if sys.argv[2] == "candle" else side(sys.argv[2], int(sys.argv[3]))
        return
    parser = common.parser(__doc__, pairs=7)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--only", nargs="+", help="rows whose name or group has one of these texts")
    args = parser.parse_args()
    chosen = [
        row
        for row in products()
        if not args.only or any(text in f"{row.group} {row.name}" for text in args.only)
    ]
    pythons = {
        "tallow": common.interpreter([], "tallow", "numpy") or sys.executable,
        "openblas": common.interpreter(args.peer_python, "numpy") or sys.executable,
    }
    candle = common.interpreter(args.peer_python, "candle")
    if candle is not None:
        pythons["candle"] = candle
    kernels = {"OPENBLAS_CORETYPE": "Haswell"} if os.environ.get("TALLOW_ISA") == "avx2" else {}
    result: dict[str, Any] = {"pairs": args.pairs, "goal": GOAL, "floor": FLOOR, "threads": {}}
    for threads in args.threads:
        limit = limits(common.work_folder(None), threads)
        count = str(threads)
        pinned = {"OPENBLAS_NUM_THREADS": count, "RAYON_NUM_THREADS": count, **kernels}
        sides = {
            name: common.Side(name, [python, __file__, "side", name, str(threads)], **pinned)
            for name, python in pythons.items()
        }
        found = [measure(row, sides, args.pairs, limit) for row in chosen]
        for each in sides.values():
            each.close()
        result["threads"][threads] = {"limits": limit, **report(threads, found), "rows": found}
    common.finish("gemm", result, record=args.record)


if __name__ == "__main__":
    main()
