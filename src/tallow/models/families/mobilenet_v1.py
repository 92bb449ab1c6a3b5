"""MobileNet V1: depthwise and pointwise convolutions in turn (arXiv 1704.04861)."""

from __future__ import annotations

from tallow.models.base import Model
from tallow.models.blocks.conv import ConvNorm
from tallow.models.blocks.image_heads import ImageClassification
from tallow.models.configs import Config, activation, ratio, size
from tallow.models.outputs import BaseOutput
from tallow.nn import Linear, Module, ModuleList
from tallow.tensor import Tensor

STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)


class MobileNetV1Config(Config):
    """Of Hugging Face's `MobileNetV1Config`."""

    num_channels: int = size(3)
    depth_multiplier: float = ratio(1.0)
    min_depth: int = size(8)
    hidden_act: str = activation("relu6")
    tf_padding: bool = True
    layer_norm_eps: float = 0.001

    without_effect = frozenset({"image_size"})

    def width(self, depth: int) -> int:
        """The channels where the whole network has `depth`."""
        return max(int(depth * self.depth_multiplier), self.min_depth)


class MobileNetV1Model(Model):
    """Stem and 13 pairs of convolutions; the pooled output is the mean over the image."""

    config_class = MobileNetV1Config
    base_model_prefix = "mobilenet_v1"

    def __init__(self, cfg: MobileNetV1Config) -> None:
        self.config = cfg

        def layer(size: int, out: int, kernel: int, stride: int = 1, groups: int = 1) -> ConvNorm:
            act, eps, same = cfg.hidden_act, cfg.layer_norm_eps, cfg.tf_padding
            return ConvNorm(size, out, kernel, stride, groups=groups, act=act, eps=eps, same=same)

        depth, out = 32, cfg.width(32)
        self.conv_stem = layer(cfg.num_channels, out, 3, 2)
        layers: list[Module] = []
        for i, stride in enumerate(STRIDES):
            width = out
            if stride == 2 or i == 0:
                depth *= 2
                out = cfg.width(depth)
            layers += [layer(width, width, 3, stride, width), layer(width, out, 1)]
        self.layer = ModuleList(layers)

    def forward(self, pixel_values: Tensor, *, output_hidden_states: bool = False) -> BaseOutput:
        """`(batch, 3, height, width)` → features `(batch, size, height / 32, width / 32)`."""
        x = self.conv_stem(pixel_values)
        states = [x := layer(x) for layer in self.layer]
        return BaseOutput(x, x.mean((2, 3)), tuple(states) if output_hidden_states else None)


class MobileNetV1ForImageClassification(ImageClassification):
    """Scores from the pooled features."""

    config_class, base_class = MobileNetV1Config, MobileNetV1Model
    base_model_prefix = "mobilenet_v1"

    def make_classifier(self, cfg: MobileNetV1Config) -> Module:
        """The pooled features through a linear layer."""
        return Linear(cfg.width(1024), cfg.num_labels)
