"""Nemotron-H and Nemotron 3: layers of Mamba 2, attention, feed-forward or experts (2504.03624)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Self

from tallow.errors import ModelError
from tallow.lazy_dataclasses import dataclass, replace
from tallow.models.blocks import Attention, Mlp
from tallow.models.blocks.activation import ACTIVATIONS, Activation
from tallow.models.blocks.mamba import HeadMixer
from tallow.models.blocks.mamba_gguf import NAMES, head_rules
from tallow.models.blocks.mamba_heads import HeadSizes
from tallow.models.blocks.moe import CorrectedRouter, ExpertLinear
from tallow.models.corrected_moe import CorrectedConfig
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUFLayout, Key, Kind
from tallow.models.recurrent_model import RecurrentLM, RecurrentModel, under
from tallow.models.states import KeyValue, Recurrent
from tallow.nn import Linear, Module, RMSNorm
from tallow.tensor import Tensor
from tallow.weights import NameMap, WeightSource
from tallow.weights.arrange import WeightConverter, rename, stack

_KINDS = {"M": "linear_attention", "E": "moe", "*": "full_attention", "-": "mlp"}
_MAMBA = _KINDS["M"]
_OLDER = {"mamba": "linear_attention", "attention": "full_attention"}


@dataclass(frozen=True)
class NemotronHConfig(CorrectedConfig):
    """Of Hugging Face's `NemotronHConfig`; `kinds` are of layers, `latent_size` 0 is none."""

    without_effect = CorrectedConfig.without_effect | {
        "attention_head_dim", "chunk_size", "expand", "hidden_dropout", "layer_types",
        "mamba_chunk_size", "mamba_dt_init_floor", "mamba_dt_limit", "mamba_dt_max",
        "mamba_expand", "mamba_proj_bias", "mamba_ssm_cache_dtype", "moe_shared_expert_overlap",
        "mtp_hybrid_override_pattern", "mtp_layers_block_type", "num_logits_to_keep",
        "rescale_prenorm_residual", "residual_in_fp32", "rope_theta", "time_step_floor",
        "time_step_limit", "time_step_max", "use_mamba_kernels",
    }  # fmt: skip

    rotary_share: ClassVar[float | None] = 1.0  # files say of heads that nothing turns

    kinds: tuple[str, ...] = ()
    mamba: HeadSizes | None = None
    latent_size: int = 0

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Layers are told by a list of kinds, or by a pattern of letters."""
        kinds = _kinds(fields)
        fields = fields.with_defaults(
            num_key_value_heads=8, head_dim=128, max_position_embeddings=4096, pad_token_id=0,
            layer_norm_epsilon=1e-5, intermediate_size=21504, moe_intermediate_size=7688,
            num_experts_per_tok=2, n_shared_experts=1, norm_topk_prob=True,
            mlp_hidden_act="relu2",
        )  # fmt: skip
        if "num_local_experts" not in fields:
            fields = fields.with_defaults(n_routed_experts=8)
        if fields.get("sliding_window") is not None:
            raise fields.error("sliding_window", "null (not supported)", "one")
        if fields.text("mamba_hidden_act", "silu") not in ("silu", "swish"):
            raise fields.error("mamba_hidden_act", "silu", fields.get("mamba_hidden_act"))
        fields = fields.with_value("num_hidden_layers", len(kinds))
        fields = fields.with_value("rms_norm_eps", fields.get("layer_norm_epsilon"))
        fields = fields.with_value("hidden_act", fields.get("mlp_hidden_act"))
        bias, mlp_bias = fields.flag("attention_bias"), fields.flag("mlp_bias")
        shared, latent = "moe_shared_expert_intermediate_size", "moe_latent_size"
        cfg = replace(
            super().read(fields),
            kinds=kinds,
            mamba=_heads(fields) if _MAMBA in kinds else None,
            qkv_bias=bias,
            output_bias=bias,
            mlp_bias=mlp_bias,
            shared_intermediate_size=fields.integer(shared, 7688),
            latent_size=0 if fields.get(latent) is None else fields.integer(latent),
        )
        if "moe" in kinds:  # what no layer has is as files of GGUF are read
            return cfg if "mlp" in kinds else replace(cfg, intermediate_size=1)
        return replace(
            cfg, num_experts=0, num_experts_per_tok=0, moe_intermediate_size=0, n_group=1,
            shared_intermediate_size=0, latent_size=0, norm_topk_prob=False, topk_group=1,
            routed_scaling_factor=1.0,
        )  # fmt: skip


def _kinds(fields: Fields) -> tuple[str, ...]:
    pattern = fields.get("hybrid_override_pattern")
    name = "layers_block_type" if fields.get("layers_block_type") else "layer_types"
    kinds = fields.get(name)
    if kinds is None and pattern is not None:
        name, kinds = "hybrid_override_pattern", pattern
        if isinstance(pattern, str):
            kinds = [_KINDS.get(letter, letter) for letter in pattern]
    kinds = list(_KINDS.values()) if kinds is None else kinds
    if isinstance(kinds, list):
        kinds = [_OLDER.get(kind, kind) if isinstance(kind, str) else kind for kind in kinds]
    known = isinstance(kinds, list) and 0 < len(kinds) <= 4096
    if not known or any(kind not in _KINDS.values() for kind in kinds):
        wanted = f"kinds of layers of {', '.join(_KINDS.values())}"
        raise fields.error(name, wanted, str(kinds)[:60])
    return tuple(kinds)


def _heads(fields: Fields) -> HeadSizes:
    heads = fields.integer("mamba_num_heads", 128, high=65536)
    groups = fields.integer("n_groups", fields.integer("mamba_n_groups", 8))
    if heads % groups:
        raise fields.error("n_groups", f"a divisor of the {heads} heads", groups)
    least = fields.number("time_step_min", fields.number("mamba_dt_min", 0.001))
    return HeadSizes(
        heads=heads,
        head_dim=fields.integer("mamba_head_dim", 64, high=65536),
        state_size=fields.integer("ssm_state_size", 128, high=1024),
        groups=groups,
        taps=fields.integer("conv_kernel", fields.integer("mamba_d_conv", 4), low=2, high=16),
        conv_bias=fields.flag("use_conv_bias", fields.flag("mamba_conv_bias", True)),
        bias=fields.flag("use_bias"),
        limits=(least, math.inf),
    )


def _of_file(fields: Fields, source: WeightSource) -> Mapping[str, Any]:
    """Kinds of layers are told by their heads of keys and their widths."""
    layers = fields.integer("block_count") - fields.integer("nextn_predict_layers", 0, low=0)
    heads, widths = (
        _each(fields, name, layers) for name in ("attention.head_count_kv", "feed_forward_length")
    )
    feed = "moe" if fields.get("expert_count") else "mlp"
    kinds = [
        "full_attention" if h else feed if w else _MAMBA for h, w in zip(heads, widths, strict=True)
    ]
    found: dict[str, Any] = {
        "layers_block_type": kinds,
        "num_key_value_heads": max(*heads, 1),
        "intermediate_size": max(*widths, 1),
        "layer_norm_epsilon": fields.number(_RMS, fields.number(_EPS, 1e-5)),
    }
    if _MAMBA in kinds:
        heads_of = fields.integer("ssm.time_step_rank", high=65536)
        first = kinds.index(_MAMBA)
        found |= {
            "mamba_num_heads": heads_of,
            "mamba_head_dim": fields.integer("ssm.inner_size") // heads_of,
            "ssm_state_size": fields.integer("ssm.state_size"),
            "n_groups": fields.integer("ssm.group_count"),
            "conv_kernel": fields.integer("ssm.conv_kernel"),
            "use_conv_bias": f"blk.{first}.ssm_conv1d.bias" in source,
        }
    if feed == "moe":
        found |= {
            "n_routed_experts": fields.integer("expert_count"),
            "num_experts_per_tok": fields.integer("expert_used_count"),
            "moe_intermediate_size": fields.integer(_WIDTH, max(*widths, 1)),
            "moe_shared_expert_intermediate_size": fields.integer(_SHARED),
            "norm_topk_prob": fields.flag("expert_weights_norm"),
            "routed_scaling_factor": fields.number("expert_weights_scale", 1.0),
            "n_group": fields.integer("expert_group_count", 1),
            "topk_group": fields.integer("expert_group_used_count", 1),
            "moe_latent_size": fields.get("moe_latent_size") or None,
        }
    return found


def _each(fields: Fields, name: str, layers: int) -> list[int]:
    found = fields.get(name)
    good = isinstance(found, Sequence) and not isinstance(found, str) and len(found) >= layers
    if not good or not all(type(each) is int and 0 <= each < 2**31 for each in found):
        raise fields.error(name, f"{layers} integers", str(found)[:60])
    return list(found[:layers])


_EPS, _RMS = "attention.layer_norm_epsilon", "attention.layer_norm_rms_epsilon"
_WIDTH, _SHARED = "expert_feed_forward_length", "expert_shared_feed_forward_length"


def _to_file(cfg: NemotronHConfig) -> dict[str, tuple[Kind, Any]]:
    """llama.cpp has one kind of feed-forward a model, and squared ReLU in it."""
    sparse, mixer = "moe" in cfg.kinds, cfg.mamba
    if sparse and "mlp" in cfg.kinds:
        raise ModelError("config: layers_block_type: expected moe or mlp in GGUF, found both")
    if cfg.hidden_act != "relu2" or mixer is None or mixer.bias:
        wanted = "relu2, and layers of Mamba without use_bias, in GGUF"
        raise ModelError(f"config: expected {wanted}, found others")
    width = cfg.moe_intermediate_size if sparse else cfg.intermediate_size
    heads = cfg.num_key_value_heads
    found: dict[str, tuple[Kind, Any]] = {
        "attention.head_count_kv": ("arr[i32]", [heads * (k == _KINDS["*"]) for k in cfg.kinds]),
        "feed_forward_length": ("arr[i32]", [width * (k in ("moe", "mlp")) for k in cfg.kinds]),
        _EPS: ("f32", cfg.rms_norm_eps),
        _RMS: ("f32", cfg.rms_norm_eps),
        "ssm.conv_kernel": ("u32", mixer.taps),
        "ssm.inner_size": ("u32", mixer.inner),
        "ssm.state_size": ("u32", mixer.state_size),
        "ssm.time_step_rank": ("u32", mixer.heads),
        "ssm.group_count": ("u32", mixer.groups),
    }
    if not sparse:
        return found
    found |= {
        "expert_count": ("u32", cfg.num_experts),
        "expert_used_count": ("u32", cfg.num_experts_per_tok),
        "expert_shared_count": ("u32", 1),
        _WIDTH: ("u32", width),
        _SHARED: ("u32", cfg.shared_intermediate_size),
        "expert_weights_norm": ("bool", cfg.norm_topk_prob),
        "expert_weights_scale": ("f32", cfg.routed_scaling_factor),
        "expert_group_count": ("u32", cfg.n_group),
        "expert_group_used_count": ("u32", cfg.topk_group),
    }
    return {**found, **({"moe_latent_size": ("u32", cfg.latent_size)} if cfg.latent_size else {})}


_LAYER = "backbone.layers.{}.mixer"


def _rules(cfg: NemotronHConfig) -> tuple[WeightConverter, ...]:
    correction = f"{_LAYER}.gate.e_score_correction_bias"
    mixers = () if cfg.mamba is None else head_rules(_LAYER, cfg.mamba.inner, cfg.mamba.groups)
    return (*mixers, rename("blk.{}.exp_probs_b.bias", correction))


_PARTS = {
    "attn_q": "q_proj", "attn_k": "k_proj", "attn_v": "v_proj", "attn_output": "o_proj",
    "ffn_up": "up_proj", "ffn_down": "down_proj", "ffn_gate_inp": "gate",
    "ffn_up_exps": "experts.up_proj", "ffn_down_exps": "experts.down_proj",
    "ffn_up_shexp": "shared_experts.up_proj", "ffn_down_shexp": "shared_experts.down_proj",
    "ffn_latent_down": "fc1_latent_proj", "ffn_latent_up": "fc2_latent_proj",
}  # fmt: skip
GGUF = GGUFLayout(
    names=NameMap(
        {**NAMES, **{f"blk.{{}}.{own}": f"{_LAYER}.{part}" for own, part in _PARTS.items()}}
    ),
    keys=(
        Key("block_count", "num_hidden_layers"),
        Key("context_length", "max_position_embeddings", default=4096),
        Key("embedding_length", "hidden_size"),
        Key("attention.head_count", "num_attention_heads"),
        Key("attention.key_length", "head_dim"),
        Key("expert_count", "n_routed_experts", attribute="none"),
    ),
    architecture_of=lambda cfg: "nemotron_h_moe" if "moe" in cfg.kinds else "nemotron_h",
    rules=_rules,
    read=_of_file,
    write=_to_file,
    partial=True,
    biases=(),
)


class PlainExperts(Module):
    """Feed-forward networks without gates of which each token takes some."""

    def __init__(self, experts: int, size: int, hidden: int, act: Activation) -> None:
        self.up_proj = ExpertLinear(experts, size, hidden)
        self.down_proj = ExpertLinear(experts, hidden, size)
        self._act = act

    def forward(self, x: Tensor, ids: Tensor, worth: Tensor) -> Tensor:
        """`(tokens, size)` → the sum of what the experts `ids` give, times `worth`."""
        each = self.down_proj(self._act(self.up_proj(x, ids)), ids)
        return (worth.unsqueeze(1) @ each).squeeze(1)


class NemotronExperts(Module):
    """Experts behind a router, between projections to a latent and back if there is one."""

    def __init__(self, cfg: NemotronHConfig) -> None:
        size, count, act = cfg.hidden_size, cfg.num_experts, ACTIVATIONS[cfg.hidden_act]
        latent, bias = cfg.latent_size, cfg.mlp_bias
        self.gate = CorrectedRouter(
            size, count, cfg.num_experts_per_tok, groups=cfg.n_group, kept=cfg.topk_group,
            renormalise=cfg.norm_topk_prob, scale=cfg.routed_scaling_factor,
        )  # fmt: skip
        self.gate.quantizable = False  # a rounded score may choose another expert
        self.experts = PlainExperts(count, latent or size, cfg.moe_intermediate_size, act)
        self.shared_experts = Mlp(size, cfg.shared_intermediate_size, act, bias=bias)
        self.fc1_latent_proj = Linear(size, latent, bias=bias) if latent else None
        self.fc2_latent_proj = Linear(latent, size, bias=bias) if latent else None

    def forward(self, x: Tensor) -> Tensor:
        """`(..., size)` → the same shape."""
        rows = x.reshape(-1, x.shape[-1])
        chosen = self.gate(rows)
        inner = rows if self.fc1_latent_proj is None else self.fc1_latent_proj(rows)
        out: Tensor = self.experts(inner, *chosen)
        out = out if self.fc2_latent_proj is None else self.fc2_latent_proj(out)
        return (out + self.shared_experts(rows)).view(*x.shape)


class Layer(Module):
    """A norm and a mixer of any kind, added to the input."""

    def __init__(self, norm: Module, mixer: Module) -> None:
        self.norm, self.mixer = norm, mixer

    def make_state(self) -> KeyValue | Recurrent:
        """Keys and values, what a mixer carries along, or nothing."""
        if isinstance(self.mixer, Attention):
            return KeyValue(self.mixer.kv_heads, self.mixer.head_dim)
        return self.mixer.make_state() if isinstance(self.mixer, HeadMixer) else Recurrent()

    def forward(
        self,
        x: Tensor,
        *,
        positions: Tensor | None = None,
        mask: Tensor | None = None,
        state: Any = None,
    ) -> Tensor:
        """`(batch, n, size)` → the same shape; positions say nothing here."""
        mixes = isinstance(self.mixer, Attention | HeadMixer)
        given: dict[str, Any] = {"mask": mask, "state": state} if mixes else {}
        return x + self.mixer(self.norm(x), **given)


def _mixer(cfg: NemotronHConfig, kind: str) -> Module:
    size = cfg.hidden_size
    if kind == "linear_attention":
        assert cfg.mamba is not None
        return cfg.mamba.mixer(size, cfg.rms_norm_eps)
    if kind == "full_attention":
        return Attention(
            size, cfg.num_attention_heads, cfg.num_key_value_heads, cfg.head_dim,
            bias=cfg.qkv_bias, out_bias=cfg.output_bias, causal=True,
        )  # fmt: skip
    if kind == "moe":
        return NemotronExperts(cfg)
    return Mlp(size, cfg.intermediate_size, ACTIVATIONS[cfg.hidden_act], bias=cfg.mlp_bias)


_EXPERTS = "layers.{}.mixer.experts"


class NemotronHModel(RecurrentModel):
    """The decoder without a head."""

    config_class = NemotronHConfig
    base_model_prefix = "backbone"
    names = ("embeddings", "norm_f")
    rules = stored = tuple(
        stack(f"{_EXPERTS}.{{*}}.{name}.weight", to=f"{_EXPERTS}.{name}.weight")
        for name in ("up_proj", "down_proj")
    )

    def __init__(self, cfg: NemotronHConfig) -> None:
        norm = partial(RMSNorm, cfg.hidden_size, cfg.rms_norm_eps)
        layers = [Layer(norm(), _mixer(cfg, kind)) for kind in cfg.kinds]
        super().__init__(cfg, layers, norm())


class NemotronHForCausalLM(RecurrentLM):
    """A decoder with the scores of the next token."""

    config_class = NemotronHConfig
    base_model_prefix = "backbone"
    model = under("backbone")
    ignorable = (r"mtp\..*",)  # which predicts tokens further on

    def __init__(self, cfg: NemotronHConfig) -> None:
        super().__init__(cfg, NemotronHModel(cfg))
