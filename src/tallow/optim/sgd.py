"""Stochastic gradient descent with momentum."""

from __future__ import annotations

from typing import Any

from tallow import _native
from tallow.errors import ArgumentError, expect
from tallow.optim.optimizer import (
    Optimizer,
    Params,
    absent,
    options_of,
    sign_of,
    wide_zeros,
)
from tallow.tensor import Tensor

_sgd = _native.kernel("sgd_step")


class SGD(Optimizer):
    """`p -= lr * g`, with momentum, dampening, Nesterov's look-ahead (Sutskever et al. 2013).

    Arguments as torch.optim.SGD; `foreach` and `fused` are taken and change nothing.
    """

    tensors = ("momentum_buffer",)
    not_negative = ("lr", "momentum", "weight_decay")

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
        master_weights: bool = False,
    ) -> None:
        super().__init__(params, options_of(locals()), master_weights=master_weights)

    def check(self, group: dict[str, Any]) -> None:
        """Refuse negative rates, and Nesterov's method without momentum."""
        super().check(group)
        ok = not group["nesterov"] or (group["momentum"] > 0 and group["dampening"] == 0)
        wanted = "a momentum and no dampening with nesterov"
        expect(ok, SGD, wanted, (group["momentum"], group["dampening"]), ArgumentError)

    def new_state(self, p: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        """Empty; the momentum buffer comes with the first step that has momentum."""
        return {}

    def update(self, group: dict[str, Any]) -> None:
        """One kernel call per parameter."""
        lr, sign = float(group["lr"]), sign_of(group)
        decay, momentum = float(group["weight_decay"]), float(group["momentum"])
        scale, nesterov = 1.0 - float(group["dampening"]), float(group["nesterov"])
        for p, g, state, master in self.pending(group):
            buffer, keep, add = absent(p), momentum, scale
            if momentum:
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = wide_zeros(p)
                    self.state[p] = state
                    keep, add = 0.0, 1.0  # the first gradient itself
                buffer = state["momentum_buffer"]._array
            _sgd(p._array, buffer, master, g, lr, sign, decay, keep, add, momentum, nesterov)
