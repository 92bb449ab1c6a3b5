"""ResNet v1.5: residual convolutions with batch norm (arXiv 1512.03385)."""

from __future__ import annotations

from tallow.models.blocks.conv import ConvNorm
from tallow.models.blocks.image_heads import Backbone, BackboneConfig
from tallow.models.blocks.resnet import (
    Residual,
    ResNet,
    ResNetClassification,
    Stages,
    basic,
    bottleneck,
)
from tallow.models.configs import activation, choice, one_each, size, sizes
from tallow.models.fields import Fields
from tallow.nn import MaxPool2d, Module
from tallow.tensor import Tensor


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

    def check(self, fields: Fields) -> None:
        """A depth for each stage."""
        one_each(fields, "depths", self.depths, len(self.hidden_sizes))


class Embedder(Module):
    """The stem: a 7×7 convolution, then max-pooling."""

    embedder: Module

    def __init__(self, cfg: ResNetConfig) -> None:
        self.embedder = ConvNorm(cfg.num_channels, cfg.embedding_size, 7, 2, act=cfg.hidden_act)
        self.pooler = MaxPool2d(3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """A quarter of the height and width."""
        return self.pooler(self.embedder(x))


class Encoder(Stages):
    """The stages."""

    def __init__(self, cfg: ResNetConfig) -> None:
        act, early = cfg.hidden_act, cfg.downsample_in_bottleneck

        def layer(size: int, out: int, stride: int, place: int) -> Module:
            shortcut = ConvNorm(size, out, 1, stride) if size != out or stride != 1 else None
            if cfg.layer_type == "basic":
                return Residual(basic(size, out, stride, "relu"), shortcut, act)
            return Residual(bottleneck(size, out, stride, "relu", early=early), shortcut, act)

        widths = (cfg.embedding_size, *cfg.hidden_sizes)
        super().__init__(widths, cfg.depths, 2 if cfg.downsample_in_first_stage else 1, layer)


class ResNetModel(ResNet):
    """Stem and stages; the pooled output is the mean over height and width."""

    config_class = ResNetConfig
    base_model_prefix = "resnet"

    def __init__(self, cfg: ResNetConfig) -> None:
        super().__init__(cfg, Embedder(cfg), Encoder(cfg))


class ResNetForImageClassification(ResNetClassification):
    """Scores from the pooled features."""

    config_class, base_class, base_model_prefix = ResNetConfig, ResNetModel, "resnet"


class ResNetBackbone(Backbone):
    """The stages' features, for detectors and the like."""

    config_class = ResNetConfig
    encoder: Module

    def __init__(self, cfg: ResNetConfig) -> None:
        self.config = cfg
        self.widths = (cfg.embedding_size, *cfg.hidden_sizes)
        self.chosen = cfg.chosen(len(self.widths))
        self.embedder = Embedder(cfg)
        self.encoder = Encoder(cfg)

    def states(self, pixel_values: Tensor) -> list[Tensor]:
        """The stem's and each stage's features."""
        return self.encoder(self.embedder(pixel_values))
