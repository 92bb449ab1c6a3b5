"""What a small operation costs before any arithmetic: `a + b` of 16 floats, beside the peers.

Each library runs in a process of its own, in turn; a run is the best of 5 batches of 20000 calls.

    python bench/overhead.py --peer-python …/bin/python [--pairs 7]
"""

from __future__ import annotations

import _common as common

SETUP = {
    "tallow": "import tallow as tl; a = tl.tensor([1.5] * 16); b = tl.tensor([2.5] * 16)",
    "torch": "import torch; a = torch.full((16,), 1.5); b = torch.full((16,), 2.5)",
    "numpy": "import numpy; a = numpy.full(16, 1.5, 'f'); b = numpy.full(16, 2.5, 'f')",
    "candle": "import candle; a = candle.Tensor([1.5] * 16); b = candle.Tensor([2.5] * 16)",
}
CLOCK = """
import sys, timeit
clock = timeit.Timer("a + b", sys.argv[1])
calls = int(sys.argv[2])
clock.timeit(calls)
print(min(clock.repeat(5, calls)) / calls * 1e6)
"""


def main() -> None:
    parser = common.parser(__doc__, pairs=7)
    parser.add_argument("--calls", type=int, default=20000)
    args = parser.parse_args()
    sides = {}
    for name, setup in SETUP.items():
        python = common.interpreter(args.peer_python, name)
        if python is None:
            continue
        command = [python, "-c", CLOCK, setup, str(args.calls)]
        sides[name] = lambda command=command: float(common.call(command))
    runs = common.alternate(sides, args.pairs, "a + b")
    rows = {name: common.quartiles(values) for name, values in runs.items()}
    ratios = {n: common.ratio(runs["tallow"], v) for n, v in runs.items() if n != "tallow"}
    made = common.table(
        "a + b of 16 floats, microseconds, median (quartiles)", *("", "µs", "tallow / it")
    )
    for name, row in rows.items():
        made.add_row(name, common.shown(row), common.shown(ratios[name]) if name in ratios else "")
    common.show(made)
    result = {"pairs": args.pairs, "microseconds": rows, "ratios": ratios}
    common.finish("overhead", result, record=args.record)


if __name__ == "__main__":
    main()
