"""Granite 4 hybrid: Mamba 2 layers between some of attention, with multipliers of Granite."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from tallow.errors import ModelError
from tallow.lazy_dataclasses import dataclass, replace
from tallow.models.blocks import Attention, Rope
from tallow.models.blocks.hybrid_layer import MixedLayer, Names
from tallow.models.blocks.mamba_gguf import MIXED_KEYS, head_rules, key_heads, write_key_heads
from tallow.models.blocks.mamba_heads import HeadSizes, read_heads
from tallow.models.blocks.moe import ExpertLinear, softmax_of_chosen
from tallow.models.config import DecoderConfig
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUF_DECODER, Key, Kind
from tallow.models.moe_config import MAX_EXPERTS
from tallow.models.recurrent_model import RecurrentLM, RecurrentModel
from tallow.nn import Linear, Module, RMSNorm
from tallow.ops import linear, silu_mul
from tallow.tensor import Tensor
from tallow.weights import WeightSource
from tallow.weights.arrange import WeightConverter, cat, rename

_ATTENTION, _MAMBA = ("attention", "full_attention"), ("mamba", "linear_attention")


@dataclass(frozen=True)
class GraniteMoeHybridConfig(DecoderConfig):
    """Of Hugging Face's `GraniteMoeHybridConfig`; `attends` says which layers are attention."""

    without_effect = DecoderConfig.without_effect | {
        "mamba_chunk_size", "normalization_function", "init_method", "output_router_logits",
        "router_aux_loss_coef", "layers_block_type",
    }  # fmt: skip

    mamba: HeadSizes | None = None
    attends: tuple[bool, ...] = ()
    turns: bool = False
    embedding_multiplier: float = 1.0
    logits_scaling: float = 1.0
    residual_multiplier: float = 1.0
    attention_multiplier: float = 1.0
    num_experts: int = 0
    num_experts_per_tok: int = 0
    expert_size: int = 0

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Positions are turned only where the config says so; one network serves all tokens."""
        experts = fields.integer("num_local_experts", 8, low=0, high=MAX_EXPERTS)
        chosen = fields.integer("num_experts_per_tok", 2, low=0, high=MAX_EXPERTS)
        if experts and not 1 <= chosen <= experts:
            raise fields.error("num_experts_per_tok", f"1 to {experts}", chosen)
        width = fields.integer("intermediate_size", 11008)
        shared = fields.integer("shared_intermediate_size", 1024)
        cfg = super().read(fields.with_value("intermediate_size", shared))
        kind = fields.get("position_embedding_type")
        if kind not in (None, "nope", "rope"):
            raise fields.error("position_embedding_type", "rope, nope or null", kind)
        bias = fields.flag("attention_bias")
        names = ("embedding", "residual", "attention")
        factors: dict[str, Any] = {
            f"{name}_multiplier": fields.number(f"{name}_multiplier", 1.0) for name in names
        }
        return replace(
            cfg,
            mamba=read_heads(fields, cfg.hidden_size, state_size=256),
            attends=_attends(fields, cfg.num_hidden_layers),
            turns=kind == "rope",
            qkv_bias=bias,
            output_bias=bias,
            logits_scaling=fields.number("logits_scaling", 1.0),
            num_experts=experts,
            num_experts_per_tok=chosen if experts else 0,
            expert_size=width if experts else 0,
            **factors,
        )


def _attends(fields: Fields, layers: int) -> tuple[bool, ...]:
    kinds = fields.get("layer_types")
    kinds = kinds if kinds is not None else fields.get("layers_block_type")
    kinds = [_MAMBA[0]] * layers if kinds is None else kinds
    known = (*_ATTENTION, *_MAMBA)
    if not isinstance(kinds, list) or len(kinds) < layers or any(k not in known for k in kinds):
        raise fields.error("layer_types", f"{layers} of {', '.join(known)}", kinds)
    return tuple(kind in _ATTENTION for kind in kinds[:layers])


def _of_file(fields: Fields, source: WeightSource) -> Mapping[str, Any]:
    """Layers, sizes of mixers, and whether positions turn anything."""
    heads, attends = key_heads(fields)
    width, inner = fields.integer("embedding_length"), fields.integer("ssm.inner_size")
    first = attends.index(False) if False in attends else 0
    return {
        "num_key_value_heads": heads,
        "layer_types": [_ATTENTION[0] if each else _MAMBA[0] for each in attends],
        "mamba_expand": inner // width,
        "mamba_n_heads": fields.integer("ssm.time_step_rank"),
        "mamba_d_state": fields.integer("ssm.state_size"),
        "mamba_n_groups": fields.integer("ssm.group_count"),
        "mamba_d_conv": fields.integer("ssm.conv_kernel"),
        "mamba_conv_bias": f"blk.{first}.ssm_conv1d.bias" in source,
        **_experts_of_file(fields),
        "position_embedding_type": "rope" if fields.flag("rope.scaling.finetuned", True) else None,
    }


def _experts_of_file(fields: Fields) -> dict[str, Any]:
    width, experts = fields.integer("feed_forward_length"), fields.integer("expert_count", 0, low=0)
    found = {"num_local_experts": experts, "intermediate_size": width}
    if experts:
        found["num_experts_per_tok"] = fields.integer("expert_used_count")
        width = fields.integer("expert_shared_feed_forward_length")
    return {**found, "shared_intermediate_size": width}


def _to_file(cfg: GraniteMoeHybridConfig) -> dict[str, tuple[Kind, Any]]:
    mixer = cfg.mamba
    assert mixer is not None
    if mixer.inner != 2 * cfg.hidden_size or mixer.bias or cfg.qkv_bias:
        wanted = "mamba_expand 2, no mamba_proj_bias and no attention_bias in a Granite for GGUF"
        raise ModelError(f"config: expected {wanted}, found others")
    experts: dict[str, tuple[Kind, Any]] = {
        "expert_count": ("u32", cfg.num_experts),
        "expert_used_count": ("u32", cfg.num_experts_per_tok),
        "expert_shared_feed_forward_length": ("u32", cfg.intermediate_size),
    }
    return {
        **(experts if cfg.num_experts else {}),
        "feed_forward_length": ("u32", cfg.expert_size or cfg.intermediate_size),
        "attention.head_count_kv": write_key_heads(cfg.num_key_value_heads, cfg.attends),
        "ssm.inner_size": ("u32", mixer.inner),
        "ssm.time_step_rank": ("u32", mixer.heads),
        "ssm.state_size": ("u32", mixer.state_size),
        "ssm.group_count": ("u32", mixer.groups),
        "ssm.conv_kernel": ("u32", mixer.taps),
        "rope.scaling.finetuned": ("bool", cfg.turns),
    }


def _rules(cfg: GraniteMoeHybridConfig) -> tuple[WeightConverter, ...]:
    assert cfg.mamba is not None
    shared, of_experts = _LAYER + "shared_mlp.", _LAYER + "block_sparse_moe."
    end = "_shexp.weight" if cfg.num_experts else ".weight"
    rules = [
        cat(f"blk.{{}}.ffn_gate{end}", f"blk.{{}}.ffn_up{end}", to=f"{shared}input_linear.weight"),
        rename(f"blk.{{}}.ffn_down{end}", f"{shared}output_linear.weight"),
    ]
    if cfg.num_experts:
        both = [f"blk.{{}}.ffn_{part}_exps.weight" for part in ("gate", "up")]
        rules.append(cat(*both, to=f"{of_experts}input_linear.weight", dim=1))
    return *rules, *head_rules(_LAYER + "mamba", cfg.mamba.inner, cfg.mamba.groups)


_LAYER = "model.layers.{}."
GGUF = GGUF_DECODER.but(
    names={
        "blk.{}.ffn_gate_inp": _LAYER + "block_sparse_moe.router.layer",
        "blk.{}.ffn_down_exps": _LAYER + "block_sparse_moe.output_linear",
        "blk.{}.ssm_in": _LAYER + "mamba.in_proj",
        "blk.{}.ssm_conv1d": _LAYER + "mamba.conv1d",
        "blk.{}.ssm_out": _LAYER + "mamba.out_proj",
    },
    keys=(
        *MIXED_KEYS,
        Key("feed_forward_length", "intermediate_size", attribute="none"),
        Key("expert_count", "num_local_experts", attribute="none"),
        Key("embedding_scale", "embedding_multiplier", "f32"),
        Key("residual_scale", "residual_multiplier", "f32"),
        Key("attention.scale", "attention_multiplier", "f32"),
        Key("logit_scale", "logits_scaling", "f32"),
    ),
    architecture="granitehybrid",
    rules=_rules,
    read=_of_file,
    write=_to_file,
    interleaved=True,
    biases=(),
)


class SharedMlp(Module):
    """`output_linear(silu(gate) * up)`, both of one product."""

    def __init__(self, size: int, hidden: int) -> None:
        self.input_linear = Linear(size, 2 * hidden, bias=False)
        self.output_linear = Linear(hidden, size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """`(..., size)` → the same shape."""
        return self.output_linear(silu_mul(*self.input_linear(x).chunk(2, -1)))


class RouterLayer(Module):
    """The scores of experts, as checkpoints call it."""

    def __init__(self, size: int, experts: int) -> None:
        self.layer = Linear(size, experts, bias=False)


class SparseExperts(Module):
    """Experts of which a token takes those of the highest scores."""

    def __init__(self, cfg: GraniteMoeHybridConfig) -> None:
        size, count, width = cfg.hidden_size, cfg.num_experts, cfg.expert_size
        self.router = RouterLayer(size, count)
        self.input_linear = ExpertLinear(count, size, 2 * width)
        self.output_linear = ExpertLinear(count, width, size)
        self.choose = softmax_of_chosen(cfg.num_experts_per_tok)

    def forward(self, x: Tensor) -> Tensor:
        """`(..., size)` → the same shape."""
        rows = x.reshape(-1, x.shape[-1])
        ids, worth = self.choose(linear(rows, self.router.layer.weight, exact=True))
        gate, up = self.input_linear(rows, ids).chunk(2, -1)
        found = worth.unsqueeze(1) @ self.output_linear(silu_mul(gate, up), ids)
        return found.reshape(x.shape)


class SparseLayer(MixedLayer):
    """A layer with experts beside the shared network."""

    block_sparse_moe: Module

    def fed(self, x: Tensor) -> Tensor:
        """What both make of `(batch, n, size)`."""
        found: Tensor = self.block_sparse_moe(x)
        return found + super().fed(x)


def _layer(cfg: GraniteMoeHybridConfig, index: int, rope: Rope | None) -> MixedLayer:
    size, eps, attends = cfg.hidden_size, cfg.rms_norm_eps, cfg.attends[index]
    assert cfg.mamba is not None
    mixer: Module = cfg.mamba.mixer(size, eps)
    if attends:
        mixer = Attention(
            size, cfg.num_attention_heads, cfg.num_key_value_heads, cfg.head_dim,
            bias=cfg.qkv_bias, out_bias=cfg.output_bias, rope=rope, causal=True,
            scale=cfg.attention_multiplier,
        )  # fmt: skip
    name = "self_attn" if attends else "mamba"
    names = Names("input_layernorm", name, "post_attention_layernorm", "shared_mlp")
    mlp = SharedMlp(size, cfg.intermediate_size)
    norms = RMSNorm(size, eps), RMSNorm(size, eps)
    if not cfg.num_experts:
        return MixedLayer(names, mixer, mlp, norms, scale=cfg.residual_multiplier)
    made = SparseLayer(names, mixer, mlp, norms, scale=cfg.residual_multiplier)
    made.block_sparse_moe = SparseExperts(cfg)
    return made


class GraniteMoeHybridModel(RecurrentModel):
    """The decoder without a head."""

    config_class = GraniteMoeHybridConfig

    def __init__(self, cfg: GraniteMoeHybridConfig) -> None:
        made = Rope(
            cfg.head_dim, cfg.rope_theta, cfg.rope_scaling,
            factors=cfg.rope_factors, interleaved=cfg.rope_interleaved,
        )  # fmt: skip
        rope = made if cfg.turns else None
        layers = [_layer(cfg, i, rope) for i in range(cfg.num_hidden_layers)]
        norm = RMSNorm(cfg.hidden_size, cfg.rms_norm_eps)
        super().__init__(cfg, layers, norm, padding=cfg.pad_token_id, rope=rope)

    def scaled(self, x: Tensor) -> Tensor:
        """Embeddings times the multiplier."""
        return x * self.config.embedding_multiplier


class GraniteMoeHybridForCausalLM(RecurrentLM):
    """A decoder with the scores of the next token."""

    config_class = GraniteMoeHybridConfig

    def __init__(self, cfg: GraniteMoeHybridConfig) -> None:
        super().__init__(cfg, GraniteMoeHybridModel(cfg))

    def head(self, hidden: Tensor) -> Tensor:
        """Logits `(…, vocab_size)`, divided by the config's scale."""
        return super().head(hidden) / self.config.logits_scaling
