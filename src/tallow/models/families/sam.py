"""SAM: masks of what points, boxes or masks point at in a picture (arXiv 2304.02643)."""

from __future__ import annotations

from typing import Any

from tallow.dtype import f32
from tallow.factories import arange
from tallow.models.base import Model
from tallow.models.blocks.heads import merge_heads
from tallow.models.blocks.sam import Neck, Sam, SamParts, square
from tallow.models.blocks.swin import windowed
from tallow.models.blocks.vision import LinearMlp
from tallow.models.configs import Config, activation, layers, ratio, size, sizes
from tallow.models.fields import Fields
from tallow.models.outputs import BaseOutput
from tallow.models.parts import section
from tallow.nn import Conv2d, LayerNorm, Linear, Module, ModuleList, init, param
from tallow.ops import attention, cat, eye
from tallow.tensor import Tensor
from tallow.weights.arrange import rename


class SamVisionConfig(Config):
    """Of Hugging Face's `SamVisionConfig`."""

    hidden_size: int = size(768)
    output_channels: int = size(256)
    num_hidden_layers: int = layers(12)
    num_attention_heads: int = size(12)
    num_channels: int = size(3)
    image_size: int = size(1024, high=1 << 14)
    patch_size: int = size(16)
    hidden_act: str = activation("gelu")
    layer_norm_eps: float = 1e-6
    qkv_bias: bool = True
    mlp_ratio: float = ratio(4.0)
    mlp_dim: int | None = None
    use_abs_pos: bool = True
    use_rel_pos: bool = True
    window_size: int = size(14, low=0, high=1024)
    global_attn_indexes: tuple[int, ...] = sizes(2, 5, 8, 11, low=0)
    num_pos_feats: int = size(128)

    without_effect = frozenset({"scale", "projection_dim"})

    def check(self, fields: Fields) -> None:
        """A picture holds a patch."""
        if self.side < 1:
            raise fields.error("image_size", f"at least {self.patch_size}", self.image_size)

    @property
    def side(self) -> int:
        """Patches along each side of a picture."""
        return self.image_size // self.patch_size


class SamConfig(SamParts):
    """Of Hugging Face's `SamConfig`."""

    vision_config: Any = section("sam_vision_model")


class VisionAttention(Module):
    """Attention in a square, with positions relative in rows and columns by learned vectors."""

    def __init__(self, cfg: SamVisionConfig, side: int) -> None:
        width, heads = cfg.hidden_size, cfg.num_attention_heads
        self.qkv = Linear(width, 3 * width, bias=cfg.qkv_bias)
        self.proj = Linear(width, width)
        self.heads, self.side = heads, side
        self.rel_pos_h = self.rel_pos_w = None
        if cfg.use_rel_pos:
            self.rel_pos_h = param(2 * side - 1, width // heads, init=init.zeros, dtype=f32)
            self.rel_pos_w = param(2 * side - 1, width // heads, init=init.zeros, dtype=f32)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """`(batch, side², size)` → the same shape."""
        b, n, width = x.shape
        both = self.qkv(x).reshape(b, n, 3, self.heads, width // self.heads)
        q, k, v = (both[:, :, i].transpose(1, 2) for i in range(3))
        scale = q.shape[-1] ** -0.5
        if self.rel_pos_h is not None and self.rel_pos_w is not None:
            # A bias for each row and each column of keys: what a query says of them stands behind
            # it, and behind each key which row and column it is in. No n × n table is made.
            q, k = self.with_places(q, k, scale)
            scale = 1.0
        return self.proj(merge_heads(attention(q, k, v, scale=scale)))

    def with_places(self, q: Tensor, k: Tensor, scale: float) -> tuple[Tensor, Tensor]:
        """Queries and keys, wider by rows and columns."""
        b, heads, n, d = q.shape
        side = self.side
        line = arange(side)
        index = (line.unsqueeze(1) - line + side - 1).flatten()
        down, across = (
            table.index_select(0, index).reshape(side, side, d).transpose(1, 2)
            for table in (self.rel_pos_h, self.rel_pos_w)
            if table is not None
        )
        grid = q.reshape(b * heads, side, side, d)
        rows = (grid @ down).reshape(b, heads, n, side)
        columns = (grid.transpose(1, 2) @ across).transpose(1, 2).reshape(b, heads, n, side)
        one = eye(side)
        places = cat([one.repeat_interleave(side, 0), one.repeat(side, 1)], 1)
        wide = cat([k, places.expand(b, heads, n, 2 * side)], -1)
        return cat([q * scale, rows, columns], -1), wide


class VisionLayer(Module):
    """Attention in windows (or everywhere) and feed-forward, each normalised before."""

    def __init__(self, cfg: SamVisionConfig, window: int) -> None:
        width = cfg.hidden_size
        self.layer_norm1 = LayerNorm(width, cfg.layer_norm_eps)
        self.attn = VisionAttention(cfg, window)
        self.layer_norm2 = LayerNorm(width, cfg.layer_norm_eps)
        hidden = int(width * cfg.mlp_ratio) if cfg.mlp_dim is None else cfg.mlp_dim
        self.mlp = LinearMlp(width, hidden, cfg.hidden_act)
        self.window = window

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, rows, columns, size)` → the same shape."""
        x = x + windowed(self.attn, self.layer_norm1(x), self.window, 0, None)
        return x + self.mlp(self.layer_norm2(x))


class Patches(Module):
    """Patches of a picture, under `projection`."""

    def __init__(self, cfg: SamVisionConfig) -> None:
        self.projection = Conv2d(cfg.num_channels, cfg.hidden_size, cfg.patch_size, cfg.patch_size)


class VisionEncoder(Module):
    """Patches of a picture of one size, layers, neck."""

    def __init__(self, cfg: SamVisionConfig) -> None:
        side = cfg.side
        self.patch_embed = Patches(cfg)
        self.pos_embed = None
        if cfg.use_abs_pos:
            self.pos_embed = param(1, side, side, cfg.hidden_size, init=init.zeros)
        everywhere = set(cfg.global_attn_indexes) if cfg.window_size else range(1 << 12)
        self.layers = ModuleList(
            [
                VisionLayer(cfg, side if i in everywhere else cfg.window_size)
                for i in range(cfg.num_hidden_layers)
            ]
        )
        self.neck = Neck(cfg.hidden_size, cfg.output_channels)
        self.size = cfg.image_size

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """`(batch, channels, height, width)` → `(batch, out, rows, columns)`, and the states.

        Raises:
            ShapeError: the picture is of another size.
        """
        convolution = self.patch_embed.projection
        tokens = convolution(square(x, convolution.in_channels, self.size)).permute(0, 2, 3, 1)
        states = [tokens if self.pos_embed is None else tokens + self.pos_embed]
        for layer in self.layers:
            states.append(layer(states[-1]))
        return self.neck(states[-1].permute(0, 3, 1, 2)), states


class SamVisionModel(Model):
    """The picture's side alone."""

    config_class = SamVisionConfig

    def __init__(self, cfg: SamVisionConfig) -> None:
        self.config = cfg
        self.vision_encoder = VisionEncoder(cfg)

    def forward(self, pixel_values: Tensor, *, output_hidden_states: bool = False) -> BaseOutput:
        """`(batch, channels, height, width)` → a map `(batch, size, rows, columns)`."""
        found, states = self.vision_encoder(pixel_values)
        return BaseOutput(found, None, tuple(states) if output_hidden_states else None)


class SamModel(Sam):
    """SAM with a vision transformer for the picture."""

    config_class = SamConfig
    vision_class = VisionEncoder
    vision_rules = (
        rename("image_encoder.patch_embed.proj.*", "vision_encoder.patch_embed.projection.*"),
        rename("image_encoder.blocks.{}.norm{}.*", "vision_encoder.layers.{}.layer_norm{}.*"),
        rename("image_encoder.blocks.*", "vision_encoder.layers.*"),
    )
