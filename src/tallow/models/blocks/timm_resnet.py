"""timm's ResNets under timm's names: what a name stands for, and stem and stages.

Source: timm's `resnet.py` for the variants: deep stems, pooled shortcuts (arXiv 1812.01187),
groups (1611.05431), dilation.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tallow.lazy_dataclasses import dataclass
from tallow.models.blocks.conv import conv_norm
from tallow.nn import AvgPool2d, BatchNorm2d, Conv2d, Identity, MaxPool2d, Module, ReLU, Sequential
from tallow.ops import pad, relu
from tallow.tensor import Tensor


@dataclass(frozen=True)
class Variant:
    """What a name of timm says: bottlenecks or not and depth of each stage, stem, groups."""

    bottleneck: tuple[bool, ...]
    depths: tuple[int, ...]
    widths: tuple[int, ...] = (64, 128, 256, 512)
    stem: tuple[int, ...] = ()  # widths of a deep stem's first two convolutions
    pooled: bool = False  # shortcuts that pool before they project
    groups: int = 1
    base_width: int = 64


_BASIC = {10: (1, 1, 1, 1), 18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
_BOTTLENECK = {
    14: (1, 1, 1, 1), 26: (2, 2, 2, 2), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3),
    200: (3, 24, 36, 3),
}  # fmt: skip
_STEMS = {"": (), "c": (32, 32), "d": (32, 32), "s": (64, 64), "t": (24, 32)}
_NAME = re.compile(r"(resnet|wide_resnet|resnext)(\d+)([cdst]?)(?:_(\d+)(?:x(\d+)d)?)?")
_TEST = Variant((False, False, True, False), (1, 1, 1, 1), (32, 48, 48, 96), (16, 16), True)


def variant(name: str) -> Variant | None:
    """The ResNet of a name of timm, with or without the tag of its weights; None for others."""
    name = name.partition(".")[0]
    if name == "test_resnet":
        return _TEST
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    kind, depth, stem, first, second = found.groups()
    numbers = {"resnet": 0, "wide_resnet": 1, "resnext": 2}[kind]
    depths = _BOTTLENECK.get(int(depth)) or (_BASIC.get(int(depth)) if not numbers else None)
    if depths is None or (first is not None) + (second is not None) != numbers:
        return None
    groups, width = (int(first), int(second)) if numbers == 2 else (1, 64 * int(first or 1))
    if not (0 < groups <= 64 and 0 < width <= 512):
        return None
    return Variant(
        (int(depth) in _BOTTLENECK,) * 4, depths, stem=_STEMS[stem], pooled=stem in ("d", "t"),
        groups=groups, base_width=width,
    )  # fmt: skip


class AvgPool2dSame(AvgPool2d):
    """2 × 2 means at stride 1 that keep the size: a row and a column of zeros behind."""

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, channels, height, width)` → the same shape."""
        return super().forward(pad(x, (0, 1, 0, 1)))


def shortcut(size: int, out: int, stride: int, dilation: int, *, pooled: bool) -> Module:
    """The projection of a block whose output has another shape than its input."""
    norm = BatchNorm2d(out)
    if not pooled:
        return Sequential(Conv2d(size, out, 1, stride, bias=False), norm)
    pool: Module = Identity()
    if dilation > 1:
        pool = AvgPool2dSame(2, 1)
    elif stride > 1:
        pool = AvgPool2d(2, stride, ceil_mode=True, count_include_pad=False)
    return Sequential(pool, Conv2d(size, out, 1, bias=False), norm)


class Block(Module):
    """Two 3 × 3 convolutions around their shortcut; `first` is the dilation of the first one."""

    def __init__(
        self, size: int, width: int, stride: int, first: int, dilation: int, down: Module | None
    ) -> None:
        self.conv1 = Conv2d(size, width, 3, stride, first, first, bias=False)
        self.bn1 = BatchNorm2d(width)
        self.conv2 = Conv2d(width, width, 3, 1, dilation, dilation, bias=False)
        self.bn2 = BatchNorm2d(width)
        self.downsample = down

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, height, width)` → `(batch, width, height / stride, width / stride)`."""
        kept = x if self.downsample is None else self.downsample(x)
        x = relu(conv_norm(self.conv1, self.bn1, x))
        return relu(conv_norm(self.conv2, self.bn2, x) + kept)


class Bottleneck(Module):
    """1 × 1, 3 × 3 and 1 × 1 convolutions around their shortcut."""

    def __init__(
        self, size: int, inner: int, out: int, stride: int, dilation: int, groups: int,
        down: Module | None,
    ) -> None:  # fmt: skip
        self.conv1 = Conv2d(size, inner, 1, bias=False)
        self.bn1 = BatchNorm2d(inner)
        self.conv2 = Conv2d(inner, inner, 3, stride, dilation, dilation, groups, bias=False)
        self.bn2 = BatchNorm2d(inner)
        self.conv3 = Conv2d(inner, out, 1, bias=False)
        self.bn3 = BatchNorm2d(out)
        self.downsample = down

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, height, width)` → `(batch, out, height / stride, width / stride)`."""
        kept = x if self.downsample is None else self.downsample(x)
        x = relu(conv_norm(self.conv1, self.bn1, x))
        x = relu(conv_norm(self.conv2, self.bn2, x))
        return relu(conv_norm(self.conv3, self.bn3, x) + kept)


def _stem(channels: int, widths: tuple[int, ...]) -> tuple[Module, int]:
    if not widths:
        return Conv2d(channels, 64, 7, 2, 3, bias=False), 64
    first, second = widths
    return Sequential(
        Conv2d(channels, first, 3, 2, 1, bias=False), BatchNorm2d(first), ReLU(),
        Conv2d(first, second, 3, 1, 1, bias=False), BatchNorm2d(second), ReLU(),
        Conv2d(second, 2 * second, 3, 1, 1, bias=False),
    ), 2 * second  # fmt: skip


class Stages(Module):
    """Stem and the first `count` stages of a variant; strides beyond `output_stride` dilate."""

    def __init__(self, found: Variant, channels: int, count: int, output_stride: int) -> None:
        self.conv1, width = _stem(channels, found.stem)
        self.bn1 = BatchNorm2d(width)
        self.maxpool = MaxPool2d(3, 2, 1)
        self.widths: Sequence[int] = (width,)
        reached, dilation, before = 4, 1, 1
        for index in range(count):
            stride = 2 if index else 1
            if reached >= output_stride:
                stride, dilation = 1, dilation * stride
            reached *= stride
            blocks: list[Module] = []
            for step in range(found.depths[index]):
                made = self._block(found, index, width, 1 if step else stride, before, dilation)
                blocks.append(made[0])
                width, before = made[1], dilation
            setattr(self, f"layer{index + 1}", Sequential(*blocks))
            self.widths = (*self.widths, width)
        self.count = count

    @staticmethod
    def _block(
        found: Variant, index: int, size: int, stride: int, first: int, dilation: int
    ) -> tuple[Module, int]:
        deep, width = found.bottleneck[index], found.widths[index]
        out = 4 * width if deep else width
        down = None
        if stride != 1 or size != out:
            down = shortcut(size, out, stride, dilation, pooled=found.pooled)
        if not deep:
            return Block(size, width, stride, first, dilation, down), out
        inner = width * found.base_width // 64 * found.groups
        return Bottleneck(size, inner, out, stride, first, found.groups, down), out

    def features(self, x: Tensor) -> list[Tensor]:
        """`(batch, channels, height, width)` → the features of the stem and of each stage."""
        if isinstance(self.conv1, Conv2d):
            states = [relu(conv_norm(self.conv1, self.bn1, x))]
        else:
            states = [relu(self.bn1(self.conv1(x)))]
        x = self.maxpool(states[0])
        for index in range(self.count):
            x = getattr(self, f"layer{index + 1}")(x)
            states.append(x)
        return states
