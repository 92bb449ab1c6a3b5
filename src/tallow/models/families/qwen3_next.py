"""Qwen3-Next: gated delta nets between layers of gated attention, with many small experts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from tallow.errors import ModelError
from tallow.lazy_dataclasses import dataclass, replace
from tallow.models.blocks import GatedMlp
from tallow.models.blocks.delta_net import DeltaSizes, GatedDeltaNet
from tallow.models.blocks.moe import stacked_experts
from tallow.models.delta_config import (
    DELTA_NAMES,
    DeltaConfig,
    delta_of_file,
    delta_rules,
    delta_to_file,
)
from tallow.models.delta_decoder import DeltaModel, experts_of
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUF_DECODER, Kind
from tallow.models.gguf_rows import ROW
from tallow.models.moe_config import (
    EXPERT_KEYS,
    SHARED_WIDTH_KEY,
    WIDTH_KEY,
    MoeConfig,
    all_sparse,
    expert_names,
    read_dense_layers,
    shared_names,
)
from tallow.models.recurrent_model import RecurrentLM
from tallow.nn import Linear, Module
from tallow.ops import cat
from tallow.tensor import Tensor
from tallow.weights import WeightSource
from tallow.weights.arrange import TensorMap, WeightConverter, mapped
from tallow.weights.arrange import cat as join


@dataclass(frozen=True)
class Qwen3NextConfig(MoeConfig, DeltaConfig):
    """Of Hugging Face's `Qwen3NextConfig`."""

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """All layers have experts unless the config says another pattern."""
        fields = fields.with_defaults(
            num_key_value_heads=2, max_position_embeddings=32768, head_dim=256,
            intermediate_size=5632, num_experts=512, num_experts_per_tok=10,
            moe_intermediate_size=512,
        )  # fmt: skip
        cfg = super().read(fields)
        return replace(
            cfg,
            shared_intermediate_size=fields.integer("shared_expert_intermediate_size", 512),
            norm_topk_prob=fields.flag("norm_topk_prob", True),
            dense_layers=read_dense_layers(fields, cfg.num_hidden_layers),
        )


def _of_file(fields: Fields, source: WeightSource) -> Mapping[str, Any]:
    return {**delta_of_file(fields, source), **all_sparse(fields, source)}


def _to_file(cfg: Qwen3NextConfig) -> dict[str, tuple[Kind, Any]]:
    if cfg.dense_layers or not cfg.norm_topk_prob:
        wanted = "experts in all layers and norm_topk_prob"
        raise ModelError(f"config: expected {wanted} in a Qwen3-Next for GGUF")
    return delta_to_file(cfg)


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
    of, joined = cfg.delta, _DELTA + "in_proj_qkvz.weight"
    values = of.value_heads * of.value_size
    sizes = (2 * of.key_heads * of.key_size + values, values)
    return (
        join("blk.{}.attn_qkv.weight", "blk.{}.attn_gate.weight", to=joined, sizes=sizes),
        mapped(joined, joined, _grouped(of)),
        mapped("blk.{}.ffn_gate_inp_shexp.weight", _MLP + "shared_expert_gate.weight", ROW),
        *delta_rules(),
    )


_LAYER = "model.layers.{}."
_MLP, _DELTA = _LAYER + "mlp.", _LAYER + "linear_attn."
GGUF = GGUF_DECODER.but(
    names={
        **expert_names(),
        **shared_names("shared_expert"),
        **DELTA_NAMES,
        "blk.{}.ssm_ba": _DELTA + "in_proj_ba",
    },
    keys=(*EXPERT_KEYS, WIDTH_KEY, SHARED_WIDTH_KEY),
    architecture="qwen3next",
    constants={"norm_topk_prob": True},
    rules=_rules,
    read=_of_file,
    write=_to_file,
    partial=True,
    biases=(),
)


class GroupedDeltaNet(GatedDeltaNet):
    """A delta net whose projections stand together for each head of keys."""

    def make_projections(self, size: int, keys: int, values: int) -> None:
        """Make what `project` projects by."""
        self.in_proj_qkvz = Linear(size, 2 * keys + 2 * values, bias=False)
        self.in_proj_ba = Linear(size, 2 * self.sizes.value_heads, bias=False)

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """As of `GatedDeltaNet`."""
        of, each = self.sizes, self.sizes.value_heads // self.sizes.key_heads
        widths = [of.key_size, of.key_size, each * of.value_size, each * of.value_size]
        grouped = self.in_proj_qkvz(x).unflatten(-1, (of.key_heads, sum(widths)))
        *parts, gate = grouped.split(widths, -1)
        b, a = self.in_proj_ba(x).unflatten(-1, (of.key_heads, 2 * each)).chunk(2, -1)
        return cat([part.flatten(2) for part in parts], -1), gate, b.flatten(2), a.flatten(2)


class Qwen3NextModel(DeltaModel):
    """The decoder without a head."""

    config_class = Qwen3NextConfig
    net_class = GroupedDeltaNet
    rules = stored = stacked_experts("layers.{}.mlp.experts.{*}", "layers.{}.mlp.experts")

    @staticmethod
    def make_feed(cfg: Any, index: int) -> Module:
        """Experts, or the feed-forward network of a layer without."""
        if cfg.is_sparse(index):
            return experts_of(cfg)
        return GatedMlp(cfg.hidden_size, cfg.intermediate_size)


class Qwen3NextForCausalLM(RecurrentLM):
    """A decoder with the scores of the next token."""

    config_class = Qwen3NextConfig
    ignorable = (r"mtp\..*",)

    def __init__(self, cfg: Qwen3NextConfig) -> None:
        super().__init__(cfg, Qwen3NextModel(cfg))
