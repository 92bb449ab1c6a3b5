"""How Gemma 4 stands in GGUF files.

Source: llama.cpp's `conversion/gemma.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tallow.errors import ModelError
from tallow.models.gguf_layout import GGUF_DECODER, Key, Kind
from tallow.models.lending_gguf import LENDING_KEYS, LENDING_NAMES, read_kinds_of, write_kinds_of
from tallow.models.moe_config import EXPERT_KEYS, WIDTH_KEY
from tallow.weights.arrange import WeightConverter, rename, split

if TYPE_CHECKING:
    from tallow.models.fields import Fields
    from tallow.weights import WeightSource

PERIOD = 6  # each so many layers one attends to all


def _of_file(fields: Fields, source: WeightSource) -> Mapping[str, Any]:
    found = read_kinds_of(fields, source, PERIOD)
    kinds, layers = found["layer_types"], fields.integer("block_count")
    names = ("feed_forward_length", "attention.head_count_kv")
    widths, heads = (_listed(fields.get(name)) for name in names)
    first = kinds.index("full_attention") if "full_attention" in kinds else 0
    if widths:
        usual, last = widths[0], widths[-1]
        rest = found["num_kv_shared_layers"]
        if widths != [usual] * (layers - rest) + [last] * rest or last not in (usual, 2 * usual):
            wanted = f"the same, and as much or twice as much in the last {rest} layers"
            raise fields.error("feed_forward_length", wanted, widths)
        found |= {"intermediate_size": usual, "use_double_wide_mlp": last != usual}
    if heads:
        row = {kind: heads[i] for i, kind in enumerate(kinds[: len(heads)])}
        if len(heads) != layers or heads != [row[kind] for kind in kinds]:
            wanted = f"{layers} integers, one for each kind of layers"
            raise fields.error("attention.head_count_kv", wanted, heads)
        found["num_key_value_heads"] = row.get("sliding_attention", row["full_attention"])
        found["num_global_key_value_heads"] = row["full_attention"]
    return {
        **found,
        "head_dim": fields.integer("attention.key_length_swa"),
        "attention_k_eq_v": f"blk.{first}.attn_v.weight" not in source,
        "enable_moe_block": bool(fields.get("expert_count")),
    }


def _listed(value: Any) -> list[Any]:
    """The values of a key that has one for each layer; none where there is one for all."""
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else []


def _to_file(cfg: Any) -> dict[str, tuple[Kind, Any]]:
    scaling = cfg.rope_scaling
    if scaling is None or scaling.kind != "proportional":
        wanted = "proportional rotation in layers without a window of a Gemma 4 for GGUF"
        raise ModelError(f"config: rope_parameters: expected {wanted}")
    head = "attention."
    return {
        **write_kinds_of(cfg),
        **{f"{head}{name}_length_swa": ("u32", cfg.head_dim) for name in ("key", "value")},
        f"{head}value_length": ("u32", cfg.global_head_dim),
        "rope.dimension_count_swa": ("u32", cfg.head_dim),
    }


_LAYER = "model.layers.{}."
_EXPERTS = "layers.{}.experts."


def _rules(cfg: Any) -> tuple[WeightConverter, ...]:
    return (
        rename("blk.{}.layer_output_scale.weight", _LAYER + "layer_scalar"),
        rename("blk.{}.ffn_gate_inp.scale", _LAYER + "router.scale"),
        rename("blk.{}.ffn_down_exps.scale", _LAYER + "router.per_expert_scale"),
        split(
            "blk.{}.ffn_gate_up_exps.weight",
            f"model.{_EXPERTS}gate_proj.weight", f"model.{_EXPERTS}up_proj.weight", dim=1,
        ),
    )  # fmt: skip


LAYOUT = GGUF_DECODER.but(
    names={
        **LENDING_NAMES,
        "blk.{}.ffn_gate_inp": _LAYER + "router.proj",
        "blk.{}.ffn_gate_exps": _LAYER + "experts.gate_proj",
        "blk.{}.ffn_up_exps": _LAYER + "experts.up_proj",
        "blk.{}.ffn_down_exps": _LAYER + "experts.down_proj",
        "blk.{}.post_ffw_norm_1": _LAYER + "post_feedforward_layernorm_1",
        "blk.{}.pre_ffw_norm_2": _LAYER + "pre_feedforward_layernorm_2",
        "blk.{}.post_ffw_norm_2": _LAYER + "post_feedforward_layernorm_2",
    },
    keys=(
        *LENDING_KEYS,
        EXPERT_KEYS[0],
        Key("expert_used_count", "top_k_experts", attribute="num_experts_per_tok"),
        WIDTH_KEY,
        Key(
            "attention.head_count_kv", "num_key_value_heads", "arr[u32]",
            attribute="every_key_heads", layers=True,
        ),
        Key("attention.key_length", "global_head_dim"),
    ),
    architecture="gemma4",
    rules=_rules,
    read=_of_file,
    write=_to_file,
    biases=(),
)  # fmt: skip
