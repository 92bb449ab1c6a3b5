"""What DETR and its descendants share: layers, positions of pictures, backbones, heads' parts.

Source: arXiv 2005.12872; names of Hugging Face's checkpoints.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from tallow.dtype import f32
from tallow.errors import ContextError, ShapeError, expect
from tallow.factories import arange
from tallow.models.blocks.activation import ACTIVATIONS, linear_then
from tallow.models.blocks.attention import Attention
from tallow.models.blocks.embedding import Embedding
from tallow.models.blocks.frozen_norm import freeze_norms
from tallow.models.blocks.image_heads import Backbone
from tallow.nn import LayerNorm, Linear, Module, ModuleList
from tallow.ops import cat, interpolate, pad, relu, stack
from tallow.tensor import Tensor

Inner = Callable[[Tensor], Tensor]
Residual = Callable[[Tensor, Module, Inner], Tensor]


def post_norm(x: Tensor, norm: Module, inner: Inner) -> Tensor:
    """`norm(x + inner(x))`."""
    return norm(x + inner(x))


def pre_norm(x: Tensor, norm: Module, inner: Inner) -> Tensor:
    """`x + inner(norm(x))`."""
    return x + inner(norm(x))


class EncoderLayer(Module):
    """Self-attention and feed-forward, each `residual` with its norm: `post_norm` or `pre_norm`."""

    def __init__(
        self,
        size: int,
        heads: int,
        hidden: int,
        act: str,
        residual: Residual,
        eps: float = 1e-5,
    ) -> None:
        self.self_attn = Attention(size, heads, bias=True, out_name="out_proj")
        self.self_attn_layer_norm = LayerNorm(size, eps)
        self.fc1 = Linear(size, hidden)
        self.fc2 = Linear(hidden, size)
        self.final_layer_norm = LayerNorm(size, eps)
        self.act, self.residual = ACTIVATIONS[act], residual

    def feed_forward(self, x: Tensor) -> Tensor:
        """`(..., size)` → the same shape."""
        return self.fc2(linear_then(self.fc1, x, self.act))

    def forward(self, x: Tensor, positions: Tensor | None, mask: Tensor | None = None) -> Tensor:
        """`(batch, n, size)` → the same shape; `positions` join queries and keys."""

        def attend(x: Tensor) -> Tensor:
            return self.self_attn(x, mask=mask, q_extra=positions, k_extra=positions)

        x = self.residual(x, self.self_attn_layer_norm, attend)
        return self.residual(x, self.final_layer_norm, self.feed_forward)


class DecoderLayer(EncoderLayer):
    """An encoder layer that looks at the picture between its two halves."""

    def __init__(self, size: int, heads: int, hidden: int, act: str, residual: Residual) -> None:
        super().__init__(size, heads, hidden, act, residual)
        self.encoder_attn = Attention(size, heads, bias=True, out_name="out_proj")
        self.encoder_attn_layer_norm = LayerNorm(size)

    def forward(  # type: ignore[override]  # more to look at
        self,
        x: Tensor,
        queries: Tensor,
        context: Tensor,
        positions: Tensor,
        mask: Tensor | None = None,
        context_mask: Tensor | None = None,
    ) -> Tensor:
        """`(batch, n, size)` → the same shape; `queries` and `positions` place both sides."""

        def attend(x: Tensor) -> Tensor:
            return self.self_attn(x, mask=mask, q_extra=queries, k_extra=queries)

        def look(x: Tensor) -> Tensor:
            return self.encoder_attn(
                x, context=context, mask=context_mask, q_extra=queries, k_extra=positions
            )

        x = self.residual(x, self.self_attn_layer_norm, attend)
        x = self.residual(x, self.encoder_attn_layer_norm, look)
        return self.residual(x, self.final_layer_norm, self.feed_forward)


class SinePositions(Module):
    """Sines and cosines of height, then of width, `size` each, over what a mask keeps.

    Heights and widths are parts of the picture times 2 pi; frequencies fall to 1 / 10000.
    """

    def __init__(self, size: int, temperature: float = 10000.0) -> None:
        self.size, self.temperature = size, temperature

    def forward(self, shape: Sequence[int], mask: Tensor | None) -> Tensor:
        """Map of `shape` (height, width) → `(batch or 1, height * width, 2 * size)`."""
        height, width = shape
        if mask is None:
            rows = (arange(1, height + 1).to(f32) * (2 * math.pi / (height + 1e-6))).view(1, -1, 1)
            columns = (arange(1, width + 1).to(f32) * (2 * math.pi / (width + 1e-6))).view(1, 1, -1)
        else:
            kept = mask.to(f32)
            rows, columns = kept.cumsum(1), kept.cumsum(2)
            rows = rows / (rows[:, -1:] + 1e-6) * (2 * math.pi)
            columns = columns / (columns[:, :, -1:] + 1e-6) * (2 * math.pi)
        half = self.size
        grid = (rows.shape[0], height, width, half)
        both = [self.sinusoids(rows).expand(grid), self.sinusoids(columns).expand(grid)]
        return cat(both, 3).reshape(grid[0], height * width, 2 * half)

    def sinusoids(self, x: Tensor) -> Tensor:
        """Numbers of any shape → `(..., size)`: sine and cosine by turns."""
        steps = arange(0, self.size, 2).to(f32) * (-math.log(self.temperature) / self.size)
        angles = x.unsqueeze(-1) * steps.exp()
        return stack((angles.sin(), angles.cos()), -1).flatten(-2)


class LearnedPositions(Module):
    """A learned vector of each column, then of each row, `size` each; at most 50 of them."""

    most = 50

    def __init__(self, size: int) -> None:
        self.row_embeddings = Embedding(self.most, size)
        self.column_embeddings = Embedding(self.most, size)
        self.size = size

    def forward(self, shape: Sequence[int], mask: Tensor | None) -> Tensor:
        """Map of `shape` (height, width) → `(1, height * width, 2 * size)`."""
        height, width = shape
        wanted = f"a map of at most {self.most} rows and columns"
        expect(max(shape) <= self.most, "pixel_values", wanted, tuple(shape), ContextError)
        grid = (height, width, self.size)
        columns = self.column_embeddings(arange(width)).unsqueeze(0).expand(grid)
        rows = self.row_embeddings(arange(height)).unsqueeze(1).expand(grid)
        return cat((columns, rows), 2).reshape(1, height * width, 2 * self.size)


POSITIONS = {"sine": SinePositions, "learned": LearnedPositions}


class ConvEncoder(Module):
    """A backbone under `model`."""

    def __init__(self, model: Backbone) -> None:
        self.model = model

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """`(batch, channels, height, width)` → the chosen stages' features."""
        return self.model(x).feature_maps


class ConvModel(Module):
    """A backbone under `conv_encoder`, its batch norms frozen."""

    def __init__(self, model: Backbone) -> None:
        freeze_norms(model)
        self.conv_encoder = ConvEncoder(model)

    def forward(
        self, pixel_values: Tensor, pixel_mask: Tensor | None
    ) -> tuple[tuple[Tensor, ...], Tensor | None]:
        """Features of the stages, and the mask of the last: true where the picture is."""
        maps = self.conv_encoder(pixel_values)
        return maps, small_mask(pixel_mask, pixel_values, maps[-1].shape[2:])


def small_mask(mask: Tensor | None, pixels: Tensor, shape: Sequence[int]) -> Tensor | None:
    """A mask `(batch, height, width)` of pixels as booleans of a map of `shape`.

    Raises:
        ShapeError: it is not as large as the pixels.
    """
    if mask is None:
        return None
    wanted = (pixels.shape[0], *pixels.shape[2:])
    good = tuple(mask.shape) == wanted
    expect(good, "pixel_mask", f"shape {wanted}", tuple(mask.shape), ShapeError)
    return interpolate(mask.to(f32).unsqueeze(1), size=tuple(shape))[:, 0].ne(0)


class MlpHead(Module):
    """Linear layers under `layers` with ReLU between them, as wide as `sizes`."""

    def __init__(self, *sizes: int) -> None:
        self.layers = ModuleList([Linear(n, m) for n, m in pairwise(sizes)])

    def forward(self, x: Tensor) -> Tensor:
        """`(..., sizes[0])` → `(..., sizes[-1])`."""
        last = len(self.layers) - 1
        for index, layer in enumerate(self.layers):
            x = relu(layer(x)) if index < last else layer(x)
        return x


class BoxHead(MlpHead):
    """Centre and size of a box, each a part of the picture's."""

    def __init__(self, size: int) -> None:
        super().__init__(size, size, size, 4)

    def forward(self, x: Tensor, start: Tensor | None = None) -> Tensor:
        """`(..., size)` → `(..., 4)`; `start` `(..., 2 or 4)` is added before the sigmoid."""
        found = super().forward(x)
        if start is not None:
            found = found + pad(start, (0, 4 - start.shape[-1]))
        return found.sigmoid()


def inverse_sigmoid(x: Tensor, eps: float = 1e-5) -> Tensor:
    """What gives `x` by the sigmoid; 0 and 1 count as `eps` and 1 - `eps`."""
    x = x.clamp(0, 1)
    return (x.clamp(eps) / (1 - x).clamp(eps)).log()
