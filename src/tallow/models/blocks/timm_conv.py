"""Convolutions with timm's names: `conv` and `bn`, norms that end in an activation."""

from __future__ import annotations

from tallow.models.blocks.activation import ACTIVATIONS
from tallow.models.blocks.conv import SameConv2d, conv_norm, excite
from tallow.nn import BatchNorm2d, Conv2d, Module, init, param
from tallow.tensor import Tensor


def conv(
    size: int,
    out: int,
    kernel: int,
    stride: int = 1,
    *,
    groups: int = 1,
    bias: bool = False,
    same: bool = False,
) -> Conv2d:
    """A convolution that keeps the size but for its stride."""
    make = SameConv2d if same and (stride > 1 or kernel % 2 == 0) else Conv2d
    return make(size, out, kernel, stride, (stride + kernel - 2) // 2, groups=groups, bias=bias)


class NormAct(BatchNorm2d):
    """Batch norm, then an activation."""

    def __init__(self, size: int, act: str = "linear", eps: float = 1e-5) -> None:
        super().__init__(size, eps)
        self.act = ACTIVATIONS[act]

    def forward(self, input: Tensor) -> Tensor:
        """Kept."""
        return self.act(super().forward(input))


class ConvNormAct(Module):
    """Convolution, batch norm and an activation."""

    def __init__(
        self,
        size: int,
        out: int,
        kernel: int = 1,
        stride: int = 1,
        *,
        groups: int = 1,
        act: str = "linear",
        eps: float = 1e-5,
        same: bool = False,
    ) -> None:
        self.conv = conv(size, out, kernel, stride, groups=groups, same=same)
        self.bn = NormAct(out, act, eps)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, height, width)` → `(batch, out, height / stride, width / stride)`."""
        return conv_norm(self.conv, self.bn, x)


class SqueezeExcite(Module):
    """Squeeze-and-excitation by two pointwise convolutions."""

    def __init__(self, size: int, inner: int, act: str = "relu", gate: str = "sigmoid") -> None:
        self.conv_reduce = Conv2d(size, inner, 1)
        self.conv_expand = Conv2d(inner, size, 1)
        self.act, self.gate = ACTIVATIONS[act], ACTIVATIONS[gate]

    def forward(self, x: Tensor) -> Tensor:
        """Kept."""
        return excite(x, self.conv_reduce, self.act, self.conv_expand, self.gate)


class SEModule(Module):
    """The same by other names."""

    def __init__(self, size: int, inner: int) -> None:
        self.fc1 = Conv2d(size, inner, 1)
        self.fc2 = Conv2d(inner, size, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Kept."""
        return excite(x, self.fc1, ACTIVATIONS["relu"], self.fc2)


class LayerScale2d(Module):
    """A factor for each channel; `flat` where it is a vector in files."""

    def __init__(self, size: int, *, flat: bool = True) -> None:
        shape = (size,) if flat else (size, 1, 1)
        self.gamma = param(*shape, init=init.ones)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, height, width)`, kept."""
        return x * self.gamma.reshape(1, -1, 1, 1)
