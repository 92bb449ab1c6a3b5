"""DINOv3: a vision transformer with registers and positions that rotate (arXiv 2508.10104)."""

from __future__ import annotations

import math

from tallow.dtype import f32
from tallow.factories import arange, tensor, zeros
from tallow.models.blocks.activation import ACTIVATIONS, linear_then
from tallow.models.blocks.heads import merge_heads
from tallow.models.blocks.image_heads import Backbone, BackboneConfig, BackboneOutput
from tallow.models.blocks.mlp import GatedMlp
from tallow.models.blocks.vision import Grid, LayerScale, as_maps, patches
from tallow.models.configs import activation, choice, layers, size, sizes
from tallow.models.fields import Fields
from tallow.models.outputs import BaseOutput
from tallow.nn import Conv2d, LayerNorm, Linear, Module, ModuleList, init, param
from tallow.ops import attention, cat, rope, where
from tallow.tensor import Tensor
from tallow.weights.arrange import rename


class DINOv3ViTConfig(BackboneConfig):
    """Of Hugging Face's `DINOv3ViTConfig`."""

    patch_size: tuple[int, ...] = sizes(16, 16, length=2)
    hidden_size: int = size(384)
    intermediate_size: int = size(1536)
    num_hidden_layers: int = layers(12)
    num_attention_heads: int = size(6)
    hidden_act: str = activation("gelu")
    layer_norm_eps: float = 1e-5
    rope_theta: float = 100.0
    num_channels: int = size(3)
    query_bias: bool = True
    key_bias: bool = False
    value_bias: bool = True
    proj_bias: bool = True
    mlp_bias: bool = True
    use_gated_mlp: bool = False
    num_register_tokens: int = size(0, low=0)
    apply_layernorm: bool = True
    reshape_hidden_states: bool = True
    return_class_token: bool = choice(False)

    without_effect = frozenset(
        [
            "layerscale_value",
            "image_size",
            "pos_embed_shift",
            "pos_embed_jitter",
            "pos_embed_rescale",
        ]
    )

    def check(self, fields: Fields) -> None:
        """A quarter of each head turns with the row, one with the column, in pairs."""
        if self.hidden_size % (4 * self.num_attention_heads):
            wanted = f"heads of whole quarters of hidden_size {self.hidden_size}"
            raise fields.error("num_attention_heads", wanted, self.num_attention_heads)


class Embeddings(Module):
    """Patches behind a class token and registers."""

    def __init__(self, cfg: DINOv3ViTConfig) -> None:
        width, patch = cfg.hidden_size, cfg.patch_size
        self.cls_token = param(1, 1, width, init=init.zeros)
        self.mask_token = param(1, 1, width, init=init.zeros)
        self.register_tokens = param(1, cfg.num_register_tokens, width, init=init.zeros)
        self.patch_embeddings = Conv2d(cfg.num_channels, width, tuple(patch), tuple(patch))

    def forward(self, x: Tensor, masked: Tensor | None = None) -> tuple[Tensor, Grid]:
        """`(batch, channels, height, width)` → `(batch, length, size)`, rows and columns."""
        x, grid = patches(self.patch_embeddings, x)
        if masked is not None:
            x = where(masked.ne(0).unsqueeze(-1), self.mask_token, x)
        first = cat([self.cls_token, self.register_tokens], 1).expand(x.shape[0], -1, -1)
        return cat([first, x], 1), grid


class Attention(Module):
    """Attention whose queries and keys are turned by their places."""

    def __init__(self, cfg: DINOv3ViTConfig) -> None:
        width = cfg.hidden_size
        self.q_proj = Linear(width, width, bias=cfg.query_bias)
        self.k_proj = Linear(width, width, bias=cfg.key_bias)
        self.v_proj = Linear(width, width, bias=cfg.value_bias)
        self.o_proj = Linear(width, width, bias=cfg.proj_bias)
        self.heads = cfg.num_attention_heads

    def forward(self, x: Tensor, table: Tensor) -> Tensor:
        """`(batch, length, size)` → the same shape."""
        shape = (*x.shape[:2], self.heads, -1)
        q, k = (rope(p(x).reshape(shape), table) for p in (self.q_proj, self.k_proj))
        v = self.v_proj(x).reshape(shape)
        found = attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
        return self.o_proj(merge_heads(found))


class UpDownMlp(Module):
    """`down(act(up(x)))`."""

    def __init__(self, size: int, hidden: int, act: str, *, bias: bool) -> None:
        self.up_proj = Linear(size, hidden, bias=bias)
        self.down_proj = Linear(hidden, size, bias=bias)
        self.act = ACTIVATIONS[act]

    def forward(self, x: Tensor) -> Tensor:
        """`(..., size)` → the same shape."""
        return self.down_proj(linear_then(self.up_proj, x, self.act))


class Layer(Module):
    """Attention and feed-forward, each normalised before and scaled behind."""

    def __init__(self, cfg: DINOv3ViTConfig) -> None:
        width, hidden, bias = cfg.hidden_size, cfg.intermediate_size, cfg.mlp_bias
        self.norm1 = LayerNorm(width, cfg.layer_norm_eps)
        self.attention = Attention(cfg)
        self.layer_scale1 = LayerScale(width)
        self.norm2 = LayerNorm(width, cfg.layer_norm_eps)
        if cfg.use_gated_mlp:
            act = None if cfg.hidden_act == "silu" else ACTIVATIONS[cfg.hidden_act]
            self.mlp: Module = GatedMlp(width, hidden, bias=bias, act=act)
        else:
            self.mlp = UpDownMlp(width, hidden, cfg.hidden_act, bias=bias)
        self.layer_scale2 = LayerScale(width)

    def forward(self, x: Tensor, table: Tensor) -> Tensor:
        """`(batch, length, size)` → the same shape."""
        x = x + self.layer_scale1(self.attention(self.norm1(x), table))
        return x + self.layer_scale2(self.mlp(self.norm2(x)))


def angles(cfg: DINOv3ViTConfig, grid: Grid) -> Tensor:
    """The table of turns, `(1, length, head size)`: none for the tokens before the patches.

    Middles of patches lie from -1 to 1 in both axes, whatever the picture's size.
    """
    count = cfg.hidden_size // cfg.num_attention_heads // 4
    turns = tensor([2 * math.pi * cfg.rope_theta ** (-i / count) for i in range(count)], dtype=f32)
    down, across = (((arange(n).to(f32) + 0.5) * (2 / n) - 1).unsqueeze(1) * turns for n in grid)
    both = [
        down.unsqueeze(1).expand(*grid, count),
        across.unsqueeze(0).expand(*grid, count),
    ]
    before = zeros(1 + cfg.num_register_tokens, 2 * count)
    full = cat([before, cat(both, -1).reshape(-1, 2 * count)], 0)
    return cat([full.cos(), full.sin()], -1).unsqueeze(0)


class Base(Backbone):
    """What the model and the backbone have in common."""

    config_class = DINOv3ViTConfig
    # The names that modules have in memory since transformers 5.
    rules = (rename("model.layer.*", "layer.*"),)

    def __init__(self, cfg: DINOv3ViTConfig) -> None:
        self.config = cfg
        self.embeddings = Embeddings(cfg)
        self.layer = ModuleList([Layer(cfg) for _ in range(cfg.num_hidden_layers)])
        self.norm = LayerNorm(cfg.hidden_size, cfg.layer_norm_eps)
        self.widths = [cfg.hidden_size] * (cfg.num_hidden_layers + 1)
        self.chosen = cfg.chosen(len(self.widths))

    def tokens(self, x: Tensor, masked: Tensor | None = None) -> tuple[list[Tensor], Grid]:
        """What goes in and what each layer gives, rows and columns."""
        x, grid = self.embeddings(x, masked)
        states, table = [x], angles(self.config, grid)
        for layer in self.layer:
            states.append(layer(states[-1], table))
        return states, grid


class DINOv3ViTModel(Base):
    """Embeddings, layers and a last norm; the class token is the pooled output."""

    def forward(  # type: ignore[override]  # its results are others'
        self,
        pixel_values: Tensor,
        bool_masked_pos: Tensor | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> BaseOutput:
        """`(batch, channels, height, width)` → tokens `(batch, length, size)`."""
        states, _ = self.tokens(pixel_values, bool_masked_pos)
        x = self.norm(states[-1])
        return BaseOutput(x, x[:, 0], tuple(states) if output_hidden_states else None)


class DINOv3ViTBackbone(Base):
    """Tokens of the chosen layers as maps."""

    def forward(
        self, pixel_values: Tensor, *, output_hidden_states: bool = False
    ) -> BackboneOutput:
        """`(batch, channels, height, width)` → `(batch, size, rows, columns)` of each layer."""
        cfg = self.config
        states, grid = self.tokens(pixel_values)
        last, first = len(states) - 1, 1 + cfg.num_register_tokens
        maps = []
        for i in self.chosen:
            x = self.norm(states[i]) if i == last or cfg.apply_layernorm else states[i]
            maps.append(as_maps(x[:, first:], grid) if cfg.reshape_hidden_states else x[:, first:])
        return BackboneOutput(tuple(maps), tuple(states) if output_hidden_states else None)
