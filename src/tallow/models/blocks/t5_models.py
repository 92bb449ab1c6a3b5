"""T5 and its kin whole: encoder and decoder, the encoder alone, and heads (arXiv 1910.10683)."""

from __future__ import annotations

from typing import ClassVar

from tallow.models import losses
from tallow.models.base import Model
from tallow.models.blocks.embedding import Embedding
from tallow.models.blocks.seq2seq import (
    EncoderAndDecoder,
    EndClassification,
    Generation,
)
from tallow.models.blocks.seq2seq import (
    Seq2SeqModel as Both,
)
from tallow.models.blocks.t5 import T5Config, T5DecoderStack, T5EncoderStack, T5Text
from tallow.models.blocks.t5_gguf import GGUF_T5_ENCODER
from tallow.models.outputs import AnswerOutput, BaseOutput, HiddenStates, LogitsOutput
from tallow.models.states import State
from tallow.nn import Linear, tie
from tallow.tensor import Tensor

# Of files of the first code: attention to a context has no places, and asked for no bias.
_UNUSED = r"(transformer\.)?decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias.*"


class T5Parts(T5Text, EncoderAndDecoder):
    """The words, the encoder and the decoder; `one_bias` says that all layers share the first's."""

    ignorable = (_UNUSED,)
    one_bias: ClassVar[bool] = True

    def __init__(self, cfg: T5Config) -> None:
        self.config = cfg
        self.shared = Embedding(cfg.vocab_size, cfg.d_model)
        self.encoder = T5EncoderStack(cfg, shared=self.one_bias)
        self.decoder = T5DecoderStack(cfg, shared=self.one_bias)
        tie(self.encoder.embed_tokens, "weight", self.shared, "weight")
        tie(self.decoder.embed_tokens, "weight", self.shared, "weight")


class Seq2SeqModel(T5Parts, Both):
    """Encoder and decoder."""


class EncoderModel(Model):
    """The encoder alone."""

    gguf_layout = GGUF_T5_ENCODER
    ignorable = (_UNUSED, r"decoder\..*", r"lm_head\.weight")
    one_bias: ClassVar[bool] = True

    def __init__(self, cfg: T5Config) -> None:
        self.config = cfg
        self.shared = Embedding(cfg.vocab_size, cfg.d_model)
        self.encoder = T5EncoderStack(cfg, shared=self.one_bias)
        tie(self.encoder.embed_tokens, "weight", self.shared, "weight")

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> BaseOutput:
        """Token ids `(batch, n)`, or their embeddings → hidden states `(batch, n, size)`."""
        found: BaseOutput = self.encoder(
            input_ids, attention_mask, inputs_embeds, output_hidden_states=output_hidden_states
        )
        return found


class ConditionalGeneration(T5Parts, Generation):
    """An encoder of text, and a decoder that writes another.

    The head's words are the decoder's, unless a file has both.
    """

    def __init__(self, cfg: T5Config) -> None:
        super().__init__(cfg)
        self.lm_head = Linear(cfg.d_model, cfg.vocab_size, bias=False)
        tie(self.lm_head, "weight", self.shared, "weight")

    @property
    def parts(self) -> EncoderAndDecoder:
        """The model itself."""
        return self

    def head(self, hidden: Tensor) -> Tensor:
        """Logits `(…, vocab_size)`."""
        scaled = self.config.scale_decoder_outputs
        return self.lm_head(hidden * self.config.d_model**-0.5 if scaled else hidden)


class SequenceClassification(EndClassification):
    """Scores of a text, `(batch, labels)`, from the decoder at the text's last end token."""

    base_model_prefix = "transformer"
    base_class: ClassVar[type[Seq2SeqModel]]

    def __init__(self, cfg: T5Config) -> None:
        self.config = cfg
        self.transformer = self.base_class(cfg)
        self.make_head(cfg)


class TokenClassification(Model):
    """Scores of each position, `(batch, length, labels)`, from the encoder."""

    base_model_prefix = "transformer"
    base_class: ClassVar[type[EncoderModel]]

    def __init__(self, cfg: T5Config) -> None:
        self.config = cfg
        self.transformer = self.base_class(cfg)
        self.classifier = Linear(cfg.d_model, cfg.num_labels)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> LogitsOutput:
        """Token ids `(batch, n)`, or their embeddings → scores, and the loss of labels."""
        found = self.transformer(
            input_ids, attention_mask, inputs_embeds, output_hidden_states=output_hidden_states
        )
        logits = self.classifier(found.last_hidden_state)
        loss = None if labels is None else losses.classes(logits, labels)
        return LogitsOutput(logits, loss, found.hidden_states)


class Seq2SeqAnswerOutput(AnswerOutput):
    """Scores of the decoder's positions, and what the encoder gave."""

    encoder_last_hidden_state: Tensor | None = None
    encoder_hidden_states: HiddenStates | None = None


class QuestionAnswering(T5Parts):
    """Scores of each position of the decoder as start and end of the answer."""

    def __init__(self, cfg: T5Config) -> None:
        super().__init__(cfg)
        self.qa_outputs = Linear(cfg.d_model, 2)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs: BaseOutput | None = None,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        state: State | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> Seq2SeqAnswerOutput:
        """Ids `(batch, m)`, and those of the decoder `(batch, n)` → scores `(batch, n)`."""
        found = self.both(
            input_ids, attention_mask, decoder_input_ids, decoder_attention_mask, encoder_outputs,
            state, inputs_embeds, decoder_inputs_embeds, output_hidden_states=output_hidden_states,
        )  # fmt: skip
        scores = self.qa_outputs(found.last_hidden_state)
        starts, ends = scores[..., 0], scores[..., 1]
        loss = None
        if start_positions is not None and end_positions is not None:
            loss = losses.answer(starts, ends, start_positions, end_positions)
        encoded = found.encoder_last_hidden_state, found.encoder_hidden_states
        return Seq2SeqAnswerOutput(starts, ends, loss, found.decoder_hidden_states, *encoded)


HEADS = (ConditionalGeneration, TokenClassification, SequenceClassification, QuestionAnswering)
