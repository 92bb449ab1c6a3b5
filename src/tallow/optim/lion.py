"""Lion: steps of one size in the direction of a momentum's signs."""

from __future__ import annotations

from typing import Any

from tallow import _native
from tallow.optim.optimizer import (
    Optimizer,
    Params,
    number,
    options_of,
    sign_of,
)
from tallow.tensor import Tensor

_lion = _native.kernel("lion_step")


class Lion(Optimizer):
    """`p -= lr * (sign(beta1 * m + (1 - beta1) * g) + weight_decay * p)` (arXiv 2302.06675).

    The momentum m follows the gradients with beta2. The authors advise a learning rate 3 to 10
    times smaller, and a weight decay as much larger, than those of AdamW.
    """

    tensors = ("exp_avg",)
    not_negative = ("lr", "weight_decay")

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        master_weights: bool = False,
    ) -> None:
        super().__init__(params, options_of(locals()), master_weights=master_weights)

    def check(self, group: dict[str, Any]) -> None:
        """Refuse negative rates and betas outside [0, 1)."""
        super().check(group)
        for i, beta in enumerate(group["betas"]):
            number(Lion, f"betas[{i}]", beta, 0, 1)

    def update(self, group: dict[str, Any]) -> None:
        """One kernel call per parameter."""
        lr, sign = float(group["lr"]), sign_of(group)
        keep = 1 - lr * float(group["weight_decay"])
        beta1, beta2 = map(float, group["betas"])
        for p, g, state, master in self.pending(group):
            _lion(p._array, state["exp_avg"]._array, master, g, lr, sign, keep, beta1, beta2)
