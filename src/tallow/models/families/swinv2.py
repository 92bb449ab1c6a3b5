"""Swin v2: cosine attention, positions by a network, norms behind (arXiv 2111.09883)."""

from __future__ import annotations

import math

from tallow.factories import arange
from tallow.models.blocks.bert import SelfAttention
from tallow.models.blocks.heads import merge_heads, split_heads
from tallow.models.blocks.image_heads import Backbone
from tallow.models.blocks.swin import (
    SwinBase,
    SwinClassification,
    SwinConfig,
    SwinEmbeddings,
    SwinEncoder,
    SwinLayer,
    SwinStage,
    for_batch,
    merged_patches,
    relative_index,
    windowed,
)
from tallow.models.configs import sizes
from tallow.models.fields import Fields
from tallow.nn import LayerNorm, Linear, Module, ReLU, Sequential, param
from tallow.nn import functional as F
from tallow.nn.init import zeros
from tallow.ops import attention, meshgrid, stack
from tallow.tensor import Tensor
from tallow.weights.arrange import rename

HIGHEST = math.log(100)  # of the logarithms that cosines are multiplied with
BIAS_WIDTH = 512  # of the network that makes biases of distances


class Swinv2Config(SwinConfig):
    """Of Hugging Face's `Swinv2Config`."""

    pretrained_window_sizes: tuple[int, ...] = sizes(0, 0, 0, 0, low=0)

    def check(self, fields: Fields) -> None:
        """As the first version, and a window that was trained for each stage."""
        super().check(fields)
        if len(self.pretrained_window_sizes) < len(self.depths):
            wanted = f"{len(self.depths)} numbers"
            found = self.pretrained_window_sizes
            raise fields.error("pretrained_window_sizes", wanted, found)
        if min(self.rows(len(self.depths) - 1)) < 1:
            raise fields.error("image_size", "a patch in the last stage", self.image_size)

    def rows(self, stage: int) -> tuple[int, int]:
        """Rows and columns of a stage for a picture of `image_size`."""
        (height, width), (down, across) = self.image_size, self.patch_size
        return (height // down) >> stage, (width // across) >> stage


def distances(window: int, trained: int) -> Tensor:
    """Signed logarithms of all distances within a window, `((2 * window - 1)², 2)`."""
    line = arange(1 - window, window).float()
    table = stack(meshgrid(line, line, indexing="ij"), -1).reshape(-1, 2)
    most = trained - 1 if trained > 0 else max(window - 1, 1)
    table = table * (8 / most)
    return table.sign() * (table.abs() + 1).log2() / 3


class CosineAttention(SelfAttention):
    """Attention by cosines, with biases that a network makes of distances."""

    def __init__(self, size: int, heads: int, index: Tensor, table: Tensor, *, bias: bool) -> None:
        super().__init__(size, heads, bias=bias)
        self.key = Linear(size, size, bias=False)
        self.logit_scale = param(heads, 1, 1, init=zeros)
        self.continuous_position_bias_mlp = Sequential(
            Linear(2, BIAS_WIDTH), ReLU(), Linear(BIAS_WIDTH, heads, bias=False)
        )
        self.index, self.table = index, table

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """`(batch * windows, length, size)` → the same shape, before the output projection."""
        n, heads = x.shape[1], self.heads
        q, k, v = (split_heads(part(x), heads) for part in (self.query, self.key, self.value))
        q = F.normalize(q, dim=-1) * self.logit_scale.clamp(max=HIGHEST).exp()
        table = self.continuous_position_bias_mlp(self.table.to(x.device))
        bias = (
            table.index_select(0, self.index.to(x.device)).transpose(0, 1).reshape(1, heads, n, n)
        )
        bias = 16 * bias.sigmoid()
        # The reference adds the mask twice.
        full = for_batch(bias, None if mask is None else 2 * mask, x.shape[0])
        return merge_heads(attention(q, F.normalize(k, dim=-1), v, mask=full, scale=1.0))


class PostNormLayer(SwinLayer):
    """Attention in windows and feed-forward, each normalised behind."""

    def forward(self, x: Tensor, window: int, shift: int, mask: Tensor | None) -> Tensor:
        """`(batch, height, width, size)` → the same shape."""
        x = x + self.layernorm_before(windowed(self.attention, x, window, shift, mask))
        return x + self.layernorm_after(self.output(self.intermediate(x)))


class PostNormMerging(Module):
    """Four neighbours as one vector of twice the width, normalised behind."""

    def __init__(self, size: int) -> None:
        self.reduction = Linear(4 * size, 2 * size, bias=False)
        self.norm = LayerNorm(2 * size)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, height, width, size)` → `(batch, height / 2, width / 2, 2 * size)`."""
        return self.norm(self.reduction(merged_patches(x)))


def stage(cfg: Swinv2Config, i: int) -> SwinStage:
    """Layers whose windows are at most as large as the stage of a picture of `image_size`."""
    width, rows = cfg.widths[i], cfg.rows(i)[0]
    window = min(rows, cfg.window_size)
    shift = 0 if rows <= window else cfg.window_size // 2
    index, table = relative_index(window), distances(window, cfg.pretrained_window_sizes[i])
    blocks: list[Module] = [
        PostNormLayer(
            CosineAttention(width, cfg.num_heads[i], index, table, bias=cfg.qkv_bias),
            width,
            int(cfg.mlp_ratio * width),
            cfg.hidden_act,
            cfg.layer_norm_eps,
            shift if j % 2 else 0,
        )
        for j in range(cfg.depths[i])
    ]
    last = i == len(cfg.depths) - 1
    return SwinStage(blocks, None if last else PostNormMerging(width), window)


class Swinv2Model(SwinBase):
    """Embeddings, stages and a last norm; the pooled output is the mean."""

    config_class = Swinv2Config
    base_model_prefix = "swinv2"
    rules = ()
    always = True
    ignorable = (*SwinBase.ignorable, r".*\.relative_coords_table")

    def make_encoder(self, cfg: SwinConfig) -> SwinEncoder:
        """Stages with cosine attention."""
        assert isinstance(cfg, Swinv2Config)
        return SwinEncoder([stage(cfg, i) for i in range(len(cfg.depths))])


class Swinv2ForImageClassification(SwinClassification):
    """Scores from the mean."""

    config_class, base_class, base_model_prefix = Swinv2Config, Swinv2Model, "swinv2"


class Swinv2Backbone(Backbone):
    """The chosen stages' features before merging."""

    config_class = Swinv2Config
    rules = (rename("swinv2.*", "*"),)
    ignorable = (*Swinv2Model.ignorable, r"layernorm\..*", r"classifier\..*")

    def __init__(self, cfg: Swinv2Config) -> None:
        self.config = cfg
        self.embeddings = SwinEmbeddings(cfg)
        self.encoder = SwinEncoder([stage(cfg, i) for i in range(len(cfg.depths))])
        self.widths = (cfg.embed_dim, *cfg.widths)
        self.chosen = cfg.chosen(len(self.widths))

    def states(self, pixel_values: Tensor) -> list[Tensor]:
        """The stem's and each stage's features, `(batch, size, rows, columns)`."""
        _, wide = self.encoder(self.embeddings(pixel_values), always=True)
        return [x.permute(0, 3, 1, 2) for x in wide]
