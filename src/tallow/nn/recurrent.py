"""Recurrent layers: RNN, LSTM and GRU over sequences, stacked and in both directions."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from tallow import ops
from tallow.dtype import DType
from tallow.errors import ArgumentError, DTypeError, expect
from tallow.factories import zeros
from tallow.nn import functional as F
from tallow.nn.init import uniform
from tallow.nn.layer import Layer
from tallow.nn.parameter import declare
from tallow.nn.utils.rnn import PackedSequence, pack_steps, unpack_steps
from tallow.ops.recurrent import gru_sequence, lstm_sequence
from tallow.tensor import Tensor

# State of one layer and direction: (hidden,), or (hidden, cell) of an LSTM.
State = tuple[Tensor, ...]
# step(projected input, state, recurrent weights) -> state
Step = Callable[[Tensor, State, "Weights"], State]


class Weights:
    """The parameters of one layer and direction."""

    def __init__(self, layer: Any, suffix: str) -> None:
        self.input = getattr(layer, f"weight_ih{suffix}")
        self.hidden = getattr(layer, f"weight_hh{suffix}")
        self.input_bias = getattr(layer, f"bias_ih{suffix}", None)
        self.hidden_bias = getattr(layer, f"bias_hh{suffix}", None)
        self.projection = getattr(layer, f"weight_hr{suffix}", None)


def tanh_step(x: Tensor, state: State, w: Weights) -> State:
    """`tanh(x + W h + b)`."""
    return ((x + ops.linear(state[0], w.hidden, w.hidden_bias)).tanh(),)


def relu_step(x: Tensor, state: State, w: Weights) -> State:
    """`relu(x + W h + b)`."""
    return ((x + ops.linear(state[0], w.hidden, w.hidden_bias)).relu(),)


def lstm_step(x: Tensor, state: State, w: Weights) -> State:
    """Hochreiter & Schmidhuber 1997, with a forget gate; gates in the order i, f, g, o."""
    h, c = state
    gates = x + ops.linear(h, w.hidden, w.hidden_bias)
    i, f, g, o = gates.chunk(4, -1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    h = o.sigmoid() * c.tanh()
    if w.projection is not None:
        h = ops.linear(h, w.projection)
    return h, c


def gru_step(x: Tensor, state: State, w: Weights) -> State:
    """Cho et al. 2014, the reset gate applied behind the product; gates in the order r, z, n."""
    (h,) = state
    xr, xz, xn = x.chunk(3, -1)
    hr, hz, hn = ops.linear(h, w.hidden, w.hidden_bias).chunk(3, -1)
    z = (xz + hz).sigmoid()
    n = (xn + (xr + hr).sigmoid() * hn).tanh()
    return (n + z * (h - n),)


def run(
    x: Tensor, state: State, w: Weights, step: Step, reverse: bool, lengths: Tensor | None
) -> tuple[Tensor, State]:
    """One layer in one direction: (time, batch, input) → (time, batch, hidden), and the last state.

    Where a sequence is over (or, in reverse, has not begun), its state stands still.
    """
    steps_in = x.linear(w.input, w.input_bias)
    if step is lstm_step and w.projection is None:
        out, h, c = lstm_sequence(
            steps_in, w.hidden, w.hidden_bias, state[0], state[1], lengths, reverse, (0, 1, 2, 3)
        )
        return out, (h, c)
    if step is gru_step:
        out, h = gru_sequence(
            steps_in, w.hidden, w.hidden_bias, state[0], lengths, reverse, (0, 1, 2)
        )
        return out, (h,)
    steps = steps_in.unbind(0)
    outs: list[Any] = [None] * len(steps)
    for t in reversed(range(len(steps))) if reverse else range(len(steps)):
        fresh = step(steps[t], state, w)
        if lengths is not None:
            live = (lengths > t).unsqueeze(1)
            fresh = tuple(ops.where(live, new, old) for new, old in zip(fresh, state, strict=True))
        state = fresh
        outs[t] = state[0]
    return ops.stack(outs), state


# mode -> rows of a weight per unit, and how one step goes
MODES: dict[str, tuple[int, Step]] = {
    "RNN_TANH": (1, tanh_step),
    "RNN_RELU": (1, relu_step),
    "LSTM": (4, lstm_step),
    "GRU": (3, gru_step),
}


class RNNBase(Layer):
    """What RNN, LSTM and GRU share: parameters `weight_ih_l0` …, layers, directions, packing."""

    computes_in_f32 = True

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: object = None,
        dtype: DType | str | None = None,
    ) -> None:
        name = type(self).__name__
        expect(mode in MODES, name, f"a mode of {', '.join(MODES)}", repr(mode), ArgumentError)
        for said, size in (("hidden_size", hidden_size), ("num_layers", num_layers)):
            expect(type(size) is int, name, f"an integer {said}", type(size).__name__, DTypeError)
            expect(size > 0, name, f"{said} above 0", size, ArgumentError)
        good = not isinstance(dropout, bool) and 0 <= dropout <= 1
        expect(good, name, "dropout in [0, 1]", dropout, ArgumentError)
        wanted = f"proj_size in [0, {hidden_size})"
        expect(0 <= proj_size < hidden_size, name, wanted, proj_size, ArgumentError)
        only = not proj_size or mode == "LSTM"
        expect(only, name, "proj_size of an LSTM only", proj_size, ArgumentError)
        if dropout and num_layers == 1:
            text = "dropout stands between layers: with one layer it does nothing"
            warnings.warn(text, UserWarning, stacklevel=3 if type(self) is RNNBase else 4)
        self.mode = mode
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout = bias, batch_first, float(dropout)
        self.bidirectional, self.proj_size = bidirectional, proj_size
        self._declare(dtype)
        self.reset_parameters()

    def _declare(self, dtype: DType | str | None) -> None:
        """The parameters of every layer and direction."""
        rule = uniform(self.hidden_size**-0.5)
        rows = MODES[self.mode][0] * self.hidden_size
        out = self.proj_size or self.hidden_size
        for layer in range(self.num_layers):
            width = self.input_size if layer == 0 else out * len(self._directions())
            shapes: dict[str, tuple[int, ...]]
            shapes = {"weight_ih": (rows, width), "weight_hh": (rows, out)}
            if self.bias:
                shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
            if self.proj_size:
                shapes["weight_hr"] = (self.proj_size, self.hidden_size)
            for suffix in self._suffixes(layer):
                for name, shape in shapes.items():
                    setattr(self, name + suffix, declare(*shape, init=rule, dtype=dtype))

    @property
    def all_weights(self) -> list[list[Tensor]]:
        """The parameters of each layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._all_weights]

    @property
    def _flat_weights_names(self) -> list[str]:
        """The parameters' names in order; programs that start the weights themselves read it."""
        names = ["weight_ih", "weight_hh"]
        names += ["bias_ih", "bias_hh"] if self.bias else []
        names += ["weight_hr"] if self.proj_size else []
        layers = range(self.num_layers)
        suffixes = [suffix for layer in layers for suffix in self._suffixes(layer)]
        return [name + suffix for suffix in suffixes for name in names]

    @property
    def _all_weights(self) -> list[list[str]]:
        """The names of the parameters of each layer and direction."""
        names = self._flat_weights_names
        count = len(self._directions()) * self.num_layers
        each = len(names) // count
        return [names[i * each : (i + 1) * each] for i in range(count)]

    @property
    def _flat_weights(self) -> list[Tensor]:
        """The parameters in the order of their names."""
        return [getattr(self, name) for name in self._flat_weights_names]

    def flatten_parameters(self) -> None:
        """Nothing: it exists for code that was written for torch on CUDA."""

    def _directions(self) -> tuple[str, ...]:
        return ("", "_reverse") if self.bidirectional else ("",)

    def _suffixes(self, layer: int) -> list[str]:
        return [f"_l{layer}{direction}" for direction in self._directions()]

    def _widths(self) -> tuple[int, ...]:
        """Sizes of the parts of a state."""
        out = self.proj_size or self.hidden_size
        return (out, self.hidden_size) if self.mode == "LSTM" else (out,)

    def _layers(
        self, x: Tensor, states: State, lengths: Tensor | None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """All layers on (time, batch, input); states are (layers * directions, batch, size)."""
        last: list[State] = []
        directions, step = self._directions(), MODES[self.mode][1]
        for layer in range(self.num_layers):
            outs = []
            for suffix in self._suffixes(layer):
                state = tuple(part[len(last)] for part in states)
                reverse = suffix.endswith("_reverse")
                weights = Weights(self, suffix)
                out, state = run(x, state, weights, step, reverse, lengths)
                outs.append(out)
                last.append(state)
            x = outs[0] if len(directions) == 1 else ops.cat(outs, -1)
            if self.dropout and self.training and layer + 1 < self.num_layers:
                x = F.dropout(x, self.dropout)
        return x, tuple(ops.stack(list(part)) for part in zip(*last, strict=True))

    def _initial(self, given: Any, batch: int, single: bool, like: Tensor) -> State:
        """The given state checked, or zeros."""
        count = self.num_layers * len(self._directions())
        widths = self._widths()
        if given is None:
            return tuple(zeros((count, batch, width), dtype=like.dtype) for width in widths)
        parts = (given,) if isinstance(given, Tensor) else tuple(given)
        shapes = [(count, width) if single else (count, batch, width) for width in widths]
        got = [tuple(part.shape) for part in parts]
        expect(got == shapes, type(self), f"initial states of shapes {shapes}", got)
        return tuple(part.unsqueeze(1) if single else part for part in parts)

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        """`(time, batch, input_size)` → `(time, batch, directions * size)`, and the last state.

        `(batch, time, input_size)` with `batch_first`, `(time, input_size)` without a batch, or a
        PackedSequence. The state is `(layers * directions, batch, size)`, of an LSTM a pair of
        them; `hx` is the first one, zeros by default.
        """
        if isinstance(input, PackedSequence):
            return self._packed(input, hx)
        name = type(self)
        single = input.ndim == 2
        expect(input.ndim in (2, 3), name, "input of 2 or 3 axes", input.shape)
        good = input.shape[-1] == self.input_size
        expect(good, name, f"input of size {self.input_size}", input.shape)
        swap = self.batch_first and not single
        x = input.unsqueeze(1) if single else input.transpose(0, 1) if swap else input
        expect(x.shape[0] > 0, name, "at least one step", input.shape)
        out, states = self._layers(x, self._initial(hx, x.shape[1], single, x), None)
        if single:
            out, states = out.squeeze(1), tuple(part.squeeze(1) for part in states)
        return out.transpose(0, 1) if swap else out, self._result(states)

    def _packed(self, input: PackedSequence, hx: Any) -> tuple[Any, Any]:
        good = input.data.ndim == 2 and input.data.shape[1] == self.input_size
        expect(good, type(self), f"packed steps of size {self.input_size}", input.data.shape)
        x, lengths = unpack_steps(input)
        states = self._initial(hx, x.shape[1], False, x)
        if hx is not None and input.sorted_indices is not None:
            states = tuple(part[:, input.sorted_indices] for part in states)
        even = int(lengths.amin().item()) == x.shape[0]
        out, states = self._layers(x, states, None if even else lengths)
        if input.unsorted_indices is not None:
            states = tuple(part[:, input.unsorted_indices] for part in states)
        packed = PackedSequence(
            pack_steps(out, input.batch_sizes),
            input.batch_sizes,
            input.sorted_indices,
            input.unsorted_indices,
        )
        return packed, self._result(states)

    def _result(self, states: tuple[Tensor, ...]) -> Any:
        return states[0] if len(states) == 1 else states

    def extra_repr(self) -> str:
        """Sizes, and the options that differ from the usual ones."""
        said = f"{self.input_size}, {self.hidden_size}"
        if self.proj_size:
            said += f", proj_size={self.proj_size}"
        if self.num_layers != 1:
            said += f", num_layers={self.num_layers}"
        if not self.bias:
            said += ", bias=False"
        if self.batch_first:
            said += ", batch_first=True"
        if self.dropout:
            said += f", dropout={self.dropout}"
        if self.bidirectional:
            said += ", bidirectional=True"
        return said


class RNN(RNNBase):
    """Elman's network: `tanh` (or relu) of the projected input and state."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: object = None,
        dtype: DType | str | None = None,
        *,
        proj_size: int | None = None,
    ) -> None:
        expect(proj_size is None, "RNN", "proj_size of an LSTM only", proj_size, ArgumentError)
        check_nonlinearity("RNN", nonlinearity)
        self.nonlinearity = nonlinearity
        super().__init__(
            f"RNN_{nonlinearity.upper()}", input_size, hidden_size, num_layers, bias, batch_first,
            dropout, bidirectional, 0, device, dtype,
        )  # fmt: skip


class LSTM(RNNBase):
    """Long short-term memory; `proj_size` projects the hidden state (arXiv 1402.1128)."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: object = None,
        dtype: DType | str | None = None,
    ) -> None:
        super().__init__(
            "LSTM", input_size, hidden_size, num_layers, bias, batch_first, dropout,
            bidirectional, proj_size, device, dtype,
        )  # fmt: skip


class GRU(RNNBase):
    """Gated recurrent units (arXiv 1406.1078)."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: object = None,
        dtype: DType | str | None = None,
        *,
        proj_size: int | None = None,
    ) -> None:
        expect(proj_size is None, "GRU", "proj_size of an LSTM only", proj_size, ArgumentError)
        super().__init__(
            "GRU", input_size, hidden_size, num_layers, bias, batch_first, dropout,
            bidirectional, 0, device, dtype,
        )  # fmt: skip


def check_nonlinearity(name: str, nonlinearity: str) -> None:
    """Refuse what is neither tanh nor relu."""
    good = nonlinearity in ("tanh", "relu")
    expect(good, name, "nonlinearity tanh or relu", repr(nonlinearity), ArgumentError)
