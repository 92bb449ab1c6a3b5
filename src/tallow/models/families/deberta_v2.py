"""DeBERTa v2 and v3: log buckets of distances, shared projections (arXiv 2111.09543)."""

from __future__ import annotations

from functools import partial

from tallow.models.base import define_heads
from tallow.models.blocks.activation import ACTIVATIONS
from tallow.models.blocks.deberta import (
    DebertaConfig,
    DebertaEncoder,
    DebertaEncoderModel,
    DebertaMaskedLM,
    Disentangled,
    PooledScores,
    RelativeContext,
)
from tallow.models.blocks.text_calls import BertCall, QuestionAnswering, TokenClassification
from tallow.models.blocks.text_heads import ChoiceScores
from tallow.models.configs import activation, size
from tallow.models.fields import Fields
from tallow.nn import Conv1d, LayerNorm, Linear, Module
from tallow.tensor import Tensor


class DebertaV2Config(DebertaConfig):
    """Of Hugging Face's `DebertaV2Config`."""

    vocab_size: int = size(128100, high=2**31 - 1)
    hidden_size: int = size(1536)
    num_hidden_layers: int = size(24, low=0, high=4096)
    num_attention_heads: int = size(24)
    intermediate_size: int = size(6144)
    share_att_key: bool = False
    position_buckets: int = size(-1, low=-1)
    norm_rel_ebd: str = "none"
    conv_kernel_size: int = size(0, low=0)
    conv_groups: int = size(1)
    conv_act: str = activation("tanh")
    attention_head_size: int | None = None

    def check(self, fields: Fields) -> None:
        """Heads share the width in equal parts, buckets have middles, convolutions too."""
        super().check(fields)
        head = self.hidden_size // self.num_attention_heads
        if self.attention_head_size not in (None, head):
            raise fields.error("attention_head_size", str(head), self.attention_head_size)
        most = 2 * self.max_distance - 2
        if self.position_buckets > 0 and self.position_buckets not in range(4, most, 2):
            wanted = f"an even number from 4 below {most}, or at most 0"
            raise fields.error("position_buckets", wanted, self.position_buckets)
        if self.conv_kernel_size and self.conv_kernel_size % 2 == 0:
            raise fields.error("conv_kernel_size", "an odd number", self.conv_kernel_size)


class SelfAttention(Disentangled):
    """Projections of queries, keys and values, which serve positions too where shared."""

    def __init__(self, cfg: DebertaV2Config) -> None:
        super().__init__(cfg)
        size = cfg.hidden_size
        self.terms = cfg.pos_att_type if cfg.relative_attention else ()
        self.query_proj = Linear(size, size)
        self.key_proj = Linear(size, size)
        self.value_proj = Linear(size, size)
        own = () if cfg.share_att_key else self.terms
        self.pos_key_proj = Linear(size, size) if "c2p" in own else None
        self.pos_query_proj = Linear(size, size) if "p2c" in own else None

    def forward(self, x: Tensor, seen: RelativeContext) -> Tensor:
        """`(batch, length, size)` → the same shape, before the output projection."""
        b, n, size = x.shape
        shape = b, n, self.heads, size // self.heads
        q, k, v = self.query_proj(x), self.key_proj(x), self.value_proj(x)
        position_key = position_query = None
        if "c2p" in self.terms:
            position_key = (self.pos_key_proj or self.key_proj)(seen.near)
        if "p2c" in self.terms:
            position_query = (self.pos_query_proj or self.query_proj)(seen.near)
        return self.attend(
            q.reshape(shape), k.reshape(shape), v.reshape(shape), seen,
            position_key, position_query,
        )  # fmt: skip


class ConvLayer(Module):
    """A convolution of what goes into the first layer, added to what comes out of it."""

    def __init__(self, cfg: DebertaV2Config) -> None:
        width, kernel = cfg.hidden_size, cfg.conv_kernel_size
        self.conv = Conv1d(width, width, kernel, padding=kernel // 2, groups=cfg.conv_groups)
        self.LayerNorm = LayerNorm(width, cfg.layer_norm_eps)
        self.act = ACTIVATIONS[cfg.conv_act]

    def forward(self, x: Tensor, out: Tensor, mask: Tensor | None) -> Tensor:
        """`(batch, length, size)` twice → the same shape; hidden positions are 0."""
        found = self.conv(x.transpose(1, 2)).transpose(1, 2)
        kept = None if mask is None else mask.ne(0).unsqueeze(2).to(x.dtype)
        found = self.act(found if kept is None else found * kept)
        normed: Tensor = self.LayerNorm(out + found)
        return normed if kept is None else normed * kept


class Encoder(DebertaEncoder):
    """Layers, with a norm of the relative table and a convolution where the config asks."""

    def __init__(self, cfg: DebertaV2Config) -> None:
        buckets = max(cfg.position_buckets, 0)
        super().__init__(cfg, partial(SelfAttention, cfg), buckets or cfg.max_distance, buckets)
        normed = "layer_norm" in [each.strip() for each in cfg.norm_rel_ebd.lower().split("|")]
        self.LayerNorm = LayerNorm(cfg.hidden_size, cfg.layer_norm_eps) if normed else None
        self.conv = ConvLayer(cfg) if cfg.conv_kernel_size else None

    def relative(self, rows: Tensor) -> Tensor:
        """The relative rows, normalised."""
        return rows if self.LayerNorm is None else self.LayerNorm(rows)

    def first(self, x: Tensor, out: Tensor, mask: Tensor | None) -> Tensor:
        """The first layer's output and the convolution beside it."""
        return out if self.conv is None else self.conv(x, out, mask)


class DebertaV2Model(DebertaEncoderModel):
    """Embeddings and layers."""

    config_class = DebertaV2Config

    def make_encoder(self, cfg: DebertaV2Config) -> Module:
        """The layers."""
        return Encoder(cfg)


class DebertaV2ForMaskedLM(DebertaMaskedLM):
    """Scores of every word at each position."""

    config_class, base_class = DebertaV2Config, DebertaV2Model


class DebertaV2ForSequenceClassification(BertCall, PooledScores):
    """Scores of a text from its first position."""

    config_class, base_class, base_model_prefix = DebertaV2Config, DebertaV2Model, "deberta"


class DebertaV2ForMultipleChoice(BertCall, ChoiceScores, PooledScores):
    """Scores of several continuations."""

    config_class, base_class, base_model_prefix = DebertaV2Config, DebertaV2Model, "deberta"
    pooled = False


define_heads(
    globals(), "DebertaV2", TokenClassification, QuestionAnswering,
    config_class=DebertaV2Config, base_class=DebertaV2Model, base_model_prefix="deberta",
)  # fmt: skip
