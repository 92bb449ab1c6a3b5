"""Activation functions of recurrent operators, by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from tallow import ops
from tallow.errors import ArgumentError, expect
from tallow.tensor import Tensor

Activation = Callable[[Tensor], Tensor]


def _affine(x: Tensor, alpha: float, beta: float) -> Tensor:
    return x * alpha + beta


def _leaky_relu(x: Tensor, alpha: float, beta: float) -> Tensor:
    return ops.leaky_relu(x, alpha)


def _thresholded_relu(x: Tensor, alpha: float, beta: float) -> Tensor:
    return ops.where(x > alpha, x, 0.0)


def _scaled_tanh(x: Tensor, alpha: float, beta: float) -> Tensor:
    return (x * beta).tanh() * alpha


def _hard_sigmoid(x: Tensor, alpha: float, beta: float) -> Tensor:
    return (x * alpha + beta).clamp(0.0, 1.0)


def _elu(x: Tensor, alpha: float, beta: float) -> Tensor:
    return ops.elu(x, alpha)


_PLAIN: Final[dict[str, Activation]] = {
    "relu": ops.relu, "tanh": ops.tanh, "sigmoid": ops.sigmoid, "softsign": ops.softsign,
    "softplus": ops.softplus,
}  # fmt: skip
# Function, and the defaults of alpha and beta.
_SCALED: Final[dict[str, tuple[Callable[..., Tensor], float, float]]] = {
    "affine": (_affine, 1.0, 0.0), "leakyrelu": (_leaky_relu, 0.01, 0.0),
    "thresholdedrelu": (_thresholded_relu, 1.0, 0.0), "scaledtanh": (_scaled_tanh, 1.0, 1.0),
    "hardsigmoid": (_hard_sigmoid, 0.2, 0.5), "elu": (_elu, 1.0, 0.0),
}  # fmt: skip
_WITH_BETA: Final = ("affine", "scaledtanh", "hardsigmoid")


def activations(
    where: str, names: Sequence[str], alphas: Sequence[float], betas: Sequence[float]
) -> list[Activation]:
    """The functions of these names; parameters are taken from the front of the lists."""
    found: list[Activation] = []
    alphas, betas = list(alphas), list(betas)
    for name in names:
        key = name.lower()
        if key in _PLAIN:
            found.append(_PLAIN[key])
            continue
        known = key in _SCALED
        text = f"an activation of {', '.join([*_PLAIN, *_SCALED])}"
        expect(known, where, text, name, ArgumentError)
        function, alpha, beta = _SCALED[key]
        alpha = alphas.pop(0) if alphas else alpha
        beta = betas.pop(0) if betas and key in _WITH_BETA else beta
        found.append(partial(function, alpha=alpha, beta=beta))
    return found
