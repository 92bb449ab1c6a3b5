"""The decoder stack: embedding, layers, final norm; and the language model head on top of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, cast

from tallow.autograd.mode import MODE, inference_mode
from tallow.dtype import f32, i64
from tallow.errors import ContextError, expect
from tallow.factories import arange
from tallow.models.base import Model
from tallow.models.blocks.attention import Slot
from tallow.models.blocks.rope import Rope
from tallow.models.config import DecoderConfig
from tallow.nn import Embedding, Linear, Module, ModuleList, RMSNorm, tie
from tallow.tensor import Tensor


class Cache(Protocol):
    """What a decoder needs of a key-value cache (`tallow.generate.KVCache` is one)."""

    slots: list[Slot]
    length: int

    def begin(self, batch: int, count: int) -> Tensor:
        """Make room for `count` more positions; the first new position of each row, `(batch,)`."""

    def advance(self, count: int) -> None:
        """Take note that `count` positions were written in every layer."""


class DecoderLayer(Module):
    """Pre-norm attention and feed-forward, each added to its input."""

    def __init__(self, cfg: DecoderConfig, *, self_attn: Module, mlp: Module) -> None:
        self.self_attn = self_attn
        self.mlp = mlp
        self.input_layernorm = RMSNorm(cfg.hidden_size, cfg.rms_norm_eps)
        self.post_attention_layernorm = RMSNorm(cfg.hidden_size, cfg.rms_norm_eps)

    def forward(
        self, x: Tensor, table: Tensor, start: Tensor | None = None, slot: Slot | None = None
    ) -> Tensor:
        """`(batch, length, hidden_size)` → the same shape; arguments as of `Attention`."""
        x = x + self.self_attn(self.input_layernorm(x), table, start, slot)
        out: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return out


class Decoder(Module):
    """Token ids to hidden states; `layer(i)` makes the i-th layer."""

    def __init__(self, cfg: DecoderConfig, *, layer: Callable[[int], Module]) -> None:
        self.embed_tokens = Embedding(cfg.vocab_size, cfg.hidden_size)
        self.layers = ModuleList([layer(i) for i in range(cfg.num_hidden_layers)])
        self.norm = RMSNorm(cfg.hidden_size, cfg.rms_norm_eps)
        self.rope = Rope(cfg)
        self.context = cfg.context

    def forward(self, ids: Tensor, cache: Cache | None = None) -> Tensor:
        """`(batch, length)` of token ids → `(batch, length, hidden_size)`.

        With a cache, the ids continue what it holds, it is advanced by their number, and nothing is
        recorded for gradients.

        Raises:
            ContextError: more positions than the model was made for.
        """
        if cache is not None and MODE.enabled:
            with inference_mode():  # a cache holds no history, so gradients could not be right
                return self.forward(ids, cache)
        shape = ids.shape
        expect(len(shape) == 2 and shape[1] > 0, "forward", "ids of shape (batch, length)", shape)
        b, n = shape
        begin = 0 if cache is None else cache.length
        if begin + n > self.context:
            raise ContextError(
                f"input: expected at most {self.context} positions (the model's context, which "
                f"context= overrides), got {begin} in the cache + {n} new"
            )
        slots: Sequence[Slot | None]
        if cache is None:
            start, slots = None, [None] * len(self.layers)
        else:
            start, slots = cache.begin(b, n), cache.slots
        if start is not None and n == 1:
            positions = start.unsqueeze(1)
        else:
            positions = arange(begin, begin + n, dtype=i64).unsqueeze(0)
        x = self.run(ids, positions, start, slots)
        if cache is not None:
            cache.advance(n)
        return x

    def run(
        self, ids: Tensor, positions: Tensor, start: Tensor | None, slots: Sequence[Slot | None]
    ) -> Tensor:
        """The kernel calls of `forward`, on tensors alone: what a plan records."""
        table = self.rope.table(positions)
        x: Tensor = self.embed_tokens(ids)
        if x.dtype is not f32:
            x = x.to(f32)
        for layer, slot in zip(self.layers, slots, strict=True):
            x = layer(x, table, start, slot)
        return cast(Tensor, self.norm(x))


class CausalLM(Model):
    """A decoder with a head that predicts the next token; families are its subclasses.

    `config` holds the sizes; `tokenizer` is made when first asked for.
    """

    config: DecoderConfig

    def __init__(self, cfg: DecoderConfig, *, layer: Callable[[int], Module]) -> None:
        self.config = cfg
        self.model = Decoder(cfg, layer=layer)
        self.lm_head = Linear(cfg.hidden_size, cfg.vocab_size, bias=False)
        if cfg.tie_word_embeddings:
            tie(self.lm_head, "weight", self.model.embed_tokens, "weight")

    def forward(
        self, ids: Tensor, cache: Cache | None = None, *, last_only: bool = False
    ) -> Tensor:
        """Token ids `(batch, length)` → logits `(batch, length, vocab_size)` in float32.

        `last_only` computes them for the last position alone: `(batch, 1, vocab_size)`. With a
        cache, the ids continue what it holds.

        Raises:
            ContextError: more positions than the model was made for.
        """
        x = self.model(ids, cache)
        n = x.shape[1]
        if last_only and n > 1:
            x = x.narrow(1, n - 1, 1)
        return cast(Tensor, self.lm_head(x))

    def step(self, ids: Tensor, start: Tensor, slots: Sequence[Slot]) -> Tensor:
        """Logits `(batch, 1, vocab_size)` after one more token a row, at positions `start`.

        Nothing is checked and no cache advanced: this is what `tallow.generate` captures.
        """
        return cast(Tensor, self.lm_head(self.model.run(ids, start.unsqueeze(1), start, slots)))

    def prefill(self, ids: Tensor, cache: Cache) -> None:
        """Let the cache take in token ids `(batch, length)` without computing any logits."""
        self.model(ids, cache)
