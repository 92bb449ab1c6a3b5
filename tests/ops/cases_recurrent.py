"""Cases of recurrent layers over a sequence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ops.table import WIDE, Case, Draw


def sequences(gates: int, orders: list[tuple[int, ...]]) -> Callable[[Draw], list[Any]]:
    def samples(d: Draw) -> list[Any]:
        found = []
        # Steps, batch, size; sizes around the width of vectors, batches of pairs and a rest.
        cases = [(1, 1, 5, False), (4, 3, 17, True), (3, 2, 8, False), (2, 1, 1, True)]
        for i, (steps, batch, size, lengths) in enumerate(cases):
            x, weight = d.x((steps, batch, gates * size)), d.x((gates * size, size), -1, 1)
            bias = d.x((gates * size,)) if i % 2 else None
            states = [d.x((batch, size)) for _ in range(2 if gates == 4 else 1)]
            ends = np.arange(steps, steps - batch, -1) % (steps + 1) if lengths else None
            found += [
                d(x, weight, bias, *states, ends, reverse, orders[i % 2])
                for reverse in (False, True)
            ]
        return found

    return samples


def by_torch(kind: str) -> Callable[..., Any]:
    """The layer of torch, its input weights a permutation, one sequence at a time."""

    def run(x: Any, weight: Any, bias: Any, *rest: Any) -> Any:
        import torch

        *states, lengths, reverse, order = rest
        size = weight.shape[1]
        rows = torch.cat([torch.arange(size) + at * size for at in order])
        weights = [torch.eye(len(rows), dtype=x.dtype)[rows], weight[rows]]
        if bias is not None:
            weights += [torch.zeros_like(bias), bias[rows]]
        outs, lasts = [], []
        for b in range(x.shape[1]):
            n = x.shape[0] if lengths is None else int(lengths[b])
            state = [part[b : b + 1].unsqueeze(0) for part in states]
            out = x[:n, b : b + 1, :size] * 0
            if n:
                given = x[:n, b : b + 1].flip(0) if reverse else x[:n, b : b + 1]
                first = tuple(state) if len(state) > 1 else state[0]
                options = bias is not None, 1, 0.0, False, False, False
                out, *state = getattr(torch, kind)(given, first, weights, *options)
                out = out.flip(0) if reverse else out
            rest_of_it = x[n:, b : b + 1, :size] * 0
            outs.append(torch.cat([out, rest_of_it]))
            lasts.append([part[0] for part in state])
        return torch.cat(outs, 1), *(torch.cat(part) for part in zip(*lasts, strict=True))

    return run


def tiles(weight, order):
    size = weight.shape[1]
    out = np.zeros((-(-size // 16), size, len(order) * 16), weight.dtype)
    for g, at in enumerate(order):
        for u in range(size):
            out[u // 16, :, 16 * g + u % 16] = weight[at * size + u]
    return out


CASES = {
    "nn.recurrent_weight": Case(
        lambda d: [d(d.x((51, 17)), (1, 0, 2)), d(d.x((64, 16)), (0, 2, 3, 1))],
        torch=False, numpy=tiles, gradient=False, hypothesis=False,
    ),
    "nn.lstm_sequence": Case(
        sequences(4, [(0, 1, 2, 3), (0, 2, 3, 1)]), WIDE, torch=by_torch("lstm"), factor=8,
        hypothesis=False,
    ),
    "nn.gru_sequence": Case(
        sequences(3, [(0, 1, 2), (1, 0, 2)]), WIDE, torch=by_torch("gru"), factor=8,
        hypothesis=False,
    ),
}  # fmt: skip
