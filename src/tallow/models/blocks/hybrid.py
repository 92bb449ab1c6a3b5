"""RT-DETR's hybrid encoder: attention within maps, fusions of neighbours (arXiv 2304.08069)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from tallow.dtype import f32
from tallow.factories import arange
from tallow.models.blocks.activation import ACTIVATIONS
from tallow.models.blocks.conv import conv_norm
from tallow.nn import BatchNorm2d, Conv2d, Module, ModuleList, Sequential
from tallow.ops import cat, interpolate
from tallow.tensor import Tensor


class Conv(Module):
    """Convolution, batch norm and, if named, an activation."""

    def __init__(
        self, size: int, out: int, kernel: int, stride: int, eps: float, act: str = "linear"
    ) -> None:
        self.conv = Conv2d(size, out, kernel, stride, (kernel - 1) // 2, bias=False)
        self.norm = BatchNorm2d(out, eps)
        self.act = ACTIVATIONS[act]

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, height, width)` → `(batch, out, height / stride, width / stride)`."""
        return self.act(conv_norm(self.conv, self.norm, x))


class RepVgg(Module):
    """A 3 × 3 and a 1 × 1 convolution, added."""

    def __init__(self, size: int, act: str, eps: float) -> None:
        self.conv1 = Conv(size, size, 3, 1, eps)
        self.conv2 = Conv(size, size, 1, 1, eps)
        self.act = ACTIVATIONS[act]

    def forward(self, x: Tensor) -> Tensor:
        """Kept."""
        return self.act(self.conv1(x) + self.conv2(x))


class Fusion(Module):
    """Two maps behind each other through two branches, one of three blocks, which are added."""

    def __init__(self, size: int, hidden: int, act: str, eps: float) -> None:
        self.conv1 = Conv(2 * size, hidden, 1, 1, eps, act)
        self.conv2 = Conv(2 * size, hidden, 1, 1, eps, act)
        self.bottlenecks = Sequential(*(RepVgg(hidden, act, eps) for _ in range(3)))
        self.conv3 = Conv(hidden, size, 1, 1, eps, act) if hidden != size else None

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, 2 * size, height, width)` → `(batch, size, height, width)`."""
        out: Tensor = self.bottlenecks(self.conv1(x)) + self.conv2(x)
        if self.conv3 is not None:
            out = self.conv3(out)
        return out


class Intra(Module):
    """Encoder layers over one map; where it is not `placed`, it has places while it learns only."""

    def __init__(self, layers: Sequence[Module], temperature: float, *, placed: bool) -> None:
        self.layers = ModuleList(layers)
        self.temperature, self.placed = temperature, placed

    def places(self, height: int, width: int, size: int) -> Tensor:
        """Sines and cosines of rows, then of columns, `(1, height * width, size)`."""
        steps = (arange(size // 4).to(f32) * (-4 * math.log(self.temperature) / size)).exp()
        rows = (arange(height).to(f32)[:, None] * steps).unsqueeze(1)
        columns = (arange(width).to(f32)[:, None] * steps).unsqueeze(0)
        shape = (height, width, size // 4)
        found = [wave.expand(shape) for x in (rows, columns) for wave in (x.sin(), x.cos())]
        return cat(found, 2).reshape(1, height * width, size)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, height, width)`, kept."""
        _, size, height, width = x.shape
        places = self.places(height, width, size) if self.placed or self.training else None
        flat = x.flatten(2).transpose(1, 2)
        for layer in self.layers:
            flat = layer(flat, places)
        return flat.transpose(1, 2).reshape(x.shape)


class HybridEncoder(Module):
    """Attention within some maps, then fusions of neighbouring maps, down and up again.

    `intra` are layers by the number of their map, of `count` maps in all.
    """

    def __init__(
        self, size: int, hidden: int, act: str, eps: float, count: int, intra: Mapping[int, Module]
    ) -> None:
        steps = range(count - 1)
        self.chosen = tuple(intra)
        self.encoder = ModuleList(list(intra.values()))
        self.lateral_convs = ModuleList([Conv(size, size, 1, 1, eps, act) for _ in steps])
        self.fpn_blocks = ModuleList([Fusion(size, hidden, act, eps) for _ in steps])
        self.downsample_convs = ModuleList([Conv(size, size, 3, 2, eps, act) for _ in steps])
        self.pan_blocks = ModuleList([Fusion(size, hidden, act, eps) for _ in steps])

    def forward(self, maps: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Maps of `(batch, size, height, width)`, each half as large as the one before; kept.

        Also what the first attention takes, and what each gives.
        """
        maps = list(maps)
        states = [maps[index] for index in self.chosen[:1]]
        for intra, index in zip(self.encoder, self.chosen, strict=True):
            maps[index] = intra(maps[index])
            states.append(maps[index])
        down = [maps[-1]]
        for lateral, block, beside in zip(
            self.lateral_convs, self.fpn_blocks, maps[-2::-1], strict=True
        ):
            down[-1] = lateral(down[-1])
            wide = interpolate(down[-1], scale_factor=2.0)
            down.append(block(cat((wide, beside), 1)))
        up = [down[-1]]
        for halve, block, beside in zip(
            self.downsample_convs, self.pan_blocks, down[-2::-1], strict=True
        ):
            up.append(block(cat((halve(up[-1]), beside), 1)))
        return up, states
