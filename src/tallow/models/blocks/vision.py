"""What vision transformers share: patches, position tables, and the parts of their layers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tallow.dtype import f32
from tallow.errors import expect
from tallow.models.blocks.activation import ACTIVATIONS, linear_then
from tallow.models.blocks.bert import Dense, SelfAttention
from tallow.nn import Conv2d, Linear, Module, param
from tallow.nn import functional as F
from tallow.nn.init import ones
from tallow.ops import silu_mul
from tallow.tensor import Tensor

Grid = tuple[int, int]


def pictures(x: Tensor, channels: int) -> Tensor:
    """`x` in f32, which must be `(batch, channels, height, width)`.

    Raises:
        ShapeError: it is of other axes or channels.
    """
    wanted = f"(batch, {channels}, height, width)"
    expect(x.ndim == 4 and x.shape[1] == channels, "pixel_values", wanted, tuple(x.shape))
    return x if x.dtype is f32 else x.to(f32)


def patches(convolution: Conv2d, x: Tensor) -> tuple[Tensor, Grid]:
    """`(batch, channels, height, width)` → `(batch, patches, size)`, their rows and columns."""
    maps = convolution(pictures(x, convolution.in_channels))
    rows, columns = maps.shape[2:]
    return maps.flatten(2).transpose(1, 2), (rows, columns)


def as_maps(tokens: Tensor, grid: Grid) -> Tensor:
    """`(batch, rows * columns, size)` → `(batch, size, rows, columns)`."""
    return tokens.transpose(1, 2).reshape(tokens.shape[0], tokens.shape[2], *grid)


def scaled(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Maps in another height and width, by linear interpolation."""
    if tuple(maps.shape[2:]) == tuple(size):
        return maps
    return F.interpolate(maps, tuple(size), mode="bilinear", align_corners=False)


def resized(table: Tensor, grid: Grid, *, antialias: bool = False) -> Tensor:
    """A square table of positions `(1, n, size)` for another grid, by cubic interpolation.

    Raises:
        ShapeError: the table is not square.
    """
    side = math.isqrt(table.shape[1])
    square = side * side == table.shape[1]
    expect(square, "interpolate_pos_encoding", "a square table of positions", table.shape[1])
    maps: Tensor = F.interpolate(
        as_maps(table, (side, side)), grid, mode="bicubic", align_corners=False, antialias=antialias
    )
    return maps.flatten(2).transpose(1, 2)


class Patches(Module):
    """Patches of a picture, under `proj`."""

    def __init__(
        self, channels: int, size: int, down: int, across: int, *, bias: bool = True
    ) -> None:
        self.proj = Conv2d(channels, size, (down, across), (down, across), bias=bias)


class PatchEmbeddings(Module):
    """Patches of a picture as vectors, under `projection`."""

    def __init__(self, channels: int, size: int, down: int, across: int) -> None:
        self.projection = Conv2d(channels, size, (down, across), (down, across))

    def forward(self, x: Tensor) -> tuple[Tensor, Grid]:
        """`(batch, channels, height, width)` → `(batch, patches, size)`, rows and columns."""
        return patches(self.projection, x)


class Mlp(Module):
    """`fc2(act(fc1(x)))`."""

    def __init__(self, size: int, hidden: int, act: str) -> None:
        self.fc1 = Linear(size, hidden)
        self.fc2 = Linear(hidden, size)
        self.act = ACTIVATIONS[act]

    def forward(self, x: Tensor) -> Tensor:
        """`(..., size)` → the same shape."""
        return self.fc2(linear_then(self.fc1, x, self.act))


class LinearMlp(Module):
    """`lin2(act(lin1(x)))`."""

    def __init__(self, size: int, hidden: int, act: str) -> None:
        self.lin1 = Linear(size, hidden)
        self.lin2 = Linear(hidden, size)
        self.act = ACTIVATIONS[act]

    def forward(self, x: Tensor) -> Tensor:
        """`(..., size)` → the same shape."""
        return self.lin2(linear_then(self.lin1, x, self.act))


class PackedSwiGLU(Module):
    """SwiGLU whose gate and input stand in one matrix, `weights_in`."""

    def __init__(self, size: int, hidden: int) -> None:
        self.weights_in = Linear(size, 2 * hidden)
        self.weights_out = Linear(hidden, size)
        self.hidden = hidden

    def forward(self, x: Tensor) -> Tensor:
        """`(..., size)` → the same shape."""
        both = self.weights_in(x)
        return self.weights_out(silu_mul(both[..., : self.hidden], both[..., self.hidden :]))


class LayerScale(Module):
    """A factor of each channel, `lambda1`."""

    def __init__(self, size: int) -> None:
        self.lambda1 = param(size, init=ones)

    def forward(self, x: Tensor) -> Tensor:
        """`(..., size)` → the same shape."""
        return x * self.lambda1


class ViTAttention(Module):
    """Attention under ViT's names: `attention.query` and others, `output.dense`."""

    def __init__(self, size: int, heads: int, *, bias: bool, key_bias: bool | None = None) -> None:
        self.attention = SelfAttention(size, heads, bias=bias, key_bias=key_bias)
        self.output = Dense(size, size)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """`(batch, length, size)` → the same shape."""
        return self.output(self.attention(x, mask))
