"""Adam and its relatives: AdamW, NAdam, RAdam, Adamax."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from tallow import _native
from tallow.errors import ArgumentError, expect
from tallow.optim.optimizer import (
    Optimizer,
    Params,
    absent,
    number,
    options_of,
    sign_of,
    wide_zeros,
)
from tallow.tensor import Tensor

_adam = _native.kernel("adam_step")
_nadam = _native.kernel("nadam_step")
_radam = _native.kernel("radam_step")
_adamax = _native.kernel("adamax_step")

Betas = tuple[float | Tensor, float | Tensor]


def _decays(group: dict[str, Any], decoupled: bool) -> tuple[float, float]:
    """(what of the parameter is added to the gradient, what is kept of the parameter)."""
    decay = float(group["weight_decay"])
    return (0.0, 1.0 - float(group["lr"]) * decay) if decoupled else (decay, 1.0)


class MomentsOptimizer(Optimizer):
    """What Adam and its relatives share: rates, two betas and running moments of the gradient."""

    tensors: ClassVar[tuple[str, ...]] = ("exp_avg", "exp_avg_sq")
    numbers: ClassVar[tuple[str, ...]] = ("step",)
    not_negative: ClassVar[tuple[str, ...]] = ("lr", "eps", "weight_decay")

    def check(self, group: dict[str, Any]) -> None:
        """Refuse negative rates and betas outside [0, 1)."""
        super().check(group)
        betas = group["betas"]
        expect(len(betas) == 2, type(self), "two betas", betas, ArgumentError)
        for i, beta in enumerate(betas):
            number(type(self), f"betas[{i}]", beta, 0, 1)

    def new_state(self, p: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        """No steps, moments of zero."""
        return {"step": 0, **{name: wide_zeros(p) for name in self.tensors[:2]}}


class Adam(MomentsOptimizer):
    """Adam (Kingma & Ba, arXiv 1412.6980), with `amsgrad` (Reddi et al., arXiv 1904.09237).

    Arguments as torch.optim.Adam; `foreach`, `fused` and `capturable` are taken and change nothing.
    """

    tensors = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
        master_weights: bool = False,
    ) -> None:
        super().__init__(params, options_of(locals()), master_weights=master_weights)

    def update(self, group: dict[str, Any]) -> None:
        """One kernel call per parameter."""
        lr, sign, eps = float(group["lr"]), sign_of(group), float(group["eps"])
        beta1, beta2 = map(float, group["betas"])
        decay, keep = _decays(group, group["decoupled_weight_decay"])
        before, step, scale = 0, 0.0, 0.0
        for p, g, state, master in self.pending(group):
            count = state["step"] = state["step"] + 1
            if count != before:
                before = count
                step = lr / (1 - beta1**count)
                scale = 1 / math.sqrt(1 - beta2**count)
            top = absent(p)
            if group["amsgrad"]:
                if "max_exp_avg_sq" not in state:
                    state["max_exp_avg_sq"] = wide_zeros(p)
                top = state["max_exp_avg_sq"]._array
            _adam(
                p._array, state["exp_avg"]._array, state["exp_avg_sq"]._array, top, master, g,
                sign, decay, keep, beta1, beta2, step, scale, eps,
            )  # fmt: skip


class AdamW(Adam):
    """Adam whose weight decay does not pass through the moments (arXiv 1711.05101)."""

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        master_weights: bool = False,
    ) -> None:
        super().__init__(
            params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize,
            foreach=foreach, capturable=capturable, fused=fused,
            differentiable=differentiable, decoupled_weight_decay=True,
            master_weights=master_weights,
        )  # fmt: skip


class NAdam(MomentsOptimizer):
    """Adam with Nesterov's momentum (Dozat 2016); arguments as torch.optim.NAdam."""

    numbers = ("step", "mu_product")
    not_negative = ("lr", "eps", "weight_decay", "momentum_decay")

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        master_weights: bool = False,
    ) -> None:
        super().__init__(params, options_of(locals()), master_weights=master_weights)

    def new_state(self, p: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        """No steps, moments of zero."""
        return {**super().new_state(p, group), "mu_product": 1.0}

    def update(self, group: dict[str, Any]) -> None:
        """One kernel call per parameter."""
        lr, sign, eps = float(group["lr"]), sign_of(group), float(group["eps"])
        beta1, beta2 = map(float, group["betas"])
        decay, keep = _decays(group, group["decoupled_weight_decay"])
        slowing = float(group["momentum_decay"])
        for p, g, state, master in self.pending(group):
            count = state["step"] = state["step"] + 1
            now = beta1 * (1 - 0.5 * 0.96 ** (count * slowing))
            later = beta1 * (1 - 0.5 * 0.96 ** ((count + 1) * slowing))
            product = state["mu_product"] = state["mu_product"] * now
            _nadam(
                p._array, state["exp_avg"]._array, state["exp_avg_sq"]._array, master, g, sign,
                decay, keep, beta1, beta2, lr * (1 - now) / (1 - product),
                lr * later / (1 - product * later), 1 / math.sqrt(1 - beta2**count), eps,
            )  # fmt: skip


class RAdam(MomentsOptimizer):
    """Adam that waits until its second moment has samples enough (Liu et al., arXiv 1908.03265).

    Arguments as torch.optim.RAdam.
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        master_weights: bool = False,
    ) -> None:
        super().__init__(params, options_of(locals()), master_weights=master_weights)

    def update(self, group: dict[str, Any]) -> None:
        """One kernel call per parameter."""
        lr, sign, eps = float(group["lr"]), sign_of(group), float(group["eps"])
        beta1, beta2 = map(float, group["betas"])
        decay, keep = _decays(group, group["decoupled_weight_decay"])
        longest = 2 / (1 - beta2) - 1
        for p, g, state, master in self.pending(group):
            count = state["step"] = state["step"] + 1
            rest = 1 - beta2**count
            step = lr / (1 - beta1**count)
            length = longest - 2 * count * beta2**count / rest
            adapt = length > 5
            if adapt:
                above = (length - 4) * (length - 2) * longest
                step *= math.sqrt(rest * above / ((longest - 4) * (longest - 2) * length))
            _radam(
                p._array, state["exp_avg"]._array, state["exp_avg_sq"]._array, master, g, sign,
                decay, keep, beta1, beta2, step, eps, float(adapt),
            )  # fmt: skip


class Adamax(MomentsOptimizer):
    """Adam by the largest instead of the mean square (arXiv 1412.6980, section 7).

    Arguments as torch.optim.Adamax.
    """

    tensors = ("exp_avg", "exp_inf")

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
        master_weights: bool = False,
    ) -> None:
        super().__init__(params, options_of(locals()), master_weights=master_weights)

    def update(self, group: dict[str, Any]) -> None:
        """One kernel call per parameter."""
        lr, sign, eps = float(group["lr"]), sign_of(group), float(group["eps"])
        beta1, beta2 = map(float, group["betas"])
        decay = float(group["weight_decay"])
        for p, g, state, master in self.pending(group):
            count = state["step"] = state["step"] + 1
            _adamax(
                p._array, state["exp_avg"]._array, state["exp_inf"]._array, master, g, sign, decay,
                beta1, beta2, lr / (1 - beta1**count), eps,
            )  # fmt: skip
