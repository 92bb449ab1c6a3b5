"""UPerNet: segmentation from a pyramid of any backbone's features (arXiv 1807.10221)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from tallow.models import losses
from tallow.models.blocks.image_heads import ImageHead
from tallow.models.blocks.vision import scaled
from tallow.models.configs import Config, size, sizes
from tallow.models.fields import Fields
from tallow.models.outputs import LogitsOutput
from tallow.models.parts import Part, backbone
from tallow.nn import AdaptiveAvgPool2d, BatchNorm2d, Conv2d, Module, ModuleList, Sequential
from tallow.nn import functional as F
from tallow.ops import cat
from tallow.tensor import Tensor

AUXILIARY = 2  # the number of the feature map that the auxiliary head takes

_STAGES = ["stage1", "stage2", "stage3", "stage4"]
_KEYS = "use_timm_backbone use_pretrained_backbone backbone_kwargs auxiliary_in_channels"


@dataclass(frozen=True, kw_only=True)
class UperNetConfig(Config):
    """Of Hugging Face's `UperNetConfig`."""

    backbone_config: Part = backbone(model_type="resnet", out_features=_STAGES)
    hidden_size: int = size(512)
    pool_scales: tuple[int, ...] = sizes(1, 2, 3, 6)
    use_auxiliary_head: bool = True
    auxiliary_loss_weight: float = 0.4
    auxiliary_in_channels: int | None = None
    auxiliary_channels: int = size(256)
    auxiliary_num_convs: int = size(1, low=0, high=64)
    auxiliary_concat_input: bool = False
    loss_ignore_index: int = 255

    without_effect = frozenset(_KEYS.split())

    def check(self, fields: Fields) -> None:
        """One label alone is no segmentation."""
        if self.num_labels < 2:
            raise fields.misfit("num_labels", "at least 2", self.num_labels)


class ConvModule(Module):
    """Convolution, batch norm and ReLU."""

    def __init__(self, channels: int, out: int, kernel: int) -> None:
        self.conv = Conv2d(channels, out, kernel, padding=kernel // 2, bias=False)
        self.batch_norm = BatchNorm2d(out)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, channels, height, width)` → `(batch, out, height, width)`."""
        return F.relu(self.batch_norm(self.conv(x)))


class PyramidHead(Module):
    """The last map pooled at several scales, and all maps from the top down."""

    def __init__(self, cfg: UperNetConfig, channels: tuple[int, ...]) -> None:
        width, scales = cfg.hidden_size, cfg.pool_scales
        self.classifier = Conv2d(width, cfg.num_labels, 1)
        self.psp_modules = ModuleList(
            [
                Sequential(AdaptiveAvgPool2d(scale), ConvModule(channels[-1], width, 1))
                for scale in scales
            ]
        )
        self.bottleneck = ConvModule(channels[-1] + len(scales) * width, width, 3)
        self.lateral_convs = ModuleList([ConvModule(n, width, 1) for n in channels[:-1]])
        self.fpn_convs = ModuleList([ConvModule(width, width, 3) for _ in channels[:-1]])
        self.fpn_bottleneck = ConvModule(len(channels) * width, width, 3)

    def forward(self, maps: tuple[Tensor, ...]) -> Tensor:
        """Scores at the first map's size, `(batch, labels, rows, columns)`."""
        top = maps[-1]
        pooled = [scaled(module(top), top.shape[2:]) for module in self.psp_modules]
        found = [self.bottleneck(cat([top, *pooled], 1))]
        for lateral, x in zip(reversed(self.lateral_convs), reversed(maps[:-1]), strict=True):
            side = lateral(x)
            found.insert(0, side + scaled(found[0], side.shape[2:]))
        outs = [conv(x) for conv, x in zip(self.fpn_convs, found[:-1], strict=True)]
        outs = [*outs, found[-1]]
        joined = cat([outs[0], *(scaled(x, outs[0].shape[2:]) for x in outs[1:])], 1)
        out: Tensor = self.classifier(self.fpn_bottleneck(joined))
        return out


class PlainHead(Module):
    """Convolutions of one map, for a loss beside the main one."""

    def __init__(self, cfg: UperNetConfig, channels: int) -> None:
        width = cfg.auxiliary_channels
        widths = [channels, *[width] * cfg.auxiliary_num_convs]
        pairs = pairwise(widths)
        self.convs = Sequential(*(ConvModule(a, b, 3) for a, b in pairs))
        self.conv_cat = None
        if cfg.auxiliary_concat_input:
            self.conv_cat = ConvModule(channels + width, width, 3)
        self.classifier = Conv2d(width, cfg.num_labels, 1)

    def forward(self, maps: tuple[Tensor, ...]) -> Tensor:
        """Scores at that map's size, `(batch, labels, rows, columns)`."""
        x = maps[AUXILIARY]
        found = self.convs(x)
        if self.conv_cat is not None:
            found = self.conv_cat(cat([x, found], 1))
        out: Tensor = self.classifier(found)
        return out


class UperNetForSemanticSegmentation(ImageHead):
    """A score of each label at every pixel."""

    config_class = UperNetConfig

    def __init__(self, cfg: UperNetConfig) -> None:
        self.config = cfg
        self.backbone = cfg.backbone_config.make()
        channels = self.backbone.channels
        self.decode_head = PyramidHead(cfg, channels)
        self.auxiliary_head = None
        if cfg.use_auxiliary_head:
            width = cfg.auxiliary_in_channels or channels[min(AUXILIARY, len(channels) - 1)]
            self.auxiliary_head = PlainHead(cfg, width)

    def answer(self, pixel_values: Tensor, labels: Tensor | None, hidden: bool) -> LogitsOutput:
        """Scores `(batch, labels, height, width)`."""
        found = self.backbone(pixel_values, output_hidden_states=hidden)
        logits = scaled(self.decode_head(found.feature_maps), pixel_values.shape[2:])
        loss = None
        if labels is not None:
            ignored = self.config.loss_ignore_index
            loss = losses.pixels(logits, labels, ignored)
            if self.auxiliary_head is not None:
                beside = scaled(self.auxiliary_head(found.feature_maps), logits.shape[2:])
                weight = self.config.auxiliary_loss_weight
                loss = loss + weight * losses.pixels(beside, labels, ignored)
        return LogitsOutput(logits, loss, found.hidden_states)
