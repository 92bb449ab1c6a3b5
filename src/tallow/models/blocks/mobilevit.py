"""What both versions of MobileViT share: inverted residuals, stages, and DeepLab's head."""

from __future__ import annotations

from typing import Any, ClassVar

from tallow.models.base import Model
from tallow.models.blocks.conv import ConvNorm, divisible
from tallow.models.blocks.image_heads import ImageClassification, SemanticSegmentation
from tallow.models.configs import Config, activation, choice, ratio, size, sizes
from tallow.models.fields import Fields
from tallow.models.outputs import BaseOutput
from tallow.nn import Conv2d, Linear, Module, ModuleList, Sequential
from tallow.ops import cat
from tallow.tensor import Tensor


class MobileViTFields(Config):
    """What both configs have in common."""

    num_channels: int = size(3)
    patch_size: int = size(2)
    expand_ratio: float = ratio(4.0)
    hidden_act: str = activation("silu")
    conv_kernel_size: int = size(3)
    output_stride: int = choice(32, 16, 8)
    layer_norm_eps: float = 1e-5
    aspp_out_channels: int = size(256)
    atrous_rates: tuple[int, ...] = sizes(6, 12, 18, length=3)
    semantic_loss_ignore_index: int = 255

    without_effect = frozenset({"image_size", "aspp_dropout_prob", "attn_dropout", "ffn_dropout"})

    def check(self, fields: Fields) -> None:
        """Convolutions that keep the size have odd kernels."""
        if self.conv_kernel_size % 2 == 0:
            raise fields.error("conv_kernel_size", "an odd number", self.conv_kernel_size)

    @property
    def stages(self) -> tuple[int, ...]:
        """Channels of the stem and each of the five stages."""
        raise NotImplementedError

    @property
    def dilations(self) -> tuple[int, int]:
        """Of the last two stages, whose strides `output_stride` may replace."""
        return {32: (1, 1), 16: (1, 2), 8: (2, 4)}[self.output_stride]


class Plain(Module):
    """A convolution without a norm."""

    def __init__(self, channels: int, out: int, *, bias: bool = False) -> None:
        self.convolution = Conv2d(channels, out, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, channels, height, width)` → `(batch, out, height, width)`."""
        return self.convolution(x)


class InvertedResidual(Module):
    """Wider, a convolution of each channel, narrower; added where the shape stays."""

    def __init__(
        self, cfg: MobileViTFields, channels: int, out: int, stride: int, dilation: int = 1
    ) -> None:
        width, act = divisible(round(channels * cfg.expand_ratio)), cfg.hidden_act
        self.expand_1x1 = ConvNorm(channels, width, act=act)
        self.conv_3x3 = ConvNorm(width, width, 3, stride, groups=width, dilation=dilation, act=act)
        self.reduce_1x1 = ConvNorm(width, out)
        self.kept = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, channels, height, width)` → `(batch, out, height / stride, …)`."""
        out: Tensor = self.reduce_1x1(self.conv_3x3(self.expand_1x1(x)))
        return x + out if self.kept else out


class MobileStage(Module):
    """Inverted residuals, the first of which may halve the size."""

    def __init__(
        self, cfg: MobileViTFields, channels: int, out: int, stride: int, count: int
    ) -> None:
        rest = [InvertedResidual(cfg, out, out, 1) for _ in range(count - 1)]
        self.layer = Sequential(InvertedResidual(cfg, channels, out, stride), *rest)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, channels, height, width)` → `(batch, out, height / stride, …)`."""
        return self.layer(x)


def downsampling(cfg: MobileViTFields, channels: int, out: int, dilation: int) -> InvertedResidual:
    """The first part of a stage with attention; its stride is 1 where it is dilated."""
    stride = 1 if dilation > 1 else 2
    return InvertedResidual(cfg, channels, out, stride, max(dilation // 2, 1))


class Encoder(Module):
    """The stages, under the name `layer`."""

    def __init__(self, stages: list[Module]) -> None:
        self.layer = ModuleList(stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        """What each stage gives."""
        states: list[Tensor] = []
        for stage in self.layer:
            x = stage(x)
            states.append(x)
        return states


class MobileViTBase(Model):
    """Stem and stages, and a last convolution where `expanded`; the mean is the pooled output."""

    ignorable = (r"conv_1x1_exp\..*",)
    conv_1x1_exp: Module | None = None

    def __init__(self, cfg: Any) -> None:
        self.config = cfg
        self.conv_stem = ConvNorm(cfg.num_channels, cfg.stages[0], 3, 2, act=cfg.hidden_act)
        self.encoder = Encoder(self.make_stages(cfg))

    def make_stages(self, cfg: Any) -> list[Module]:
        """The five stages."""
        raise NotImplementedError

    def forward(self, pixel_values: Tensor, *, output_hidden_states: bool = False) -> BaseOutput:
        """`(batch, channels, height, width)` → `(batch, size, height / 32, width / 32)`."""
        states = self.encoder(self.conv_stem(pixel_values))
        x = states[-1] if self.conv_1x1_exp is None else self.conv_1x1_exp(states[-1])
        return BaseOutput(x, x.mean((2, 3)), tuple(states) if output_hidden_states else None)


class MobileViTClassification(ImageClassification):
    """Scores from the mean."""

    def make_classifier(self, cfg: Any) -> Module:
        """From the last width."""
        return Linear(cfg.pooled, cfg.num_labels)


class Pooling(Module):
    """The mean of all, through a convolution, everywhere."""

    def __init__(self, channels: int, out: int) -> None:
        self.conv_1x1 = ConvNorm(channels, out, act="relu")

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, channels, height, width)` → `(batch, out, height, width)`."""
        mean = self.conv_1x1(x.mean((2, 3), keepdim=True))
        return mean.expand(-1, -1, *x.shape[2:])


class Pyramid(Module):
    """Convolutions of several dilations beside each other (arXiv 1706.05587)."""

    def __init__(self, channels: int, out: int, rates: tuple[int, ...]) -> None:
        self.convs = ModuleList(
            [
                ConvNorm(channels, out, act="relu"),
                *(ConvNorm(channels, out, 3, dilation=rate, act="relu") for rate in rates),
                Pooling(channels, out),
            ]
        )
        self.project = ConvNorm(5 * out, out, act="relu")

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, channels, height, width)` → `(batch, out, height, width)`."""
        return self.project(cat([conv(x) for conv in self.convs], 1))


class DeepLab(Module):
    """The pyramid, and scores."""

    def __init__(self, cfg: MobileViTFields) -> None:
        width = cfg.aspp_out_channels
        self.aspp = Pyramid(cfg.stages[-1], width, cfg.atrous_rates)
        self.classifier = Plain(width, cfg.num_labels, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, channels, height, width)` → `(batch, labels, height, width)`."""
        return self.classifier(self.aspp(x))


class MobileViTSegmentation(SemanticSegmentation):
    """A score of each label at the last stage's size."""

    base_class: ClassVar[Any]

    def __init__(self, cfg: Any) -> None:
        self.config = cfg
        setattr(self, self.base_model_prefix, self.base_class(cfg))
        self.segmentation_head = DeepLab(cfg)

    def scores(self, pixel_values: Tensor) -> tuple[Tensor, list[Tensor]]:
        """From the last stage, `(batch, labels, height / stride, …)`."""
        base = getattr(self, self.base_model_prefix)
        states = base.encoder(base.conv_stem(pixel_values))
        return self.segmentation_head(states[-1]), states


def unfolded(x: Tensor, patch: int) -> Tensor:
    """`(batch, size, height, width)` → `(batch, size, patch, patch, rows, columns)`."""
    b, size, height, width = x.shape
    parts = x.reshape(b, size, height // patch, patch, width // patch, patch)
    return parts.permute(0, 1, 3, 5, 2, 4)


def folded(x: Tensor) -> Tensor:
    """The inverse of `unfolded`."""
    b, size, patch, _, rows, columns = x.shape
    return x.permute(0, 1, 4, 2, 5, 3).reshape(b, size, rows * patch, columns * patch)
