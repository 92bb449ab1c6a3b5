"""DeltaConfig: what configs of Qwen3-Next and Qwen3.5 have in common, and GGUF's keys of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

from tallow.errors import ModelError
from tallow.lazy_dataclasses import dataclass, replace
from tallow.models.blocks.delta_net import DeltaSizes
from tallow.models.blocks.mamba_gguf import CONV, DECAY
from tallow.models.config import DecoderConfig, every, read_kinds
from tallow.models.fields import Fields
from tallow.models.gguf_layout import Kind, added
from tallow.weights import WeightSource
from tallow.weights.arrange import WeightConverter, mapped, rename


@dataclass(frozen=True)
class DeltaConfig(DecoderConfig):
    """A decoder of delta nets and of layers of attention; `attends` says which are the latter.

    `heads_tiled` is as of `GatedDeltaNet`.
    """

    rotary_share: ClassVar[float | None] = 0.25

    delta: DeltaSizes = DeltaSizes()
    attends: tuple[bool, ...] = ()
    heads_tiled: bool = False

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Each fourth layer attends unless the config says another pattern."""
        cfg, bias = super().read(fields), fields.flag("attention_bias")
        period = fields.integer("full_attention_interval", 4)
        kinds = every(period, cfg.num_hidden_layers, "linear_attention")
        return replace(
            cfg,
            delta=_read_delta(fields),
            attends=tuple(kind == _KINDS[0] for kind in read_kinds(fields, kinds, _KINDS)),
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


def delta_of_file(fields: Fields, source: WeightSource) -> Mapping[str, Any]:
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
    }
    if fields.get("full_attention_interval") is not None:
        found["full_attention_interval"] = fields.integer("full_attention_interval")
    recurrent = fields.get("attention.recurrent_layers")
    if recurrent is not None:
        if not isinstance(recurrent, Sequence):
            raise fields.error("attention.recurrent_layers", "a flag for each layer", recurrent)
        found["layer_types"] = [_KINDS[bool(each)] for each in recurrent]
    return found


def delta_to_file(cfg: DeltaConfig) -> dict[str, tuple[Kind, Any]]:
    """The keys of `delta_of_file`.

    Raises:
        ModelError: heads of keys and values of two sizes, or biases.
    """
    of = cfg.delta
    if of.key_size != of.value_size or cfg.qkv_bias:
        wanted = "no attention_bias, and keys and values of one size"
        raise ModelError(f"config: expected {wanted} in delta nets for GGUF")
    return {
        "ssm.conv_kernel": ("u32", of.taps),
        "ssm.state_size": ("u32", of.key_size),
        "ssm.group_count": ("u32", of.key_heads),
        "ssm.time_step_rank": ("u32", of.value_heads),
        "ssm.inner_size": ("u32", of.value_heads * of.value_size),
        "attention.recurrent_layers": ("arr[bool]", [not each for each in cfg.attends]),
    }


_LAYER = "model.layers.{}."
_DELTA = _LAYER + "linear_attn."
_OFFSET_NORMS = {
    "output_norm": "model.norm",
    "blk.{}.attn_norm": _LAYER + "input_layernorm",
    "blk.{}.post_attention_norm": _LAYER + "post_attention_layernorm",
    "blk.{}.attn_q_norm": _LAYER + "self_attn.q_norm",
    "blk.{}.attn_k_norm": _LAYER + "self_attn.k_norm",
}
DELTA_NAMES: Mapping[str, str] = {
    "blk.{}.ssm_norm": _DELTA + "norm",
    "blk.{}.ssm_out": _DELTA + "out_proj",
}


def delta_rules() -> tuple[WeightConverter, ...]:
    """Norms of which files hold `1 + weight`, and what is computed of delta nets."""
    return (
        mapped("blk.{}.ssm_a", _DELTA + "A_log", DECAY),
        mapped("blk.{}.ssm_conv1d.weight", _DELTA + "conv1d.weight", CONV),
        rename("blk.{}.ssm_dt.bias", _DELTA + "dt_bias"),
        *(
            mapped(f"{theirs}.weight", f"{own}.weight", added(-1.0))
            for theirs, own in _OFFSET_NORMS.items()
        ),
    )
