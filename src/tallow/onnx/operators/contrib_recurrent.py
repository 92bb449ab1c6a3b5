"""LSTMs of the domain com.microsoft, whose products are of bytes."""

from __future__ import annotations

from typing import Any, Final

from tallow import ops
from tallow.errors import ArgumentError, expect
from tallow.onnx.operators import recurrent
from tallow.onnx.operators.activations import activations as chosen
from tallow.onnx.operators.contrib import microsoft
from tallow.onnx.operators.contrib_quantized import dynamic_quantize_matmul
from tallow.onnx.operators.sequence_lengths import sequence_lengths
from tallow.tensor import Tensor

_DIRECTIONS: Final = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
_USUAL: Final = ("Sigmoid", "Tanh", "Tanh")


@microsoft("DynamicQuantizeLSTM")
def dynamic_quantize_lstm(
    x: Tensor, w: Tensor, r: Tensor, b: Tensor | None, sequence_lens: Tensor | None,
    initial_h: Tensor | None, initial_c: Tensor | None, p: Tensor | None, w_scale: Tensor,
    w_zero: Tensor, r_scale: Tensor, r_zero: Tensor, *, activation_alpha: Any = None,
    activation_beta: Any = None, activations: Any = None, clip: float | None = None,
    direction: str = "forward", hidden_size: int | None = None, input_forget: int = 0,
) -> tuple[Tensor, ...]:  # fmt: skip
    """An LSTM with 8-bit weights (input, 4 · size); each product rounds its other operand."""
    where = "DynamicQuantizeLSTM"
    known = direction in _DIRECTIONS
    expect(known, where, f"direction of {', '.join(_DIRECTIONS)}", direction, ArgumentError)
    ways, size = _DIRECTIONS[direction], r.shape[1]
    good = w.ndim == r.ndim == 3 and len(ways) == w.shape[0] == r.shape[0] and x.ndim == 3
    text = "X of 3 axes, W and R of 3 axes, the first of them directions"
    expect(good, where, text, (x.shape, w.shape, r.shape))
    names = list(activations or [*_USUAL] * len(ways))
    expect(len(names) == 3 * len(ways), where, f"{3 * len(ways)} activations", names)
    acts = chosen(where, names, activation_alpha or (), activation_beta or ())
    lengths = None
    if sequence_lens is not None:
        lengths = sequence_lengths(where, sequence_lens, *x.shape[:2])
    found = []
    for i, reverse in enumerate(ways):
        bias = None if b is None else b[i].reshape(2, -1).sum(0)
        layer = recurrent.Layer(
            w[i], r[i], None, None, None if p is None else p[i], acts[3 * i : 3 * i + 3], clip,
            input_forget, size, False,
        )  # fmt: skip
        projected = dynamic_quantize_matmul(x, w[i], w_scale[i], w_zero[i], bias)
        state = tuple(
            x.new_zeros((x.shape[1], size)) if s is None else s[i] for s in (initial_h, initial_c)
        )

        def step(sums: Tensor, state: Any, layer: Any, i: int = i) -> Any:
            more = dynamic_quantize_matmul(state[0], r[i], r_scale[i], r_zero[i])
            return recurrent.lstm_gates(sums + more, state, layer)

        found.append(recurrent.walked(projected, state, layer, step, reverse, lengths))
    lasts = (ops.stack([state[j] for _, state in found]) for j in range(2))
    return ops.stack([out for out, _ in found], 1), *lasts
