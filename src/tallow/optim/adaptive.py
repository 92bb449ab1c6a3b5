"""Step sizes from past gradients without Adam's first moment: RMSprop, Adagrad, Adadelta."""

from __future__ import annotations

from typing import Any

from tallow import _native
from tallow.factories import full
from tallow.optim.optimizer import (
    Optimizer,
    Params,
    absent,
    number,
    options_of,
    sign_of,
    wide_dtype,
    wide_zeros,
)
from tallow.tensor import Tensor

_rmsprop = _native.kernel("rmsprop_step")
_adagrad = _native.kernel("adagrad_step")
_adadelta = _native.kernel("adadelta_step")


class RMSprop(Optimizer):
    """Gradients over their root mean square (Hinton's lecture 6), `centered` as in Graves 2013.

    Arguments as torch.optim.RMSprop.
    """

    tensors = ("square_avg", "grad_avg", "momentum_buffer")
    numbers = ("step",)
    not_negative = ("lr", "alpha", "eps", "weight_decay", "momentum")

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        *,
        master_weights: bool = False,
    ) -> None:
        super().__init__(params, options_of(locals()), master_weights=master_weights)

    def new_state(self, p: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        """No steps, averages of zero."""
        return {"step": 0, "square_avg": wide_zeros(p)}

    def update(self, group: dict[str, Any]) -> None:
        """One kernel call per parameter."""
        sign = sign_of(group)
        lr, decay, alpha, eps, momentum = (
            float(group[name]) for name in ("lr", "weight_decay", "alpha", "eps", "momentum")
        )
        for p, g, state, master in self.pending(group):
            state["step"] += 1
            mean = buffer = absent(p)
            if group["centered"]:
                if "grad_avg" not in state:
                    state["grad_avg"] = wide_zeros(p)
                mean = state["grad_avg"]._array
            if momentum:
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = wide_zeros(p)
                buffer = state["momentum_buffer"]._array
            _rmsprop(
                p._array, state["square_avg"]._array, mean, buffer, master, g, lr, sign, decay,
                alpha, eps, momentum,
            )  # fmt: skip


class Adagrad(Optimizer):
    """Gradients over the root of the sum of all squares (Duchi et al. 2011).

    Arguments as torch.optim.Adagrad.
    """

    tensors = ("sum",)
    numbers = ("step",)
    not_negative = ("lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps")

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        master_weights: bool = False,
    ) -> None:
        super().__init__(params, options_of(locals()), master_weights=master_weights)
        if not master_weights:  # as in torch, the state is there before the first step
            for group in self.param_groups:
                self.state.update({p: self.new_state(p, group) for p in group["params"]})

    def new_state(self, p: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        """No steps, the sum at its initial value."""
        start = float(group["initial_accumulator_value"])
        return {"step": 0, "sum": full(p.shape, start, wide_dtype(p), p.device)}

    def update(self, group: dict[str, Any]) -> None:
        """One kernel call per parameter."""
        sign = sign_of(group)
        lr, slowing, decay, eps = (
            float(group[name]) for name in ("lr", "lr_decay", "weight_decay", "eps")
        )
        for p, g, state, master in self.pending(group):
            now = lr / (1 + state["step"] * slowing)
            state["step"] += 1
            _adagrad(p._array, state["sum"]._array, master, g, now, sign, decay, eps)


class Adadelta(Optimizer):
    """Steps in the units of past steps (Zeiler, arXiv 1212.5701).

    Arguments as torch.optim.Adadelta.
    """

    tensors = ("square_avg", "acc_delta")
    numbers = ("step",)
    not_negative = ("lr", "eps", "weight_decay")

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
        master_weights: bool = False,
    ) -> None:
        super().__init__(params, options_of(locals()), master_weights=master_weights)

    def check(self, group: dict[str, Any]) -> None:
        """Refuse negative numbers and a `rho` above 1."""
        super().check(group)
        number(Adadelta, "rho", group["rho"], 0, 1 + 1e-12)

    def update(self, group: dict[str, Any]) -> None:
        """One kernel call per parameter."""
        sign = sign_of(group)
        lr, decay, rho, eps = (float(group[name]) for name in ("lr", "weight_decay", "rho", "eps"))
        for p, g, state, master in self.pending(group):
            state["step"] += 1
            square, delta = state["square_avg"]._array, state["acc_delta"]._array
            _adadelta(p._array, square, delta, master, g, lr, sign, decay, rho, eps)
