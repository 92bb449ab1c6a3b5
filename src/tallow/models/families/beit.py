"""BEiT, and DiT, which is BEiT on documents: ViT with relative positions (arXiv 2106.08254)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tallow.dtype import f32, i64
from tallow.factories import arange, full
from tallow.models.base import Model
from tallow.models.blocks.bert import Layers
from tallow.models.blocks.vision import Grid
from tallow.models.blocks.vit import (
    VIT_RULES,
    VitClassification,
    VitConfig,
    VitEmbeddings,
    VitLayer,
)
from tallow.models.outputs import BaseOutput
from tallow.nn import LayerNorm, Module, param
from tallow.nn import functional as F
from tallow.nn.init import zeros
from tallow.ops import cat
from tallow.tensor import Tensor
from tallow.weights.arrange import rename

# Of masked image modelling, segmentation and backbones, and of ViT alone.
_KEYS = """
vocab_size pool_scales use_auxiliary_head auxiliary_loss_weight auxiliary_channels
auxiliary_num_convs auxiliary_concat_input semantic_loss_ignore_index add_fpn out_features
out_indices stage_names reshape_hidden_states encoder_stride segmentation_indices
qkv_bias pooler_output_size pooler_act
"""


@dataclass(frozen=True, kw_only=True)
class BeitConfig(VitConfig):
    """Of Hugging Face's `BeitConfig`."""

    use_mask_token: bool = False
    use_absolute_position_embeddings: bool = False
    use_relative_position_bias: bool = False
    use_shared_relative_position_bias: bool = False
    layer_scale_init_value: float = 0.1
    use_mean_pooling: bool = True

    without_effect = frozenset(_KEYS.split())


def distances(grid: Grid) -> Tensor:
    """Rows of the table for each pair of positions, flat: a class token, then the patches.

    The last three rows of the table are: from the token to a patch, from a patch to it, to itself.
    """
    h, w = grid
    area, last = h * w, (2 * h - 1) * (2 * w - 1) + 2
    places = arange(area, dtype=i64)
    rows, columns = places // w, places % w
    down = rows.unsqueeze(1) - rows.unsqueeze(0) + (h - 1)
    across = columns.unsqueeze(1) - columns.unsqueeze(0) + (w - 1)
    inner = down * (2 * w - 1) + across
    inner = cat([full((area, 1), last - 1, dtype=i64), inner], 1)
    first = cat([full((1, 1), last, dtype=i64), full((1, area), last - 2, dtype=i64)], 1)
    return cat([first, inner], 0).reshape(-1)


class RelativePositionBias(Module):
    """What attention scores gain by the distance of two patches, for each head."""

    def __init__(self, grid: Grid, heads: int) -> None:
        self.grid = grid
        count = (2 * grid[0] - 1) * (2 * grid[1] - 1) + 3
        self.relative_position_bias_table = param(count, heads, init=zeros, dtype=f32, kinds="f")

    def forward(self, grid: Grid, index: Tensor) -> Tensor:
        """The bias `(1, heads, n, n)` of `index`, the distances of a grid."""
        table = self.relative_position_bias_table.transpose(0, 1)
        heads, n = table.shape[0], 1 + grid[0] * grid[1]
        wide, high = (2 * side - 1 for side in self.grid[::-1])
        wanted = tuple(2 * side - 1 for side in grid)
        if wanted != (wide, high):  # width before height, as in the reference
            plane = table[:, :-3].reshape(1, heads, wide, high)
            plane = F.interpolate(plane, size=wanted, mode="bilinear", align_corners=False)
            table = cat([plane.reshape(heads, -1), table[:, -3:]], 1)
        return table.index_select(1, index).reshape(1, heads, n, n)


class MeanPooler(Module):
    """The mean of the patches, normalised; the class token where there is no norm."""

    def __init__(self, size: int, eps: float, *, mean: bool) -> None:
        self.layernorm = LayerNorm(size, eps) if mean else None

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, 1 + patches, size)` → `(batch, size)`."""
        out: Tensor = x[:, 0] if self.layernorm is None else self.layernorm(x[:, 1:].mean(1))
        return out


class BeitModel(Model):
    """Embeddings, layers, and a pooler; a last norm where the mean is not pooled."""

    config_class = BeitConfig
    base_model_prefix = "beit"
    optional_parts = ("pooler",)
    ignorable = (r"pooler\..*", r"embeddings\.mask_token", r".*relative_position_index")
    rules = (
        rename(
            "layers.{}.relative_position_bias.*",
            "encoder.layer.{}.attention.attention.relative_position_bias.*",
        ),
        rename("shared_position_bias.*", "encoder.relative_position_bias.*"),
        *VIT_RULES,
    )

    def __init__(self, cfg: BeitConfig, *, pooled: bool = True) -> None:
        self.config = cfg
        width, eps, mean = cfg.hidden_size, cfg.layer_norm_eps, cfg.use_mean_pooling
        self.embeddings = VitEmbeddings(
            width,
            cfg.num_channels,
            cfg.image_size,
            cfg.patch_size,
            masked=cfg.use_mask_token,
            positions=cfg.use_absolute_position_embeddings,
        )
        self.encoder = Layers([self.make_layer(cfg) for _ in range(cfg.num_hidden_layers)])
        shared = cfg.use_shared_relative_position_bias
        self.encoder.relative_position_bias = self.make_bias(cfg) if shared else None
        self.layernorm = None if mean else LayerNorm(width, eps)
        self.pooler = MeanPooler(width, eps, mean=mean) if pooled else None

    @staticmethod
    def make_bias(cfg: BeitConfig) -> RelativePositionBias:
        """A table of biases for the config's grid."""
        return RelativePositionBias(cfg.grid, cfg.num_attention_heads)

    @staticmethod
    def make_layer(cfg: BeitConfig) -> VitLayer:
        """One layer, with a table of its own where the config says so."""
        layer = VitLayer(
            cfg.hidden_size,
            cfg.num_attention_heads,
            cfg.intermediate_size,
            cfg.hidden_act,
            cfg.layer_norm_eps,
            key_bias=False,
            scale=cfg.layer_scale_init_value,
        )
        own = cfg.use_relative_position_bias
        bias = BeitModel.make_bias(cfg) if own else None
        layer.attention.attention.relative_position_bias = bias
        return layer

    def forward(
        self,
        pixel_values: Tensor,
        bool_masked_pos: Tensor | None = None,
        interpolate_pos_encoding: bool = False,
        *,
        output_hidden_states: bool = False,
    ) -> BaseOutput:
        """`(batch, channels, height, width)` → `(batch, 1 + patches, size)`, and pooled.

        Positions are always fitted to the image, whatever `interpolate_pos_encoding` says.
        """
        states = [self.embeddings(pixel_values, bool_masked_pos, resize=True)]
        (height, width), (p, q) = pixel_values.shape[2:], self.config.patch_size
        grid, index = (height // p, width // q), None
        shared = self.encoder.relative_position_bias
        if self.config.use_relative_position_bias or shared is not None:
            index = distances(grid)
        common = None if shared is None or index is None else shared(grid, index)
        for layer in self.encoder.layer:
            own = layer.attention.attention.relative_position_bias
            bias = common if own is None else own(grid, index)
            if own is not None and common is not None:
                bias = bias + common
            states.append(layer(states[-1], bias))
        last = states[-1] if self.layernorm is None else self.layernorm(states[-1])
        pooled = None if self.pooler is None else self.pooler(last)
        return BaseOutput(last, pooled, tuple(states) if output_hidden_states else None)


class BeitForImageClassification(VitClassification):
    """Scores from the pooled patches."""

    config_class, base_class, base_model_prefix = BeitConfig, BeitModel, "beit"

    def make_base(self, cfg: Any) -> Module:
        """The model with its pooler."""
        return BeitModel(cfg)

    def pool(self, found: BaseOutput) -> Tensor:
        """The pooler's output."""
        assert found.pooler_output is not None, "the base has a pooler"
        return found.pooler_output
