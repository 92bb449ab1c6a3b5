"""MoeConfig: what configs of decoders with experts say of them, and how GGUF files keep them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from tallow.errors import ModelError
from tallow.lazy_dataclasses import dataclass, replace
from tallow.models.config import DecoderConfig
from tallow.models.fields import Fields
from tallow.models.gguf_layout import Key, Kind

MAX_EXPERTS = 65536  # rows of a router, which is made before the file is asked


@dataclass(frozen=True)
class MoeConfig(DecoderConfig):
    """A decoder whose feed-forward layers are experts, but for those of `dense_layers`.

    `moe_intermediate_size` is the width of an expert, `shared_intermediate_size` that of one for
    all tokens (0: there is none).
    """

    # What training alone asks for.
    without_effect: ClassVar[frozenset[str]] = DecoderConfig.without_effect | {
        "aux_loss_alpha",
        "ep_size",
        "output_router_logits",
        "router_aux_loss_coef",
        "router_jitter_noise",
        "input_jitter_noise",
        "seq_aux",
    }

    num_experts: int = 0
    num_experts_per_tok: int = 0
    moe_intermediate_size: int = 0
    shared_intermediate_size: int = 0
    norm_topk_prob: bool = False
    dense_layers: tuple[int, ...] = ()

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """The keys that all families have; families give their defaults before."""
        cfg = super().read(fields)
        names = ("num_local_experts", "num_experts", "n_routed_experts")
        name = next((name for name in names if name in fields), "num_experts")
        experts = fields.integer(name, high=MAX_EXPERTS)
        chosen = fields.integer("num_experts_per_tok", high=MAX_EXPERTS)
        if chosen > experts:
            raise fields.error("num_experts_per_tok", f"at most the {experts} experts", chosen)
        width = fields.integer("moe_intermediate_size", cfg.intermediate_size)
        return replace(
            cfg,
            num_experts=experts,
            num_experts_per_tok=chosen,
            moe_intermediate_size=width,
        )

    def is_sparse(self, layer: int) -> bool:
        """Whether a layer has experts."""
        return layer not in self.dense_layers


def read_dense_layers(fields: Fields, layers: int) -> tuple[int, ...]:
    """Qwen's: those of `mlp_only_layers`, and all but each `decoder_sparse_step`-th."""
    step = fields.integer("decoder_sparse_step", 1)
    given = fields.get("mlp_only_layers") or []
    if not isinstance(given, list) or not all(type(i) is int for i in given):
        raise fields.error("mlp_only_layers", "a list of layers", given)
    return tuple(i for i in range(layers) if i in given or (i + 1) % step)


def expert_names(layer: str = "model.layers.{}.mlp.") -> Mapping[str, str]:
    """Stems of GGUF files for a router, experts and experts for all tokens."""
    return {
        "blk.{}.ffn_gate_inp": layer + "gate",
        "blk.{}.ffn_gate_exps": layer + "experts.gate_proj",
        "blk.{}.ffn_up_exps": layer + "experts.up_proj",
        "blk.{}.ffn_down_exps": layer + "experts.down_proj",
    }


def shared_names(shared: str, layer: str = "model.layers.{}.mlp.") -> Mapping[str, str]:
    """Stems for an expert that all tokens take, which checkpoints call `shared`."""
    return {
        f"blk.{{}}.ffn_{role}_shexp": f"{layer}{shared}.{role}_proj"
        for role in ("gate", "up", "down")
    }


EXPERT_KEYS: tuple[Key, ...] = (
    Key("expert_count", "num_experts"),
    Key("expert_used_count", "num_experts_per_tok"),
)
WIDTH_KEY = Key("expert_feed_forward_length", "moe_intermediate_size")
SHARED_WIDTH_KEY = Key(
    "expert_shared_feed_forward_length", "shared_expert_intermediate_size",
    attribute="shared_intermediate_size",
)  # fmt: skip


def all_sparse(fields: Fields, source: Any) -> Mapping[str, Any]:
    """Which layers have experts is not said in GGUF files: those with a router."""
    layers = fields.integer("block_count")
    dense = [i for i in range(layers) if f"blk.{i}.ffn_gate_inp.weight" not in source]
    return {"mlp_only_layers": dense}


SIGMOIDS = 2  # of llama.cpp's `expert_gating_func`


def leading_dense(fields: Fields, source: Any) -> Mapping[str, Any]:
    """The first layers without experts, and the experts that all tokens take (DeepSeek's)."""
    return {
        "first_k_dense_replace": fields.integer("leading_dense_block_count", 0, low=0),
        "n_shared_experts": fields.integer("expert_shared_count", 0, low=0),
    }


def write_leading_dense(cfg: MoeConfig) -> dict[str, tuple[Kind, Any]]:
    """The keys of `leading_dense`.

    Raises:
        ModelError: layers without experts behind others, or shared experts of another width.
    """
    dense, width = len(cfg.dense_layers), cfg.moe_intermediate_size
    if cfg.dense_layers != tuple(range(dense)):
        raise ModelError(f"config: expected first layers without experts, found {cfg.dense_layers}")
    if not width or cfg.shared_intermediate_size % width:
        raise ModelError("config: expected shared experts as wide as the others")
    return {
        "leading_dense_block_count": ("u32", dense),
        "expert_shared_count": ("u32", cfg.shared_intermediate_size // width),
    }
