"""EfficientNet: inverted residuals with squeeze-and-excitation, in scales (arXiv 1905.11946)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from tallow.models.base import Model
from tallow.models.blocks.activation import ACTIVATIONS
from tallow.models.blocks.conv import conv_norm, divisible, excite
from tallow.models.blocks.image_heads import ImageClassification
from tallow.models.configs import Config, activation, choice, ratio, size, sizes
from tallow.models.fields import Fields
from tallow.models.outputs import BaseOutput
from tallow.nn import BatchNorm2d, Conv2d, Linear, Module, ModuleList
from tallow.nn import functional as F
from tallow.tensor import Tensor

PER_STAGE = (
    "kernel_sizes", "in_channels", "out_channels", "strides", "num_block_repeats", "expand_ratios",
)  # fmt: skip


class BlockSizes(NamedTuple):
    """Of one block; `early` pads one more behind than before where it strides."""

    size: int
    out: int
    kernel: int
    stride: int
    expand: int
    early: bool
    residual: bool


class EfficientNetConfig(Config):
    """Of Hugging Face's `EfficientNetConfig`."""

    num_channels: int = size(3)
    width_coefficient: float = ratio(2.0)
    depth_coefficient: float = ratio(3.1)
    depth_divisor: int = size(8)
    kernel_sizes: tuple[int, ...] = sizes(3, 3, 5, 3, 5, 5, 3, high=64)
    in_channels: tuple[int, ...] = sizes(32, 16, 24, 40, 80, 112, 192, high=1 << 16)
    out_channels: tuple[int, ...] = sizes(16, 24, 40, 80, 112, 192, 320, high=1 << 16)
    depthwise_padding: tuple[int, ...] = sizes(low=0)
    strides: tuple[int, ...] = sizes(1, 2, 2, 2, 1, 2, 1, high=2)
    num_block_repeats: tuple[int, ...] = sizes(1, 2, 2, 3, 3, 4, 1, high=64)
    expand_ratios: tuple[int, ...] = sizes(1, 6, 6, 6, 6, 6, 6, high=64)
    squeeze_expansion_ratio: float = ratio(0.25)
    hidden_act: str = activation("swish")
    hidden_dim: int = size(2560)
    pooling_type: str = choice("mean", "max")
    batch_norm_eps: float = 0.001

    without_effect = frozenset(
        {"image_size", "batch_norm_momentum", "drop_connect_rate", "num_hidden_layers"}
    )

    def check(self, fields: Fields) -> None:
        """Every stage needs all numbers, and the head fits the rest."""
        for name in PER_STAGE:
            if len(getattr(self, name)) != len(self.in_channels) or not self.in_channels:
                wanted = f"one number for each of {len(self.in_channels)} stages"
                raise fields.error(name, wanted, list(getattr(self, name)))
        if self.hidden_dim != self.width(1280):
            wanted = f"{self.width(1280)}, which is 1280 by the width_coefficient"
            raise fields.error("hidden_dim", wanted, self.hidden_dim)

    def width(self, channels: int) -> int:
        """Channels, scaled."""
        return divisible(channels * self.width_coefficient, self.depth_divisor)

    def blocks(self) -> Iterator[BlockSizes]:
        """The sizes of all blocks, in order."""
        count = 0
        for i, repeats in enumerate(self.num_block_repeats):
            out, kernel, expand = self.width(self.out_channels[i]), *self.of_stage(i)
            for j in range(math.ceil(self.depth_coefficient * repeats)):
                size = out if j else self.width(self.in_channels[i])
                stride = 1 if j else self.strides[i]
                early = count not in self.depthwise_padding
                yield BlockSizes(size, out, kernel, stride, expand, early, j > 0)
                count += 1

    def of_stage(self, i: int) -> tuple[int, int]:
        """Kernel and expansion of a stage."""
        return self.kernel_sizes[i], self.expand_ratios[i]


class Stem(Module):
    """A convolution that halves the image, padded behind it."""

    def __init__(self, cfg: EfficientNetConfig) -> None:
        out = cfg.width(32)
        self.convolution = Conv2d(cfg.num_channels, out, 3, 2, bias=False)
        self.batchnorm = BatchNorm2d(out, cfg.batch_norm_eps)
        self.act = ACTIVATIONS[cfg.hidden_act]

    def forward(self, x: Tensor) -> Tensor:
        """Half the height and width."""
        return self.act(conv_norm(self.convolution, self.batchnorm, F.pad(x, [0, 1, 0, 1])))


class Expansion(Module):
    """To more channels."""

    def __init__(self, cfg: EfficientNetConfig, size: int, out: int) -> None:
        self.expand_conv = Conv2d(size, out, 1, bias=False)
        self.expand_bn = BatchNorm2d(out, cfg.batch_norm_eps)
        self.act = ACTIVATIONS[cfg.hidden_act]

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, height, width)` → `(batch, out, height, width)`."""
        return self.act(conv_norm(self.expand_conv, self.expand_bn, x))


class Depthwise(Module):
    """A convolution of each channel."""

    def __init__(self, cfg: EfficientNetConfig, size: int, each: BlockSizes) -> None:
        half = each.kernel // 2
        before = half - 1 if each.early else half
        self.sides = [before, half] * 2 if each.stride == 2 and each.early else None
        padding: int | str = "same" if each.stride == 1 else 0 if self.sides else half
        self.depthwise_conv = Conv2d(
            size, size, each.kernel, each.stride, padding, groups=size, bias=False
        )
        self.depthwise_norm = BatchNorm2d(size, cfg.batch_norm_eps)
        self.act = ACTIVATIONS[cfg.hidden_act]

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, height, width)` → `(batch, size, height / stride, width / stride)`."""
        if self.sides is not None:
            x = F.pad(x, self.sides)
        return self.act(conv_norm(self.depthwise_conv, self.depthwise_norm, x))


class Excitation(Module):
    """Squeeze-and-excitation."""

    def __init__(self, cfg: EfficientNetConfig, size: int, inner: int) -> None:
        self.reduce = Conv2d(size, inner, 1)
        self.expand = Conv2d(inner, size, 1)
        self.act = ACTIVATIONS[cfg.hidden_act]

    def forward(self, x: Tensor) -> Tensor:
        """Kept."""
        return excite(x, self.reduce, self.act, self.expand)


class Projection(Module):
    """Back to fewer channels."""

    def __init__(self, cfg: EfficientNetConfig, size: int, out: int) -> None:
        self.project_conv = Conv2d(size, out, 1, bias=False)
        self.project_bn = BatchNorm2d(out, cfg.batch_norm_eps)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, height, width)` → `(batch, out, height, width)`."""
        return conv_norm(self.project_conv, self.project_bn, x)


class Block(Module):
    """Expand, convolve by channel, excite, project; the first of a stage has no shortcut."""

    def __init__(self, cfg: EfficientNetConfig, each: BlockSizes) -> None:
        inner = each.size * each.expand
        self.residual = each.residual
        self.expansion = Expansion(cfg, each.size, inner) if each.expand != 1 else None
        self.depthwise_conv = Depthwise(cfg, inner, each)
        squeezed = max(1, int(each.size * cfg.squeeze_expansion_ratio))
        self.squeeze_excite = Excitation(cfg, inner, squeezed)
        self.projection = Projection(cfg, inner, each.out)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, height, width)` → `(batch, out, height / stride, width / stride)`."""
        inner = x if self.expansion is None else self.expansion(x)
        out: Tensor = self.projection(self.squeeze_excite(self.depthwise_conv(inner)))
        return out + x if self.residual else out


class Encoder(Module):
    """The blocks, and a last convolution."""

    def __init__(self, cfg: EfficientNetConfig) -> None:
        self.blocks = ModuleList([Block(cfg, each) for each in cfg.blocks()])
        self.top_conv = Conv2d(cfg.width(cfg.out_channels[-1]), cfg.hidden_dim, 1, bias=False)
        self.top_bn = BatchNorm2d(cfg.hidden_dim, cfg.batch_norm_eps)
        self.act = ACTIVATIONS[cfg.hidden_act]


class EfficientNetModel(Model):
    """Stem and blocks; the pooled output is the mean or maximum over the image."""

    config_class = EfficientNetConfig
    base_model_prefix = "efficientnet"

    def __init__(self, cfg: EfficientNetConfig) -> None:
        self.config = cfg
        self.embeddings = Stem(cfg)
        self.encoder = Encoder(cfg)

    def forward(self, pixel_values: Tensor, *, output_hidden_states: bool = False) -> BaseOutput:
        """`(batch, 3, height, width)` → features `(batch, size, height / 32, width / 32)`."""
        encoder = self.encoder
        states = [self.embeddings(pixel_values)]
        for block in encoder.blocks:
            states.append(block(states[-1]))
        x = encoder.act(conv_norm(encoder.top_conv, encoder.top_bn, states[-1]))
        pooled = x.amax((2, 3)) if self.config.pooling_type == "max" else x.mean((2, 3))
        return BaseOutput(x, pooled, tuple(states) if output_hidden_states else None)


class EfficientNetForImageClassification(ImageClassification):
    """Scores from the pooled features."""

    config_class, base_class = EfficientNetConfig, EfficientNetModel
    base_model_prefix = "efficientnet"

    def make_classifier(self, cfg: EfficientNetConfig) -> Module:
        """The pooled features through a linear layer."""
        return Linear(cfg.hidden_dim, cfg.num_labels)
