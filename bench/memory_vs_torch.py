"""Peak memory of a training step beside torch's: an MLP and a 4-layer transformer.

Each side runs in a process of its own, from the same text: the peak of the resident memory during
three steps, above what was resident before the tensors were made. The parameters' and gradients'
own size is shown beside it.
"""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path
from typing import Any

from _common import alternate, call, finish, interpreter, last_json, parser, quartiles, show, table

HERE = str(Path(__file__).resolve())


def resident(field: str) -> int:
    """VmRSS or VmHWM of this process, in bytes."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise RuntimeError(field)


def mlp(lib: Any) -> Any:
    """Three linear layers on a batch of 256."""
    sizes = (784, 2048, 2048, 10)
    weights = [(lib.randn(n, k) * k**-0.5).requires_grad_() for k, n in itertools.pairwise(sizes)]
    x, goal = lib.randn(256, 784), lib.randint(0, 10, (256,))

    def step() -> None:
        h = x
        for i, w in enumerate(weights):
            h = lib.nn.functional.linear(h, w)
            h = lib.nn.functional.gelu(h) if i + 1 < len(weights) else h
        lib.nn.functional.cross_entropy(h, goal).backward()
        with lib.no_grad():
            for w in weights:
                w.sub_(w.grad * 0.01)
                w.grad = None

    return step, weights


def transformer(lib: Any) -> Any:
    """Four pre-norm layers of width 256 with 8 heads on 16 x 128 tokens."""
    size, heads, length, batch, vocabulary = 256, 8, 128, 16, 512
    weights: list[Any] = []

    def weight(*shape: int) -> Any:
        made = (lib.randn(*shape) * shape[-1] ** -0.5).requires_grad_()
        weights.append(made)
        return made

    table_ = weight(vocabulary, size)
    layers = [
        {
            "qkv": weight(3 * size, size), "out": weight(size, size), "up": weight(4 * size, size),
            "down": weight(size, 4 * size), "n1": weight(size), "n2": weight(size),
        }
        for _ in range(4)
    ]  # fmt: skip
    ids = lib.randint(0, vocabulary, (batch, length))
    f = lib.nn.functional

    def step() -> None:
        x = f.embedding(ids, table_)
        for p in layers:
            h = f.layer_norm(x, (size,), p["n1"])
            q, k, v = f.linear(h, p["qkv"]).view(batch, length, 3 * heads, -1).split(heads, 2)
            h = f.scaled_dot_product_attention(
                q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), is_causal=True
            )
            x = x + f.linear(h.transpose(1, 2).reshape(batch, length, size), p["out"])
            h = f.layer_norm(x, (size,), p["n2"])
            x = x + f.linear(f.gelu(f.linear(h, p["up"])), p["down"])
        logits = f.linear(x, table_).view(-1, vocabulary)
        f.cross_entropy(logits, ids.view(-1)).backward()
        with lib.no_grad():
            for w in weights:
                w.sub_(w.grad * 0.01)
                w.grad = None

    return step, weights


MODELS = {"mlp": mlp, "transformer": transformer}


def child(side: str, model: str) -> None:
    """Measure one side and print the result."""
    lib: Any = __import__("tallow" if side == "tallow" else "torch")
    lib.manual_seed(0)
    # Once on small tensors, so that libraries and thread pools are loaded before the count starts.
    w = lib.randn(8, 8).requires_grad_()
    lib.nn.functional.cross_entropy(
        lib.nn.functional.linear(w, w), lib.randint(0, 8, (8,))
    ).backward()
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    step, weights = MODELS[model](lib)
    for _ in range(3):
        step()
    own = sum(w.numel() * 4 for w in weights)
    print(json.dumps({"peak": resident("VmHWM") - before, "parameters": own}))


def main() -> None:
    if len(sys.argv) == 4 and sys.argv[1] == "--child":
        child(sys.argv[2], sys.argv[3])
        return
    options = parser(__doc__, pairs=7).parse_args()
    python = interpreter(options.peer_python, "torch")
    if python is None:
        raise SystemExit("memory_vs_torch: expected an interpreter with torch (--peer-python)")
    rows = table("Peak memory of a training step", "model", "Tallow MB", "torch MB", "ratio")
    result: dict[str, Any] = {}
    for model in MODELS:

        def run(side: str, model: str = model) -> Any:
            return last_json(call([python, HERE, "--child", side, model]))

        found = alternate(
            {side: (lambda side=side: run(side)) for side in ("tallow", "torch")},
            options.pairs, model,
        )  # fmt: skip
        ours, theirs = (
            quartiles([one["peak"] / 1e6 for one in found[side]]) for side in ("tallow", "torch")
        )
        ratio = ours["median"] / theirs["median"]
        result[model] = {
            "tallow_mb": ours, "torch_mb": theirs, "ratio": ratio,
            "parameters_mb": found["tallow"][0]["parameters"] / 1e6,
        }  # fmt: skip
        rows.add_row(model, f"{ours['median']:.0f}", f"{theirs['median']:.0f}", f"{ratio:.2f}")
    show(rows)
    finish("memory_vs_torch", result, record=options.record)


if __name__ == "__main__":
    main()
