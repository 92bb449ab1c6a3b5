"""Qwen3-Next: gated delta nets between layers of gated attention, with many small experts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

from tallow.dtype import f32
from tallow.errors import ModelError
from tallow.lazy_dataclasses import dataclass, replace
from tallow.models.blocks import GatedMlp, Rope
from tallow.models.blocks.heads import as_mask
from tallow.models.blocks.hybrid_layer import MixedLayer, Names
from tallow.models.blocks.mamba import CausalConv, masked
from tallow.models.blocks.mamba_gguf import CONV, DECAY
from tallow.models.blocks.moe import Experts, Router, SparseMlp, by_softmax, stacked_experts
from tallow.models.blocks.norms import OffsetNorm
from tallow.models.config import every, read_kinds
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUF_DECODER, Key, Kind, added
from tallow.models.gguf_rows import ROW
from tallow.models.moe_config import (
    EXPERT_KEYS,
    WIDTH_KEY,
    MoeConfig,
    all_sparse,
    expert_names,
    read_dense_layers,
    shared_names,
)
from tallow.models.recurrent_model import RecurrentLM, RecurrentModel
from tallow.models.states import KeyValue, Recurrent
from tallow.nn import Linear, Module, param
from tallow.nn.init import ones, zeros
from tallow.ops import attention, cat, rms_norm, rope, silu_mul, softplus
from tallow.ops.state_space import linear_attention
from tallow.tensor import Tensor
from tallow.weights import WeightSource
from tallow.weights.arrange import TensorMap, WeightConverter, mapped, rename
from tallow.weights.arrange import cat as join


@dataclass(frozen=True)
class DeltaSizes:
    """Heads of keys and of values of a delta net, their sizes, and taps of its convolution."""

    key_heads: int = 16
    value_heads: int = 32
    key_size: int = 128
    value_size: int = 128
    taps: int = 4


@dataclass(frozen=True)
class Qwen3NextConfig(MoeConfig):
    """Of Hugging Face's `Qwen3NextConfig`; `attends` says which layers are attention."""

    rotary_share: ClassVar[float | None] = 0.25

    delta: DeltaSizes = DeltaSizes()
    attends: tuple[bool, ...] = ()

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Each fourth layer attends unless the config says another pattern."""
        fields = fields.with_defaults(
            num_key_value_heads=2, max_position_embeddings=32768, head_dim=256,
            intermediate_size=5632, num_experts=512, num_experts_per_tok=10,
            moe_intermediate_size=512,
        )  # fmt: skip
        cfg = super().read(fields)
        layers, bias = cfg.num_hidden_layers, fields.flag("attention_bias")
        period = fields.integer("full_attention_interval", 4)
        kinds = read_kinds(fields, every(period, layers, "linear_attention"), _KINDS)
        return replace(
            cfg,
            shared_intermediate_size=fields.integer("shared_expert_intermediate_size", 512),
            norm_topk_prob=fields.flag("norm_topk_prob", True),
            dense_layers=read_dense_layers(fields, layers),
            delta=_read_delta(fields),
            attends=tuple(kind == "full_attention" for kind in kinds),
            qkv_bias=bias,
            output_bias=bias,
        )


_KINDS = ("full_attention", "linear_attention")


def _read_delta(fields: Fields) -> DeltaSizes:
    heads = fields.integer("linear_num_key_heads", 16, high=65536)
    values = fields.integer("linear_num_value_heads", 32, high=65536)
    if values % heads:
        raise fields.error("linear_num_value_heads", f"a multiple of the {heads} key heads", values)
    return DeltaSizes(
        heads,
        values,
        fields.integer("linear_key_head_dim", 128, high=1024),
        fields.integer("linear_value_head_dim", 128, high=65536),
        fields.integer("linear_conv_kernel_dim", 4, low=2, high=16),
    )


def _of_file(fields: Fields, source: WeightSource) -> Mapping[str, Any]:
    """Kinds of layers and sizes of delta nets, whose keys and values are of one size in files."""
    values, size = fields.integer("ssm.time_step_rank"), fields.integer("ssm.state_size")
    if fields.integer("ssm.inner_size") != values * size:
        wanted = f"{values * size}, as heads of values are of the size of keys"
        raise fields.error("ssm.inner_size", wanted, fields.get("ssm.inner_size"))
    found: dict[str, Any] = {
        "linear_num_key_heads": fields.integer("ssm.group_count"),
        "linear_num_value_heads": values,
        "linear_key_head_dim": size,
        "linear_value_head_dim": size,
        "linear_conv_kernel_dim": fields.integer("ssm.conv_kernel"),
        **all_sparse(fields, source),
    }
    recurrent = fields.get("attention.recurrent_layers")
    if recurrent is not None:
        if not isinstance(recurrent, Sequence):
            raise fields.error("attention.recurrent_layers", "a flag for each layer", recurrent)
        found["layer_types"] = [_KINDS[bool(each)] for each in recurrent]
    return found


def _to_file(cfg: Qwen3NextConfig) -> dict[str, tuple[Kind, Any]]:
    of = cfg.delta
    if cfg.dense_layers or of.key_size != of.value_size or not cfg.norm_topk_prob or cfg.qkv_bias:
        wanted = "experts in all layers, norm_topk_prob, no attention_bias, and keys and values of"
        raise ModelError(f"config: expected {wanted} one size in a Qwen3-Next for GGUF")
    return {
        "ssm.conv_kernel": ("u32", of.taps),
        "ssm.state_size": ("u32", of.key_size),
        "ssm.group_count": ("u32", of.key_heads),
        "ssm.time_step_rank": ("u32", of.value_heads),
        "ssm.inner_size": ("u32", of.value_heads * of.value_size),
        "attention.recurrent_layers": ("arr[bool]", [not each for each in cfg.attends]),
    }


def _grouped(of: DeltaSizes) -> TensorMap:
    """Rows of all queries, keys, values and gates as those of one head of keys after the other."""
    each = of.value_heads // of.key_heads * of.value_size
    widths = (of.key_size, of.key_size, each, each)
    starts = [sum(widths[:i]) * of.key_heads for i in range(4)]
    whole = [
        (start + g * width, width)
        for g in range(of.key_heads)
        for start, width in zip(starts, widths, strict=True)
    ]
    firsts = [sum(width for _, width in whole[:i]) for i in range(len(whole))]
    back = [(firsts[4 * g + i], widths[i]) for i in range(4) for g in range(of.key_heads)]
    return TensorMap(lambda x: _rows(x, whole), lambda x: _rows(x, back))


def _rows(x: Tensor, parts: list[tuple[int, int]]) -> Tensor:
    return cat([x.narrow(0, first, count) for first, count in parts])


def _rules(cfg: Qwen3NextConfig) -> tuple[WeightConverter, ...]:
    of, norms = cfg.delta, ("attn_norm", "post_attention_norm", "attn_q_norm", "attn_k_norm")
    ours = ("input_layernorm", "post_attention_layernorm", "self_attn.q_norm", "self_attn.k_norm")
    values, joined = of.value_heads * of.value_size, _DELTA + "in_proj_qkvz.weight"
    sizes = (2 * of.key_heads * of.key_size + values, values)
    return (
        join("blk.{}.attn_qkv.weight", "blk.{}.attn_gate.weight", to=joined, sizes=sizes),
        mapped(joined, joined, _grouped(of)),
        mapped("blk.{}.ssm_a", _DELTA + "A_log", DECAY),
        mapped("blk.{}.ssm_conv1d.weight", _DELTA + "conv1d.weight", CONV),
        rename("blk.{}.ssm_dt.bias", _DELTA + "dt_bias"),
        mapped("blk.{}.ffn_gate_inp_shexp.weight", _MLP + "shared_expert_gate.weight", ROW),
        mapped("output_norm.weight", "model.norm.weight", added(-1.0)),
        *(
            mapped(f"blk.{{}}.{theirs}.weight", f"{_LAYER}{own}.weight", added(-1.0))
            for theirs, own in zip(norms, ours, strict=True)
        ),
    )


_LAYER = "model.layers.{}."
_MLP, _DELTA = _LAYER + "mlp.", _LAYER + "linear_attn."
GGUF = GGUF_DECODER.but(
    names={
        **expert_names(),
        **shared_names("shared_expert"),
        "blk.{}.ssm_ba": _DELTA + "in_proj_ba",
        "blk.{}.ssm_norm": _DELTA + "norm",
        "blk.{}.ssm_out": _DELTA + "out_proj",
    },
    keys=(
        *EXPERT_KEYS,
        WIDTH_KEY,
        Key(
            "expert_shared_feed_forward_length", "shared_expert_intermediate_size",
            attribute="shared_intermediate_size",
        ),
    ),
    architecture="qwen3next",
    constants={"norm_topk_prob": True},
    rules=_rules,
    read=_of_file,
    write=_to_file,
    partial=True,
    biases=(),
)  # fmt: skip


class NormThenGate(Module):
    """RMS norm times `silu(gate)`."""

    def __init__(self, size: int, eps: float) -> None:
        self.weight = param(size, init=ones)
        self.eps = eps

    def forward(self, x: Tensor, gate: Tensor) -> Tensor:
        """`(..., size)` of both → the same shape."""
        return silu_mul(gate, rms_norm(x, self.weight, self.eps))


class GatedDeltaNet(Module):
    """Linear attention by the gated delta rule (arXiv 2412.06464)."""

    def __init__(self, size: int, sizes: DeltaSizes, eps: float) -> None:
        self.sizes = sizes
        keys = sizes.key_heads * sizes.key_size
        values = sizes.value_heads * sizes.value_size
        self.conv1d = CausalConv(2 * keys + values, sizes.taps, bias=False)
        self.in_proj_qkvz = Linear(size, 2 * keys + 2 * values, bias=False)
        self.in_proj_ba = Linear(size, 2 * sizes.value_heads, bias=False)
        self.dt_bias = param(sizes.value_heads, init=ones, dtype=f32)
        self.A_log = param(sizes.value_heads, init=zeros, dtype=f32)
        self.norm = NormThenGate(sizes.value_size, eps)
        self.out_proj = Linear(values, size, bias=False)

    def make_state(self) -> Recurrent:
        """What the mixer carries along."""
        of = self.sizes
        scan = (of.value_heads, of.key_size, of.value_size)
        return Recurrent(conv=self.conv1d.sizes, scan=scan)

    def forward(
        self,
        x: Tensor,
        *,
        positions: Tensor | None = None,
        mask: Tensor | None = None,
        state: Recurrent | None = None,
    ) -> Tensor:
        """`(batch, n, size)` → the same shape; `mask` `(batch, n)` is 0 where there is padding."""
        of, (batch, n, _) = self.sizes, x.shape
        x = masked(x, mask)
        each = of.value_heads // of.key_heads
        widths = [of.key_size, of.key_size, each * of.value_size, each * of.value_size]
        grouped = self.in_proj_qkvz(x).unflatten(-1, (of.key_heads, sum(widths)))
        q, k, v, gate = grouped.split(widths, -1)
        b, a = self.in_proj_ba(x).unflatten(-1, (of.key_heads, 2 * each)).chunk(2, -1)
        inner = self.conv1d(cat([part.flatten(2) for part in (q, k, v)], -1), state)
        keys = of.key_heads * of.key_size
        q, k, v = inner.split([keys, keys, of.value_heads * of.value_size], -1)
        # A query and a key serve `each` heads of values next to each other.
        q, k = (
            _unit(part.unflatten(-1, (of.key_heads, of.key_size))).repeat_interleave(each, 2)
            for part in (q, k)
        )
        v = v.unflatten(-1, (of.value_heads, of.value_size))
        decay = (softplus(a.flatten(2) + self.dt_bias) * -self.A_log.exp()).exp()
        beta = b.flatten(2).sigmoid().unsqueeze(-1)
        held, counts = (None, None) if state is None else (state.held("scan"), state.counts)
        y = linear_attention(
            q * of.key_size**-0.5, k, v * beta, decay, k * decay.unsqueeze(-1), -(k * beta),
            state=held, counts=counts,
        )  # fmt: skip
        y = self.norm(y, gate.reshape(batch, n, of.value_heads, of.value_size))
        return self.out_proj(y.flatten(2))


def _unit(x: Tensor) -> Tensor:
    return x * (x.square().sum(-1, keepdim=True) + 1e-6).rsqrt()


class GatedAttention(Module):
    """Attention whose result is multiplied by sigmoids that the queries' matrix makes, too."""

    turns = True

    def __init__(self, cfg: Qwen3NextConfig) -> None:
        size, head = cfg.hidden_size, cfg.head_dim
        self.heads, self.kv_heads = cfg.num_attention_heads, cfg.num_key_value_heads
        self.head_dim = head
        self.q_proj = Linear(size, 2 * self.heads * head, bias=cfg.qkv_bias)
        self.k_proj = Linear(size, self.kv_heads * head, bias=cfg.qkv_bias)
        self.v_proj = Linear(size, self.kv_heads * head, bias=cfg.qkv_bias)
        self.o_proj = Linear(self.heads * head, size, bias=cfg.output_bias)
        self.q_norm = OffsetNorm(head, cfg.rms_norm_eps)
        self.k_norm = OffsetNorm(head, cfg.rms_norm_eps)

    def make_state(self) -> KeyValue:
        """Keys and values of all positions."""
        return KeyValue(self.kv_heads, self.head_dim)

    def forward(
        self,
        x: Tensor,
        *,
        positions: Tensor,
        mask: Tensor | None = None,
        state: KeyValue | None = None,
    ) -> Tensor:
        """`(batch, n, size)` → the same shape; `positions` are the table of `Rope`."""
        (b, n, _), d = x.shape, self.head_dim
        q, gate = self.q_proj(x).view(b, n, self.heads, 2 * d).chunk(2, -1)
        k, v = (each(x).view(b, n, self.kv_heads, d) for each in (self.k_proj, self.v_proj))
        q = rope(self.q_norm(q), positions).transpose(1, 2)
        k, v = rope(self.k_norm(k), positions).transpose(1, 2), v.transpose(1, 2)
        start: Tensor | None = None
        if state is not None:
            k, v, start = state.update(k, v)
        mask = None if mask is None else as_mask(mask)
        out = attention(q, k, v, start=start, mask=mask, causal=True).transpose(1, 2)
        return self.o_proj((out * gate.sigmoid()).reshape(b, n, self.heads * d))


def _layer(cfg: Qwen3NextConfig, index: int) -> MixedLayer:
    size, eps, attends = cfg.hidden_size, cfg.rms_norm_eps, cfg.attends[index]
    mixer: Module = GatedAttention(cfg) if attends else GatedDeltaNet(size, cfg.delta, eps)
    name = "self_attn" if attends else "linear_attn"
    names = Names("input_layernorm", name, "post_attention_layernorm", "mlp")
    sparse = cfg.is_sparse(index)
    mlp = _experts(cfg) if sparse else GatedMlp(size, cfg.intermediate_size)
    return MixedLayer(names, mixer, mlp, (OffsetNorm(size, eps), OffsetNorm(size, eps)))


def _experts(cfg: Qwen3NextConfig) -> SparseMlp:
    size, count = cfg.hidden_size, cfg.num_experts
    choose = by_softmax(cfg.num_experts_per_tok, renormalise=cfg.norm_topk_prob)
    return SparseMlp(
        Router(size, count, choose),
        Experts(count, size, cfg.moe_intermediate_size),
        shared=GatedMlp(size, cfg.shared_intermediate_size),
        shared_name="shared_expert",
        shared_gate=Linear(size, 1, bias=False),
    )


class Qwen3NextModel(RecurrentModel):
    """The decoder without a head."""

    config_class = Qwen3NextConfig
    rules = stored = stacked_experts("layers.{}.mlp.experts.{*}", "layers.{}.mlp.experts")
    ignorable = (r"mtp\..*",)  # of guesses at further tokens

    def __init__(self, cfg: Qwen3NextConfig) -> None:
        turning = Rope(cfg.rotary_dim or cfg.head_dim, cfg.rope_theta, cfg.rope_scaling)
        layers = [_layer(cfg, i) for i in range(cfg.num_hidden_layers)]
        norm = OffsetNorm(cfg.hidden_size, cfg.rms_norm_eps)
        super().__init__(cfg, layers, norm, padding=cfg.pad_token_id, rope=turning)


class Qwen3NextForCausalLM(RecurrentLM):
    """A decoder with the scores of the next token."""

    config_class = Qwen3NextConfig
    ignorable = (r"mtp\..*",)

    def __init__(self, cfg: Qwen3NextConfig) -> None:
        super().__init__(cfg, Qwen3NextModel(cfg))
