"""The model without a head of decoder-only families: layers by a config, rows with padding."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from tallow.autograd.mode import inference_mode
from tallow.dtype import DType, f32, i64
from tallow.errors import ContextError, expect
from tallow.models.base import Model
from tallow.models.blocks import (
    DECODER_NAMES,
    Attention,
    Decoder,
    DecoderLayer,
    DecoderNames,
    GatedMlp,
    JoinedAttention,
    Rope,
)
from tallow.models.blocks.activation import ACTIVATIONS
from tallow.models.blocks.embedding import text_inputs
from tallow.models.config import DecoderConfig
from tallow.models.outputs import BaseOutput
from tallow.models.states import KeyValue, Ring, State
from tallow.nn import Module, RMSNorm
from tallow.tensor import Tensor

Layers = Callable[[DecoderConfig, int, Any], Module]


def rope_of(cfg: DecoderConfig, local: bool = False) -> Rope:
    """The rotary positions of a config; `local` ones are of layers with a window."""
    theta, scaling, factors = cfg.rope_theta, cfg.rope_scaling, cfg.rope_factors
    if local and cfg.local_rope is not None:
        (theta, scaling), factors = cfg.local_rope, ()
    return Rope(
        cfg.turned(local),
        theta,
        scaling,
        factors=factors,
        interleaved=cfg.rope_interleaved,
        axes=cfg.rope_axes,
    )


def ropes_of(cfg: DecoderConfig) -> list[Rope | None]:
    """The rotary positions of each layer; layers that rotate alike share them."""
    usual = rope_of(cfg)
    local = usual if cfg.local_rope is None else rope_of(cfg, local=True)
    layers = range(cfg.num_hidden_layers)
    chosen = (local if cfg.window(i) else usual for i in layers)
    return [rope if cfg.rotates(i) else None for i, rope in zip(layers, chosen, strict=True)]


def decoder_attention(
    cfg: DecoderConfig,
    index: int,
    rope: Rope | None,
    *,
    kind: type[Attention] = Attention,
    joined: str | None = None,
    **parts: Any,
) -> Attention:
    """The attention of the layer at `index` by its config; `parts` are further ones of it.

    With `joined`, a `JoinedAttention` whose matrix is called so.
    """
    sizes = (cfg.hidden_size, cfg.num_attention_heads, cfg.num_key_value_heads, cfg.head_dim)
    options: dict[str, Any] = {
        "bias": cfg.qkv_bias, "out_bias": cfg.output_bias, "rope": rope, "causal": True,
        "window": cfg.window(index), "chunk": cfg.chunk(index), "scale": cfg.query_scale,
        "softcap": cfg.attention_softcap, **parts,
    }  # fmt: skip
    if joined is not None:
        return JoinedAttention(*sizes, joined=joined, **options)
    return kind(*sizes, **options)


def gated_mlp(cfg: DecoderConfig, joined: str | None = None) -> GatedMlp:
    """The gated feed-forward of a config."""
    act = None if cfg.hidden_act in ("silu", "swish") else ACTIVATIONS[cfg.hidden_act]
    sizes = cfg.hidden_size, cfg.intermediate_size
    return GatedMlp(*sizes, bias=cfg.mlp_bias, act=act, joined=joined)


def decoder_layer(
    cfg: DecoderConfig,
    index: int,
    rope: Rope | None,
    *,
    q_norm: Module | None = None,
    k_norm: Module | None = None,
    mlp: Module | None = None,
) -> DecoderLayer:
    """The layer at `index` as most families have it: rotary attention, gated feed-forward.

    `mlp` stands in the place of that one.
    """
    return DecoderLayer(
        self_attn=decoder_attention(cfg, index, rope, q_norm=q_norm, k_norm=k_norm),
        mlp=mlp or gated_mlp(cfg),
        norm=partial(RMSNorm, cfg.hidden_size, cfg.rms_norm_eps),
        scale=cfg.residual_scale,
    )


class DecoderModel(Decoder, Model):
    """Token ids to hidden states; `layer(cfg, i, rope)` makes the i-th layer.

    Families override `make_layer` and `make_norm` where theirs are others; `part_names` is what
    checkpoints call its parts, `state_class` the class of its states.
    """

    base_model_prefix = "model"
    part_names: DecoderNames = DECODER_NAMES
    state_class: ClassVar[type[State]] = State
    config: DecoderConfig

    def __init__(self, cfg: DecoderConfig, layer: Layers | None = None) -> None:
        self.config = cfg
        make, ropes = layer or type(self).make_layer, ropes_of(cfg)
        super().__init__(
            cfg.vocab_size,
            cfg.hidden_size,
            layers=[make(cfg, i, ropes[i]) for i in range(cfg.num_hidden_layers)],
            norm=self.make_norm(cfg),
            rope=ropes,
            padding=cfg.pad_token_id,
            scale=cfg.embedding_scale,
            names=self.part_names,
        )

    @staticmethod
    def make_layer(cfg: Any, index: int, rope: Rope | None) -> Module:
        """The layer at `index`; `rope` is None where it rotates nothing."""
        return decoder_layer(cfg, index, rope)

    @staticmethod
    def make_norm(cfg: Any) -> Module:
        """The norm behind the layers."""
        return RMSNorm(cfg.hidden_size, cfg.rms_norm_eps)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        state: State | None = None,
        inputs_embeds: Tensor | None = None,
        *,
        output_hidden_states: bool = False,
        last: int = 0,
    ) -> BaseOutput:
        """Token ids `(batch, length)`, or their embeddings, → hidden states.

        `attention_mask` is 0 where a row is padded, left or right. With a `state`, the input
        continues what it holds, it is advanced row by row without the padding, and nothing is
        recorded for gradients. `last` > 0 asks for so many positions, the last; more may be there
        where that spares nothing.

        Raises:
            ContextError: more positions than the model was made for.
            ShapeError: the inputs do not belong together.
        """
        given = text_inputs(input_ids, inputs_embeds)
        if 0 in given.shape[:2]:
            expect(False, "forward", "input_ids of shape (batch, length)", given.shape)
        if attention_mask is not None:
            b, n = given.shape[:2]
            fits = attention_mask.ndim == 2 and attention_mask.shape[0] == b
            if not fits or attention_mask.shape[1] < n:
                wanted = f"attention_mask of shape {(b, n)}"
                expect(False, "forward", wanted, attention_mask.shape)
        seen: list[Tensor] | None = [] if output_hidden_states else None
        if state is not None:
            alone = position_ids is None
            expect(alone, "position_ids", "none beside a state, which knows them", "some")
            with inference_mode():  # a state holds no history, so gradients could not be right
                x = self._continue(input_ids, inputs_embeds, attention_mask, state, seen, last)
        else:
            n, context = given.shape[1], self.config.context
            if n > context:
                raise _too_long(context, 0, n)
            x = self.forward_static(
                input_ids,
                embeds=inputs_embeds,
                positions=position_ids,
                mask=attention_mask,
                seen=seen,
            )
        return BaseOutput(x, hidden_states=None if seen is None else tuple(seen))

    def _continue(
        self,
        ids: Tensor | None,
        embeds: Tensor | None,
        mask: Tensor | None,
        state: State,
        seen: list[Tensor] | None,
        last: int,
    ) -> Tensor:
        """The pass of `forward` with a state: rows go in without their padding."""
        given = ids if embeds is None else embeds
        assert given is not None
        b, n = given.shape[:2]
        expect(b == state.batch, "forward", f"a batch of {state.batch} as the state's", b)
        counts, order = [n] * b, None
        if mask is not None:
            kept = mask.narrow(1, mask.shape[1] - n, n).ne(0)
            counts = [int(count) for count in kept.sum(1).tolist()]
            if min(counts) < n:
                order = kept.to(i64).argsort(1, descending=True, stable=True)
                ids = None if ids is None else ids.gather(1, order)
                embeds = None if embeds is None else _in_order(embeds, order)
        length = max(map(int.__add__, state.lengths, counts))
        if length > self.config.context:
            raise _too_long(self.config.context, state.length, length - state.length)
        state.reserve(counts, n)
        whole = (
            seen is not None or order is not None or type(self).decode is not DecoderModel.decode
        )
        part: Any = {"last": last} if last and not whole else {}
        x = self.decode(ids, state, embeds=embeds, seen=seen, **part)
        state.commit(counts)
        if order is not None:
            back = order.argsort(1)
            x = _in_order(x, back)
            if seen is not None:
                seen[:] = [_in_order(each, back) for each in seen]
        return x

    def make_state(self, batch: int = 1, capacity: int = 256, dtype: DType | str = f32) -> State:
        """A state for `batch` rows that holds nothing yet: keys and values of each layer.

        `capacity` is for how many positions memory is taken first, `dtype` f32, f16, bf16 or q8_0.
        """
        cfg = self.config
        sizes, layers = (cfg.num_key_value_heads, cfg.head_dim), range(cfg.num_hidden_layers)
        return self.state_class(
            [
                Ring(*sizes, window=cfg.window(i)) if cfg.window(i) else KeyValue(*sizes)
                for i in layers
            ],
            batch,
            context=cfg.context,
            capacity=capacity,
            dtype=dtype,
        )

    def decode(
        self,
        ids: Tensor | None,
        state: State,
        *,
        embeds: Tensor | None = None,
        seen: list[Tensor] | None = None,
        last: int = 0,
    ) -> Tensor:
        """Hidden states `(batch, n, size)` of ids (or embeds) that come after what `state` holds.

        `last` > 0 asks for so many positions, the last.

        Nothing is checked and the state neither reserved nor committed: `tallow.generate` does
        that, and captures this with `head`.
        """
        given = ids if embeds is None else embeds
        assert given is not None
        positions = state.positions(given.shape[1])
        return self.forward_static(
            ids, embeds=embeds, positions=positions, states=state.layers, seen=seen, last=last
        )


def _in_order(x: Tensor, order: Tensor) -> Tensor:
    return x.gather(-2, order.unsqueeze(-1).expand(x.shape))


def _too_long(context: int, held: int, count: int) -> ContextError:
    return ContextError(
        f"input: expected at most {context} positions (the model's context, which "
        f"context= overrides), got {held} in the cache + {count} new"
    )
