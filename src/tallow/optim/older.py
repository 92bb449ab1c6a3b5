"""Rprop, averaged SGD and Adafactor, in f64 where the parameter is, else in f32."""

from __future__ import annotations

from typing import Any

from tallow import ops
from tallow.factories import full, tensor
from tallow.optim.optimizer import (
    Optimizer,
    Params,
    number,
    options_of,
    wide_dtype,
    wide_zeros,
)
from tallow.tensor import Tensor, wrap

_EPS = {"f64": 2.0**-52, "f32": 2.0**-23, "bf16": 2.0**-7, "f16": 2.0**-10}


class _Plain(Optimizer):
    """Updates written in ops: the wide value of a parameter, its gradient, its state."""

    def update(self, group: dict[str, Any]) -> None:
        """One step of every parameter that has a gradient."""
        for p, g, state, _ in self.pending(group):
            wide = p.detach().to(wide_dtype(p))
            gradient = wrap(g).to(wide.dtype)
            if group["maximize"]:
                gradient = -gradient
            p.copy_(self.one(group, wide, gradient, state, p))

    def one(
        self, group: dict[str, Any], p: Tensor, g: Tensor, state: dict[str, Any], own: Tensor
    ) -> Tensor:
        """The new value of one parameter."""
        raise NotImplementedError


class Rprop(_Plain):
    """Steps by the sign of the gradient, longer while it stays (Riedmiller and Braun 1993).

    Arguments as torch.optim.Rprop.
    """

    tensors = ("prev", "step_size")
    numbers = ("step",)
    not_negative = ("lr",)

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        super().__init__(params, options_of(locals()))

    def check(self, group: dict[str, Any]) -> None:
        """Refuse a negative rate, and factors that are not around 1."""
        super().check(group)
        number(Rprop, "etas[0]", group["etas"][0], 0.0, 1.0)
        number(Rprop, "etas[1]", group["etas"][1], 1.0)

    def new_state(self, p: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        """No gradient before, steps of the rate."""
        size = full(p.shape, float(group["lr"]), wide_dtype(p), p.device)
        return {"step": 0, "prev": wide_zeros(p), "step_size": size}

    def one(
        self, group: dict[str, Any], p: Tensor, g: Tensor, state: dict[str, Any], own: Tensor
    ) -> Tensor:
        """A step against the sign; none where the sign turned."""
        down, up = group["etas"]
        least, most = group["step_sizes"]
        state["step"] += 1
        sign = (g * state["prev"]).sign()
        size = state["step_size"]
        size = ops.where(sign > 0, size * up, ops.where(sign < 0, size * down, size))
        state["step_size"] = size.clamp(least, most)
        g = ops.where(sign < 0, 0.0, g)
        state["prev"] = g
        return p - g.sign() * state["step_size"]


class ASGD(_Plain):
    """SGD whose parameters are averaged (Polyak and Juditsky 1992), as `ax` in the state.

    Arguments as torch.optim.ASGD.
    """

    tensors = ("ax",)
    numbers = ("step", "eta", "mu")
    not_negative = ("lr", "weight_decay")

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        super().__init__(params, options_of(locals()))

    def new_state(self, p: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        """The rate, and an average of nothing."""
        return {
            "step": 0,
            "eta": tensor(float(group["lr"]), device="cpu").item(),
            "mu": 1.0,
            "ax": wide_zeros(p),
        }

    def one(
        self, group: dict[str, Any], p: Tensor, g: Tensor, state: dict[str, Any], own: Tensor
    ) -> Tensor:
        """A step, then the average and the next rate."""
        state["step"] += 1
        step, eta, lr, lambd = state["step"], state["eta"], float(group["lr"]), group["lambd"]
        if group["weight_decay"]:
            g = g + p * group["weight_decay"]
        p = p * (1 - lambd * eta) - g * eta
        mean = state["ax"]
        state["ax"] = p.clone() if state["mu"] == 1 else mean + (p - mean) * state["mu"]
        # Of the default dtype, as torch keeps them.
        state["eta"] = tensor(lr / ((1 + lambd * lr * step) ** group["alpha"]), device="cpu").item()
        state["mu"] = tensor(1.0 / max(1, step - group["t0"]), device="cpu").item()
        return p


class Adafactor(_Plain):
    """Adam with second moments kept as rows and columns (Shazeer and Stern, arXiv 1804.04235).

    Arguments as torch.optim.Adafactor.
    """

    tensors = ("row_var", "col_var", "variance")
    numbers = ("step",)
    not_negative = ("lr", "weight_decay")

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, options_of(locals()))

    def check(self, group: dict[str, Any]) -> None:
        """Refuse numbers that are out of range."""
        super().check(group)
        number(Adafactor, "d", group["d"], 1.0)
        for i, eps in enumerate(group["eps"]):
            number(Adafactor, f"eps[{i}]", 0.0 if eps is None else eps)
        number(Adafactor, "-beta2_decay", -float(group["beta2_decay"]))

    def shape_of(self, p: Tensor, name: str) -> tuple[int, ...]:
        """That of rows, columns or all."""
        if name == "row_var":
            return (*p.shape[:-1], 1)
        if name == "col_var":
            return (*p.shape[:-2], 1, p.shape[-1])
        return p.shape

    def new_state(self, p: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        """Rows and columns of a matrix, the whole of anything else."""
        if p.ndim < 2:
            return {"step": 0, "variance": wide_zeros(p)}
        rows = full(self.shape_of(p, "row_var"), 0.0, wide_dtype(p), p.device)
        columns = full(self.shape_of(p, "col_var"), 0.0, wide_dtype(p), p.device)
        return {"step": 0, "row_var": rows, "col_var": columns}

    def one(
        self, group: dict[str, Any], p: Tensor, g: Tensor, state: dict[str, Any], own: Tensor
    ) -> Tensor:
        """A step scaled by the parameter's own size, its root mean square limited to d."""
        state["step"] += 1
        step, eps1 = float(state["step"]), group["eps"][0]
        eps1 = _EPS[own.dtype.name] if eps1 is None else eps1
        keep = step ** float(group["beta2_decay"])
        rho = min(float(group["lr"]), 1 / step**0.5)
        size = float(p.norm()) / p.numel() ** 0.5
        alpha = max(group["eps"][1], size) * rho
        if group["weight_decay"]:
            p = p * (1 - float(group["lr"]) * group["weight_decay"])
        if g.ndim > 1:
            rows = g.norm(2, -1, True).square() / g.shape[-1]
            columns = g.norm(2, -2, True).square() / g.shape[-2]
            state["row_var"] = state["row_var"] + (rows - state["row_var"]) * keep
            state["col_var"] = state["col_var"] + (columns - state["col_var"]) * keep
            variance = state["row_var"] @ state["col_var"]
            variance = variance / state["row_var"].mean(-2, keepdim=True).clamp(min=eps1)
        else:
            state["variance"] = state["variance"] + (g * g - state["variance"]) * keep
            variance = state["variance"]
        change = g * ops.rsqrt(variance.clamp(min=eps1 * eps1))
        limit = max(1.0, float(change.norm()) / (change.numel() ** 0.5 * group["d"]))
        return p - change * (alpha / limit)
