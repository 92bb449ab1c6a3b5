"""Snake activations (arXiv 2006.08195), and residual units of codecs that are made with them."""

from __future__ import annotations

from tallow.nn import Conv1d, Module, param
from tallow.nn.init import ones_
from tallow.tensor import Tensor


class Snake(Module):
    """`x + sin(alpha x)² / alpha`, with an alpha for each channel."""

    def __init__(self, size: int) -> None:
        self.alpha = param(1, size, 1, init=ones_)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, length)`, kept."""
        return x + (self.alpha * x).sin().square() / (self.alpha + 1e-9)


class SnakeUnit(Module):
    """A dilated convolution and one of single frames, beside what they are given."""

    def __init__(self, size: int, dilation: int) -> None:
        self.snake1 = Snake(size)
        self.conv1 = Conv1d(size, size, 7, padding=3 * dilation, dilation=dilation)
        self.snake2 = Snake(size)
        self.conv2 = Conv1d(size, size, 1)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, length)`, kept."""
        return x + self.conv2(self.snake2(self.conv1(self.snake1(x))))
