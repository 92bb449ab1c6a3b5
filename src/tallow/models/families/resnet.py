"""ResNet v1.5: residual convolutions with batch norm (arXiv 1512.03385)."""

from __future__ import annotations

from dataclasses import dataclass

from tallow.models.base import Model
from tallow.models.blocks.activation import ACTIVATIONS
from tallow.models.blocks.image_heads import Backbone, BackboneConfig, ImageClassification
from tallow.models.configs import activation, choice, size, sizes
from tallow.models.outputs import BaseOutput
from tallow.nn import (
    AdaptiveAvgPool2d,
    BatchNorm2d,
    Conv2d,
    Flatten,
    Linear,
    MaxPool2d,
    Module,
    ModuleList,
    Sequential,
)
from tallow.tensor import Tensor


@dataclass(frozen=True, kw_only=True)
class ResNetConfig(BackboneConfig):
    """Of Hugging Face's `ResNetConfig`."""

    num_channels: int = size(3)
    embedding_size: int = size(64)
    hidden_sizes: tuple[int, ...] = sizes(256, 512, 1024, 2048)
    depths: tuple[int, ...] = sizes(3, 4, 6, 3)
    layer_type: str = choice("bottleneck", "basic")
    hidden_act: str = activation("relu")
    downsample_in_first_stage: bool = False
    downsample_in_bottleneck: bool = False


class ConvLayer(Module):
    """Convolution, batch norm and, if named, an activation."""

    def __init__(
        self, size: int, out: int, kernel: int = 3, stride: int = 1, act: str = "linear"
    ) -> None:
        self.convolution = Conv2d(size, out, kernel, stride, kernel // 2, bias=False)
        self.normalization = BatchNorm2d(out)
        self.act = ACTIVATIONS[act]

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, height, width)` → `(batch, out, height / stride, width / stride)`."""
        return self.act(self.normalization(self.convolution(x)))


class Embedder(Module):
    """The stem: a 7×7 convolution, then max-pooling."""

    def __init__(self, cfg: ResNetConfig) -> None:
        self.embedder = ConvLayer(cfg.num_channels, cfg.embedding_size, 7, 2, cfg.hidden_act)
        self.pooler = MaxPool2d(3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """A quarter of the height and width."""
        out: Tensor = self.pooler(self.embedder(x))
        return out


class Residual(Module):
    """A basic or bottleneck layer around its shortcut."""

    def __init__(self, cfg: ResNetConfig, size: int, out: int, stride: int = 1) -> None:
        act = cfg.hidden_act
        shortcut = size != out or stride != 1
        self.shortcut = ConvLayer(size, out, 1, stride) if shortcut else None
        if cfg.layer_type == "basic":
            layers = [ConvLayer(size, out, 3, stride, act), ConvLayer(out, out)]
        else:
            inner, early = out // 4, cfg.downsample_in_bottleneck
            layers = [
                ConvLayer(size, inner, 1, stride if early else 1, act),
                ConvLayer(inner, inner, 3, 1 if early else stride, act),
                ConvLayer(inner, out, 1),
            ]
        self.layer = Sequential(*layers)
        self.act = ACTIVATIONS[act]

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, height, width)` → `(batch, out, height / stride, width / stride)`."""
        kept = x if self.shortcut is None else self.shortcut(x)
        return self.act(self.layer(x) + kept)


class Stage(Module):
    """Layers of one width; the first may halve height and width."""

    def __init__(self, cfg: ResNetConfig, size: int, out: int, stride: int, depth: int) -> None:
        rest = [Residual(cfg, out, out) for _ in range(depth - 1)]
        self.layers = Sequential(Residual(cfg, size, out, stride), *rest)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, height, width)` → `(batch, out, height / stride, width / stride)`."""
        out: Tensor = self.layers(x)
        return out


class Encoder(Module):
    """The stages."""

    def __init__(self, cfg: ResNetConfig) -> None:
        widths = (cfg.embedding_size, *cfg.hidden_sizes)
        first = 2 if cfg.downsample_in_first_stage else 1
        self.stages = ModuleList(
            [
                Stage(cfg, widths[i], widths[i + 1], 2 if i else first, depth)
                for i, depth in enumerate(cfg.depths)
            ]
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """What goes in, and what each stage gives."""
        states = [x]
        for stage in self.stages:
            states.append(stage(states[-1]))
        return states


class ResNetModel(Model):
    """Stem and stages; the pooled output is the mean over height and width."""

    config_class = ResNetConfig
    base_model_prefix = "resnet"

    def __init__(self, cfg: ResNetConfig) -> None:
        self.config = cfg
        self.embedder = Embedder(cfg)
        self.encoder = Encoder(cfg)
        self.pooler = AdaptiveAvgPool2d((1, 1))

    def forward(self, pixel_values: Tensor, *, output_hidden_states: bool = False) -> BaseOutput:
        """`(batch, 3, height, width)` → features `(batch, size, height / 32, width / 32)`."""
        states = self.encoder(self.embedder(pixel_values))
        kept = tuple(states) if output_hidden_states else None
        return BaseOutput(states[-1], self.pooler(states[-1]), kept)


class ResNetForImageClassification(ImageClassification):
    """Scores from the pooled features."""

    config_class, base_class, base_model_prefix = ResNetConfig, ResNetModel, "resnet"

    def make_classifier(self, cfg: ResNetConfig) -> Module:
        """The pooled features, flat, through a linear layer."""
        return Sequential(Flatten(), Linear(cfg.hidden_sizes[-1], cfg.num_labels))


class ResNetBackbone(Backbone):
    """The stages' features, for detectors and the like."""

    config_class = ResNetConfig

    def __init__(self, cfg: ResNetConfig) -> None:
        self.config = cfg
        self.widths = (cfg.embedding_size, *cfg.hidden_sizes)
        self.embedder = Embedder(cfg)
        self.encoder = Encoder(cfg)

    def states(self, pixel_values: Tensor) -> list[Tensor]:
        """The stem's and each stage's features."""
        found: list[Tensor] = self.encoder(self.embedder(pixel_values))
        return found
