"""Jina embeddings v3: a rotary XLM-R, as transformers has it, without adapters (2409.10173)."""

from __future__ import annotations

from functools import partial
from typing import Any

from tallow.models.base import define_heads
from tallow.models.blocks.bert import LMHead
from tallow.models.blocks.packed import NormedRotaryEncoder, PackedAttention, PostNormLayer
from tallow.models.blocks.rope import RopeScaling
from tallow.models.blocks.text_calls import (
    MaskedLM,
    QuestionAnswering,
    SequenceClassification,
    TokenClassification,
)
from tallow.models.blocks.text_encoder import TextConfig
from tallow.models.blocks.text_heads import FirstScores
from tallow.models.blocks.vision import Mlp
from tallow.models.configs import custom, size, token
from tallow.models.fields import Fields
from tallow.models.rope_fields import read_rope
from tallow.nn import LayerNorm


def _rotation(fields: Fields, name: str, default: Any) -> tuple[float, RopeScaling | None]:
    return read_rope(fields, 20000.0)


class JinaConfig(TextConfig):
    """Of Hugging Face's `JinaEmbeddingsV3Config`."""

    vocab_size: int = size(250002, high=2**31 - 1)
    hidden_size: int = size(1024)
    num_hidden_layers: int = size(24, low=0, high=4096)
    num_attention_heads: int = size(16)
    intermediate_size: int = size(4096)
    max_position_embeddings: int = size(8194)
    type_vocab_size: int = size(1)
    layer_norm_eps: float = 1e-5
    pad_token_id: int | None = token(1)
    rope_parameters: tuple[float, RopeScaling | None] = custom((20000.0, None), _rotation)


class JinaEmbeddingsV3Model(NormedRotaryEncoder):
    """Embeddings, their norm, layers, and the pooler if the file has one."""

    config_class = JinaConfig
    base_model_prefix = "roberta"

    def __init__(self, cfg: JinaConfig, *, pooled: bool = True) -> None:
        super().__init__(cfg, pooled=pooled)

    @staticmethod
    def layer(cfg: JinaConfig) -> PostNormLayer:
        """Packed attention and feed-forward."""
        norm = partial(LayerNorm, cfg.hidden_size, cfg.layer_norm_eps)
        heads = cfg.num_attention_heads
        return PostNormLayer(
            PackedAttention(cfg.hidden_size, heads, packed="Wqkv", out="out_proj", bias=True),
            Mlp(cfg.hidden_size, cfg.intermediate_size, cfg.hidden_act),
            (norm(), norm()),
            ("mixer", "norm1", "norm2"),
        )


class JinaEmbeddingsV3ForMaskedLM(MaskedLM):
    """Scores of every word at each position."""

    config_class, base_class, base_model_prefix = JinaConfig, JinaEmbeddingsV3Model, "roberta"

    def __init__(self, cfg: JinaConfig) -> None:
        super().__init__(cfg)
        words, eps = self.roberta.embeddings.word_embeddings, cfg.layer_norm_eps
        self.lm_head = LMHead(cfg.hidden_size, "gelu", eps, words, tied=cfg.tie_word_embeddings)


class JinaEmbeddingsV3ForSequenceClassification(FirstScores, SequenceClassification):
    """Scores of a text from its first position."""

    config_class, base_class, base_model_prefix = JinaConfig, JinaEmbeddingsV3Model, "roberta"


define_heads(
    globals(), "JinaEmbeddingsV3", TokenClassification, QuestionAnswering,
    config_class=JinaConfig, base_class=JinaEmbeddingsV3Model, base_model_prefix="roberta",
)  # fmt: skip
