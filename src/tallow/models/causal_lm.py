"""Decoder-only language models: a stack of layers by a config, and the head on top of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol, cast

from tallow.autograd.mode import MODE, inference_mode
from tallow.dtype import i64
from tallow.errors import ContextError, expect
from tallow.factories import arange
from tallow.models.base import Model
from tallow.models.blocks import Attention, Decoder, DecoderLayer, GatedMlp, Rope
from tallow.models.config import DecoderConfig
from tallow.models.states import KeyValue
from tallow.nn import Linear, Module, RMSNorm, tie
from tallow.tensor import Tensor


class Cache(Protocol):
    """What a decoder needs of a key-value cache (`tallow.generate.KVCache` is one)."""

    slots: list[KeyValue]
    length: int

    def begin(self, batch: int, count: int) -> Tensor:
        """Make room for `count` more positions; the first new position of each row, `(batch,)`."""

    def advance(self, count: int) -> None:
        """Take note that `count` positions were written in every layer."""


def rope_of(cfg: DecoderConfig) -> Rope:
    """The rotary positions that a config describes."""
    return Rope(
        cfg.head_dim,
        cfg.rope_theta,
        cfg.rope_scaling,
        factors=cfg.rope_factors,
        interleaved=cfg.rope_interleaved,
    )


def decoder_layer(
    cfg: DecoderConfig,
    index: int,
    rope: Rope,
    *,
    q_norm: Module | None = None,
    k_norm: Module | None = None,
) -> DecoderLayer:
    """The layer at `index` as most families have it: rotary attention, gated feed-forward."""
    attention = Attention(
        cfg.hidden_size,
        cfg.num_attention_heads,
        cfg.num_key_value_heads,
        cfg.head_dim,
        bias=cfg.qkv_bias,
        out_bias=cfg.output_bias,
        rope=rope,
        q_norm=q_norm,
        k_norm=k_norm,
        window=cfg.window(index),
        causal=True,
    )
    return DecoderLayer(
        self_attn=attention,
        mlp=GatedMlp(cfg.hidden_size, cfg.intermediate_size, bias=cfg.mlp_bias),
        norm=partial(RMSNorm, cfg.hidden_size, cfg.rms_norm_eps),
    )


class CausalLM(Model):
    """A decoder with a head that predicts the next token; families are its subclasses.

    `config` holds the sizes, `layer(cfg, i, rope)` makes the i-th layer.
    """

    config: DecoderConfig

    def __init__(
        self,
        cfg: DecoderConfig,
        layer: Callable[[DecoderConfig, int, Rope], Module] = decoder_layer,
    ) -> None:
        self.config = cfg
        rope = rope_of(cfg)
        self.model = Decoder(
            cfg.vocab_size,
            cfg.hidden_size,
            layers=[layer(cfg, i, rope) for i in range(cfg.num_hidden_layers)],
            norm=RMSNorm(cfg.hidden_size, cfg.rms_norm_eps),
            rope=rope,
        )
        self.lm_head = Linear(cfg.hidden_size, cfg.vocab_size, bias=False)
        if cfg.tie_word_embeddings:
            tie(self.lm_head, "weight", self.model.embed_tokens, "weight")

    def forward(
        self, ids: Tensor, cache: Cache | None = None, *, last_only: bool = False
    ) -> Tensor:
        """Token ids `(batch, length)` → logits `(batch, length, vocab_size)` in float32.

        `last_only` computes them for the last position alone: `(batch, 1, vocab_size)`. With a
        cache, the ids continue what it holds, it is advanced by their number, and nothing is
        recorded for gradients.

        Raises:
            ContextError: more positions than the model was made for.
        """
        x = self._hidden(ids, cache)
        n = x.shape[1]
        if last_only and n > 1:
            x = x.narrow(1, n - 1, 1)
        return cast(Tensor, self.lm_head(x))

    def _hidden(self, ids: Tensor, cache: Cache | None) -> Tensor:
        if cache is not None and MODE.enabled:
            with inference_mode():  # a cache holds no history, so gradients could not be right
                return self._hidden(ids, cache)
        shape, context = ids.shape, self.config.context
        expect(len(shape) == 2 and shape[1] > 0, "forward", "ids of shape (batch, length)", shape)
        b, n = shape
        begin = 0 if cache is None else cache.length
        if begin + n > context:
            raise ContextError(
                f"input: expected at most {context} positions (the model's context, which "
                f"context= overrides), got {begin} in the cache + {n} new"
            )
        positions: Tensor | None = None
        slots: Sequence[KeyValue] | None = None
        if cache is not None:
            start, slots = cache.begin(b, n), cache.slots
            positions = start.unsqueeze(1) if n == 1 else None
        if positions is None:
            positions = arange(begin, begin + n, dtype=i64).unsqueeze(0)
        x: Tensor = self.model(ids, positions=positions, states=slots)
        if cache is not None:
            cache.advance(n)
        return x

    def step(self, ids: Tensor, start: Tensor, slots: Sequence[KeyValue]) -> Tensor:
        """Logits `(batch, 1, vocab_size)` after one more token a row, at positions `start`.

        Nothing is checked and no cache advanced: this is what `tallow.generate` captures.
        """
        return cast(
            Tensor, self.lm_head(self.model(ids, positions=start.unsqueeze(1), states=slots))
        )

    def prefill(self, ids: Tensor, cache: Cache) -> None:
        """Let the cache take in token ids `(batch, length)` without computing any logits."""
        self._hidden(ids, cache)
