"""RT-DETR's ResNet: a deep stem, and shortcuts that pool before they project (arXiv 2304.08069)."""

from __future__ import annotations

from tallow.models.blocks.conv import ConvNorm
from tallow.models.blocks.resnet import Residual, Stages, basic, bottleneck
from tallow.models.configs import sizes
from tallow.models.families import resnet
from tallow.models.families.resnet import ResNetBackbone, ResNetConfig
from tallow.models.fields import Fields
from tallow.nn import AvgPool2d, MaxPool2d, Module, Sequential


class RTDetrResNetConfig(ResNetConfig):
    """Of Hugging Face's `RTDetrResNetConfig`."""

    depths: tuple[int, ...] = sizes(3, 4, 6, 3, high=4096)

    def check(self, fields: Fields) -> None:
        """A depth for each stage, and an even stem."""
        super().check(fields)
        if self.embedding_size % 2:
            raise fields.error("embedding_size", "an even number", self.embedding_size)
        same = self.embedding_size == self.hidden_sizes[0] or self.downsample_in_first_stage
        if self.layer_type == "basic" and not same:
            wanted = f"hidden_sizes[0], which is {self.hidden_sizes[0]}, with basic layers"
            raise fields.error("embedding_size", wanted, self.embedding_size)


class Embedder(resnet.Embedder):
    """The stem: three convolutions, then max-pooling."""

    def __init__(self, cfg: RTDetrResNetConfig) -> None:
        width, act = cfg.embedding_size, cfg.hidden_act
        self.embedder = Sequential(
            ConvNorm(cfg.num_channels, width // 2, 3, 2, act=act),
            ConvNorm(width // 2, width // 2, 3, act=act),
            ConvNorm(width // 2, width, 3, act=act),
        )
        self.pooler = MaxPool2d(3, 2, 1)


class RTDetrResNetBackbone(ResNetBackbone):
    """The stages' features. Inner activations are ReLU whatever the config names."""

    config_class = RTDetrResNetConfig

    def __init__(self, cfg: RTDetrResNetConfig) -> None:
        self.config = cfg
        self.widths = (cfg.embedding_size, *cfg.hidden_sizes)
        self.chosen = cfg.chosen(len(self.widths))
        self.embedder = Embedder(cfg)
        first = 2 if cfg.downsample_in_first_stage else 1
        self.encoder = Stages(self.widths, cfg.depths, first, self.layer)

    def layer(self, size: int, out: int, stride: int, place: int) -> Module:
        """One residual layer, basic or a bottleneck; a stage's first basic one always projects."""
        cfg: RTDetrResNetConfig = self.config
        shortcut: Module | None = None
        plain = cfg.layer_type == "basic"
        if (size != out) if plain else (stride == 2):
            shortcut = Sequential(AvgPool2d(2, 2, 0, ceil_mode=True), ConvNorm(size, out))
        elif (place == 0) if plain else (size != out):
            shortcut = ConvNorm(size, out, 1, stride)
        if plain:
            return Residual(basic(size, out, stride, "relu"), shortcut, cfg.hidden_act)
        layers = bottleneck(size, out, stride, "relu", early=cfg.downsample_in_bottleneck)
        return Residual(layers, shortcut, cfg.hidden_act)
