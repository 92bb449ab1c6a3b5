"""Recurrent operators: RNN, GRU and LSTM in both directions, with every option of the standard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from tallow import ops
from tallow.errors import ArgumentError, expect
from tallow.lazy_dataclasses import dataclass
from tallow.onnx.operators.activations import Activation, activations
from tallow.onnx.operators.sequence_lengths import sequence_lengths
from tallow.onnx.operators.table import operator
from tallow.ops.recurrent import gru_sequence, lstm_sequence
from tallow.tensor import Tensor

_Floats = Sequence[float] | None
_Names = Sequence[str] | None
_DIRECTIONS: Final = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
State = tuple[Tensor, ...]


@dataclass(frozen=True, eq=False)
class Layer:
    """One direction: weights (gates * size, …), biases, options."""

    w: Tensor
    r: Tensor
    input_bias: Tensor | None
    hidden_bias: Tensor | None
    peephole: Tensor | None
    acts: list[Activation]
    clip: float | None
    option: int  # linear_before_reset of a GRU, input_forget of an LSTM
    size: int
    usual: bool  # the activations that the operator has by default

    def limit(self, x: Tensor) -> Tensor:
        """What an activation is given: bounded where `clip` says so."""
        return x if self.clip is None else x.clamp(-self.clip, self.clip)


Step = Callable[[Tensor, State, Layer], State]


def rnn_step(x: Tensor, state: State, layer: Layer) -> State:
    """`f(x + R h)`."""
    f = layer.acts[0]
    return (f(layer.limit(x + ops.linear(state[0], layer.r, layer.hidden_bias))),)


def gru_step(x: Tensor, state: State, layer: Layer) -> State:
    """Gates in the order z, r, h; the reset gate stands before or behind the product."""
    (h,), n, (f, g) = state, layer.size, layer.acts
    xz, xr, xh = x.chunk(3, -1)
    bias = layer.hidden_bias
    if layer.option:
        hz, hr, hh = ops.linear(h, layer.r, bias).chunk(3, -1)
        r = f(layer.limit(xr + hr))
        fresh = r * hh
    else:
        hz, hr = ops.linear(h, layer.r[: 2 * n], None if bias is None else bias[: 2 * n]).chunk(
            2, -1
        )
        r = f(layer.limit(xr + hr))
        fresh = ops.linear(r * h, layer.r[2 * n :], None if bias is None else bias[2 * n :])
    z = f(layer.limit(xz + hz))
    fresh = g(layer.limit(xh + fresh))
    return (fresh + z * (h - fresh),)


def lstm_step(x: Tensor, state: State, layer: Layer) -> State:
    """Gates in the order i, o, f, c; peepholes i, o, f."""
    return lstm_gates(x + ops.linear(state[0], layer.r, layer.hidden_bias), state, layer)


def lstm_gates(sums: Tensor, state: State, layer: Layer) -> State:
    """The next state from the sums of both products."""
    (_, c), (f, g, k), limit = state, layer.acts, layer.limit
    i, o, forget, fresh = sums.chunk(4, -1)
    pi, po, pf = (None,) * 3 if layer.peephole is None else layer.peephole.chunk(3)
    i = f(limit(i if pi is None else i + pi * c))
    if layer.option:
        forget = 1 - i
    else:
        forget = f(limit(forget if pf is None else forget + pf * c))
    c = forget * c + i * g(limit(fresh))
    o = f(limit(o if po is None else o + po * c))
    return o * k(c), c


def run(
    x: Tensor, state: State, layer: Layer, step: Step, reverse: bool, lengths: Tensor | None
) -> tuple[Tensor, State]:
    """One direction on (time, batch, input): outputs (time, batch, size) and the last state.

    Where a sequence is over (or, in reverse, has not begun), its state stands still and outputs
    are zeros.
    """
    steps_in = x.linear(layer.w, layer.input_bias)
    if layer.usual and layer.clip is None and layer.peephole is None:
        if step is lstm_step and not layer.option:
            out, h, c = lstm_sequence(
                steps_in,
                layer.r,
                layer.hidden_bias,
                state[0],
                state[1],
                lengths,
                reverse,
                (0, 2, 3, 1),
            )
            return out, (h, c)
        if step is gru_step and layer.option:
            out, h = gru_sequence(
                steps_in, layer.r, layer.hidden_bias, state[0], lengths, reverse, (1, 0, 2)
            )
            return out, (h,)
    return walked(steps_in, state, layer, step, reverse, lengths)


def walked(
    steps_in: Tensor, state: State, layer: Layer, step: Step, reverse: bool,
    lengths: Tensor | None,
) -> tuple[Tensor, State]:  # fmt: skip
    """What `run` gives, step by step."""
    steps = steps_in.unbind(0)
    outs: list[Any] = [None] * len(steps)
    for t in reversed(range(len(steps))) if reverse else range(len(steps)):
        fresh = step(steps[t], state, layer)
        outs[t] = fresh[0]
        if lengths is not None:
            live = (lengths > t).unsqueeze(1)
            outs[t] = ops.where(live, fresh[0], 0.0)
            fresh = tuple(ops.where(live, new, old) for new, old in zip(fresh, state, strict=True))
        state = fresh
    return ops.stack(outs), state


def _all(
    where: str, step: Step, gates: int, x: Tensor, w: Tensor, r: Tensor, b: Tensor | None,
    lengths: Tensor | None, states: Sequence[Tensor | None], p: Tensor | None, *, names: _Names,
    defaults: Sequence[str], alphas: _Floats, betas: _Floats, clip: float | None, direction: str,
    hidden_size: int | None, layout: int, option: int,
) -> tuple[Tensor, ...]:  # fmt: skip
    """All directions: outputs (time, directions, batch, size) and the last states."""
    known = direction in _DIRECTIONS
    expect(known, where, f"direction of {', '.join(_DIRECTIONS)}", direction, ArgumentError)
    ways, size = _DIRECTIONS[direction], r.shape[-1]
    x, states = (x.transpose(0, 1), [_turned(s) for s in states]) if layout else (x, states)
    _check(where, gates, len(ways), x, w, r, b, states, p, hidden_size)
    each = len(defaults)
    given = list(names) if names else [*defaults] * len(ways)
    good = len(given) == each * len(ways)
    expect(good, where, f"{each * len(ways)} activations", given, ArgumentError)
    usual = [name.lower() for name in given] == [name.lower() for name in defaults] * len(ways)
    acts = activations(where, given, alphas or (), betas or ())
    if lengths is not None:
        lengths = sequence_lengths(where, lengths, *x.shape[:2])
    outs, lasts = [], []
    for i, reverse in enumerate(ways):
        of_input, of_hidden = (None, None) if b is None else b[i].chunk(2)
        layer = Layer(
            w[i], r[i], of_input, of_hidden, None if p is None else p[i],
            acts[i * each : (i + 1) * each], clip, option, size, usual,
        )  # fmt: skip
        state = tuple(x.new_zeros((x.shape[1], size)) if s is None else s[i] for s in states)
        out, last = run(x, state, layer, step, reverse, lengths)
        outs.append(out)
        lasts.append(last)
    last_states = [
        part[0].unsqueeze(0) if len(part) == 1 else ops.stack(list(part))
        for part in zip(*lasts, strict=True)
    ]
    if layout:  # (batch, time, directions, size) and (batch, directions, size)
        return ops.stack([o.transpose(0, 1) for o in outs], 2), *map(_turned, last_states)
    joined = outs[0].unsqueeze(1) if len(outs) == 1 else ops.stack(outs, 1)
    return joined, *last_states


def _turned(state: Any) -> Any:
    return None if state is None else state.transpose(0, 1)


def _check(
    where: str, gates: int, ways: int, x: Tensor, w: Tensor, r: Tensor, b: Tensor | None,
    states: Sequence[Tensor | None], p: Tensor | None, hidden_size: int | None,
) -> None:  # fmt: skip
    expect(x.ndim == 3 and x.shape[0] > 0, where, "X of 3 axes, at least one step", x.shape)
    size = r.shape[-1]
    expect(hidden_size in (None, size), where, f"hidden_size {size} as R has", hidden_size)
    wanted = {
        "W": (w, (ways, gates * size, x.shape[2])),
        "R": (r, (ways, gates * size, size)),
        "B": (b, (ways, 2 * gates * size)),
        "P": (p, (ways, 3 * size)),
    }
    wanted |= {f"initial state {i}": (s, (ways, x.shape[1], size)) for i, s in enumerate(states)}
    for name, (given, shape) in wanted.items():
        good = given is None or given.shape == shape
        expect(good, where, f"{name} of shape {shape}", getattr(given, "shape", None))


@operator("RNN", since=7)
def rnn(
    x: Tensor, w: Tensor, r: Tensor, b: Tensor | None = None, sequence_lens: Tensor | None = None,
    initial_h: Tensor | None = None, *, activation_alpha: _Floats = None,
    activation_beta: _Floats = None, activations: _Names = None, clip: float | None = None,
    direction: str = "forward", hidden_size: int | None = None, layout: int = 0,
) -> tuple[Tensor, ...]:  # fmt: skip
    """Elman's network; all outputs, and the last state."""
    return _all(
        "RNN", rnn_step, 1, x, w, r, b, sequence_lens, (initial_h,), None, names=activations,
        defaults=("Tanh",), alphas=activation_alpha, betas=activation_beta, clip=clip,
        direction=direction, hidden_size=hidden_size, layout=layout, option=0,
    )  # fmt: skip


@operator("GRU", since=7)
def gru(
    x: Tensor, w: Tensor, r: Tensor, b: Tensor | None = None, sequence_lens: Tensor | None = None,
    initial_h: Tensor | None = None, *, activation_alpha: _Floats = None,
    activation_beta: _Floats = None, activations: _Names = None, clip: float | None = None,
    direction: str = "forward", hidden_size: int | None = None, layout: int = 0,
    linear_before_reset: int = 0,
) -> tuple[Tensor, ...]:  # fmt: skip
    """Gated recurrent units; all outputs, and the last state."""
    return _all(
        "GRU", gru_step, 3, x, w, r, b, sequence_lens, (initial_h,), None, names=activations,
        defaults=("Sigmoid", "Tanh"), alphas=activation_alpha, betas=activation_beta, clip=clip,
        direction=direction, hidden_size=hidden_size, layout=layout, option=linear_before_reset,
    )  # fmt: skip


@operator("LSTM", since=7)
def lstm(
    x: Tensor, w: Tensor, r: Tensor, b: Tensor | None = None, sequence_lens: Tensor | None = None,
    initial_h: Tensor | None = None, initial_c: Tensor | None = None, p: Tensor | None = None, *,
    activation_alpha: _Floats = None, activation_beta: _Floats = None, activations: _Names = None,
    clip: float | None = None, direction: str = "forward", hidden_size: int | None = None,
    input_forget: int = 0, layout: int = 0,
) -> tuple[Tensor, ...]:  # fmt: skip
    """Long short-term memory; all outputs, and the last hidden state and cell."""
    return _all(
        "LSTM", lstm_step, 4, x, w, r, b, sequence_lens, (initial_h, initial_c), p,
        names=activations, defaults=("Sigmoid", "Tanh", "Tanh"), alphas=activation_alpha,
        betas=activation_beta, clip=clip, direction=direction, hidden_size=hidden_size,
        layout=layout, option=input_forget,
    )  # fmt: skip
