"""Single steps of recurrent layers: RNNCell, LSTMCell and GRUCell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tallow import ops
from tallow.dtype import DType
from tallow.errors import expect
from tallow.factories import zeros
from tallow.nn.init import uniform
from tallow.nn.layer import Layer
from tallow.nn.parameter import declare
from tallow.nn.recurrent import (
    State,
    Step,
    Weights,
    check_nonlinearity,
    gru_step,
    lstm_step,
    relu_step,
    tanh_step,
)
from tallow.tensor import Tensor


class _Cell(Layer):
    """One step of a recurrent layer, with the parameters `weight_ih` … of its own."""

    gates = 1
    parts = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: object = None,
        dtype: DType | str | None = None,
    ) -> None:
        self.input_size, self.hidden_size = input_size, hidden_size
        self.bias = bias
        rule = uniform(hidden_size**-0.5 if hidden_size else 0.0)
        rows = self.gates * hidden_size
        self.weight_ih = declare(rows, input_size, init=rule, dtype=dtype)
        self.weight_hh = declare(rows, hidden_size, init=rule, dtype=dtype)
        for name in ("bias_ih", "bias_hh"):
            row = declare(rows, init=rule, dtype=dtype) if bias else None
            self.register_parameter(name, row)
        self.reset_parameters()

    def _step(self, x: Tensor, hx: Any, step: Step) -> State:
        name, size = type(self), self.hidden_size
        expect(x.ndim in (1, 2), name, "input of 1 or 2 axes", x.shape)
        good = x.shape[-1] == self.input_size
        expect(good, name, f"input of size {self.input_size}", x.shape)
        single = x.ndim == 1
        x = x.unsqueeze(0) if single else x
        if hx is None:
            state: State = tuple(
                zeros((x.shape[0], size), dtype=x.dtype) for _ in range(self.parts)
            )
        else:
            state = (hx,) if isinstance(hx, Tensor) else tuple(hx)
            state = tuple(part.unsqueeze(0) if single else part for part in state)
            shapes = [tuple(part.shape) for part in state]
            wanted = [(x.shape[0], size)] * self.parts
            expect(shapes == wanted, name, f"states of shapes {wanted}", shapes)
        weights = Weights(self, "")
        state = step(ops.linear(x, weights.input, weights.input_bias), state, weights)
        return tuple(part.squeeze(0) for part in state) if single else state

    def extra_repr(self) -> str:
        """Sizes, and the options that differ from the usual ones."""
        said = f"{self.input_size}, {self.hidden_size}"
        said += "" if self.bias else ", bias=False"
        kind = getattr(self, "nonlinearity", "tanh")
        return said if kind == "tanh" else f"{said}, nonlinearity={kind}"


class RNNCell(_Cell):
    """One step of `RNN`."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: object = None,
        dtype: DType | str | None = None,
    ) -> None:
        check_nonlinearity("RNNCell", nonlinearity)
        self.nonlinearity = nonlinearity
        super().__init__(input_size, hidden_size, bias, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """`(batch, input_size)` and the state → the state `(batch, hidden_size)`."""
        return self._step(input, hx, tanh_step if self.nonlinearity == "tanh" else relu_step)[0]


class LSTMCell(_Cell):
    """One step of `LSTM`."""

    gates, parts = 4, 2

    def forward(self, input: Tensor, hx: Sequence[Tensor] | None = None) -> State:
        """`(batch, input_size)` and the states → both states `(batch, hidden_size)`."""
        return self._step(input, hx, lstm_step)


class GRUCell(_Cell):
    """One step of `GRU`."""

    gates = 3

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """`(batch, input_size)` and the state → the state `(batch, hidden_size)`."""
        return self._step(input, hx, gru_step)[0]
