"""RegNet X and Y: residual grouped convolutions, Y squeezed and excited (arXiv 2003.13678)."""

from __future__ import annotations

from tallow.models.blocks.conv import ConvNorm, excite
from tallow.models.blocks.resnet import Residual, ResNet, ResNetClassification, Stages
from tallow.models.configs import Config, activation, choice, one_each, size, sizes
from tallow.models.fields import Fields
from tallow.nn import Conv2d, Module, ModuleList
from tallow.nn import functional as F
from tallow.tensor import Tensor


class RegNetConfig(Config):
    """Of Hugging Face's `RegNetConfig`."""

    num_channels: int = size(3)
    embedding_size: int = size(32)
    hidden_sizes: tuple[int, ...] = sizes(128, 192, 512, 1088)
    depths: tuple[int, ...] = sizes(2, 6, 12, 2, high=4096)
    groups_width: int = size(64)
    layer_type: str = choice("y", "x")
    hidden_act: str = activation("relu")
    downsample_in_first_stage: bool = True

    def check(self, fields: Fields) -> None:
        """Each stage needs a depth, and a width that its groups divide."""
        one_each(fields, "depths", self.depths, len(self.hidden_sizes))
        if any(width % max(1, width // self.groups_width) for width in self.hidden_sizes):
            wanted = f"a width that divides {list(self.hidden_sizes)} into groups"
            raise fields.error("groups_width", wanted, self.groups_width)


class Excitation(Module):
    """Squeeze-and-excitation of the Y layers."""

    def __init__(self, size: int, inner: int) -> None:
        self.attention = ModuleList(
            [Conv2d(size, inner, 1), Module(), Conv2d(inner, size, 1), Module()]
        )

    def forward(self, x: Tensor) -> Tensor:
        """Kept."""
        return excite(x, self.attention[0], F.relu, self.attention[2])


def layer(cfg: RegNetConfig, size: int, out: int, stride: int) -> Residual:
    """A bottleneck without a bottleneck, its middle convolution in groups."""
    act, groups = cfg.hidden_act, max(1, out // cfg.groups_width)
    squeeze = [Excitation(out, round(size / 4))] if cfg.layer_type == "y" else []
    change = size != out or stride != 1
    layers = [
        ConvNorm(size, out, act=act),
        ConvNorm(out, out, 3, stride, groups=groups, act=act),
        *squeeze,
        ConvNorm(out, out),
    ]
    return Residual(layers, ConvNorm(size, out, 1, stride) if change else None, act)


class Embedder(Module):
    """The stem: one convolution."""

    def __init__(self, cfg: RegNetConfig) -> None:
        self.embedder = ConvNorm(cfg.num_channels, cfg.embedding_size, 3, 2, act=cfg.hidden_act)

    def forward(self, x: Tensor) -> Tensor:
        """Half the height and width."""
        return self.embedder(x)


class Encoder(Stages):
    """The stages."""

    def __init__(self, cfg: RegNetConfig) -> None:
        widths = (cfg.embedding_size, *cfg.hidden_sizes)
        first = 2 if cfg.downsample_in_first_stage else 1
        super().__init__(
            widths,
            cfg.depths,
            first,
            lambda size, out, stride, place: layer(cfg, size, out, stride),
        )


class RegNetModel(ResNet):
    """Stem and stages; the pooled output is the mean over height and width."""

    config_class = RegNetConfig
    base_model_prefix = "regnet"

    def __init__(self, cfg: RegNetConfig) -> None:
        super().__init__(cfg, Embedder(cfg), Encoder(cfg))


class RegNetForImageClassification(ResNetClassification):
    """Scores from the pooled features."""

    config_class, base_class, base_model_prefix = RegNetConfig, RegNetModel, "regnet"
