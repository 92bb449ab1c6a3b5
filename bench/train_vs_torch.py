"""Training beside torch: the two example scripts, run as they are and with torch's imports.

The source of `examples/fashion_mnist.py` and `examples/char_gpt.py` is executed twice, the second
time with `tallow` replaced by `torch` in its imports, so both sides run the same lines. Both begin
with the same weights and see the same batches.

    python bench/train_vs_torch.py --peer-python …/bin/python [--pairs 5] [--losses 200]

(a) seconds per epoch of Fashion-MNIST (600 steps of 100 images) and per 100 steps of the character
GPT, each side in a process of its own, alternating; (b) the greatest difference of the losses over
200 steps.
"""

from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path
from typing import Any

import _common as common

JOBS = {
    # example, steps of a timed run, learning rate
    "fashion_mnist": (600, 1e-3),
    "char_gpt": (50, 1e-3),
}


def script(job: str, side: str) -> dict[str, Any]:
    """The names of the example, its imports turned to torch for the peer."""
    path = common.ROOT / "examples" / f"{job}.py"
    source = path.read_text(encoding="utf-8")
    if side == "torch":
        for ours, theirs in (
            ("import tallow as tl\n", "import torch as tl\n"),
            ("from tallow import data, nn, optim\n",
             "from torch import nn, optim\nfrom tallow import data\n"),
            ("from tallow.nn import", "from torch.nn import"),
        ):  # fmt: skip
            assert ours in source, ours
            source = source.replace(ours, theirs)
    # Progress bars are no part of the measurement, and rich need not be there.
    source = "\n".join(
        line for line in source.splitlines() if not line.startswith(("from rich", "from plot"))
    )
    scope: dict[str, Any] = {"__name__": job, "__file__": str(path)}
    exec(compile(source, str(path), "exec"), scope)
    return scope


def weights(model: Any) -> list[tuple[str, list[int], list[float]]]:
    """Values for every parameter, by name, from a generator of neither library."""
    draw = random.Random(0)
    made = []
    for name, p in sorted(model.named_parameters()):
        shape = list(p.shape)
        count = 1
        for length in shape:
            count *= length
        # Norms begin at 1 and 0 as they do; the rest at the scale of the usual initialisation.
        scale = (
            (shape[1] * (shape[2] * shape[3] if len(shape) == 4 else 1)) ** -0.5
            if (len(shape) > 1)
            else 0.02
        )
        start = 1.0 if "norm" in name and name.endswith("weight") else 0.0
        made.append((name, shape, [start + draw.gauss(0, scale) for _ in range(count)]))
    return made


def run(job: str, side: str, steps: int) -> dict[str, Any]:
    """Train `steps` steps; the losses and the seconds of all but the first ten."""
    import tallow as tl

    scope = script(job, side)
    if side == "torch":
        import torch

        torch.set_num_threads(tl.num_threads())
    if job == "fashion_mnist":
        dataset = scope["load"](None, train=True) if side == "tallow" else fashion()
        model = scope["Net"]()
        count, size = 60000, 100
    else:
        letters, tokens = text(scope)
        from tallow.data import TokenDataset

        dataset = TokenDataset(tokens, scope["LENGTH"])
        model = scope["GPT"](len(letters))
        count, size = len(dataset), 16
    place(model, side)
    rate = JOBS[job][1]
    optimizer = scope["optim"].AdamW(model.parameters(), lr=rate, weight_decay=0.01)
    draw = random.Random(1)
    losses, start = [], 0.0
    for step in range(steps):
        if step == 10:
            start = time.perf_counter()
        x, y = dataset.batch([draw.randrange(count) for _ in range(size)])
        if side == "torch":
            x, y = torch.from_numpy(x.numpy()), torch.from_numpy(y.numpy())
        losses.append(scope["train_step"](model, optimizer, x, y))
    seconds = (time.perf_counter() - start) / max(steps - 10, 1)
    return {"losses": losses, "step": seconds}


def fashion() -> Any:
    return script("fashion_mnist", "tallow")["load"](None, train=True)


def text(scope: dict[str, Any]) -> tuple[list[str], Any]:
    """The characters and their numbers as a tensor of ours, on both sides."""
    import tallow as tl

    raw = scope["read_text"](None)
    letters = sorted(set(raw))
    number = {letter: i for i, letter in enumerate(letters)}
    return letters, tl.tensor([number[letter] for letter in raw], dtype=tl.i64)


def place(model: Any, side: str) -> None:
    """Write the weights into a model of either library."""
    import torch

    import tallow as tl

    parameters = dict(model.named_parameters())
    for name, shape, values in weights(model):
        if side == "torch":
            parameters[name].data = torch.tensor(values).reshape(shape)
        else:
            parameters[name].data = tl.tensor(values).reshape(shape)


def main() -> None:
    if len(sys.argv) > 1 and sys.argv[1] == "--run":
        job, side, steps = sys.argv[2], sys.argv[3], int(sys.argv[4])
        print(json.dumps(run(job, side, steps)))
        return
    parser = common.parser(__doc__, pairs=5)
    parser.add_argument("--losses", type=int, default=200, help="steps whose losses are compared")
    parser.add_argument("--steps", type=int, help="steps of a timed run (default: an epoch, or 50)")
    args = parser.parse_args()
    python = common.interpreter(args.peer_python, "torch")
    if python is None:
        raise SystemExit("needs an interpreter with torch")

    def side(job: str, name: str, steps: int) -> Any:
        command = [python, str(Path(__file__)), "--run", job, name, str(steps)]
        path = str(common.ROOT / "src")
        return common.last_json(common.call(command, PYTHONPATH=path))

    made = common.table(
        "training, milliseconds a step, median (quartiles)",
        "", "tallow", "torch", "tallow / torch", "greatest difference of losses",
    )  # fmt: skip
    result: dict[str, Any] = {"pairs": args.pairs, "jobs": {}}
    for job, (usual, _) in JOBS.items():
        steps = args.steps or usual
        ours, theirs = (side(job, name, args.losses)["losses"] for name in ("tallow", "torch"))
        gaps = [abs(a - b) for a, b in zip(ours, theirs, strict=True)]
        times = common.alternate(
            {name: lambda n=name, j=job, s=steps: side(j, n, s)["step"] * 1e3
             for name in ("tallow", "torch")},
            args.pairs,
            job,
        )  # fmt: skip
        rows = {name: common.quartiles(values) for name, values in times.items()}
        share = common.ratio(times["tallow"], times["torch"])
        made.add_row(
            job, *map(common.shown, rows.values()), common.shown(share), f"{max(gaps):.1e}"
        )
        result["jobs"][job] = {
            "ms_per_step": rows, "ratio": share, "loss_gap": max(gaps), "loss_steps": args.losses,
            "last_losses": [ours[-1], theirs[-1]],
            "seconds_per_epoch": {n: r["median"] * 0.6 for n, r in rows.items()}
            if job == "fashion_mnist" else None,
        }  # fmt: skip
    common.show(made)
    common.finish("train_vs_torch", result, record=args.record)


if __name__ == "__main__":
    main()
