"""DeBERTa: attention to content and relative position apart (arXiv 2006.03654)."""

from __future__ import annotations

from functools import partial

from tallow.models.base import define_heads
from tallow.models.blocks.deberta import (
    DebertaConfig,
    DebertaEncoder,
    DebertaEncoderModel,
    DebertaMaskedLM,
    Disentangled,
    PooledScores,
    RelativeContext,
)
from tallow.models.blocks.text_calls import (
    BertCall,
    QuestionAnswering,
    TokenClassification,
)
from tallow.nn import Linear, Module, param
from tallow.nn.init import zeros
from tallow.tensor import Tensor


class SelfAttention(Disentangled):
    """One projection for each head's query, key and value in turn."""

    def __init__(self, cfg: DebertaConfig) -> None:
        super().__init__(cfg)
        size, terms = cfg.hidden_size, cfg.pos_att_type if cfg.relative_attention else ()
        self.in_proj = Linear(size, 3 * size, bias=False)
        self.q_bias = param(size, init=zeros)
        self.v_bias = param(size, init=zeros)
        self.pos_proj = Linear(size, size, bias=False) if "c2p" in terms else None
        self.pos_q_proj = Linear(size, size) if "p2c" in terms else None

    def forward(self, x: Tensor, seen: RelativeContext) -> Tensor:
        """`(batch, length, size)` → the same shape, before the output projection."""
        b, n, size = x.shape
        width = size // self.heads
        every = self.in_proj(x).reshape(b, n, self.heads, 3 * width)
        return self.attend(
            every[..., :width] + self.q_bias.reshape(self.heads, width),
            every[..., width : 2 * width],
            every[..., 2 * width :] + self.v_bias.reshape(self.heads, width),
            seen,
            None if self.pos_proj is None else self.pos_proj(seen.near),
            None if self.pos_q_proj is None else self.pos_q_proj(seen.near),
        )


class DebertaModel(DebertaEncoderModel):
    """Embeddings and layers."""

    config_class = DebertaConfig

    def make_encoder(self, cfg: DebertaConfig) -> Module:
        """The layers."""
        return DebertaEncoder(cfg, partial(SelfAttention, cfg), cfg.max_distance)


class DebertaForMaskedLM(DebertaMaskedLM):
    """Scores of every word at each position."""

    config_class, base_class = DebertaConfig, DebertaModel


class DebertaForSequenceClassification(BertCall, PooledScores):
    """Scores of a text from its first position."""

    config_class, base_class, base_model_prefix = DebertaConfig, DebertaModel, "deberta"


define_heads(
    globals(), "Deberta", TokenClassification, QuestionAnswering,
    config_class=DebertaConfig, base_class=DebertaModel, base_model_prefix="deberta",
)  # fmt: skip
