"""Qwen3.5, its decoder of text: Qwen3-Next with plain projections, dense or with experts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Self

from tallow.lazy_dataclasses import dataclass, replace
from tallow.models.blocks.delta_net import DeltaSizes, GatedDeltaNet
from tallow.models.blocks.moe import joined_experts, stacked_experts
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
from tallow.models.gguf_rows import ROW, moved_rows
from tallow.models.moe_config import (
    EXPERT_KEYS,
    SHARED_WIDTH_KEY,
    WIDTH_KEY,
    MoeConfig,
    expert_names,
    shared_names,
)
from tallow.models.recurrent_model import RecurrentLM
from tallow.nn import Linear, Module
from tallow.weights import WeightSource
from tallow.weights.arrange import TensorMap, WeightConverter, mapped

if TYPE_CHECKING:
    from tallow.tensor import Tensor

_SECTIONS = (11, 11, 10)  # of frequencies for time, height and width, which texts do not need


@dataclass(frozen=True)
class Config(DeltaConfig):
    """Of Hugging Face's `Qwen3_5TextConfig`.

    `sections` are frequencies of the three positions of pictures, all of which are one for texts.
    `further` blocks of GGUF files predict tokens further on, and are not loaded.
    """

    defaults: ClassVar[Mapping[str, Any]] = {
        "num_key_value_heads": 4,
        "max_position_embeddings": 32768,
        "head_dim": 256,
    }

    sections: tuple[int, ...] = _SECTIONS
    further: int = 0

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Sections stand among what is said of rotation."""
        cfg, rope = super().read(fields), fields.get("rope_parameters")
        fields.get("mtp_num_hidden_layers"), fields.get("mtp_use_dedicated_embeddings")
        given = rope.get("mrope_section") if isinstance(rope, Mapping) else None
        cfg = replace(cfg, further=fields.integer("further_blocks", 0, low=0, high=64))
        if given is None:
            return cfg
        good = isinstance(given, list) and len(given) == 3
        if not good or not all(type(each) is int and 0 <= each <= 4096 for each in given):
            raise fields.error("rope_parameters: mrope_section", "three integers", given)
        return replace(cfg, sections=tuple(given))


@dataclass(frozen=True)
class MoeTextConfig(MoeConfig, Config):
    """Of Hugging Face's `Qwen3_5MoeTextConfig`."""

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """All layers have experts, whose worth sums to 1."""
        fields = fields.with_defaults(
            num_key_value_heads=2, num_experts=256, num_experts_per_tok=8,
            moe_intermediate_size=512, intermediate_size=1,
        )  # fmt: skip
        shared = fields.integer("shared_expert_intermediate_size", 512)
        return replace(super().read(fields), shared_intermediate_size=shared, norm_topk_prob=True)


def _of_file(fields: Fields, source: WeightSource) -> Mapping[str, Any]:
    """Blocks behind the others, which predict tokens further on, are not loaded."""
    found = dict(delta_of_file(fields, source))
    further = fields.integer("nextn_predict_layers", 0, low=0)
    layers = max(fields.integer("block_count") - further, 0)
    sections = fields.get("rope.dimension_sections")
    if isinstance(sections, Sequence) and not isinstance(sections, str):
        base = fields.number("rope.freq_base", 10000.0)
        found["rope_parameters"] = {"mrope_section": list(sections)[:3], "rope_theta": base}
    if "layer_types" in found:
        found["layer_types"] = found["layer_types"][:layers]
    return {**found, "num_hidden_layers": layers, "further_blocks": further}


def _to_file(cfg: Config) -> dict[str, tuple[Kind, Any]]:
    return {**delta_to_file(cfg), "rope.dimension_sections": ("arr[i32]", [*cfg.sections, 0])}


def _tiled(of: DeltaSizes, first: int = 0) -> list[int]:
    """Where files have heads of values, of which `each` are of one head of keys.

    `first` parts go before them and stay. In the model heads of values of a head of keys stand
    next to each other, in files those that are each head's first, then the second, and so on.
    """
    each = of.value_heads // of.key_heads
    heads = [first + j * of.key_heads + g for g in range(of.key_heads) for j in range(each)]
    return [*range(first), *heads]


def _moved_columns(order: Sequence[int]) -> TensorMap:
    def moved(order: Sequence[int], x: Tensor) -> Tensor:
        from tallow.ops import cat

        size = x.shape[-1] // len(order)
        return cat([x.narrow(1, i * size, size) for i in order], 1)

    back = sorted(range(len(order)), key=order.__getitem__)
    return TensorMap(partial(moved, order), partial(moved, back))


def _rules(cfg: Config) -> tuple[WeightConverter, ...]:
    """A model of a file has heads as they stand there; those of a folder are moved."""
    of = cfg.delta
    if cfg.heads_tiled or of.key_heads == of.value_heads:
        return delta_rules()
    heads, whole = moved_rows(_tiled(of)), moved_rows(_tiled(of, 2 * of.key_heads))
    rows = {"in_proj_z.weight": heads, "in_proj_b.weight": heads, "in_proj_a.weight": heads,
            "A_log": heads, "dt_bias": heads, "in_proj_qkv.weight": whole,
            "conv1d.weight": whole, "out_proj.weight": _moved_columns(_tiled(of))}  # fmt: skip
    return (
        *delta_rules(),
        *(mapped(_DELTA + name, _DELTA + name, each) for name, each in rows.items()),
    )


def _moe_rules(cfg: Config) -> tuple[WeightConverter, ...]:
    gate = _LAYER + "mlp.shared_expert_gate.weight"
    return (mapped("blk.{}.ffn_gate_inp_shexp.weight", gate, ROW), *_rules(cfg))


_LAYER = "model.layers.{}."
_DELTA = _LAYER + "linear_attn."
_EXPERTS = "layers.{}.mlp.experts"
GGUF_QWEN3_5_TEXT = GGUF_DECODER.but(
    names={
        **DELTA_NAMES,
        "blk.{}.attn_qkv": _DELTA + "in_proj_qkv",
        "blk.{}.attn_gate": _DELTA + "in_proj_z",
        "blk.{}.ssm_beta": _DELTA + "in_proj_b",
        "blk.{}.ssm_alpha": _DELTA + "in_proj_a",
    },
    architecture="qwen35",
    rules=_rules,
    read=_of_file,
    write=_to_file,
    attributes={"heads_tiled": True},
    partial=True,
    biases=(),
)
GGUF_QWEN3_5_MOE_TEXT = GGUF_QWEN3_5_TEXT.but(
    names={**expert_names(), **shared_names("shared_expert")},
    keys=(*EXPERT_KEYS, WIDTH_KEY, SHARED_WIDTH_KEY),
    architecture="qwen35moe",
    rules=_moe_rules,
)


class PlainDeltaNet(GatedDeltaNet):
    """A delta net with a matrix for queries, keys and values, and one for each of the others."""

    def make_projections(self, size: int, keys: int, values: int) -> None:
        """Make what `project` projects by."""
        heads = self.sizes.value_heads
        self.in_proj_qkv = Linear(size, 2 * keys + values, bias=False)
        self.in_proj_z = Linear(size, values, bias=False)
        self.in_proj_b = Linear(size, heads, bias=False)
        self.in_proj_a = Linear(size, heads, bias=False)

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """As of `GatedDeltaNet`."""
        return self.in_proj_qkv(x), self.in_proj_z(x), self.in_proj_b(x), self.in_proj_a(x)


class Qwen35TextModel(DeltaModel):
    """The decoder without a head."""

    config_class = Config
    net_class = PlainDeltaNet


class Qwen35MoeTextModel(DeltaModel):
    """The decoder with experts, without a head."""

    config_class = MoeTextConfig
    net_class = PlainDeltaNet
    stored = stacked_experts(f"{_EXPERTS}.{{*}}", _EXPERTS)  # as transformers saves them
    rules = (*stored, *joined_experts(f"{_EXPERTS}."))  # as they are published

    @staticmethod
    def make_feed(cfg: Any, index: int) -> Module:
        """Experts, and one of all tokens."""
        return experts_of(cfg)


class Qwen35ForCausalLM(RecurrentLM):
    """A decoder with the scores of the next token."""

    config_class: ClassVar[type[Config]] = Config
    model_class: ClassVar[type[DeltaModel]] = Qwen35TextModel
    ignorable = (r"mtp\..*",)

    def __init__(self, cfg: Config) -> None:
        super().__init__(cfg, self.model_class(cfg))

    def ignored(self) -> tuple[str, ...]:
        """With blocks that predict tokens further on."""
        first = self.config.num_hidden_layers
        blocks = range(first, first + self.config.further)
        return (*super().ignored(), *(rf"(model\.layers|blk)\.{i}\..*" for i in blocks))


class Qwen35MoeForCausalLM(Qwen35ForCausalLM):
    """A decoder with experts, and with the scores of the next token."""

    config_class = MoeTextConfig
    model_class = Qwen35MoeTextModel
