"""Heads that segment from the maps of a backbone: UPerNet's, and a plain one (1807.10221)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from tallow.models import losses
from tallow.models.blocks.vision import scaled
from tallow.nn import AdaptiveAvgPool2d, BatchNorm2d, Conv2d, Module, ModuleList, Sequential
from tallow.ops import cat, relu
from tallow.tensor import Tensor

AUXILIARY = 2  # the number of the feature map that the auxiliary head takes


class ConvModule(Module):
    """Convolution, batch norm, which the checkpoint calls `norm`, and ReLU."""

    def __init__(self, channels: int, out: int, kernel: int, norm: str) -> None:
        self.conv = Conv2d(channels, out, kernel, padding=kernel // 2, bias=False)
        setattr(self, norm, BatchNorm2d(out))
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, channels, height, width)` → `(batch, out, height, width)`."""
        return relu(getattr(self, self.norm)(self.conv(x)))


class PyramidHead(Module):
    """The last map pooled at several scales, and all maps from the top down."""

    def __init__(
        self, channels: Sequence[int], width: int, scales: Sequence[int], labels: int, norm: str
    ) -> None:
        self.classifier = Conv2d(width, labels, 1)
        self.psp_modules = ModuleList(
            [
                Sequential(AdaptiveAvgPool2d(scale), ConvModule(channels[-1], width, 1, norm))
                for scale in scales
            ]
        )
        self.bottleneck = ConvModule(channels[-1] + len(scales) * width, width, 3, norm)
        self.lateral_convs = ModuleList([ConvModule(n, width, 1, norm) for n in channels[:-1]])
        self.fpn_convs = ModuleList([ConvModule(width, width, 3, norm) for _ in channels[:-1]])
        self.fpn_bottleneck = ConvModule(len(channels) * width, width, 3, norm)

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
        return self.classifier(self.fpn_bottleneck(joined))


class PlainHead(Module):
    """Convolutions of one map, for a loss beside the main one."""

    def __init__(
        self, channels: int, width: int, count: int, labels: int, norm: str, *, concat: bool
    ) -> None:
        widths = [channels, *[width] * count]
        pairs = pairwise(widths)
        self.convs = Sequential(*(ConvModule(a, b, 3, norm) for a, b in pairs))
        self.conv_cat = None
        if concat:
            self.conv_cat = ConvModule(channels + width, width, 3, norm)
        self.classifier = Conv2d(width, labels, 1)

    def forward(self, maps: tuple[Tensor, ...]) -> Tensor:
        """Scores at that map's size, `(batch, labels, rows, columns)`."""
        x = maps[AUXILIARY]
        found = self.convs(x)
        if self.conv_cat is not None:
            found = self.conv_cat(cat([x, found], 1))
        return self.classifier(found)


def pixel_loss(
    logits: Tensor, beside: Tensor | None, labels: Tensor, weight: float, ignored: int
) -> Tensor:
    """The loss of scores, and `weight` times that of the auxiliary head's."""
    loss = losses.pixels(logits, labels, ignored)
    return loss if beside is None else loss + weight * losses.pixels(beside, labels, ignored)
