"""RegNet X and Y: residual grouped convolutions, Y squeezed and excited (arXiv 2003.13678)."""

from __future__ import annotations

from dataclasses import dataclass

from tallow.models.base import Model
from tallow.models.blocks.activation import ACTIVATIONS
from tallow.models.blocks.conv import ConvNorm, excite
from tallow.models.blocks.image_heads import ImageClassification
from tallow.models.configs import Config, activation, choice, one_each, size, sizes
from tallow.models.fields import Fields
from tallow.models.outputs import BaseOutput
from tallow.nn import AdaptiveAvgPool2d, Conv2d, Flatten, Linear, Module, ModuleList, Sequential
from tallow.nn import functional as F
from tallow.tensor import Tensor


@dataclass(frozen=True, kw_only=True)
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


class Layer(Module):
    """A bottleneck without a bottleneck, its middle convolution in groups."""

    def __init__(self, cfg: RegNetConfig, size: int, out: int, stride: int) -> None:
        act, groups = cfg.hidden_act, max(1, out // cfg.groups_width)
        change = size != out or stride != 1
        self.shortcut = ConvNorm(size, out, 1, stride) if change else None
        squeeze = [Excitation(out, round(size / 4))] if cfg.layer_type == "y" else []
        self.layer = Sequential(
            ConvNorm(size, out, act=act),
            ConvNorm(out, out, 3, stride, groups=groups, act=act),
            *squeeze,
            ConvNorm(out, out),
        )
        self.act = ACTIVATIONS[act]

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, height, width)` → `(batch, out, height / stride, width / stride)`."""
        kept = x if self.shortcut is None else self.shortcut(x)
        return self.act(self.layer(x) + kept)


class Embedder(Module):
    """The stem: one convolution."""

    def __init__(self, cfg: RegNetConfig) -> None:
        self.embedder = ConvNorm(cfg.num_channels, cfg.embedding_size, 3, 2, act=cfg.hidden_act)

    def forward(self, x: Tensor) -> Tensor:
        """Half the height and width."""
        out: Tensor = self.embedder(x)
        return out


class Stage(Module):
    """Layers of one width; the first may halve height and width."""

    def __init__(self, cfg: RegNetConfig, size: int, out: int, stride: int, depth: int) -> None:
        rest = [Layer(cfg, out, out, 1) for _ in range(depth - 1)]
        self.layers = Sequential(Layer(cfg, size, out, stride), *rest)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, height, width)` → `(batch, out, height / stride, width / stride)`."""
        out: Tensor = self.layers(x)
        return out


class Encoder(Module):
    """The stages."""

    def __init__(self, cfg: RegNetConfig) -> None:
        widths = (cfg.embedding_size, *cfg.hidden_sizes)
        first = 2 if cfg.downsample_in_first_stage else 1
        self.stages = ModuleList(
            [
                Stage(cfg, widths[i], widths[i + 1], 2 if i else first, depth)
                for i, depth in enumerate(cfg.depths)
            ]
        )


class RegNetModel(Model):
    """Stem and stages; the pooled output is the mean over height and width."""

    config_class = RegNetConfig
    base_model_prefix = "regnet"

    def __init__(self, cfg: RegNetConfig) -> None:
        self.config = cfg
        self.embedder = Embedder(cfg)
        self.encoder = Encoder(cfg)
        self.pooler = AdaptiveAvgPool2d((1, 1))

    def forward(self, pixel_values: Tensor, *, output_hidden_states: bool = False) -> BaseOutput:
        """`(batch, 3, height, width)` → features `(batch, size, height / 32, width / 32)`."""
        states = [self.embedder(pixel_values)]
        for stage in self.encoder.stages:
            states.append(stage(states[-1]))
        kept = tuple(states) if output_hidden_states else None
        return BaseOutput(states[-1], self.pooler(states[-1]), kept)


class RegNetForImageClassification(ImageClassification):
    """Scores from the pooled features."""

    config_class, base_class, base_model_prefix = RegNetConfig, RegNetModel, "regnet"

    def make_classifier(self, cfg: RegNetConfig) -> Module:
        """The pooled features, flat, through a linear layer."""
        return Sequential(Flatten(), Linear(cfg.hidden_sizes[-1], cfg.num_labels))
