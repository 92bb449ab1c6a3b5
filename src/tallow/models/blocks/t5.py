"""T5 and its kin: pre-norm layers without biases, scores biased by distance (arXiv 1910.10683).

The bias of a stack's first layer serves all of them, or each layer has its own (umT5).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tallow.dtype import i64
from tallow.factories import arange
from tallow.models.blocks.activation import ACTIVATIONS, Activation, linear_then
from tallow.models.blocks.embedding import Embedding, text_inputs
from tallow.models.blocks.heads import as_mask, attention_of_rows
from tallow.models.blocks.relative import buckets, by_distance, hidden
from tallow.models.configs import Config, custom, layers, size, token
from tallow.models.fields import MAX_SIZE, Fields
from tallow.models.outputs import BaseOutput
from tallow.models.states import Cross, KeyValue, SelfAndCross
from tallow.models.text_decoder import DecoderInputs, LayerInputs, TextStack
from tallow.nn import Linear, Module, ModuleList, RMSNorm
from tallow.tensor import Tensor

_KEYS = """
n_positions output_past dense_act_fn is_gated_act scalable_attention is_decoder tie_word_embeddings
num_hidden_layers head_dim
"""


def _scales(fields: Fields, name: str, _: bool) -> bool:
    """Whether what goes into the head is scaled: as v1.1, which tied no words, does not."""
    return fields.flag(name, fields.get("tie_word_embeddings") is not False)


def _end(fields: Fields, name: str, default: int) -> int | None:
    value = fields.get(name) if fields.has(name) else default
    return value if type(value) is int else None


class T5Config(Config):
    """The fields of T5's config; the words of the head are the decoder's unless a file has both."""

    vocab_size: int = size(32128, high=MAX_SIZE)
    d_model: int = size(512)
    d_kv: int = size(64)
    d_ff: int = size(2048)
    num_layers: int = layers(6)
    num_decoder_layers: int | None = None
    num_heads: int = size(8)
    relative_attention_num_buckets: int = size(32, low=4, high=1 << 16)
    relative_attention_max_distance: int = size(128, high=1 << 16)
    layer_norm_epsilon: float = 1e-6
    feed_forward_proj: str = "relu"
    scale_decoder_outputs: bool = custom(True, _scales)
    pad_token_id: int | None = token(0)
    eos_token_id: int | None = custom(1, _end)
    decoder_start_token_id: int | None = token()

    without_effect = frozenset(_KEYS.split())

    @property
    def hidden_size(self) -> int:
        """The width."""
        return self.d_model

    @property
    def num_hidden_layers(self) -> int:
        """The layers of one side at most."""
        return max(self.num_layers, self.decoder_layers)

    @property
    def decoder_layers(self) -> int:
        """The layers of the decoder."""
        return self.num_layers if self.num_decoder_layers is None else self.num_decoder_layers

    @property
    def num_attention_heads(self) -> int:
        """The number of heads."""
        return self.num_heads

    @property
    def head_dim(self) -> int:
        """The width of a head."""
        return self.d_kv

    @property
    def gated(self) -> bool:
        """Whether the feed-forward network has a gate."""
        return self.feed_forward_proj.startswith("gated-")

    @property
    def activation(self) -> Activation:
        """That of the feed-forward network; a gated gelu is the one by tanh."""
        name = self.feed_forward_proj.removeprefix("gated-")
        return ACTIVATIONS["gelu_new" if self.gated and name == "gelu" else name]

    def check(self, fields: Fields) -> None:
        """The activation is known, and buckets of far distances are left."""
        name = self.feed_forward_proj.removeprefix("gated-")
        if name not in ACTIVATIONS:
            wanted = "an activation of " + ", ".join(sorted(ACTIVATIONS)) + ", or gated-…"
            raise fields.error("feed_forward_proj", wanted, self.feed_forward_proj)
        near = self.relative_attention_num_buckets // 2
        if self.relative_attention_max_distance <= near:
            wanted = f"more than {near}, half of relative_attention_num_buckets"
            found = self.relative_attention_max_distance
            raise fields.error("relative_attention_max_distance", wanted, found)


class T5Attention(Module):
    """Attention with projections `q`, `k`, `v` and `o`, whose scores are not scaled.

    Where it is `biased` it has the table of what is added to scores by distance.
    """

    def __init__(self, cfg: T5Config, *, causal: bool = False, biased: bool = False) -> None:
        self.heads, self.head_dim, self.causal = cfg.num_heads, cfg.d_kv, causal
        width = self.heads * self.head_dim
        self.q = Linear(cfg.d_model, width, bias=False)
        self.k = Linear(cfg.d_model, width, bias=False)
        self.v = Linear(cfg.d_model, width, bias=False)
        self.o = Linear(width, cfg.d_model, bias=False)
        self.furthest = cfg.relative_attention_max_distance
        if biased:
            count = cfg.relative_attention_num_buckets
            self.relative_attention_bias = Embedding(count, cfg.num_heads)
            self._buckets = buckets(count, self.furthest, causal=causal)

    def bias(self, n: int) -> Tensor:
        """What is added to scores of a text of `n` positions, `(1, heads, n, n)`."""
        return by_distance(self._by_distance(n - 1), n).unsqueeze(0)

    def bias_at(self, positions: Tensor, keys: int) -> Tensor:
        """The same of queries at `positions` `(batch, n)`, `(batch, heads, n, keys)`.

        Keys behind a query have the bias of its own place.
        """
        b, n = positions.shape
        away = positions.unsqueeze(-1) - arange(keys, dtype=i64)
        table = self._by_distance(self.furthest).narrow(1, 0, self.furthest + 1)
        places = self.furthest - away.clamp(0, self.furthest)
        return table.index_select(1, places.view(-1)).view(-1, b, n, keys).transpose(0, 1)

    def _by_distance(self, reach: int) -> Tensor:
        """The biases of distances from `-reach` to `reach`, `(heads, 2 reach + 1)`."""
        furthest = self.furthest
        places = arange(-reach, reach + 1).clamp(-furthest, furthest) + furthest
        found: Tensor = self.relative_attention_bias(self._buckets.to(places.device)[places])
        return found.transpose(0, 1).contiguous()

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None,
        *,
        context: Tensor | None = None,
        state: KeyValue | Cross | None = None,
        residual: Tensor,
    ) -> Tensor:
        """`(batch, n, size)` → `residual` and what is attended to, of `x` or of a context.

        `mask` is as of `as_mask`, with the bias in it.
        """
        b, n, _ = x.shape
        q = self.q(x).view(b, n, self.heads, self.head_dim).transpose(1, 2)
        start: Tensor | None = None
        if isinstance(state, Cross):
            if not state.filled:
                assert context is not None, "the first step brings the context"
                self.fill(state, context, mask)
            k, v, mask = state.held()
            mask = None if mask is None else as_mask(mask)
        else:
            k, v = self._keys_and_values(x if context is None else context)
            if state is not None:
                k, v, start = state.update(k, v)
        how: dict[str, Any] = {"mask": mask, "scale": 1.0, "causal": self.causal}
        out = attention_of_rows(q, k, v, start=start, **how)
        merged = out.transpose(1, 2).reshape(b, n, self.heads * self.head_dim)
        return linear_then(self.o, merged, residual=residual)

    def fill(self, state: Cross, context: Tensor, mask: Tensor | None) -> None:
        """Let a cross state hold the keys and values of `context`, and its mask."""
        state.fill(*self._keys_and_values(context), mask)

    def _keys_and_values(self, source: Tensor) -> tuple[Tensor, Tensor]:
        b, m, _ = source.shape
        k = self.k(source).view(b, m, self.heads, self.head_dim)
        v = self.v(source).view(b, m, self.heads, self.head_dim)
        return k.transpose(1, 2), v.transpose(1, 2)


class SelfAttention(Module):
    """Attention to the text itself, of normalised states."""

    def __init__(self, cfg: T5Config, *, causal: bool, biased: bool) -> None:
        self.SelfAttention = T5Attention(cfg, causal=causal, biased=biased)
        self.layer_norm = RMSNorm(cfg.d_model, cfg.layer_norm_epsilon)


class CrossAttention(Module):
    """Attention to a context, of normalised states."""

    def __init__(self, cfg: T5Config) -> None:
        self.EncDecAttention = T5Attention(cfg)
        self.layer_norm = RMSNorm(cfg.d_model, cfg.layer_norm_epsilon)


class Dense(Module):
    """`wo(act(wi(x)))`."""

    def __init__(self, cfg: T5Config) -> None:
        self.wi = Linear(cfg.d_model, cfg.d_ff, bias=False)
        self.wo = Linear(cfg.d_ff, cfg.d_model, bias=False)
        self.act = cfg.activation

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        """`(batch, n, size)` → `residual` and what the layer makes of `x`."""
        return linear_then(self.wo, linear_then(self.wi, x, self.act), residual=residual)


class GatedDense(Module):
    """`wo(act(wi_0(x)) * wi_1(x))`."""

    def __init__(self, cfg: T5Config) -> None:
        self.wi_0 = Linear(cfg.d_model, cfg.d_ff, bias=False)
        self.wi_1 = Linear(cfg.d_model, cfg.d_ff, bias=False)
        self.wo = Linear(cfg.d_ff, cfg.d_model, bias=False)
        self.act = cfg.activation

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        """`(batch, n, size)` → `residual` and what the layer makes of `x`."""
        inner = linear_then(self.wi_0, x, self.act) * self.wi_1(x)
        return linear_then(self.wo, inner, residual=residual)


class FeedForward(Module):
    """The feed-forward network, of normalised states."""

    def __init__(self, cfg: T5Config) -> None:
        self.DenseReluDense = GatedDense(cfg) if cfg.gated else Dense(cfg)
        self.layer_norm = RMSNorm(cfg.d_model, cfg.layer_norm_epsilon)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, n, size)` → the same shape."""
        return self.DenseReluDense(self.layer_norm(x), x)


class T5Block(Module):
    """Attention, attention to a context in a decoder, and a feed-forward network."""

    def __init__(self, cfg: T5Config, *, causal: bool, biased: bool) -> None:
        own = SelfAttention(cfg, causal=causal, biased=biased)
        cross = [CrossAttention(cfg)] if causal else []
        self.layer = ModuleList([own, *cross, FeedForward(cfg)])

    @property
    def attention(self) -> T5Attention:
        """That to the text itself."""
        return self.layer[0].SelfAttention

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None,
        *,
        context: Tensor | None = None,
        context_mask: Tensor | None = None,
        state: SelfAndCross | None = None,
    ) -> Tensor:
        """`(batch, n, size)` → the same shape; without a context there is nothing to attend to."""
        own, cross = (None, None) if state is None else state
        layer = self.layer[0]
        x = layer.SelfAttention(layer.layer_norm(x), mask, state=own, residual=x)
        if context is not None or (cross is not None and cross.filled):
            layer = self.layer[1]
            x = layer.EncDecAttention(
                layer.layer_norm(x), context_mask, context=context, state=cross, residual=x
            )
        return self.layer[-1](x)


class T5Stack(Module):
    """Words, blocks and a last norm; where `shared`, the first block's bias serves all."""

    def __init__(self, cfg: T5Config, count: int, *, causal: bool, shared: bool) -> None:
        self.embed_tokens = Embedding(cfg.vocab_size, cfg.d_model)
        biased = [i == 0 or not shared for i in range(count)]
        self.block = ModuleList([T5Block(cfg, causal=causal, biased=each) for each in biased])
        self.final_layer_norm = RMSNorm(cfg.d_model, cfg.layer_norm_epsilon)
        self.shared = shared

    def run(self, x: Tensor, inputs: LayerInputs) -> Tensor:
        """`(batch, n, size)` through the blocks."""
        mask = None if inputs.mask is None else as_mask(inputs.mask)
        context_mask = None if inputs.context_mask is None else as_mask(inputs.context_mask)
        states: Sequence[Any] = inputs.states or [None] * len(self.block)
        bias: Tensor | None = None
        for block, state in zip(self.block, states, strict=True):
            if inputs.seen is not None:
                inputs.seen.append(x)
            if bias is None or not self.shared:
                bias = self._bias(block.attention, x.shape[1], mask, state)
            x = block(x, bias, context=inputs.context, context_mask=context_mask, state=state)
        x = self.final_layer_norm(x)
        if inputs.seen is not None:
            inputs.seen.append(x)
        return x

    def _bias(
        self, layer: T5Attention, n: int, mask: Tensor | None, state: SelfAndCross | None
    ) -> Tensor:
        if state is None:
            return hidden(layer.bias(n), mask)
        own = state.self_attn
        assert own.span is not None, "a layer's state is part of a State"
        return layer.bias_at(own.span.starts.unsqueeze(1) + arange(n, dtype=i64), own.span.capacity)


class T5EncoderStack(T5Stack):
    """The encoder."""

    def __init__(self, cfg: T5Config, *, shared: bool) -> None:
        super().__init__(cfg, cfg.num_layers, causal=False, shared=shared)

    def forward(
        self,
        ids: Tensor | None,
        mask: Tensor | None = None,
        embeds: Tensor | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> BaseOutput:
        """Ids `(batch, m)`, or their embeddings → hidden states `(batch, m, size)`."""
        text_inputs(ids, embeds)
        seen: list[Tensor] | None = [] if output_hidden_states else None
        x = self.embed_tokens(ids) if embeds is None else embeds
        x = self.run(x, LayerInputs(mask, seen=seen))
        return BaseOutput(x, hidden_states=None if seen is None else tuple(seen))


class T5DecoderStack(T5Stack):
    """The decoder, which `T5Text` runs."""

    def __init__(self, cfg: T5Config, *, shared: bool) -> None:
        super().__init__(cfg, cfg.decoder_layers, causal=True, shared=shared)


class T5Text(TextStack):
    """A model with a `T5DecoderStack`, the `decoder`."""

    decoder: T5DecoderStack

    @property
    def head_dim(self) -> int:
        """The width of a head."""
        return int(self.config.d_kv)

    @property
    def context(self) -> int:
        """The largest number of positions; biases by distance have no end."""
        return MAX_SIZE

    def embed(self, inputs: DecoderInputs) -> Tensor:
        """What goes into the first layer; there are no positions."""
        return self.decoder.embed_tokens(inputs.ids) if inputs.embeds is None else inputs.embeds

    def run(self, x: Tensor, inputs: LayerInputs) -> Tensor:
        """Hidden states `(batch, n, size)`."""
        return self.decoder.run(x, inputs)

    def layers(self) -> int:
        """The number of layers."""
        return len(self.decoder.block)

    def cross_attentions(self) -> Sequence[T5Attention]:
        """Those of the layers."""
        return [block.layer[1].EncDecAttention for block in self.decoder.block]
