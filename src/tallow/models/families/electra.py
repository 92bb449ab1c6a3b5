"""ELECTRA: a BERT that tells replaced words, with narrower embeddings (arXiv 2003.10555)."""

from __future__ import annotations

from typing import Any

from tallow.models.base import define_heads
from tallow.models.blocks.activation import ACTIVATIONS
from tallow.models.blocks.bert import BertEmbeddings, FirstClassifier, Transform, bert_layers
from tallow.models.blocks.bert_decoder import BertCausalLM
from tallow.models.blocks.text_calls import (
    BertCall,
    MaskedLM,
    MultipleChoice,
    QuestionAnswering,
    SequenceClassification,
    TokenClassification,
)
from tallow.models.blocks.text_encoder import BertEncoder, TextConfig
from tallow.models.configs import choice, custom, size, stated
from tallow.models.fields import Fields
from tallow.models.outputs import BaseOutput
from tallow.models.text_decoder import DecoderInputs
from tallow.nn import Linear, Module, tie
from tallow.nn import functional as F
from tallow.tensor import Tensor


def _summary_act(fields: Fields, name: str, default: str) -> str:
    value = fields.text(name, "" if fields.has(name) else default)
    if value and value not in ACTIVATIONS:
        raise fields.error(name, "an activation or null", value)
    return value or "linear"


class ElectraConfig(TextConfig):
    """Of Hugging Face's `ElectraConfig`."""

    without_effect = frozenset({"summary_last_dropout", "summary_first_dropout"})

    embedding_size: int = size(128)
    hidden_size: int = size(256)
    num_attention_heads: int = size(4)
    intermediate_size: int = size(1024)
    type_vocab_size: int = size(2)
    summary_type: str = choice("first", "last", "mean", "cls_index")
    summary_use_proj: bool = True
    summary_activation: str = custom("gelu", _summary_act)


def _projection(cfg: ElectraConfig) -> Linear | None:
    narrow, width = cfg.embedding_size, cfg.hidden_size
    return None if narrow == width else Linear(narrow, width)


class ElectraModel(BertEncoder):
    """Embeddings, their projection where they are narrower, and layers."""

    config_class = ElectraConfig
    base_model_prefix = "electra"
    optional_parts = ()

    def __init__(self, cfg: ElectraConfig, *, pooled: bool = False) -> None:
        self.config = cfg
        self.embeddings = BertEmbeddings.of(cfg, cfg.embedding_size)
        self.embeddings_project = _projection(cfg)
        self.encoder = bert_layers(
            cfg.num_hidden_layers, cfg.hidden_size, cfg.num_attention_heads, cfg.intermediate_size,
            cfg.hidden_act, cfg.layer_norm_eps,
        )  # fmt: skip
        self.pooler = None

    def encoded(self, x: Tensor, mask: Tensor | None, hidden: bool) -> BaseOutput:
        """What projection and layers make of the embeddings."""
        x = x if self.embeddings_project is None else self.embeddings_project(x)
        return super().encoded(x, mask, hidden)


class Discriminator(Module):
    """A score of each position, above 0 where the word was replaced."""

    def __init__(self, size: int, act: str) -> None:
        self.dense = Linear(size, size)
        self.dense_prediction = Linear(size, 1)
        self.act = ACTIVATIONS[act]

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, length, size)` → `(batch, length)`."""
        return self.dense_prediction(self.act(self.dense(x))).squeeze(-1)


class ElectraForPreTraining(BertCall):
    """Which words were replaced: scores `(batch, length)`."""

    config_class, base_class, base_model_prefix = ElectraConfig, ElectraModel, "electra"

    def __init__(self, cfg: ElectraConfig) -> None:
        super().__init__(cfg)
        self.discriminator_predictions = Discriminator(cfg.hidden_size, cfg.hidden_act)

    def score(self, found: BaseOutput, mask: Tensor | None) -> Tensor:
        """`(batch, length)`."""
        return self.discriminator_predictions(found.last_hidden_state)

    def loss(self, logits: Tensor, labels: Tensor, mask: Tensor | None) -> Tensor:
        """Mean binary cross-entropy over the positions that are kept."""
        labels = labels.to(logits.dtype)
        if mask is None:
            return F.binary_cross_entropy_with_logits(logits, labels)
        kept = mask.eq(1).to(logits.dtype)
        every = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
        return (every * kept).sum() / kept.sum()


class Generator(Module):
    """Scores of every word, from the width of the embeddings."""

    electra: Any
    generator_lm_head: Linear

    def add_head(self, cfg: ElectraConfig) -> None:
        """Make the modules of the head, under ELECTRA's names."""
        narrow = cfg.embedding_size
        self.generator_predictions = Transform(cfg.hidden_size, narrow, "gelu", cfg.layer_norm_eps)
        self.generator_lm_head = Linear(narrow, cfg.vocab_size)
        if cfg.tie_word_embeddings:
            words = self.electra.embeddings.word_embeddings
            tie(self.generator_lm_head, "weight", words, "weight")

    def head(self, hidden: Tensor) -> Tensor:
        """`(..., size)` → `(..., vocabulary)`."""
        return self.generator_lm_head(self.generator_predictions(hidden))


class ElectraForMaskedLM(Generator, MaskedLM):
    """Scores of every word at each position: ELECTRA's generator."""

    config_class, base_class, base_model_prefix = ElectraConfig, ElectraModel, "electra"

    def __init__(self, cfg: ElectraConfig) -> None:
        super().__init__(cfg)
        self.add_head(cfg)

    def score(self, found: BaseOutput, mask: Tensor | None) -> Tensor:
        """`(batch, length, vocabulary)`."""
        return self.head(found.last_hidden_state)


class ElectraDecoderConfig(ElectraConfig):
    """The same of a decoder."""

    is_decoder: bool = stated(True)
    add_cross_attention: bool = False


class ElectraForCausalLM(Generator, BertCausalLM):
    """A decoder, which may stand behind an encoder, and the scores of the next token."""

    config_class, base_model_prefix = ElectraDecoderConfig, "electra"

    def __init__(self, cfg: ElectraDecoderConfig) -> None:
        super().__init__(cfg, BertEmbeddings.of(cfg, cfg.embedding_size))
        self.electra.embeddings_project = _projection(cfg)
        self.add_head(cfg)

    def embed(self, inputs: DecoderInputs) -> Tensor:
        """What goes into the first layer, in its width."""
        x = super().embed(inputs)
        project = self.electra.embeddings_project
        return x if project is None else project(x)


class ElectraForSequenceClassification(SequenceClassification):
    """Scores of a text from its first position."""

    config_class, base_class, base_model_prefix = ElectraConfig, ElectraModel, "electra"
    pooled = False

    def make_classifier(self, cfg: ElectraConfig, labels: int) -> Module:
        """All positions → scores."""
        return FirstClassifier(cfg.hidden_size, labels, "gelu")


class Summary(Module):
    """One vector of all positions: the first, the last or their mean, projected."""

    def __init__(self, cfg: ElectraConfig) -> None:
        width = cfg.hidden_size
        self.summary = Linear(width, width) if cfg.summary_use_proj else None
        self.kind, self.act = cfg.summary_type, ACTIVATIONS[cfg.summary_activation]

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, length, size)` → `(batch, size)`."""
        if self.kind == "mean":
            x = x.mean(1)
        else:
            x = x[:, 0 if self.kind == "first" else -1]
        return self.act(x if self.summary is None else self.summary(x))


class ElectraForMultipleChoice(MultipleChoice):
    """Scores of several continuations."""

    config_class, base_class, base_model_prefix = ElectraConfig, ElectraModel, "electra"

    def __init__(self, cfg: ElectraConfig) -> None:
        super().__init__(cfg)
        self.sequence_summary = Summary(cfg)

    def score(self, found: BaseOutput, mask: Tensor | None) -> Tensor:
        """One score a text."""
        return self.classifier(self.sequence_summary(found.last_hidden_state))


define_heads(
    globals(), "Electra", TokenClassification, QuestionAnswering,
    config_class=ElectraConfig, base_class=ElectraModel, base_model_prefix="electra",
)  # fmt: skip
