"""mBART's decoder: pre-norm, learned positions, an encoder before it (arXiv 2001.08210)."""

from __future__ import annotations

from dataclasses import dataclass

from tallow.models.blocks.bart import (
    BartCausalLM,
    BartDecoder,
    DecoderWrapper,
    LearnedPositions,
    PreNormDecoderLayer,
)
from tallow.models.configs import Config, activation, choice, layers, size, token
from tallow.models.fields import Fields
from tallow.nn import LayerNorm, Linear, tie
from tallow.tensor import Tensor

# Of the encoder, and what all files say alike.
_KEYS = """
encoder_layers encoder_ffn_dim encoder_attention_heads num_hidden_layers is_decoder
add_cross_attention extra_pos_embeddings save_step
"""


@dataclass(frozen=True, kw_only=True)
class MBartConfig(Config):
    """Of Hugging Face's `MBartConfig`, as far as the decoder needs it."""

    vocab_size: int = size(50265, high=2**31 - 1)
    d_model: int = size(1024, "hidden_size")
    decoder_layers: int = layers(12)
    decoder_attention_heads: int = size(16)
    decoder_ffn_dim: int = size(4096)
    activation_function: str = activation("gelu")
    max_position_embeddings: int = size(1024)
    scale_embedding: bool = False
    pad_token_id: int | None = token(1)
    tie_word_embeddings: bool = True
    # What configs of earlier code say of it; mBART's is the only kind.
    add_final_layer_norm: bool = choice(True)
    normalize_before: bool = choice(True)
    normalize_embedding: bool = choice(True)
    static_position_embeddings: bool = choice(False)
    add_bias_logits: bool = choice(False)

    without_effect = frozenset(_KEYS.split())

    @property
    def hidden_size(self) -> int:
        """The width."""
        return self.d_model

    @property
    def num_attention_heads(self) -> int:
        """The decoder's number of heads."""
        return self.decoder_attention_heads

    def check(self, fields: Fields) -> None:
        """Heads share the width."""
        if self.d_model % self.decoder_attention_heads:
            wanted = f"a divisor of d_model {self.d_model}"
            raise fields.misfit("decoder_attention_heads", wanted, self.decoder_attention_heads)


class MBartForCausalLM(BartCausalLM):
    """The decoder and the scores of the next token."""

    config_class = MBartConfig

    def __init__(self, cfg: MBartConfig) -> None:
        self.config = cfg
        width = cfg.d_model
        decoder = BartDecoder(
            cfg.vocab_size,
            width,
            padding=cfg.pad_token_id,
            scale=width**0.5 if cfg.scale_embedding else 1.0,
            positions=LearnedPositions(cfg.max_position_embeddings, width),
            layers=[
                PreNormDecoderLayer(
                    width,
                    cfg.decoder_attention_heads,
                    cfg.decoder_ffn_dim,
                    cfg.activation_function,
                )
                for _ in range(cfg.decoder_layers)
            ],
            embedding_norm=LayerNorm(width),
            norm=LayerNorm(width),
        )
        self.model = DecoderWrapper(decoder)
        self.lm_head = Linear(width, cfg.vocab_size, bias=False)
        if cfg.tie_word_embeddings:
            tie(self.lm_head, "weight", decoder.embed_tokens, "weight")

    def head(self, hidden: Tensor) -> Tensor:
        """Logits `(…, vocab_size)`."""
        logits: Tensor = self.lm_head(hidden)
        return logits
