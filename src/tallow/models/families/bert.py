"""BERT: a post-norm encoder of text with learned positions (arXiv 1810.04805)."""

from __future__ import annotations

from tallow.models import losses
from tallow.models.base import define_heads
from tallow.models.blocks.bert import BertEmbeddings, Pooler, Predictions, bert_layers
from tallow.models.blocks.bert_decoder import BertCausalLM
from tallow.models.blocks.embedding import Embedding
from tallow.models.blocks.text_calls import (
    BertCall,
    MaskedLM,
    MultipleChoice,
    QuestionAnswering,
    SequenceClassification,
    TokenClassification,
)
from tallow.models.blocks.text_encoder import BertEncoder, TextConfig
from tallow.models.blocks.text_heads import TextHead
from tallow.models.configs import size, stated
from tallow.models.outputs import BaseOutput, HiddenStates, Output
from tallow.nn import Linear, Module
from tallow.tensor import Tensor


class BertConfig(TextConfig):
    """Of Hugging Face's `BertConfig`."""

    type_vocab_size: int = size(2)


class BertModel(BertEncoder):
    """Embeddings, layers, and the pooler if the file has one."""

    config_class = BertConfig
    base_model_prefix = "bert"

    def __init__(self, cfg: BertConfig, *, pooled: bool = True) -> None:
        self.config = cfg
        width = cfg.hidden_size
        self.embeddings = BertEmbeddings.of(cfg)
        self.encoder = bert_layers(
            cfg.num_hidden_layers, width, cfg.num_attention_heads, cfg.intermediate_size,
            cfg.hidden_act, cfg.layer_norm_eps,
        )  # fmt: skip
        self.pooler = Pooler(width) if pooled else None


class Heads(Module):
    """What stands under `cls`: scores of words, and of one text following the other."""

    def __init__(self, cfg: BertConfig, words: Embedding, *, following: bool = False) -> None:
        self.predictions = Predictions(
            cfg.hidden_size,
            cfg.hidden_act,
            cfg.layer_norm_eps,
            words,
            tied=cfg.tie_word_embeddings,
        )
        self.seq_relationship = Linear(cfg.hidden_size, 2) if following else None


class BertForMaskedLM(MaskedLM):
    """Scores of every word at each position."""

    config_class, base_class, base_model_prefix = BertConfig, BertModel, "bert"
    ignorable = (r"cls\.seq_relationship\..*",)

    def __init__(self, cfg: BertConfig) -> None:
        super().__init__(cfg)
        self.cls = Heads(cfg, self.bert.embeddings.word_embeddings)

    def score(self, found: BaseOutput, mask: Tensor | None) -> Tensor:
        """`(batch, length, vocabulary)`."""
        return self.cls.predictions(found.last_hidden_state)


class BertDecoderConfig(BertConfig):
    """The same of a decoder."""

    is_decoder: bool = stated(True)
    add_cross_attention: bool = False


class BertLMHeadModel(BertCausalLM):
    """A decoder, which may stand behind an encoder, and the scores of the next token."""

    config_class, base_model_prefix = BertDecoderConfig, "bert"
    ignorable = (r"cls\.seq_relationship\..*",)

    def __init__(self, cfg: BertDecoderConfig) -> None:
        embeddings = BertEmbeddings.of(cfg)
        super().__init__(cfg, embeddings)
        self.cls = Heads(cfg, embeddings.word_embeddings)

    def head(self, hidden: Tensor) -> Tensor:
        """Logits `(…, vocab_size)`."""
        return self.cls.predictions(hidden)


class PreTrainingOutput(Output):
    """Scores of words `(batch, length, vocabulary)`, and of following or not `(batch, 2)`."""

    prediction_logits: Tensor
    seq_relationship_logits: Tensor
    loss: Tensor | None = None
    hidden_states: HiddenStates | None = None


class BertForPreTraining(TextHead):
    """Both heads that BERT was trained with."""

    config_class, base_class, base_model_prefix = BertConfig, BertModel, "bert"
    pooled = True

    def __init__(self, cfg: BertConfig) -> None:
        super().__init__(cfg)
        self.cls = Heads(cfg, self.bert.embeddings.word_embeddings, following=True)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        next_sentence_label: Tensor | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> PreTrainingOutput:
        """Token ids `(batch, length)` → both heads' scores; the loss where both have labels."""
        found = self.encode(
            input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds,
            output_hidden_states=output_hidden_states,
        )  # fmt: skip
        words = self.cls.predictions(found.last_hidden_state)
        assert self.cls.seq_relationship is not None, "asked for above"
        following = self.cls.seq_relationship(found.pooler_output)
        loss = None
        if labels is not None and next_sentence_label is not None:
            loss = losses.classes(words, labels) + losses.classes(following, next_sentence_label)
        return PreTrainingOutput(words, following, loss, found.hidden_states)


class Following(Module):
    """What stands under `cls` where only the order of texts is told."""

    def __init__(self, cfg: BertConfig) -> None:
        self.seq_relationship = Linear(cfg.hidden_size, 2)


class BertForNextSentencePrediction(BertCall):
    """Scores of one text following the other (0) or not (1), `(batch, 2)`."""

    config_class, base_class, base_model_prefix = BertConfig, BertModel, "bert"
    pooled = True
    ignorable = (r"cls\.predictions\..*",)

    def __init__(self, cfg: BertConfig) -> None:
        super().__init__(cfg)
        self.cls = Following(cfg)

    def score(self, found: BaseOutput, mask: Tensor | None) -> Tensor:
        """`(batch, 2)`."""
        return self.cls.seq_relationship(found.pooler_output)


define_heads(
    globals(), "Bert",
    SequenceClassification, MultipleChoice, TokenClassification, QuestionAnswering,
    config_class=BertConfig, base_class=BertModel, base_model_prefix="bert",
)  # fmt: skip
