"""Pixtral's tower: pictures of any size, rotary positions by row and column (arXiv 2410.07073)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tallow.errors import ArgumentError, expect
from tallow.models.base import Model
from tallow.models.blocks.activation import ACTIVATIONS
from tallow.models.blocks.mlp import GatedMlp
from tallow.models.blocks.patch_grids import (
    Run,
    attend_within,
    patch_places,
    table_of,
)
from tallow.models.blocks.vision import pictures
from tallow.models.configs import Config, activation, custom, layers, size
from tallow.models.fields import Fields
from tallow.models.outputs import BaseOutput
from tallow.models.vision_configs import rotary_theta
from tallow.nn import Conv2d, Linear, Module, ModuleList, RMSNorm
from tallow.ops import cat, rope
from tallow.tensor import Tensor

EPS = 1e-5


class PixtralVisionConfig(Config):
    """Of Hugging Face's `PixtralVisionConfig`."""

    hidden_size: int = size(1024)
    intermediate_size: int = size(4096)
    num_hidden_layers: int = layers(24)
    num_attention_heads: int = size(16)
    num_channels: int = size(3)
    image_size: int = size(1024)
    patch_size: int = size(16)
    hidden_act: str = activation("gelu")
    theta: float = custom(10000.0, lambda fields, *_: rotary_theta(fields))

    without_effect = frozenset({"rope_parameters", "rope_theta", "head_dim"})

    def check(self, fields: Fields) -> None:
        """Half of a head turns by rows and half by columns, in pairs."""
        if self.hidden_size % (4 * self.num_attention_heads):
            wanted = f"a multiple of 4 times the {self.num_attention_heads} heads"
            raise fields.error("hidden_size", wanted, self.hidden_size)


class PixtralAttention(Module):
    """Attention of the patches of each picture."""

    def __init__(self, size: int, heads: int) -> None:
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            setattr(self, name, Linear(size, size, bias=False))
        self.heads, self.head_dim = heads, size // heads

    def forward(self, x: Tensor, table: Tensor, runs: Sequence[Run]) -> Tensor:
        """`(patches, size)` → the same shape."""
        shape = (1, x.shape[0], self.heads, self.head_dim)
        q, k = (rope(each(x).reshape(*shape), table) for each in (self.q_proj, self.k_proj))
        return self.o_proj(attend_within(q, k, self.v_proj(x).reshape(*shape), runs))


class PixtralLayer(Module):
    """Attention and gated feed-forward, each normalised before."""

    def __init__(self, cfg: PixtralVisionConfig) -> None:
        width = cfg.hidden_size
        act = None if cfg.hidden_act in ("silu", "swish") else ACTIVATIONS[cfg.hidden_act]
        self.attention_norm = RMSNorm(width, EPS)
        self.feed_forward = GatedMlp(width, cfg.intermediate_size, act=act)
        self.attention = PixtralAttention(width, cfg.num_attention_heads)
        self.ffn_norm = RMSNorm(width, EPS)

    def forward(self, x: Tensor, table: Tensor, runs: Sequence[Run]) -> Tensor:
        """`(patches, size)` → the same shape."""
        x = x + self.attention(self.attention_norm(x), table, runs)
        return x + self.feed_forward(self.ffn_norm(x))


class Transformer(Module):
    """Layers under the name `layers`."""

    def __init__(self, made: list[PixtralLayer]) -> None:
        self.layers = ModuleList(made)


class PixtralVisionModel(Model):
    """Patches of all pictures, one after the other."""

    config_class = PixtralVisionConfig

    def __init__(self, cfg: PixtralVisionConfig) -> None:
        self.config = cfg
        edge = cfg.patch_size
        self.patch_conv = Conv2d(cfg.num_channels, cfg.hidden_size, edge, edge, bias=False)
        self.ln_pre = RMSNorm(cfg.hidden_size, EPS)
        self.transformer = Transformer([PixtralLayer(cfg) for _ in range(cfg.num_hidden_layers)])
        size = cfg.hidden_size // cfg.num_attention_heads
        every = [cfg.theta ** (-2 * i / size) for i in range(size // 2)]
        self.freqs = every[0::2], every[1::2]  # of rows, and of columns

    def grids(self, pixel_values: Tensor, image_sizes: Any) -> list[tuple[int, int]]:
        """Rows and columns of patches of each picture."""
        edge = self.config.patch_size
        return [(h // edge, w // edge) for h, w in sizes_of(image_sizes, pixel_values, edge)]

    def forward(
        self, pixel_values: Tensor, image_sizes: Any = None, *, output_hidden_states: bool = False
    ) -> BaseOutput:
        """`(pictures, channels, height, width)` → `(1, patches, size)`.

        `image_sizes` `(pictures, 2)`, a tensor or lists, are heights and widths without padding.
        """
        x = pictures(pixel_values, self.config.num_channels)
        grids = self.grids(x, image_sizes)
        maps = self.patch_conv(x)
        parts = [
            picture[:, :rows, :columns].flatten(1).transpose(0, 1)
            for picture, (rows, columns) in zip(maps, grids, strict=True)
        ]
        x = self.ln_pre(cat(parts))
        places = patch_places([(1, rows, columns) for rows, columns in grids], 1)
        table = table_of(places, self.freqs)
        runs = [(1, rows * columns) for rows, columns in grids]
        states = [x]
        for layer in self.transformer.layers:
            states.append(layer(states[-1], table, runs))
        kept = tuple(each.unsqueeze(0) for each in states) if output_hidden_states else None
        return BaseOutput(states[-1].unsqueeze(0), None, kept)


def sizes_of(given: Any, pixels: Tensor, edge: int) -> list[tuple[int, int]]:
    """Heights and widths of pictures, which lie within their pixels and hold a patch.

    Raises:
        ArgumentError: they do not.
    """
    count, height, width = pixels.shape[0], pixels.shape[2], pixels.shape[3]
    if given is None:
        return [(height, width)] * count
    rows = given.tolist() if isinstance(given, Tensor) else [_row(each) for each in given]
    good = len(rows) == count and all(isinstance(row, list) and len(row) == 2 for row in rows)
    good = good and all(edge <= h <= height and edge <= w <= width for h, w in rows)
    wanted = f"heights and widths from {edge} to {height} × {width} of {count} pictures"
    expect(good, "image_sizes", wanted, str(given)[:80], ArgumentError)
    return [(h, w) for h, w in rows]


def _row(each: Any) -> list[int]:
    return each.reshape(-1).tolist() if isinstance(each, Tensor) else list(each)
