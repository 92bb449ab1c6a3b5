"""MobileNet V2: inverted residuals with linear bottlenecks (arXiv 1801.04381)."""

from __future__ import annotations

from tallow.models.base import Model
from tallow.models.blocks.conv import ConvNorm, divisible
from tallow.models.blocks.image_heads import ImageClassification, SemanticSegmentation
from tallow.models.configs import Config, activation, choice, ratio, size
from tallow.models.outputs import BaseOutput
from tallow.nn import Conv2d, Linear, Module, ModuleList
from tallow.ops import cat
from tallow.tensor import Tensor

WIDTHS = (16, 24, 24, 32, 32, 32, 64, 64, 64, 64, 96, 96, 96, 160, 160, 160, 320)
STRIDES = (2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1)


class MobileNetV2Config(Config):
    """Of Hugging Face's `MobileNetV2Config`."""

    num_channels: int = size(3)
    depth_multiplier: float = ratio(1.0)
    depth_divisible_by: int = size(8)
    min_depth: int = size(8)
    expand_ratio: float = ratio(6.0)
    output_stride: int = choice(32, 16, 8, 4, 2)
    first_layer_is_expansion: bool = True
    finegrained_output: bool = True
    hidden_act: str = activation("relu6")
    tf_padding: bool = True
    layer_norm_eps: float = 0.001
    semantic_loss_ignore_index: int = 255

    without_effect = frozenset({"image_size"})

    def width(self, depth: float) -> int:
        """The channels where the whole network has `depth`."""
        return self.rounded(depth * self.depth_multiplier)

    def rounded(self, width: float) -> int:
        """A width as it is built."""
        return divisible(round(width), self.depth_divisible_by, self.min_depth)

    @property
    def last(self) -> int:
        """The channels of the last convolution."""
        return 1280 if self.finegrained_output and self.depth_multiplier < 1 else self.width(1280)


def convolution(
    cfg: MobileNetV2Config,
    size: int,
    out: int,
    kernel: int = 1,
    stride: int = 1,
    *,
    depthwise: bool = False,
    dilation: int = 1,
    act: str | None = None,
    eps: float | None = None,
) -> ConvNorm:
    """A convolution with the config's activation, padding and norm where no other is named."""
    return ConvNorm(
        size,
        out,
        kernel,
        stride,
        groups=size if depthwise else 1,
        dilation=dilation,
        act=act or cfg.hidden_act,
        eps=cfg.layer_norm_eps if eps is None else eps,
        same=cfg.tf_padding,
    )


class Stem(Module):
    """The first convolution, and a block whose expansion it mostly is."""

    def __init__(self, cfg: MobileNetV2Config, inner: int, out: int) -> None:
        self.first_conv = convolution(cfg, cfg.num_channels, inner, 3, 2)
        first = cfg.first_layer_is_expansion
        self.expand_1x1 = None if first else convolution(cfg, inner, inner)
        self.conv_3x3 = convolution(cfg, inner, inner, 3, depthwise=True)
        self.reduce_1x1 = convolution(cfg, inner, out, act="linear")

    def forward(self, x: Tensor) -> Tensor:
        """Half the height and width."""
        x = self.first_conv(x)
        if self.expand_1x1 is not None:
            x = self.expand_1x1(x)
        return self.reduce_1x1(self.conv_3x3(x))


class InvertedResidual(Module):
    """Expand, convolve by channel, reduce; around it the input where the shape is kept."""

    def __init__(
        self, cfg: MobileNetV2Config, size: int, out: int, stride: int, dilation: int
    ) -> None:
        inner = cfg.rounded(size * cfg.expand_ratio)
        self.residual = stride == 1 and size == out
        self.expand_1x1 = convolution(cfg, size, inner)
        self.conv_3x3 = convolution(cfg, inner, inner, 3, stride, depthwise=True, dilation=dilation)
        self.reduce_1x1 = convolution(cfg, inner, out, act="linear")

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, height, width)` → `(batch, out, height / stride, width / stride)`."""
        out: Tensor = self.reduce_1x1(self.conv_3x3(self.expand_1x1(x)))
        return x + out if self.residual else out


class MobileNetV2Model(Model):
    """Stem, 16 blocks and a last convolution; the pooled output is the mean over the image."""

    config_class = MobileNetV2Config
    base_model_prefix = "mobilenet_v2"

    def __init__(self, cfg: MobileNetV2Config) -> None:
        self.config = cfg
        widths = [cfg.width(width) for width in WIDTHS]
        self.conv_stem = Stem(cfg, cfg.width(32), widths[0])
        layers, reached, dilation = [], 2, 1
        for i, stride in enumerate(STRIDES):
            dilated = reached == cfg.output_stride  # from here the image keeps its size
            made = (1, dilation) if dilated else (stride, 1)
            layers.append(InvertedResidual(cfg, widths[i], widths[i + 1], *made))
            if dilated:
                dilation *= stride
            else:
                reached *= stride
        self.layer = ModuleList(layers)
        self.conv_1x1 = convolution(cfg, widths[-1], cfg.last)

    def states(self, pixel_values: Tensor) -> list[Tensor]:
        """What each block gives."""
        x = self.conv_stem(pixel_values)
        return [x := layer(x) for layer in self.layer]

    def forward(self, pixel_values: Tensor, *, output_hidden_states: bool = False) -> BaseOutput:
        """`(batch, 3, height, width)` → features `(batch, size, height / 32, width / 32)`."""
        states = self.states(pixel_values)
        x = self.conv_1x1(states[-1])
        return BaseOutput(x, x.mean((2, 3)), tuple(states) if output_hidden_states else None)


class MobileNetV2ForImageClassification(ImageClassification):
    """Scores from the pooled features."""

    config_class, base_class = MobileNetV2Config, MobileNetV2Model
    base_model_prefix = "mobilenet_v2"

    def make_classifier(self, cfg: MobileNetV2Config) -> Module:
        """The pooled features through a linear layer."""
        return Linear(cfg.last, cfg.num_labels)


class DeepLabHead(Module):
    """DeepLab V3+'s head without a decoder: the features beside their mean (arXiv 1802.02611)."""

    def __init__(self, cfg: MobileNetV2Config) -> None:
        size = cfg.width(320)
        self.conv_pool = convolution(cfg, size, 256, act="relu", eps=1e-5)
        self.conv_aspp = convolution(cfg, size, 256, act="relu", eps=1e-5)
        self.conv_projection = convolution(cfg, 512, 256, act="relu", eps=1e-5)
        self.classifier = Scores(256, cfg.num_labels)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, height, width)` → scores `(batch, labels, height, width)`."""
        b, _, h, w = x.shape
        pooled = self.conv_pool(x.mean((2, 3), keepdim=True)).expand(b, 256, h, w)
        both = cat([pooled, self.conv_aspp(x)], 1)
        return self.classifier(self.conv_projection(both))


class Scores(Module):
    """A pointwise convolution alone."""

    def __init__(self, size: int, out: int) -> None:
        self.convolution = Conv2d(size, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, height, width)` → `(batch, out, height, width)`."""
        return self.convolution(x)


class MobileNetV2ForSemanticSegmentation(SemanticSegmentation):
    """A score of each label at an eighth or so of the image's size."""

    config_class = MobileNetV2Config
    base_model_prefix = "mobilenet_v2"

    def __init__(self, cfg: MobileNetV2Config) -> None:
        self.config = cfg
        self.mobilenet_v2 = MobileNetV2Model(cfg)
        self.segmentation_head = DeepLabHead(cfg)

    def scores(self, pixel_values: Tensor) -> tuple[Tensor, list[Tensor]]:
        """From the last features, `(batch, labels, height / 8, width / 8)`."""
        states = self.mobilenet_v2.states(pixel_values)
        return self.segmentation_head(states[-1]), states
