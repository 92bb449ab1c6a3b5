"""CRAFT: where characters are, and what links them, by a U-net on VGG-16 (arXiv 1904.01941)."""

from __future__ import annotations

import itertools

from tallow.models.base import Model
from tallow.models.configs import Config, size, sizes
from tallow.models.outputs import LogitsOutput
from tallow.nn import BatchNorm2d, Conv2d, MaxPool2d, Module, ReLU, Sequential
from tallow.nn import functional as F
from tallow.ops import cat
from tallow.tensor import Tensor

# The layers of torchvision's VGG-16 with batch norm, up to the fifth stage's second convolution.
_DEPTHS = (2, 2, 3, 3, 2)
# Where its layers are cut: behind activations, but for the last, which no activation follows.
_CUTS = (0, 13, 20, 30, 39)


class CraftConfig(Config):
    """Widths of VGG's stages, of what follows them, and of the layers that go back up."""

    num_channels: int = size(3)
    hidden_sizes: tuple[int, ...] = sizes(64, 128, 256, 512, 512, length=5)
    bottom_size: int = size(1024)
    up_sizes: tuple[int, ...] = sizes(256, 128, 64, 32, length=4, low=2)
    num_maps: int = size(2)


class VGG(Module):
    """The stages, named as in the authors' files: `slice1` to `slice5`."""

    def __init__(self, cfg: CraftConfig) -> None:
        layers: list[Module] = []
        width = cfg.num_channels
        for out, depth in zip(cfg.hidden_sizes, _DEPTHS, strict=True):
            for _ in range(depth):
                layers += [Conv2d(width, out, 3, padding=1), BatchNorm2d(out), ReLU()]
                width = out
            layers.append(MaxPool2d(2))
        for i, (start, stop) in enumerate(itertools.pairwise(_CUTS), 1):
            part = Sequential()
            for place in range(start, stop):
                part.add_module(str(place), layers[place])
            setattr(self, f"slice{i}", part)
        self.slice5 = Sequential(
            MaxPool2d(3, 1, 1),
            Conv2d(width, cfg.bottom_size, 3, padding=6, dilation=6),
            Conv2d(cfg.bottom_size, cfg.bottom_size, 1),
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """The features that go up, from the smallest to half the height and width."""
        found = []
        for i in range(1, 5):
            x = getattr(self, f"slice{i}")(x)
            found.append(x)
        return [self.slice5(x), *reversed(found)]


class Up(Module):
    """Two convolutions, the first over the channels alone."""

    def __init__(self, size: int, inner: int, out: int) -> None:
        self.conv = Sequential(
            Conv2d(size, inner, 1), BatchNorm2d(inner), ReLU(),
            Conv2d(inner, out, 3, padding=1), BatchNorm2d(out), ReLU(),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, height, width)` → `(batch, out, height, width)`."""
        return self.conv(x)


class CraftForTextDetection(Model):
    """Scores of being a character's middle, and of being between two, by pixel."""

    config_class = CraftConfig

    def __init__(self, cfg: CraftConfig) -> None:
        self.config = cfg
        self.basenet = VGG(cfg)
        beside = (*reversed(cfg.hidden_sizes[1:]),)
        below = (cfg.bottom_size, *cfg.up_sizes[:-1])
        for i, out in enumerate(cfg.up_sizes):
            setattr(self, f"upconv{i + 1}", Up(below[i] + beside[i], 2 * out, out))
        last, half = cfg.up_sizes[-1], cfg.up_sizes[-1] // 2
        self.conv_cls = Sequential(
            Conv2d(last, last, 3, padding=1), ReLU(),
            Conv2d(last, last, 3, padding=1), ReLU(),
            Conv2d(last, half, 3, padding=1), ReLU(),
            Conv2d(half, half, 1), ReLU(),
            Conv2d(half, cfg.num_maps, 1),
        )  # fmt: skip

    def forward(self, pixel_values: Tensor) -> LogitsOutput:
        """`(batch, 3, height, width)` → `(batch, 2, height / 2, width / 2)`, about 0 to 1."""
        x, *others = self.basenet(pixel_values)
        for i, other in enumerate(others, 1):
            if i > 1:
                x = F.interpolate(x, other.shape[2:], mode="bilinear", align_corners=False)
            x = getattr(self, f"upconv{i}")(cat([x, other], 1))
        return LogitsOutput(self.conv_cls(x))
