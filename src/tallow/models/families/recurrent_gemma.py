"""RecurrentGemma: gated linear recurrences with some local attention (Griffin, 2402.19427)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

from tallow.dtype import f32
from tallow.lazy_dataclasses import dataclass, replace
from tallow.models.blocks import Attention, GatedMlp, Rope
from tallow.models.blocks.activation import ACTIVATIONS
from tallow.models.blocks.hybrid_layer import MixedLayer, Names
from tallow.models.blocks.mamba import CausalConv
from tallow.models.blocks.norms import OffsetNorm
from tallow.models.config import DecoderConfig
from tallow.models.fields import Fields
from tallow.models.recurrent_model import RecurrentLM, RecurrentModel
from tallow.models.states import Recurrent
from tallow.nn import Linear, Module, param
from tallow.nn.init import normal, ones, zeros
from tallow.ops import softplus, where
from tallow.ops.state_space import gated_recurrence
from tallow.tensor import Tensor

_RATE = 8.0  # how much faster than its parameter a gate lets a unit forget
_KINDS = ("recurrent", "attention")


@dataclass(frozen=True)
class RecurrentGemmaConfig(DecoderConfig):
    """Of Hugging Face's `RecurrentGemmaConfig`; `attends` says which layers are attention."""

    rotary_share: ClassVar[float | None] = 0.5
    act: ClassVar[str] = "gelu_pytorch_tanh"
    without_effect = DecoderConfig.without_effect | {
        "w_init_variance_scale", "final_w_init_variance_scale", "embeddings_scale_by_sqrt_dim",
        "layer_types", "layers_block_type",
    }  # fmt: skip

    lru_width: int = 2560
    taps: int = 4
    soft_cap: float = 30.0
    attends: tuple[bool, ...] = ()

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Kinds of layers are repeated; the width of feed-forward layers counts both halves."""
        fields = fields.with_defaults(max_position_embeddings=8192, pad_token_id=0)
        fields = fields.with_value(
            "tie_word_embeddings", fields.flag("tie_word_embeddings", True)
        ).with_value("hidden_act", fields.text("hidden_activation", cls.act))
        cfg = super().read(fields)
        kinds = fields.get("block_types")
        kinds = ["recurrent", "recurrent", "attention"] if kinds is None else kinds
        good = isinstance(kinds, Sequence) and len(kinds) > 0
        if not good or not all(kind in _KINDS for kind in kinds):
            raise fields.error("block_types", f"a list of {' and '.join(_KINDS)}", kinds)
        layers = range(cfg.num_hidden_layers)
        attends = tuple(kinds[i % len(kinds)] == "attention" for i in layers)
        width = fields.integer("lru_width", cfg.hidden_size)
        if width % cfg.num_attention_heads:
            wanted = f"a multiple of the {cfg.num_attention_heads} heads"
            raise fields.error("lru_width", wanted, width)
        if cfg.intermediate_size % 2:
            raise fields.error("intermediate_size", "an even number", cfg.intermediate_size)
        window = fields.integer("attention_window_size", 2048)
        return replace(
            cfg,
            lru_width=width,
            taps=fields.integer("conv1d_width", 4, low=2, high=16),
            soft_cap=fields.number("logits_soft_cap", 30.0),
            attends=attends,
            sliding_windows=tuple(window * each for each in attends),
            qkv_bias=fields.flag("attention_bias"),
            output_bias=True,
            mlp_bias=True,
        )


class GatedUnit(Module):
    """The real-gated linear recurrent unit; its gates are matrices of each head's block."""

    def __init__(self, width: int, heads: int) -> None:
        block = width // heads
        drawn = normal(block**-0.5)
        self.recurrent_param = param(width, init=ones, dtype=f32)
        for name in ("input", "recurrent"):
            gate = param(heads, block, block, init=drawn, dtype=f32, kinds="f")
            setattr(self, f"{name}_gate_weight", gate)
            bias = param(heads, block, init=zeros, dtype=f32, kinds="f")
            setattr(self, f"{name}_gate_bias", bias)
        self.width, self.heads = width, heads

    def _gate(self, blocks: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Sigmoids `(batch, n, width)` of a product `(heads, rows, block)` for each head."""
        return (blocks @ weight + bias.unsqueeze(1)).sigmoid()

    def forward(self, x: Tensor, first: Tensor, state: Recurrent | None) -> Tensor:
        """`(batch, n, width)` → the same shape; `first` `(batch or 1, n, 1)` begins a text."""
        batch, n, _ = x.shape
        blocks = x.reshape(batch * n, self.heads, -1).transpose(0, 1)
        gates = [
            self._gate(blocks, weight, bias).transpose(0, 1).reshape(batch, n, self.width)
            for weight, bias in (
                (self.input_gate_weight, self.input_gate_bias),
                (self.recurrent_gate_weight, self.recurrent_gate_bias),
            )
        ]
        rate = gates[1] * softplus(self.recurrent_param) * -_RATE
        # Where a text begins nothing is kept, so that all of the input is taken.
        kept = where(first, 0.0, rate.exp())
        taken = where(first, 1.0, (1 - (rate * 2).exp()).sqrt())
        held, counts = (None, None) if state is None else (state.held("unit"), state.counts)
        return gated_recurrence(kept, x * gates[0] * taken, held, counts)


class RecurrentBlock(Module):
    """A convolution and a recurrent unit, times a gate."""

    def __init__(self, cfg: RecurrentGemmaConfig) -> None:
        self.linear_y = Linear(cfg.hidden_size, cfg.lru_width)
        self.linear_x = Linear(cfg.hidden_size, cfg.lru_width)
        self.linear_out = Linear(cfg.lru_width, cfg.hidden_size)
        self.conv_1d = CausalConv(cfg.lru_width, cfg.taps, bias=True, silu=False)
        self.rg_lru = GatedUnit(cfg.lru_width, cfg.num_attention_heads)
        self.act = ACTIVATIONS[cfg.hidden_act]

    def make_state(self) -> Recurrent:
        """What the block carries along."""
        return Recurrent(conv=self.conv_1d.sizes, unit=(self.rg_lru.width,))

    def forward(
        self,
        x: Tensor,
        *,
        positions: Tensor,
        mask: Tensor | None = None,
        state: Recurrent | None = None,
    ) -> Tensor:
        """`(batch, n, size)` → the same shape; `positions` are integers `(batch or 1, n)`."""
        first = positions.eq(0).unsqueeze(-1)
        inner = self.rg_lru(self.conv_1d(self.linear_x(x), state), first, state)
        return self.linear_out(inner * self.act(self.linear_y(x)))


def _layer(cfg: RecurrentGemmaConfig, index: int, rope: Rope) -> MixedLayer:
    size, eps = cfg.hidden_size, cfg.rms_norm_eps
    mixer: Module = RecurrentBlock(cfg)
    if cfg.attends[index]:
        mixer = Attention(
            size, cfg.num_attention_heads, cfg.num_key_value_heads, cfg.head_dim,
            bias=cfg.qkv_bias, out_bias=True, rope=rope, window=cfg.window(index), causal=True,
        )  # fmt: skip
    act = ACTIVATIONS[cfg.hidden_act]
    mlp = GatedMlp(size, cfg.intermediate_size // 2, bias=True, act=act)
    names = Names("temporal_pre_norm", "temporal_block", "channel_pre_norm", "mlp_block")
    return MixedLayer(names, mixer, mlp, (OffsetNorm(size, eps), OffsetNorm(size, eps)))


class RecurrentGemmaModel(RecurrentModel):
    """The decoder without a head."""

    config_class = RecurrentGemmaConfig
    names = ("embed_tokens", "final_norm")

    def __init__(self, cfg: RecurrentGemmaConfig) -> None:
        rope = Rope(cfg.rotary_dim or cfg.head_dim, cfg.rope_theta, cfg.rope_scaling)
        layers = [_layer(cfg, i, rope) for i in range(cfg.num_hidden_layers)]
        norm = OffsetNorm(cfg.hidden_size, cfg.rms_norm_eps)
        super().__init__(cfg, layers, norm, padding=cfg.pad_token_id, rope=rope)
        self.factor = _in_bf16(cfg.hidden_size**0.5)

    def scaled(self, x: Tensor) -> Tensor:
        """Embeddings times the root of the width."""
        return x * self.factor


def _in_bf16(value: float) -> float:
    """The nearest number of bf16, as the reference keeps the factor."""
    from struct import pack, unpack

    (bits,) = unpack("<I", pack("<f", value))
    rounded = (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000
    return float(unpack("<f", pack("<I", rounded))[0])


class RecurrentGemmaForCausalLM(RecurrentLM):
    """A decoder with the scores of the next token."""

    config_class = RecurrentGemmaConfig

    def __init__(self, cfg: RecurrentGemmaConfig) -> None:
        super().__init__(cfg, RecurrentGemmaModel(cfg))

    def head(self, hidden: Tensor) -> Tensor:
        """Logits `(…, vocab_size)` within the soft cap."""
        cap = self.config.soft_cap
        return (super().head(hidden) / cap).tanh() * cap
