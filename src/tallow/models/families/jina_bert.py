"""Jina BERT v2: a BERT with ALiBi and gated feed-forward networks (arXiv 2310.19923)."""

from __future__ import annotations

from typing import Any

from tallow.factories import arange, tensor
from tallow.models.base import define_heads
from tallow.models.blocks.bert import (
    BertAttention,
    BertEmbeddings,
    BertLayer,
    Layers,
    Pooler,
    Predictions,
    SelfAttention,
)
from tallow.models.blocks.embedding import Embedding
from tallow.models.blocks.heads import attend
from tallow.models.blocks.packed import PackedMlp
from tallow.models.blocks.relative import by_distance, hidden
from tallow.models.blocks.text_calls import (
    MaskedLM,
    QuestionAnswering,
    SequenceClassification,
    TokenClassification,
)
from tallow.models.blocks.text_encoder import BertEncoder, TextConfig
from tallow.models.configs import choice, custom, size
from tallow.models.fields import Fields
from tallow.models.outputs import BaseOutput
from tallow.nn import LayerNorm, Module
from tallow.tensor import Tensor

GATES = {"geglu": "gelu", "reglu": "relu"}


def _post_norm(fields: Fields, name: str, default: Any) -> bool:
    """Whether the code that the checkpoint names is that with norms of queries and keys."""
    return "qk-post-norm" in str(fields.get("auto_map"))


class JinaBertConfig(TextConfig):
    """Of the authors' `JinaBertConfig`, whose `model_type` is bert, too."""

    without_effect = frozenset({"emb_pooler", "model_max_length", "alibi_starting_size"})

    type_vocab_size: int = size(2)
    position_embedding_type: str = choice("absolute", "alibi")
    feed_forward_type: str = choice("original", *GATES)
    post_norm: bool = custom(False, _post_norm)

    def check(self, fields: Fields) -> None:
        """The form with norms of queries and keys has gates."""
        super().check(fields)
        if self.post_norm and self.feed_forward_type not in GATES:
            raise fields.error("feed_forward_type", " or ".join(GATES), self.feed_forward_type)


def slopes(heads: int) -> list[float]:
    """The slope of each head (arXiv 2108.12409); other numbers than powers of 2 take from two."""
    near = 1 << (heads.bit_length() - 1)
    found = [2 ** (-8 * (i + 1) / near) for i in range(near)]
    if near < heads:
        found += [2 ** (-8 * (i + 1) / (2 * near)) for i in range(0, 2 * near, 2)]
    return found[:heads]


class GatedMlp(PackedMlp):
    """A gated feed-forward network, normalised behind its sum."""

    def __init__(self, size: int, hidden: int, act: str, eps: float) -> None:
        super().__init__(size, hidden, act, packed="gated_layers", out="wo", out_bias=True)
        self.layernorm = LayerNorm(size, eps)

    def forward(self, x: Tensor) -> Tensor:
        """`(..., size)` → the same shape."""
        return self.layernorm(super().forward(x) + x)


class GatedLayer(Module):
    """Attention, and a gated feed-forward network under `mlp`."""

    def __init__(self, cfg: JinaBertConfig) -> None:
        width, eps = cfg.hidden_size, cfg.layer_norm_eps
        inner = SelfAttention(width, cfg.num_attention_heads)
        self.attention = BertAttention(inner, width, eps)
        act = GATES[cfg.feed_forward_type]
        self.mlp = GatedMlp(width, cfg.intermediate_size, act, eps)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """`(batch, length, size)` → the same shape."""
        return self.mlp(self.attention(x, mask))


class NormedAttention(SelfAttention):
    """Attention that normalises queries and keys, all heads together."""

    def __init__(self, size: int, heads: int, eps: float) -> None:
        super().__init__(size, heads)
        self.layer_norm_q = LayerNorm(size, eps)
        self.layer_norm_k = LayerNorm(size, eps)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """`(batch, length, size)` → the same shape, before the output projection."""
        q, k = self.layer_norm_q(self.query(x)), self.layer_norm_k(self.key(x))
        return attend(q, k, self.value(x), self.heads, mask=mask)


class PostNormLayer(Module):
    """The layer of jina-bert-v2-qk-post-norm: one norm more behind the attention."""

    def __init__(self, cfg: JinaBertConfig) -> None:
        width, eps = cfg.hidden_size, cfg.layer_norm_eps
        inner = NormedAttention(width, cfg.num_attention_heads, eps)
        self.attention = BertAttention(inner, width, eps)
        self.mlp = PackedMlp(
            width, cfg.intermediate_size, GATES[cfg.feed_forward_type],
            packed="up_gated_layer", out="down_layer", gated="second", out_bias=True,
        )  # fmt: skip
        self.layer_norm_1 = LayerNorm(width, eps)
        self.layer_norm_2 = LayerNorm(width, eps)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """`(batch, length, size)` → the same shape."""
        x = self.layer_norm_1(self.attention(x, mask) + x)
        return self.layer_norm_2(self.mlp(x) + x)


class Encoder(Layers):
    """Layers, with a bias by distance where positions have no table."""

    def __init__(self, cfg: JinaBertConfig) -> None:
        super().__init__([self.make_layer(cfg) for _ in range(cfg.num_hidden_layers)])
        steep = slopes(cfg.num_attention_heads)
        alibi = cfg.position_embedding_type == "alibi"
        self.slopes = tensor([[-each] for each in steep]) if alibi else None

    @staticmethod
    def make_layer(cfg: JinaBertConfig) -> Module:
        """A layer of the kind that the config asks for."""
        if cfg.post_norm:
            return PostNormLayer(cfg)
        if cfg.feed_forward_type in GATES:
            return GatedLayer(cfg)
        return BertLayer(
            cfg.hidden_size,
            cfg.num_attention_heads,
            cfg.intermediate_size,
            cfg.hidden_act,
            cfg.layer_norm_eps,
        )

    def forward(self, x: Tensor, mask: Tensor | None = None) -> list[Tensor]:
        """What goes in and what each layer gives, `(batch, length, size)` each."""
        if self.slopes is not None:
            n = x.shape[1]
            table = self.slopes.to(x.device) * arange(1 - n, n).abs()
            mask = hidden(by_distance(table, n).unsqueeze(0), mask)
        return super().forward(x, mask)


class JinaBertModel(BertEncoder):
    """Embeddings, layers, and the pooler if the file has one."""

    config_class = JinaBertConfig
    base_model_prefix = "bert"

    def __init__(self, cfg: JinaBertConfig, *, pooled: bool = True) -> None:
        self.config = cfg
        alibi = cfg.position_embedding_type == "alibi"
        self.embeddings = BertEmbeddings.of(cfg, positions=not alibi)
        self.encoder = Encoder(cfg)
        self.pooler = Pooler(cfg.hidden_size) if pooled else None


class Head(Module):
    """What stands under `cls`."""

    def __init__(self, cfg: JinaBertConfig, words: Embedding) -> None:
        self.predictions = Predictions(
            cfg.hidden_size, cfg.hidden_act, cfg.layer_norm_eps, words,
            tied=cfg.tie_word_embeddings,
        )  # fmt: skip


class JinaBertForMaskedLM(MaskedLM):
    """Scores of every word at each position."""

    config_class, base_class, base_model_prefix = JinaBertConfig, JinaBertModel, "bert"

    def __init__(self, cfg: JinaBertConfig) -> None:
        super().__init__(cfg)
        self.cls = Head(cfg, self.bert.embeddings.word_embeddings)

    def score(self, found: BaseOutput, mask: Tensor | None) -> Tensor:
        """`(batch, length, vocabulary)`."""
        return self.cls.predictions(found.last_hidden_state)


define_heads(
    globals(), "JinaBert", SequenceClassification, TokenClassification, QuestionAnswering,
    config_class=JinaBertConfig, base_class=JinaBertModel, base_model_prefix="bert",
)  # fmt: skip
