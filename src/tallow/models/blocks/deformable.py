"""Attention that samples a few points of feature maps around each query (arXiv 2010.04159)."""

from __future__ import annotations

from collections.abc import Sequence

from tallow.nn import Linear, Module
from tallow.ops import cat, grid_sample
from tallow.tensor import Tensor


class DeformableAttention(Module):
    """`points` samples a head in each of `levels` maps, around the box of a query.

    `scale` is how far the offsets go, in parts of the box.
    """

    def __init__(self, size: int, heads: int, levels: int, points: int, scale: float = 0.5) -> None:
        self.sampling_offsets = Linear(size, heads * levels * points * 2)
        self.attention_weights = Linear(size, heads * levels * points)
        self.value_proj = Linear(size, size)
        self.output_proj = Linear(size, size)
        self.heads, self.levels, self.points, self.scale = heads, levels, points, scale

    def forward(
        self, x: Tensor, context: Tensor, boxes: Tensor, shapes: Sequence[tuple[int, int]]
    ) -> Tensor:
        """Queries `(batch, n, size)` and maps `(batch, m, size)` → `(batch, n, size)`.

        `boxes` `(batch, n, 4)` are centre and size in parts of the picture; `shapes` are height and
        width of the maps, which stand flat behind each other in `context`.
        """
        b, n, size = x.shape
        heads, count = self.heads, self.levels * self.points
        offsets = self.sampling_offsets(x).view(b, n, heads, count, 2)
        reach = boxes[:, :, None, None, 2:] * (self.scale / self.points)
        places = boxes[:, :, None, None, :2] + offsets * reach
        grid = (2 * places - 1).permute(0, 2, 1, 3, 4).reshape(b * heads, n, count, 2)
        shares = self.attention_weights(x).view(b, n, heads, count).softmax(-1)
        shares = shares.transpose(1, 2).reshape(b * heads, 1, n, count)
        values = self.value_proj(context).transpose(1, 2)
        values = values.reshape(b * heads, size // heads, values.shape[2])
        found, start = [], 0
        for level, (height, width) in enumerate(shapes):
            area = values[:, :, start : start + height * width].unflatten(2, (height, width))
            points = grid[:, :, level * self.points : (level + 1) * self.points]
            found.append(grid_sample(area, points, align_corners=False))
            start += height * width
        sampled = (cat(found, 3) * shares).sum(3).reshape(b, size, n)
        return self.output_proj(sampled.transpose(1, 2))
