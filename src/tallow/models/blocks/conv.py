"""Convolutions of image models: with batch norm, TensorFlow's padding, norms over channels."""

from __future__ import annotations

from typing import Any

from tallow.dtype import f32
from tallow.errors import expect
from tallow.models.blocks.activation import ACTIVATIONS
from tallow.nn import BatchNorm2d, Conv2d, LayerNorm, Module
from tallow.nn import functional as F
from tallow.ops import linear
from tallow.overrides import is_watched
from tallow.tensor import Tensor


def same_padding(length: int, kernel: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """TensorFlow's SAME: zeros before and behind, so that `ceil(length / stride)` come out."""
    total = (-(-length // stride) - 1) * stride + (kernel - 1) * dilation + 1 - length
    total = max(total, 0)
    return total // 2, total - total // 2


class SameConv2d(Conv2d):
    """A convolution with TensorFlow's SAME padding, which depends on the size of the image."""

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        sizes = zip(x.shape[-2:], self.kernel_size, self.stride, self.dilation, strict=True)
        top, left = (same_padding(*each) for each in sizes)
        padding: Any = (top[0], left[0])
        if top[0] != top[1] or left[0] != left[1]:
            x, padding = F.pad(x, [*left, *top]), 0
        function = getattr(F, self._function)
        return function(x, weight, bias, self.stride, padding, self.dilation, self.groups)


def conv_norm(conv: Conv2d, norm: Module, x: Tensor) -> Tensor:
    """`norm(conv(x))`; a norm by fixed statistics goes into the kernel where that is less work.

    That costs a pass over the kernel instead of two over the result, and gradients flow either way.
    """
    expect(x.ndim == 4, "pixel_values", "shape (batch, channels, height, width)", tuple(x.shape))
    down, across = conv.stride
    places = x.shape[0] * (x.shape[2] // down) * (x.shape[3] // across)
    plain = isinstance(norm, BatchNorm2d) and (norm.training or not norm.track_running_stats)
    # By someone who wants both results: a hook, or a trace of ops for every size of the image.
    seen = conv._hooks is not None or norm._hooks is not None or is_watched()
    weight: Tensor = conv.weight
    if plain or seen or 2 * places < weight[0].numel() or weight.dtype is not f32:
        return norm(conv(x))
    scale = (norm.running_var + norm.eps).rsqrt() * norm.weight
    shift = norm.bias - norm.running_mean * scale
    if conv.bias is not None:
        shift = shift + conv.bias * scale
    out = conv._conv_forward(x, weight * scale.view(-1, 1, 1, 1), shift)
    act = getattr(norm, "act", None)  # of timm's norms, which end in one
    return out if act is None else act(out)


class ConvNorm(Module):
    """Convolution, batch norm and, if named, an activation; `same` pads as TensorFlow does."""

    def __init__(
        self,
        size: int,
        out: int,
        kernel: int = 1,
        stride: int = 1,
        *,
        groups: int = 1,
        dilation: int = 1,
        act: str = "linear",
        eps: float = 1e-5,
        same: bool = False,
    ) -> None:
        make = SameConv2d if same else Conv2d
        padding = (kernel - 1) // 2 * dilation
        self.convolution = make(size, out, kernel, stride, padding, dilation, groups, bias=False)
        self.normalization = BatchNorm2d(out, eps)
        self.act = ACTIVATIONS[act]

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, height, width)` → `(batch, out, height / stride, width / stride)`."""
        return self.act(conv_norm(self.convolution, self.normalization, x))


class LayerNorm2d(LayerNorm):
    """Layer norm over the channels of `(batch, channels, height, width)`."""

    def forward(self, input: Tensor) -> Tensor:
        """Kept."""
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def pointwise(x: Tensor, conv: Any) -> Tensor:
    """A pointwise convolution of `(..., size)`, as the product that it is."""
    return linear(x, conv.weight.flatten(1), conv.bias)


def excite(x: Tensor, reduce: Module, act: Any, expand: Module, gate: Any = F.sigmoid) -> Tensor:
    """Squeeze-and-excitation: each channel of `x` by what the means of all say (1709.01507).

    `reduce` and `expand` are pointwise convolutions.
    """
    factors: Tensor = gate(pointwise(act(pointwise(x.mean((2, 3)), reduce)), expand))
    return x * factors.reshape(*x.shape[:2], 1, 1)


def divisible(value: float, divisor: int = 8, low: int | None = None, limit: float = 0.9) -> int:
    """`value` rounded to a multiple of `divisor`, at least `low` and `limit` of it."""
    made = max(divisor if low is None else low, int(value + divisor / 2) // divisor * divisor)
    return made + divisor if made < limit * value else made
