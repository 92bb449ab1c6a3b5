"""MPNet: a BERT whose layers share one relative position bias (arXiv 2004.09297)."""

from __future__ import annotations

from tallow.factories import arange
from tallow.models.base import define_heads
from tallow.models.blocks.bert import (
    BertLayer,
    CountedEmbeddings,
    Layers,
    LMHead,
    Pooler,
)
from tallow.models.blocks.embedding import Embedding
from tallow.models.blocks.heads import attend
from tallow.models.blocks.relative import buckets, by_distance, hidden
from tallow.models.blocks.text_calls import (
    TypelessMaskedLM,
    TypelessMultipleChoice,
    TypelessQuestionAnswering,
    TypelessSequenceClassification,
    TypelessTokenClassification,
)
from tallow.models.blocks.text_encoder import TextConfig, TypelessEncoder
from tallow.models.blocks.text_heads import FirstScores
from tallow.models.configs import size, token
from tallow.nn import LayerNorm, Linear, Module
from tallow.tensor import Tensor

BUCKETS, FURTHEST = 32, 128  # of transformers, whatever the config says
PADDING = 1


class MPNetConfig(TextConfig):
    """Of Hugging Face's `MPNetConfig`."""

    vocab_size: int = size(30527, high=2**31 - 1)
    relative_attention_num_buckets: int = size(BUCKETS, low=BUCKETS)
    pad_token_id: int | None = token(PADDING)


class SelfAttention(Module):
    """Projections named `q`, `k`, `v` and `o`."""

    def __init__(self, size: int, heads: int) -> None:
        self.q = Linear(size, size)
        self.k = Linear(size, size)
        self.v = Linear(size, size)
        self.o = Linear(size, size)
        self.heads = heads

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """`(batch, length, size)` → the same shape."""
        return self.o(attend(self.q(x), self.k(x), self.v(x), self.heads, mask=mask))


class Attention(Module):
    """Attention, normalised behind its sum."""

    def __init__(self, size: int, heads: int, eps: float) -> None:
        self.attn = SelfAttention(size, heads)
        self.LayerNorm = LayerNorm(size, eps)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """`(batch, length, size)` → the same shape."""
        return self.LayerNorm(self.attn(x, mask) + x)


class Encoder(Layers):
    """Layers, and the bias of all of them."""

    def __init__(self, cfg: MPNetConfig) -> None:
        width, heads, eps = cfg.hidden_size, cfg.num_attention_heads, cfg.layer_norm_eps
        hidden, act = cfg.intermediate_size, cfg.hidden_act
        attentions = [Attention(width, heads, eps) for _ in range(cfg.num_hidden_layers)]
        super().__init__([BertLayer(width, heads, hidden, act, eps, each) for each in attentions])
        self.relative_attention_bias = Embedding(cfg.relative_attention_num_buckets, heads)
        self._buckets = buckets(BUCKETS, FURTHEST)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> list[Tensor]:
        """What goes in and what each layer gives, `(batch, length, size)` each."""
        n = x.shape[1]
        places = arange(1 - n, n).clamp(-FURTHEST, FURTHEST) + FURTHEST
        table = self.relative_attention_bias(self._buckets.to(places.device)[places]).transpose(
            0, 1
        )
        bias = by_distance(table, n).unsqueeze(0)
        return super().forward(x, hidden(bias, mask))


class MPNetModel(TypelessEncoder):
    """Embeddings, layers, and the pooler if the file has one."""

    config_class = MPNetConfig
    base_model_prefix = "mpnet"

    def __init__(self, cfg: MPNetConfig, *, pooled: bool = True) -> None:
        self.config = cfg
        self.embeddings = CountedEmbeddings(
            cfg.vocab_size, cfg.max_position_embeddings, 0, cfg.hidden_size, cfg.layer_norm_eps,
            padding=PADDING,
        )  # fmt: skip
        self.encoder = Encoder(cfg)
        self.pooler = Pooler(cfg.hidden_size) if pooled else None


class MPNetForMaskedLM(TypelessMaskedLM):
    """Scores of every word at each position."""

    config_class, base_class, base_model_prefix = MPNetConfig, MPNetModel, "mpnet"

    def __init__(self, cfg: MPNetConfig) -> None:
        super().__init__(cfg)
        words, eps = self.mpnet.embeddings.word_embeddings, cfg.layer_norm_eps
        self.lm_head = LMHead(cfg.hidden_size, "gelu", eps, words, tied=cfg.tie_word_embeddings)


class MPNetForSequenceClassification(FirstScores, TypelessSequenceClassification):
    """Scores of a text from its first position."""

    config_class, base_class, base_model_prefix = MPNetConfig, MPNetModel, "mpnet"


define_heads(
    globals(), "MPNet",
    TypelessMultipleChoice, TypelessTokenClassification, TypelessQuestionAnswering,
    config_class=MPNetConfig, base_class=MPNetModel, base_model_prefix="mpnet",
)  # fmt: skip
