"""Whisper: speech to text by an encoder of log-mel spectra and a decoder (arXiv 2212.04356)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from tallow.dtype import i64
from tallow.errors import ArgumentError, expect
from tallow.factories import arange
from tallow.models import losses
from tallow.models.base import Model
from tallow.models.blocks.bart import (
    BartDecoder,
    BartText,
    PreNormDecoderLayer,
    PreNormLayer,
)
from tallow.models.blocks.embedding import Embedding
from tallow.models.configs import Config, activation, layers, size, token
from tallow.models.encoder_decoder import Seq2SeqOutput
from tallow.models.fields import Fields
from tallow.models.outputs import BaseOutput, HiddenStates, LogitsOutput, Output
from tallow.models.speech_text import SpeechToText, encoded_of
from tallow.models.states import State
from tallow.models.text_decoder import DecoderInputs
from tallow.nn import Conv1d, LayerNorm, Linear, Module, ModuleList, param
from tallow.nn import functional as F
from tallow.nn.init import ones
from tallow.ops import stack
from tallow.tensor import Tensor

STRIDE = 2  # frames of the spectrum that make one position of the encoder

# Of training, and what `Transcriber` reads of the config as it stands.
_KEYS = """
num_hidden_layers apply_spec_augment mask_time_prob mask_time_length mask_time_min_masks
mask_feature_prob mask_feature_length mask_feature_min_masks median_filter_width forced_decoder_ids
alignment_heads lang_ids suppress_ids suppress_ids_begin is_encoder_decoder scale_embedding
"""


class WhisperConfig(Config):
    """Of Hugging Face's `WhisperConfig`."""

    vocab_size: int = size(51865, high=2**31 - 1)
    num_mel_bins: int = size(80)
    d_model: int = size(384, "hidden_size")
    encoder_layers: int = layers(4)
    encoder_attention_heads: int = size(6)
    encoder_ffn_dim: int = size(1536)
    decoder_layers: int = layers(4)
    decoder_attention_heads: int = size(6)
    decoder_ffn_dim: int = size(1536)
    activation_function: str = activation("gelu")
    max_source_positions: int = size(1500)
    max_target_positions: int = size(448)
    pad_token_id: int | None = token(50256)
    decoder_start_token_id: int | None = token(50257)
    use_weighted_layer_sum: bool = False
    classifier_proj_size: int = size(256)
    tie_word_embeddings: bool = True

    without_effect = frozenset(_KEYS.split())

    @property
    def hidden_size(self) -> int:
        """The width."""
        return self.d_model

    @property
    def num_hidden_layers(self) -> int:
        """The layers of one side at most."""
        return max(self.encoder_layers, self.decoder_layers)

    @property
    def num_attention_heads(self) -> int:
        """The decoder's number of heads."""
        return self.decoder_attention_heads

    @property
    def max_position_embeddings(self) -> int:
        """The decoder's number of positions."""
        return self.max_target_positions

    def check(self, fields: Fields) -> None:
        """Heads share the width."""
        for name in ("encoder_attention_heads", "decoder_attention_heads"):
            heads = getattr(self, name)
            if self.d_model % heads:
                raise fields.error(name, f"a divisor of d_model {self.d_model}", heads)


class WhisperPositions(Embedding):
    """Learned positions of the decoder."""

    def forward(self, ids: Tensor, words: Tensor | None = None) -> Tensor:
        """Positions `(batch or 1, n)` → `(batch or 1, n, size)`."""
        return super().forward(ids)


class WhisperEncoder(Module):
    """Two convolutions over time, positions, and layers that see all of it."""

    def __init__(self, cfg: WhisperConfig) -> None:
        width = cfg.d_model
        self.conv1 = Conv1d(cfg.num_mel_bins, width, 3, padding=1)
        self.conv2 = Conv1d(width, width, 3, STRIDE, padding=1)
        self.embed_positions = Embedding(cfg.max_source_positions, width)
        self.layers = ModuleList(
            PreNormLayer(
                width, cfg.encoder_attention_heads, cfg.encoder_ffn_dim, cfg.activation_function,
                causal=False, k_bias=False,
            )
            for _ in range(cfg.encoder_layers)
        )  # fmt: skip
        self.layer_norm = LayerNorm(width)

    def forward(self, input_features: Tensor, *, output_hidden_states: bool = False) -> BaseOutput:
        """Log-mel spectra `(batch, bands, frames)` → `(batch, frames / 2, size)`.

        Raises:
            ShapeError: other bands, or other frames than twice the positions.
        """
        count, bands = self.embed_positions.num_embeddings, self.conv1.in_channels
        shape = (bands, STRIDE * count)
        good = input_features.ndim == 3 and tuple(input_features.shape[1:]) == shape
        wanted = f"shape (batch, {shape[0]}, {shape[1]})"
        expect(good, "input_features", wanted, tuple(input_features.shape))
        x = F.gelu(self.conv2(F.gelu(self.conv1(input_features)))).transpose(1, 2)
        states = [x + self.embed_positions.rows(0, count)]
        for layer in self.layers:
            states.append(layer(states[-1]))
        states[-1] = self.layer_norm(states[-1])
        return BaseOutput(states[-1], hidden_states=tuple(states) if output_hidden_states else None)


def _decoder(cfg: WhisperConfig) -> BartDecoder:
    made = [
        PreNormDecoderLayer(
            cfg.d_model, cfg.decoder_attention_heads, cfg.decoder_ffn_dim, cfg.activation_function,
            k_bias=False,
        )
        for _ in range(cfg.decoder_layers)
    ]  # fmt: skip
    return BartDecoder(
        cfg.vocab_size, cfg.d_model, padding=cfg.pad_token_id, scale=1.0, layers=made,
        positions=WhisperPositions(cfg.max_target_positions, cfg.d_model), embedding_norm=None,
        norm=LayerNorm(cfg.d_model),
    )  # fmt: skip


class WhisperOutput(Output):
    """`last_hidden_state` (batch, n, size) of the decoder, and what the encoder gave."""

    last_hidden_state: Tensor
    decoder_hidden_states: HiddenStates | None = None
    encoder_last_hidden_state: Tensor | None = None
    encoder_hidden_states: HiddenStates | None = None


class WhisperModel(BartText):
    """Encoder and decoder."""

    config_class = WhisperConfig
    base_model_prefix = "model"
    # It moves all scores of a query alike, and CTranslate2 writes it as part of a joined tensor.
    ignorable = (r".*\.k_proj\.bias",)

    def __init__(self, cfg: WhisperConfig) -> None:
        self.config = cfg
        self.encoder = WhisperEncoder(cfg)
        self.decoder = _decoder(cfg)

    @property
    def tower(self) -> BartDecoder:
        """The decoder."""
        return self.decoder

    def forward(
        self,
        input_features: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs: BaseOutput | None = None,
        state: State | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> WhisperOutput:
        """Spectra `(batch, bands, frames)` and ids `(batch, n)` → hidden states of both.

        `attention_mask` is taken and, as in transformers, hides nothing: silence is in the spectra.
        `encoder_outputs` stand in the place of spectra.
        """
        encoded = encoded_of(
            encoder_outputs, self.encoder, "input_features", input_features,
            output_hidden_states=output_hidden_states,
        )  # fmt: skip
        seen: list[Tensor] | None = [] if output_hidden_states else None
        x = self.hidden(
            decoder_input_ids, decoder_attention_mask, encoded.last_hidden_state, None, state,
            decoder_inputs_embeds, seen=seen,
        )  # fmt: skip
        states = None if seen is None else tuple(seen)
        return WhisperOutput(x, states, encoded.last_hidden_state, encoded.hidden_states)


class WhisperForConditionalGeneration(BartText, SpeechToText):
    """Speech to text: `Transcriber` keeps the rules of long sound, this the model's."""

    config_class = WhisperConfig
    main_input = "input_features"

    def __init__(self, cfg: WhisperConfig) -> None:
        self.config = cfg
        self.model = WhisperModel(cfg)
        self.make_head(cfg.d_model)

    @property
    def tower(self) -> BartDecoder:
        """The decoder."""
        return self.model.decoder

    def encode(self, **inputs: Any) -> tuple[Tensor, Tensor | None]:
        """`input_features` → what the decoder attends to, `(batch, m, size)`, and no mask."""
        known = {"input_features", "attention_mask"}
        wanted = "input_features and generation options"
        expect(inputs.keys() <= known, "generate", wanted, sorted(inputs), ArgumentError)
        return self.model.encoder(inputs["input_features"]).last_hidden_state, None

    def cross_weights(
        self, ids: Tensor, context: Tensor, heads: Sequence[tuple[int, int]]
    ) -> tuple[Tensor, Tensor]:
        """How ids `(1, n)` attend to a context `(1, m, size)`: `(heads, n, m)`, and hidden states.

        `heads` are pairs of layer and head, whose weights come by layer.
        """
        x = self.embed(DecoderInputs(ids, None, arange(ids.shape[1], dtype=i64).unsqueeze(0)))
        found = []
        for number, layer in enumerate(self.tower.layers):
            part = layer.encoder_attn
            x = layer.residual(layer.self_attn_layer_norm, x, layer.self_attn)
            asked = [head for at, head in heads if at == number]
            if asked:
                queries = part.q_proj(layer.encoder_attn_layer_norm(x)[0])
                keys = part.k_proj(context[0])
                for head in asked:
                    own = slice(head * part.head_dim, (head + 1) * part.head_dim)
                    scores = queries[:, own] @ keys[:, own].T
                    found.append((scores * part.head_dim**-0.5).softmax(-1))
            cross = partial(part, context=context)
            x = layer.residual(layer.encoder_attn_layer_norm, x, cross)
            x = layer.residual(layer.final_layer_norm, x, layer.feed)
        norm = self.tower.layer_norm
        assert norm is not None, "a decoder of Whisper ends in a norm"
        return stack(found), norm(x)

    def forward(
        self,
        input_features: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs: BaseOutput | None = None,
        state: State | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> Seq2SeqOutput:
        """Spectra, and ids `(batch, n)` → logits `(batch, n, vocab_size)`.

        `labels` `(batch, n)`, -100 where there is none, give the loss, and the decoder's input
        where no other is given. Others as of the model without a head.
        """

        def call(ids: Tensor | None) -> Any:
            return self.model(
                input_features, attention_mask, ids, decoder_attention_mask, encoder_outputs, state,
                decoder_inputs_embeds, output_hidden_states=output_hidden_states,
            )  # fmt: skip

        return self.written(call, decoder_input_ids, labels, decoder_inputs_embeds)


class WhisperForAudioClassification(Model):
    """Scores of a sound, `(batch, labels)`, from the mean of the encoder's positions."""

    config_class = WhisperConfig

    def __init__(self, cfg: WhisperConfig) -> None:
        self.config = cfg
        self.encoder = WhisperEncoder(cfg)
        if cfg.use_weighted_layer_sum:
            self.layer_weights = param(cfg.encoder_layers + 1, init=ones)
        self.projector = Linear(cfg.d_model, cfg.classifier_proj_size)
        self.classifier = Linear(cfg.classifier_proj_size, cfg.num_labels)

    def forward(
        self,
        input_features: Tensor | None = None,
        encoder_outputs: BaseOutput | None = None,
        labels: Tensor | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> LogitsOutput:
        """Spectra `(batch, bands, frames)` → scores, and the loss of labels."""
        weighted = self.config.use_weighted_layer_sum
        wanted = output_hidden_states or weighted
        encoded = encoded_of(
            encoder_outputs, self.encoder, "input_features", input_features,
            output_hidden_states=wanted,
        )  # fmt: skip
        x = encoded.last_hidden_state
        if weighted:
            states = encoded.hidden_states
            expect(states is not None, "encoder_outputs", "hidden_states", "none", ArgumentError)
            assert states is not None
            weights = self.layer_weights.softmax(-1).view(-1, 1, 1)
            x = (stack(states, 1) * weights).sum(1)
        logits = self.classifier(self.projector(x).mean(1))
        loss = None if labels is None else losses.sequence(logits, labels, self.config)
        return LogitsOutput(logits, loss, encoded.hidden_states)
