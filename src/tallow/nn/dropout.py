"""Dropout layers: parts of their input set to 0 in training."""

from __future__ import annotations

from tallow.errors import ArgumentError, expect
from tallow.nn import functional as F
from tallow.nn.module import Module
from tallow.tensor import Tensor


class _Dropout(Module):
    """Drops with the probability `p` while training."""

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        expect(0 <= p <= 1, type(self), "a probability p in [0, 1]", p, ArgumentError)
        self.p, self.inplace = p, inplace

    def extra_repr(self) -> str:
        """The options."""
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """Elements set to 0, the others scaled up."""

    def forward(self, input: Tensor) -> Tensor:
        """Any shape, kept."""
        return F.dropout(input, self.p, self.training, self.inplace)


class Dropout1d(_Dropout):
    """Whole channels of (batch, channels, length) set to 0."""

    def forward(self, input: Tensor) -> Tensor:
        """`(batch, channels, length)`, kept."""
        return F.dropout1d(input, self.p, self.training, self.inplace)


class Dropout2d(_Dropout):
    """Whole channels of (batch, channels, height, width) set to 0."""

    def forward(self, input: Tensor) -> Tensor:
        """`(batch, channels, height, width)`, kept."""
        return F.dropout2d(input, self.p, self.training, self.inplace)


class Dropout3d(_Dropout):
    """Whole channels of (batch, channels, depth, height, width) set to 0."""

    def forward(self, input: Tensor) -> Tensor:
        """`(batch, channels, depth, height, width)`, kept."""
        return F.dropout3d(input, self.p, self.training, self.inplace)


class AlphaDropout(_Dropout):
    """Dropout after SELU, which keeps mean and variance (arXiv 1706.02515)."""

    def forward(self, input: Tensor) -> Tensor:
        """Any shape, kept."""
        return F.alpha_dropout(input, self.p, self.training, self.inplace)


class FeatureAlphaDropout(_Dropout):
    """`AlphaDropout` of whole channels."""

    def forward(self, input: Tensor) -> Tensor:
        """`(batch, channels, ...)`, kept."""
        return F.feature_alpha_dropout(input, self.p, self.training, self.inplace)
