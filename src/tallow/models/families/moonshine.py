"""Moonshine: speech to text by a rotary encoder of raw samples and a decoder (arXiv 2410.15608)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tallow.dtype import i64
from tallow.errors import ArgumentError, expect
from tallow.factories import arange
from tallow.models.blocks.activation import ACTIVATIONS, linear_then
from tallow.models.blocks.attention import Attention
from tallow.models.blocks.embedding import Embedding
from tallow.models.blocks.heads import as_mask
from tallow.models.blocks.rope import Rope
from tallow.models.blocks.seq2seq import Seq2SeqModelOutput
from tallow.models.configs import Config, activation, custom, layers, size, token
from tallow.models.encoder_decoder import Seq2SeqOutput
from tallow.models.fields import Fields
from tallow.models.outputs import BaseOutput
from tallow.models.speech_text import SpeechToText, encoded_of
from tallow.models.states import SelfAndCross, State
from tallow.models.text_decoder import DecoderInputs, LayerInputs, TextStack
from tallow.nn import Conv1d, GroupNorm, LayerNorm, Linear, Module, ModuleList
from tallow.nn import functional as F
from tallow.tensor import Tensor

_KERNELS, _STRIDES = (127, 7, 3), (64, 3, 2)
_STRIDE = 384  # samples from one position of the encoder to the next


def _rope(fields: Fields, name: str, default: Any) -> tuple[float, float]:
    """Base and share of the rotation; older configs have both beside the other keys."""
    inner = fields.scope(name) if fields.get(name) is not None else fields
    for key in ("rope_type", "type"):
        if inner is not fields and inner.get(key) not in (None, "default"):
            raise inner.error(key, "'default' (others are not supported)", inner.get(key))
    if fields.get("rope_scaling") is not None:
        raise fields.error("rope_scaling", "null (it is not supported)", fields.get("rope_scaling"))
    shares = [each.get("partial_rotary_factor") for each in (inner, fields)]
    share = next((each for each in shares if each is not None), 0.9)
    if not isinstance(share, int | float) or not 0 < share <= 1:
        raise fields.error("partial_rotary_factor", "a number in (0, 1]", share)
    return inner.number("rope_theta", 10000.0), float(share)


class MoonshineConfig(Config):
    """Of Hugging Face's `MoonshineConfig`; `rope_parameters` are base and share of the rotation."""

    without_effect = frozenset(
        ("pad_head_dim_to_multiple_of", "ff_mult", "is_encoder_decoder", "head_dim")
    )

    vocab_size: int = size(32768, high=2**31 - 1)
    hidden_size: int = size(288)
    intermediate_size: int = size(1152)
    encoder_num_hidden_layers: int = layers(6)
    decoder_num_hidden_layers: int = layers(6, "num_hidden_layers")
    encoder_num_attention_heads: int = size(8)
    decoder_num_attention_heads: int = size(8, "num_attention_heads")
    encoder_num_key_value_heads: int | None = None
    decoder_num_key_value_heads: int | None = None
    encoder_hidden_act: str = activation("gelu")
    decoder_hidden_act: str = activation("silu", "hidden_act")
    max_position_embeddings: int = size(512)
    rope_parameters: tuple[float, float] = custom((10000.0, 0.9), _rope)
    attention_bias: bool = False
    pad_token_id: int | None = token(None)
    decoder_start_token_id: int | None = token(1)
    tie_word_embeddings: bool = True

    @property
    def num_hidden_layers(self) -> int:
        """The layers of one side at most."""
        return max(self.encoder_num_hidden_layers, self.decoder_num_hidden_layers)

    @property
    def num_attention_heads(self) -> int:
        """The number of heads, of both sides."""
        return self.decoder_num_attention_heads

    @property
    def rotated(self) -> int:
        """How much of a head is rotated."""
        return int(self.hidden_size // self.num_attention_heads * self.rope_parameters[1])

    def check(self, fields: Fields) -> None:
        """All heads are alike, as transformers' code only does so; pairs are rotated."""
        heads = self.decoder_num_attention_heads
        if self.hidden_size % heads:
            wanted = f"a divisor of hidden_size {self.hidden_size}"
            raise fields.error("decoder_num_attention_heads", wanted, heads)
        names = ("encoder_num_attention_heads", "encoder_num_key_value_heads",
                 "decoder_num_key_value_heads")  # fmt: skip
        for name in names:
            if getattr(self, name) not in (None, heads):
                wanted = f"{heads}, as decoder_num_attention_heads (others are not supported)"
                raise fields.error(name, wanted, getattr(self, name))
        if self.rotated < 2 or self.rotated % 2:
            wanted = "an even part of a head (others are not supported)"
            raise fields.error("partial_rotary_factor", wanted, self.rotated)

    def attention(self, *, causal: bool = False, rotary: bool = True) -> Attention:
        """An attention of either side."""
        rope = Rope(self.rotated, self.rope_parameters[0], interleaved=True) if rotary else None
        return Attention(
            self.hidden_size, self.num_attention_heads, bias=self.attention_bias, out_bias=False,
            rope=rope, causal=causal,
        )  # fmt: skip

    def norm(self) -> LayerNorm:
        """Of the width, without a bias."""
        return LayerNorm(self.hidden_size, bias=False)


class Mlp(Module):
    """Two linear layers; if `gated`, half of what is between times the activation of the rest."""

    def __init__(self, size: int, hidden: int, act: str, *, gated: bool) -> None:
        self.fc1 = Linear(size, hidden * (2 if gated else 1))
        self.fc2 = Linear(hidden, size)
        self.act, self.gated = ACTIVATIONS[act], gated

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, n, size)`, kept."""
        if not self.gated:
            return self.fc2(linear_then(self.fc1, x, self.act))
        plain, gate = self.fc1(x).chunk(2, -1)
        return self.fc2(self.act(gate) * plain)


class EncoderLayer(Module):
    """Rotary attention and feed-forward, each normalised before."""

    def __init__(self, cfg: MoonshineConfig) -> None:
        self.self_attn = cfg.attention()
        self.mlp = Mlp(cfg.hidden_size, cfg.intermediate_size, cfg.encoder_hidden_act, gated=False)
        self.input_layernorm = cfg.norm()
        self.post_attention_layernorm = cfg.norm()

    def forward(self, x: Tensor, mask: Tensor | None, table: Tensor) -> Tensor:
        """`(batch, n, size)`, kept."""
        x = x + self.self_attn(self.input_layernorm(x), mask=mask, positions=table)
        return x + self.mlp(self.post_attention_layernorm(x))


class DecoderLayer(Module):
    """The same with attention to a context between both, and a gate."""

    def __init__(self, cfg: MoonshineConfig) -> None:
        self.self_attn = cfg.attention(causal=True)
        self.encoder_attn = cfg.attention(rotary=False)
        self.mlp = Mlp(cfg.hidden_size, cfg.intermediate_size, cfg.decoder_hidden_act, gated=True)
        self.input_layernorm = cfg.norm()
        self.post_attention_layernorm = cfg.norm()
        self.final_layernorm = cfg.norm()

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None = None,
        *,
        context: Tensor | None = None,
        context_mask: Tensor | None = None,
        state: SelfAndCross | None = None,
        positions: Tensor | None = None,
    ) -> Tensor:
        """`(batch, n, size)`, kept; `positions` are the table of the rotation."""
        own, cross = (None, None) if state is None else state
        x = x + self.self_attn(self.input_layernorm(x), mask=mask, positions=positions, state=own)
        if context is not None or (cross is not None and cross.filled):
            x = x + self.encoder_attn(
                self.post_attention_layernorm(x), context=context, mask=context_mask, state=cross
            )
        return x + self.mlp(self.final_layernorm(x))


class MoonshineEncoder(Module):
    """Three convolutions over samples, and layers that see all of them."""

    def __init__(self, cfg: MoonshineConfig) -> None:
        width = cfg.hidden_size
        self.conv1 = Conv1d(1, width, _KERNELS[0], _STRIDES[0], bias=False)
        self.conv2 = Conv1d(width, 2 * width, _KERNELS[1], _STRIDES[1])
        self.conv3 = Conv1d(2 * width, width, _KERNELS[2], _STRIDES[2])
        self.groupnorm = GroupNorm(1, width)
        self.layers = ModuleList(EncoderLayer(cfg) for _ in range(cfg.encoder_num_hidden_layers))
        self.layer_norm = cfg.norm()
        self.rope = Rope(cfg.rotated, cfg.rope_parameters[0], interleaved=True)

    def forward(
        self, samples: Tensor, mask: Tensor | None = None, *, output_hidden_states: bool = False
    ) -> BaseOutput:
        """Samples `(batch, length)` → `(batch, positions, size)`.

        Raises:
            ShapeError, ArgumentError: there are other axes, or fewer samples than a position takes.
        """
        expect(samples.ndim == 2, "input_values", "shape (batch, length)", samples.shape)
        given = samples.shape[1]
        expect(positions(given) > 0, "input_values", f"{SHORTEST} samples or more", given,
               ArgumentError)  # fmt: skip
        x = self.groupnorm(self.conv1(samples.unsqueeze(1)).tanh())
        x = F.gelu(self.conv3(F.gelu(self.conv2(x)))).transpose(1, 2)
        kept = None if mask is None else as_mask(position_mask(mask))
        table = self.rope.table(arange(x.shape[1], dtype=i64).unsqueeze(0))
        states = [x]
        for layer in self.layers:
            states.append(layer(states[-1], kept, table))
        states[-1] = self.layer_norm(states[-1])
        return BaseOutput(states[-1], hidden_states=tuple(states) if output_hidden_states else None)


def positions(samples: int) -> int:
    """How many positions of the encoder so many samples make."""
    for kernel, stride in zip(_KERNELS, _STRIDES, strict=True):
        samples = (samples - kernel) // stride + 1
    return samples


SHORTEST = 895  # samples, of which the convolutions make one position


def position_mask(mask: Tensor) -> Tensor:
    """Which positions a mask of samples keeps: those whose first sample it has."""
    return mask[:, ::_STRIDE][:, : positions(mask.shape[1])].ne(0)


class MoonshineDecoder(Module):
    """Words, layers and a norm."""

    def __init__(self, cfg: MoonshineConfig) -> None:
        self.embed_tokens = Embedding(cfg.vocab_size, cfg.hidden_size, cfg.pad_token_id)
        self.layers = ModuleList(DecoderLayer(cfg) for _ in range(cfg.decoder_num_hidden_layers))
        self.norm = cfg.norm()
        self.rope = Rope(cfg.rotated, cfg.rope_parameters[0], interleaved=True)


class MoonshineStack(TextStack):
    """A `MoonshineDecoder`, the `tower`."""

    @property
    def tower(self) -> MoonshineDecoder:
        """The decoder."""
        raise NotImplementedError

    def embed(self, inputs: DecoderInputs) -> Tensor:
        """The words; positions are rotations."""
        if inputs.embeds is not None:
            return inputs.embeds
        return self.tower.embed_tokens(inputs.ids)

    def run(self, x: Tensor, inputs: LayerInputs) -> Tensor:
        """Hidden states `(batch, n, size)`."""
        tower, seen = self.tower, inputs.seen
        assert inputs.positions is not None, "`hidden` and `decode` tell them"
        table = tower.rope.table(inputs.positions)
        mask, context_mask = (
            None if each is None else as_mask(each) for each in (inputs.mask, inputs.context_mask)
        )
        held = inputs.states or [None] * len(tower.layers)
        for layer, state in zip(tower.layers, held, strict=True):
            if seen is not None:
                seen.append(x)
            x = layer(
                x, mask, context=inputs.context, context_mask=context_mask, state=state,
                positions=table,
            )  # fmt: skip
        x = tower.norm(x)
        if seen is not None:
            seen.append(x)
        return x

    def layers(self) -> int:
        """The number of layers."""
        return len(self.tower.layers)

    def cross_attentions(self) -> Sequence[Attention]:
        """Those of the layers."""
        return [layer.encoder_attn for layer in self.tower.layers]


class MoonshineModel(MoonshineStack):
    """Encoder and decoder."""

    config_class = MoonshineConfig
    base_model_prefix = "model"
    rows_alone = True  # the norm of the samples sees the padding

    def __init__(self, cfg: MoonshineConfig) -> None:
        self.config = cfg
        self.encoder = MoonshineEncoder(cfg)
        self.decoder = MoonshineDecoder(cfg)

    @property
    def tower(self) -> MoonshineDecoder:
        """The decoder."""
        return self.decoder

    def forward(
        self,
        input_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs: BaseOutput | None = None,
        state: State | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> Seq2SeqModelOutput:
        """Samples `(batch, length)` and ids `(batch, n)` → hidden states of both.

        `encoder_outputs` stand in the place of samples; `attention_mask` `(batch, length)` is of
        samples either way.
        """
        encoded = encoded_of(
            encoder_outputs, self.encoder, "input_values", input_values, attention_mask,
            output_hidden_states=output_hidden_states,
        )  # fmt: skip
        seen: list[Tensor] | None = [] if output_hidden_states else None
        mask = None if attention_mask is None else position_mask(attention_mask)
        x = self.hidden(
            decoder_input_ids, decoder_attention_mask, encoded.last_hidden_state, mask, state,
            decoder_inputs_embeds, seen=seen,
        )  # fmt: skip
        states = None if seen is None else tuple(seen)
        return Seq2SeqModelOutput(x, states, encoded.last_hidden_state, encoded.hidden_states)


class MoonshineForConditionalGeneration(MoonshineStack, SpeechToText):
    """Speech to text."""

    config_class = MoonshineConfig
    main_input = "input_values"
    rows_alone = True

    def __init__(self, cfg: MoonshineConfig) -> None:
        self.config = cfg
        self.model = MoonshineModel(cfg)
        self.make_head(cfg.hidden_size)

    @property
    def tower(self) -> MoonshineDecoder:
        """The decoder."""
        return self.model.decoder

    def encode(self, **inputs: Any) -> tuple[Tensor, Tensor | None]:
        """`input_values` and `attention_mask` → what the decoder attends to, and its mask."""
        known = {"input_values", "attention_mask"}
        wanted = "input_values, attention_mask and generation options"
        expect(inputs.keys() <= known, "generate", wanted, sorted(inputs), ArgumentError)
        mask = inputs.get("attention_mask")
        found = self.model.encoder(inputs["input_values"], mask).last_hidden_state
        return found, None if mask is None else position_mask(mask)

    def forward(
        self,
        input_values: Tensor | None = None,
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
        """Samples, and ids `(batch, n)` → logits `(batch, n, vocab_size)`.

        `labels` `(batch, n)`, -100 where there is none, give the loss, and the decoder's input
        where no other is given. Others as of the model without a head.
        """

        def call(ids: Tensor | None) -> Any:
            return self.model(
                input_values, attention_mask, ids, decoder_attention_mask, encoder_outputs, state,
                decoder_inputs_embeds, output_hidden_states=output_hidden_states,
            )  # fmt: skip

        return self.written(call, decoder_input_ids, labels, decoder_inputs_embeds)
