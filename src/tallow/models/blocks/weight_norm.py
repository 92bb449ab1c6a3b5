"""Weights as a length times a direction (arXiv 1602.07868), by PyTorch's names."""

from __future__ import annotations

import math

from tallow.models.blocks.kept import Kept
from tallow.nn import Module, param
from tallow.nn.init import ones_, uniform
from tallow.tensor import Tensor
from tallow.weights.arrange import WeightConverter, rename

# How `torch.nn.utils.weight_norm` calls the two.
OLDER: tuple[WeightConverter, ...] = (
    rename("*.weight_g", "*.parametrizations.weight.original0"),
    rename("*.weight_v", "*.parametrizations.weight.original1"),
)


class NormedWeight(Module):
    """`original0 * original1 / |original1|`; the norm is over all axes but `axis`."""

    def __init__(self, *shape: int, axis: int = 0) -> None:
        lengths = [1] * len(shape)
        lengths[axis] = shape[axis]
        fan = math.prod(shape[1:])
        self.original0 = param(*lengths, init=ones_)
        self.original1 = param(*shape, init=uniform(fan**-0.5))
        self._axes = [i for i in range(len(shape)) if i != axis]
        self._kept = Kept()

    def forward(self) -> Tensor:
        """The weight; made once for as long as both stay, where no gradient is asked for."""
        return self._kept.get(self._make, self.original0, self.original1)

    def _make(self) -> Tensor:
        norm = self.original1.square().sum(self._axes, keepdim=True).sqrt()
        return self.original1 * (self.original0 / norm)


class Parametrizations(Module):
    """What stands under `parametrizations`."""

    def __init__(self, weight: NormedWeight) -> None:
        self.weight = weight


class WeightNorm(Module):
    """Base of layers whose `weight` is normed: under `parametrizations.weight` as in PyTorch."""

    bias: Tensor | None

    def __init__(self, *shape: int, axis: int = 0, bias: int | None = None) -> None:
        self.parametrizations = Parametrizations(NormedWeight(*shape, axis=axis))
        bound = math.prod(shape[1:]) ** -0.5
        self.bias = None if bias is None else param(bias, init=uniform(bound))

    @property
    def weight(self) -> Tensor:
        """The weight."""
        return self.parametrizations.weight()
