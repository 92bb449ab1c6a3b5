"""TrOCR's decoder: post-norm, learned or sinusoidal positions, a context (arXiv 2109.10282)."""

from __future__ import annotations

from tallow.models.blocks.bart import (
    BartCausalLM,
    BartDecoder,
    BartDecoderLayer,
    DecoderWrapper,
)
from tallow.models.blocks.bart_positions import LearnedPositions, SinusoidalPositions
from tallow.models.configs import Config, activation, layers, size, token
from tallow.models.fields import MAX_SIZE, Fields
from tallow.nn import LayerNorm, Linear, Module, tie
from tallow.tensor import Tensor


class TrOCRConfig(Config):
    """Of Hugging Face's `TrOCRConfig`."""

    vocab_size: int = size(50265, high=2**31 - 1)
    d_model: int = size(1024, "hidden_size")
    decoder_layers: int = layers(12, "num_hidden_layers")
    decoder_attention_heads: int = size(16, "num_attention_heads")
    decoder_ffn_dim: int = size(4096)
    activation_function: str = activation("gelu")
    max_position_embeddings: int = size(512)
    scale_embedding: bool = False
    use_learned_position_embeddings: bool = True
    layernorm_embedding: bool = True
    pad_token_id: int | None = token(1)
    cross_attention_hidden_size: int | None = None
    tie_word_embeddings: bool = True

    without_effect = frozenset({"is_decoder", "add_cross_attention"})

    @property
    def hidden_size(self) -> int:
        """The width."""
        return self.d_model

    @property
    def num_hidden_layers(self) -> int:
        """The number of layers."""
        return self.decoder_layers

    @property
    def num_attention_heads(self) -> int:
        """The number of heads."""
        return self.decoder_attention_heads

    def check(self, fields: Fields) -> None:
        """Heads share the width; sines need a padding id and two rates."""
        heads, sines = self.decoder_attention_heads, not self.use_learned_position_embeddings
        if self.d_model % heads:
            wanted = f"a divisor of d_model {self.d_model}"
            raise fields.error("decoder_attention_heads", wanted, heads)
        if sines and self.pad_token_id is None:
            wanted = "a token id, as positions count what is no padding"
            raise fields.error("pad_token_id", wanted, None)
        if sines and self.d_model < 4:
            raise fields.error("d_model", "at least 4 for sinusoidal positions", self.d_model)


class TrOCRForCausalLM(BartCausalLM):
    """The decoder and the scores of the next token, of a table of their own or the words'."""

    config_class = TrOCRConfig
    ignorable = (r"model\.decoder\.embed_positions\._float_tensor",)

    def __init__(self, cfg: TrOCRConfig) -> None:
        self.config = cfg
        width, padding = cfg.d_model, cfg.pad_token_id
        positions: Module = LearnedPositions(cfg.max_position_embeddings, width)
        if not cfg.use_learned_position_embeddings:
            assert padding is not None, "the config checks it"
            positions = SinusoidalPositions(width, padding)
        decoder = BartDecoder(
            cfg.vocab_size,
            width,
            padding=padding,
            scale=width**0.5 if cfg.scale_embedding else 1.0,
            positions=positions,
            layers=[
                BartDecoderLayer(
                    width,
                    cfg.decoder_attention_heads,
                    cfg.decoder_ffn_dim,
                    cfg.activation_function,
                    cfg.cross_attention_hidden_size,
                )
                for _ in range(cfg.decoder_layers)
            ],
            embedding_norm=LayerNorm(width) if cfg.layernorm_embedding else None,
        )
        self.model = DecoderWrapper(decoder)
        self.output_projection = Linear(width, cfg.vocab_size, bias=False)
        if cfg.tie_word_embeddings:
            tie(self.output_projection, "weight", decoder.embed_tokens, "weight")

    @property
    def context(self) -> int:
        """The largest number of positions; that of sines, which are computed, has no end."""
        learned = self.config.use_learned_position_embeddings
        return int(self.config.max_position_embeddings) if learned else MAX_SIZE

    def head(self, hidden: Tensor) -> Tensor:
        """Logits `(…, vocab_size)`."""
        return self.output_projection(hidden)
