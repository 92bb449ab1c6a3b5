"""RoBERTa, XLM-R and CamemBERT: BERT whose positions count real tokens (arXiv 1907.11692)."""

from __future__ import annotations

from copy import copy
from typing import Any, Self

from tallow.dtype import i64
from tallow.models.base import Model, define_heads
from tallow.models.blocks.bert import (
    CountedEmbeddings,
    LMHead,
    Pooler,
    bert_layers,
)
from tallow.models.blocks.bert_decoder import BertCausalLM
from tallow.models.blocks.text_calls import (
    MaskedLM,
    QuestionAnswering,
    SequenceClassification,
    TokenClassification,
)
from tallow.models.blocks.text_encoder import BertEncoder, TextConfig
from tallow.models.blocks.text_heads import ChoiceScores, FirstScores
from tallow.models.configs import custom, size, stated
from tallow.models.fields import MAX_SIZE, Fields
from tallow.models.outputs import BaseOutput, LogitsOutput
from tallow.models.text_decoder import DecoderInputs
from tallow.nn import Linear
from tallow.nn import functional as F
from tallow.ops import relu
from tallow.tensor import Tensor
from tallow.weights import WeightSource, open_weights


def _vocabulary(fields: Fields, name: str, default: Any) -> int:
    named = fields.get("model_type") in (None, "roberta")
    return fields.integer(name, default if named else 30522, high=MAX_SIZE)


def _padding(fields: Fields, name: str, default: Any) -> int:
    if fields.has(name) and fields.get(name) is None:
        raise fields.error(name, "a token id, as positions count all others", None)
    return fields.integer(name, default, low=0)


class RobertaConfig(TextConfig):
    """Of Hugging Face's `RobertaConfig`, `XLMRobertaConfig` and `CamembertConfig`."""

    vocab_size: int = custom(50265, _vocabulary)
    type_vocab_size: int = size(2)
    pad_token_id: int = custom(1, _padding)


def _words_head(cfg: RobertaConfig, embeddings: CountedEmbeddings) -> LMHead:
    size, tied = cfg.hidden_size, cfg.tie_word_embeddings
    return LMHead(size, "gelu", cfg.layer_norm_eps, embeddings.word_embeddings, tied=tied)


class RobertaModel(BertEncoder):
    """Embeddings, layers, and the pooler if the file has one."""

    config_class = RobertaConfig
    base_model_prefix = "roberta"

    def __init__(self, cfg: RobertaConfig, *, pooled: bool = True) -> None:
        self.config = cfg
        width = cfg.hidden_size
        self.embeddings = CountedEmbeddings.of(cfg)
        self.encoder = bert_layers(
            cfg.num_hidden_layers, width, cfg.num_attention_heads, cfg.intermediate_size,
            cfg.hidden_act, cfg.layer_norm_eps,
        )  # fmt: skip
        self.pooler = Pooler(width) if pooled else None

    @classmethod
    def beside(cls, source: WeightSource) -> tuple[type[Model], WeightSource]:
        """BGE-M3 where its two files stand beside the weights."""
        files = {name: source.path / f"{name}.pt" for name in ("colbert_linear", "sparse_linear")}
        if not all(path.is_file() for path in files.values()):
            return cls, source
        parts = []
        for name, path in files.items():
            part = open_weights(path)
            parts.append(part.rename({each: f"{name}.{each}" for each in part.names()}))
        return BgeM3Model, source.merge(*parts)


class M3Output(BaseOutput):
    """What BGE-M3 compares texts by, beside the hidden states.

    `dense_vecs` `(batch, size)` is the first position, `colbert_vecs` `(batch, length - 1, size)`
    the others, each of length 1 (0 where the mask hides); `sparse_vecs` `(batch, length, 1)` are
    the weights of the tokens.
    """

    dense_vecs: Tensor | None = None
    sparse_vecs: Tensor | None = None
    colbert_vecs: Tensor | None = None


class BgeM3Model(RobertaModel):
    """XLM-R with BGE-M3's two layers, each in a file of its own (arXiv 2402.03216)."""

    def __init__(self, cfg: RobertaConfig, *, pooled: bool = True) -> None:
        super().__init__(cfg, pooled=pooled)
        self.colbert_linear = Linear(cfg.hidden_size, cfg.hidden_size)
        self.sparse_linear = Linear(cfg.hidden_size, 1)

    def encoded(self, x: Tensor, mask: Tensor | None, hidden: bool) -> M3Output:
        """What layers, pooler and both layers behind them make of the embeddings."""
        found = super().encoded(x, mask, hidden)
        last = found.last_hidden_state
        many = self.colbert_linear(last[:, 1:])
        if mask is not None:
            many = many * mask[:, 1:].unsqueeze(2).to(many.dtype)
        return M3Output(
            last,
            found.pooler_output,
            found.hidden_states,
            F.normalize(last[:, 0], dim=-1),
            relu(self.sparse_linear(last)),
            F.normalize(many, dim=-1),
        )


class RobertaForMaskedLM(MaskedLM):
    """Scores of every word at each position."""

    config_class, base_class, base_model_prefix = RobertaConfig, RobertaModel, "roberta"

    def __init__(self, cfg: RobertaConfig) -> None:
        super().__init__(cfg)
        self.lm_head = _words_head(cfg, self.roberta.embeddings)


class RobertaForSequenceClassification(FirstScores, SequenceClassification):
    """Scores of a text from its first position."""

    config_class, base_class, base_model_prefix = RobertaConfig, RobertaModel, "roberta"


class RobertaForMultipleChoice(ChoiceScores):
    """Scores of several continuations; the order of inputs is transformers' own."""

    config_class, base_class, base_model_prefix = RobertaConfig, RobertaModel, "roberta"

    def forward(
        self,
        input_ids: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> LogitsOutput:
        """Token ids `(batch, choices, length)` → `(batch, choices)`, and the loss of labels."""
        inputs = input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds
        return self.answer(inputs, labels, output_hidden_states)


class RobertaDecoderConfig(RobertaConfig):
    """The same of a decoder."""

    is_decoder: bool = stated(True)
    add_cross_attention: bool = False


class RobertaForCausalLM(BertCausalLM):
    """A decoder, which may stand behind an encoder, and the scores of the next token."""

    config_class, base_model_prefix = RobertaDecoderConfig, "roberta"
    counted = True  # whether positions count what is no padding, as in all calls but `generate`

    def __init__(self, cfg: RobertaDecoderConfig) -> None:
        words = CountedEmbeddings.of(cfg)
        super().__init__(cfg, words)
        self.lm_head = _words_head(cfg, words)

    @property
    def context(self) -> int:
        """The positions behind that of the padding."""
        return int(self.config.max_position_embeddings - self.config.pad_token_id - 1)

    def generator(self) -> Self:
        """The model with positions from 0: transformers' `generate` gives it such ones."""
        made = copy(self)
        made.counted = False
        return made

    def embed(self, inputs: DecoderInputs) -> Tensor:
        """What goes into the first layer; padding stands at its own place and counts for none."""
        padding, positions = self.config.pad_token_id, inputs.positions
        if inputs.places is None and self.counted:
            places = positions + padding + 1
            if inputs.ids is not None:
                kept = inputs.ids.ne(padding).to(i64)
                places = (kept.cumsum(1) + positions[:, :1]) * kept + padding
            inputs = inputs._replace(places=places)
        return super().embed(inputs)


define_heads(
    globals(), "Roberta", TokenClassification, QuestionAnswering,
    config_class=RobertaConfig, base_class=RobertaModel, base_model_prefix="roberta",
)  # fmt: skip
