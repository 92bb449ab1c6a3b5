"""Dropout layers: parts of their input set to 0 in training."""

from __future__ import annotations

from tallow.errors import ArgumentError, expect
from tallow.nn import functional as F
from tallow.nn.module import Module
from tallow.tensor import Tensor


class _Dropout(Module):
    """Drops with the probability `p` while training, by the function of this name."""

    _repr_names = ("p", "inplace")
    _function = ""

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        expect(0 <= p <= 1, type(self), "a probability p in [0, 1]", p, ArgumentError)
        self.p, self.inplace = p, inplace

    def forward(self, input: Tensor) -> Tensor:
        """Any shape that the function takes, kept."""
        return getattr(F, self._function)(input, self.p, self.training, self.inplace)


class Dropout(_Dropout):
    """Elements set to 0, the others scaled up."""

    _function = "dropout"


class Dropout1d(_Dropout):
    """Whole channels of (batch, channels, length) set to 0."""

    _function = "dropout1d"


class Dropout2d(_Dropout):
    """Whole channels of (batch, channels, height, width) set to 0."""

    _function = "dropout2d"


class Dropout3d(_Dropout):
    """Whole channels of (batch, channels, depth, height, width) set to 0."""

    _function = "dropout3d"


class AlphaDropout(_Dropout):
    """Dropout after SELU, which keeps mean and variance (arXiv 1706.02515)."""

    _function = "alpha_dropout"


class FeatureAlphaDropout(_Dropout):
    """`AlphaDropout` of whole channels."""

    _function = "feature_alpha_dropout"
