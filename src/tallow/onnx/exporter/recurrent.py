"""Rows of recurrent layers: LSTM and GRU over a sequence of any length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tallow import ops
from tallow.onnx.exporter.emitting import Emitter
from tallow.onnx.exporter.merging import Value
from tallow.onnx.exporter.table import row
from tallow.onnx.exporter.weights import dense


def _even(lengths: Any, **_: Any) -> bool:
    return lengths is None


@row("nn.lstm_sequence", when=_even)
def lstm(
    g: Emitter, out: list[Value], x: Value, weight: Any, bias: Any, hidden: Any, cell: Any,
    lengths: None, reverse: bool, order: Sequence[int],
) -> Any:  # fmt: skip
    """All hidden states, the last one and the last cell; gates as i, o, f, c."""
    gates = [order[i] for i in (0, 3, 1, 2)]
    given = _operands(g, x, weight, bias, gates)
    states = [g.node("Unsqueeze", each, [0]) for each in (hidden, cell)]
    made = g.node(
        "LSTM", *given, None, *states, outputs=3, hidden_size=weight.shape[1],
        direction="reverse" if reverse else "forward",
    )  # fmt: skip
    return _without_directions(g, made)


@row("nn.gru_sequence", when=_even)
def gru(
    g: Emitter, out: list[Value], x: Value, weight: Any, bias: Any, hidden: Any,
    lengths: None, reverse: bool, order: Sequence[int],
) -> Any:  # fmt: skip
    """All hidden states, and the last one; gates as z, r, h."""
    gates = [order[i] for i in (1, 0, 2)]
    given = _operands(g, x, weight, bias, gates)
    made = g.node(
        "GRU", *given, None, g.node("Unsqueeze", hidden, [0]), outputs=2,
        hidden_size=weight.shape[1], direction="reverse" if reverse else "forward",
        linear_before_reset=1,
    )  # fmt: skip
    return _without_directions(g, made)


def _operands(g: Emitter, x: Value, weight: Any, bias: Any, gates: list[int]) -> list[Any]:
    """X, W, R and B of a node; `x` is a product with the input, which the node computes itself."""
    source: Any
    product = g.products.get(g.name(x))
    if product is None:
        source, rows, first = x, g.constant(ops.eye(weight.shape[0]), x.dtype), None
    else:
        source, rows, first = product[0], dense(g, product[1], x.dtype), product[2]
    each = weight.shape[1]

    def placed(parts: Any) -> Any:
        named = g.node("Split", parts, [each] * len(gates), outputs=len(gates), axis=0)
        return g.node("Concat", *(named[i] for i in gates), axis=0)

    none = g.constant([0.0] * (each * len(gates)), x.dtype)
    biases = [none if b is None else placed(g.cast(b, x.dtype)) for b in (first, bias)]
    both = g.node("Concat", *biases, axis=0)
    placed_weights = (placed(rows), placed(dense(g, weight, x.dtype)))
    return [source, *(g.node("Unsqueeze", w, [0]) for w in (*placed_weights, both))]


def _without_directions(g: Emitter, made: Sequence[Any]) -> list[Any]:
    """The outputs without the axis of the node's one direction."""
    sequence, *states = made
    return [g.node("Squeeze", sequence, [1]), *(g.node("Squeeze", s, [0]) for s in states)]
