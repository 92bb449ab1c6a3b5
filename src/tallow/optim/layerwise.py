"""Updates that look at a whole parameter: LAMB by its norm, Muon by its singular directions."""

from __future__ import annotations

import math
from typing import Any

from tallow import _native
from tallow.errors import ArgumentError, expect
from tallow.optim.adam import MomentsOptimizer
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
from tallow.tensor import Tensor, wrap

_adam = _native.kernel("adam_step")


def _value(p: Tensor, master: Any) -> Tensor:
    """A parameter, or its copy in f32."""
    return p.detach().to(wide_dtype(p)) if master is absent(p) else wrap(master)


def _store(p: Tensor, master: Any, value: Tensor) -> None:
    p._array.copy_(value._array)
    if master is not absent(p):
        master.copy_(value._array)


def _norm(x: Tensor) -> float:
    return math.sqrt((x * x).sum().item())


class LAMB(MomentsOptimizer):
    """Adam's direction, rescaled to the norm of each parameter (You et al., arXiv 1904.00962).

    `p -= lr * |p| / |r| * r` with `r = m / (sqrt(v) + eps) + weight_decay * p`; the ratio is 1
    where a norm is 0.
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.01,
        *,
        bias_correction: bool = True,
        maximize: bool = False,
        master_weights: bool = False,
    ) -> None:
        super().__init__(params, options_of(locals()), master_weights=master_weights)

    def update(self, group: dict[str, Any]) -> None:
        """Adam's kernel gives the direction; norms and the step are ops."""
        lr, sign, eps = float(group["lr"]), sign_of(group), float(group["eps"])
        beta1, beta2 = map(float, group["betas"])
        decay = float(group["weight_decay"])
        for p, g, state, master in self.pending(group):
            count = state["step"] = state["step"] + 1
            step = scale = 1.0
            if group["bias_correction"]:
                step, scale = 1 / (1 - beta1**count), 1 / math.sqrt(1 - beta2**count)
            value = _value(p, master)
            none, direction = (
                absent(p),
                wide_zeros(p),
            )  # from 0, Adam's kernel leaves minus the direction
            _adam(
                direction._array, state["exp_avg"]._array, state["exp_avg_sq"]._array, none,
                none, g.cast(direction._array.dtype), sign, 0.0, 1.0, beta1, beta2, step, scale,
                eps,
            )  # fmt: skip
            direction = direction - value * decay if decay else direction
            ours, theirs = _norm(value), _norm(direction)
            ratio = ours / theirs if ours > 0 and theirs > 0 else 1.0
            value = value + direction * (lr * ratio)
            _store(p, master, value)


class Muon(Optimizer):
    """Momentum made orthogonal: every singular value of a step becomes about 1 (Jordan 2024).

    For the 2-d parameters inside a network; embeddings, heads and vectors belong to AdamW. The
    Newton-Schulz iteration runs in f32 (f64 for f64). Arguments as torch.optim.Muon;
    `adjust_lr_fn` is `"original"` (`sqrt(max(1, rows / columns))`) or `"match_rms_adamw"`
    (`0.2 * sqrt(max(rows, columns))`, Moonshot, arXiv 2502.16982).

    Source: https://kellerjordan.github.io/posts/muon/
    """

    tensors = ("momentum_buffer",)
    not_negative = ("lr", "weight_decay", "momentum")

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
        *,
        master_weights: bool = False,
    ) -> None:
        super().__init__(params, options_of(locals()), master_weights=master_weights)

    def check(self, group: dict[str, Any]) -> None:
        """Refuse negative rates and parameters that are no matrices."""
        super().check(group)
        known = (None, "original", "match_rms_adamw")
        adjust = group["adjust_lr_fn"]
        expect(adjust in known, Muon, f"adjust_lr_fn in {known}", adjust, ArgumentError)
        number(Muon, "ns_steps", group["ns_steps"], 0, 100)
        for p in group["params"]:
            expect(p.ndim == 2, Muon, "2-d parameters", p.shape)

    def update(self, group: dict[str, Any]) -> None:
        """In ops: the products take the time."""
        lr, momentum = float(group["lr"]), float(group["momentum"])
        keep = 1 - lr * float(group["weight_decay"])
        for p, gradient, state, master in self.pending(group):
            g = wrap(gradient.cast(wide_dtype(p).code))
            buffer = state["momentum_buffer"]
            buffer._array.copy_((buffer + (g - buffer) * (1 - momentum))._array)
            step = g + (buffer - g) * momentum if group["nesterov"] else buffer
            step = orthogonal(step, group["ns_coefficients"], group["ns_steps"], group["eps"])
            rows, columns = p.shape
            if group["adjust_lr_fn"] == "match_rms_adamw":
                ratio = 0.2 * math.sqrt(max(rows, columns))
            else:
                ratio = math.sqrt(max(1, rows / max(columns, 1)))
            value = _value(p, master)
            value = value * keep - step * (lr * ratio)
            _store(p, master, value)


def orthogonal(
    x: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float
) -> Tensor:
    """`U @ V.T` of the matrix x = U S V.T, roughly: a quintic Newton-Schulz iteration.

    The coefficients of Muon bring singular values into about [0.7, 1.2] in five steps.
    """
    a, b, c = coefficients
    tall = x.shape[0] > x.shape[1]
    y = x.T if tall else x
    y = y * (1 / max(_norm(y), eps))
    for _ in range(int(steps)):
        gram = y @ y.T
        y = y * a + (gram * b + (gram @ gram) * c) @ y
    return y.T if tall else y
