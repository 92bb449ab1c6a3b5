"""Llama 4's texts: pieces that see themselves alone, layers without positions, and experts."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, Self

from tallow.errors import ModelError
from tallow.lazy_dataclasses import dataclass, replace
from tallow.models.blocks import DecoderLayer, GatedMlp, LayerNames, Rope
from tallow.models.blocks.moe import Choice, Choose, Experts, Router, SparseMlp
from tallow.models.causal_lm import define_causal
from tallow.models.decoder_model import DecoderModel, decoder_attention, gated_mlp
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUF_DECODER, Key, Kind
from tallow.models.moe_config import EXPERT_KEYS, MoeConfig, expert_names, shared_names
from tallow.models.rope_fields import read_rotating
from tallow.nn import Module, RMSNorm
from tallow.ops import topk
from tallow.tensor import Tensor
from tallow.weights import WeightSource
from tallow.weights.arrange import EXCHANGED, mapped, split

PERIOD = 4  # every so many layers one attends to all, and knows no positions
_CHUNK, _FLOOR, _SCALE = 8192, 8192, 0.1  # which llama.cpp has in its code


@dataclass(frozen=True)
class Config(MoeConfig):
    """Of Hugging Face's `Llama4TextConfig`.

    `intermediate_size` is that of layers without experts. Queries of layers without positions grow
    by `attn_scale` times the logarithm of every `floor_scale` positions (arXiv 2501.19399).
    """

    theta: ClassVar[float] = 500000.0

    head_norms: bool = True
    floor_scale: int = _FLOOR
    attn_scale: float = _SCALE  # 0: queries do not grow

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """`intermediate_size` of the file is an expert's, `intermediate_size_mlp` the other one."""
        fields = fields.with_defaults(
            num_key_value_heads=8, head_dim=128, max_position_embeddings=131072, rms_norm_eps=1e-5,
            num_experts_per_tok=1, intermediate_size=8192, intermediate_size_mlp=16384,
            attention_chunk_size=_CHUNK,
        )  # fmt: skip
        if "num_experts" not in fields:
            fields = fields.with_defaults(num_local_experts=16)
        width = fields.integer("intermediate_size")
        fields = fields.with_value("moe_intermediate_size", width)
        fields = fields.with_value("intermediate_size", fields.integer("intermediate_size_mlp"))
        cfg, bias = (
            super().read(fields.with_value("layer_types", None)),
            fields.flag("attention_bias"),
        )
        layers = cfg.num_hidden_layers
        turned, sparse = read_rotating(fields, layers, PERIOD), _sparse(fields, layers)
        chunk = fields.get("attention_chunk_size")
        size = 0 if chunk is None else fields.integer("attention_chunk_size")
        grows = fields.flag("attn_temperature_tuning", True)
        return replace(
            cfg,
            qkv_bias=bias,
            output_bias=bias,
            rope_interleaved=True,
            rope_layers=turned,
            chunks=_chunks(fields, turned, size),
            dense_layers=tuple(i for i in range(layers) if i not in sparse),
            shared_intermediate_size=width,
            head_norms=fields.flag("use_qk_norm", True),
            floor_scale=fields.integer("floor_scale", _FLOOR),
            attn_scale=fields.number("attn_scale", _SCALE) if grows else 0.0,
        )


def _sparse(fields: Fields, layers: int) -> list[int]:
    step, given = fields.integer("interleave_moe_layer_step", 1), fields.get("moe_layers")
    if given is None:
        return list(range(step - 1, layers, step))
    if not isinstance(given, list) or not all(type(i) is int for i in given):
        raise fields.error("moe_layers", "a list of layers", given)
    return given


def _chunks(fields: Fields, turned: tuple[bool, ...], size: int) -> tuple[int, ...]:
    kinds = fields.get("layer_types")
    if kinds is None:
        return tuple(size if each else 0 for each in turned)
    known = ("chunked_attention", "full_attention")
    if not isinstance(kinds, list) or len(kinds) < len(turned) or not set(kinds) <= set(known):
        raise fields.error("layer_types", f"{len(turned)} of {' or '.join(known)}", kinds)
    return tuple(size if kind == known[0] else 0 for kind in kinds[: len(turned)])


def _of_file(fields: Fields, source: WeightSource) -> Mapping[str, Any]:
    """llama.cpp knows no norms of heads where there are 128 experts; a window of 0 is no chunk."""
    plain = fields.has("attention.sliding_window") and not fields.get("attention.sliding_window")
    more = {"attention_chunk_size": None, "no_rope_layer_interval": 2**20} if plain else {}
    return {"use_qk_norm": fields.get("expert_count") != 128, **more}


def _to_file(cfg: Config) -> dict[str, tuple[Kind, Any]]:
    layers = range(cfg.num_hidden_layers)
    turned = tuple(bool((i + 1) % PERIOD) for i in layers)
    usual = cfg.rope_layers == turned and cfg.chunks == tuple(_CHUNK * each for each in turned)
    if not usual or (cfg.floor_scale, cfg.attn_scale) != (_FLOOR, _SCALE):
        wanted = f"chunks of {_CHUNK} but in every fourth layer, and queries that grow by {_SCALE}"
        raise ModelError(f"config: expected {wanted} in a Llama 4 for GGUF")
    if cfg.head_norms is not (cfg.num_experts != 128):
        raise ModelError("config: use_qk_norm: expected false with 128 experts alone, for GGUF")
    sparse = [i for i in layers if cfg.is_sparse(i)]
    step = sparse[0] + 1 if sparse else 0
    if not sparse or sparse != list(range(step - 1, cfg.num_hidden_layers, step)):
        raise ModelError(f"config: moe_layers: expected each n-th layer for GGUF, found {sparse}")
    return {"interleave_moe_layer_step": ("u32", step)}


_MLP = "layers.{}.feed_forward."
_OWN = {"ffn_gate": "gate_proj", "ffn_up": "up_proj", "ffn_down": "down_proj"}
GGUF = GGUF_DECODER.but(
    names={
        **expert_names(f"model.{_MLP}"),
        **shared_names("shared_expert", f"model.{_MLP}"),
        "blk.{}.ffn_gate_inp": f"model.{_MLP}router",
        **{f"blk.{{}}.{role}": f"model.{_MLP}{own}" for role, own in _OWN.items()},
    },
    keys=(
        *EXPERT_KEYS,
        Key("feed_forward_length", "intermediate_size_mlp", attribute="intermediate_size"),
        Key("expert_feed_forward_length", "intermediate_size", attribute="moe_intermediate_size"),
        Key("interleave_moe_layer_step", "interleave_moe_layer_step", default=1),
    ),
    architecture="llama4",
    read=_of_file,
    write=_to_file,
    biases=("attn_q", "attn_k", "attn_v"),
)


_EXPERTS = _MLP + "experts."


class Llama4TextModel(DecoderModel):
    """The decoder without a head."""

    config_class = Config
    rules = stored = (
        mapped(_EXPERTS + "gate_up_proj", _EXPERTS + "gates_and_ups", EXCHANGED),
        split(
            _EXPERTS + "gates_and_ups", _EXPERTS + "gate_proj.weight", _EXPERTS + "up_proj.weight",
            dim=1,
        ),
        mapped(_EXPERTS + "down_proj", _EXPERTS + "down_proj.weight", EXCHANGED),
    )  # fmt: skip

    @staticmethod
    def make_layer(cfg: Any, index: int, rope: Rope | None) -> Module:
        """Attention in pieces or to all, and experts or a gated feed-forward."""
        parts: dict[str, Any] = {}
        if rope is not None and cfg.head_norms:
            norm = partial(RMSNorm, cfg.head_dim, cfg.rms_norm_eps, elementwise_affine=False)
            parts = {"q_norm": norm(), "k_norm": norm(), "norm_turned": True}
        if rope is None and cfg.attn_scale:
            parts["temperature"] = partial(grown, every=cfg.floor_scale, scale=cfg.attn_scale)
        return DecoderLayer(
            self_attn=decoder_attention(cfg, index, rope, **parts),
            mlp=_experts(cfg) if cfg.is_sparse(index) else gated_mlp(cfg),
            norm=partial(RMSNorm, cfg.hidden_size, cfg.rms_norm_eps),
            names=LayerNames(mlp="feed_forward"),
        )


def grown(positions: Tensor, *, every: int, scale: float) -> Tensor:
    """Positions `(batch or 1, n)` → what queries are multiplied with, `(batch or 1, n, 1, 1)`."""
    steps = (positions + 1).div(every, rounding_mode="floor")
    return (steps.log1p() * scale + 1).unsqueeze(-1).unsqueeze(-1)


class ScaledExperts(Experts):
    """Experts that are given what their tokens are worth, times the tokens."""

    def forward(self, x: Tensor, ids: Tensor, worth: Tensor) -> Tensor:
        """`(tokens, size)` → the sum of what the experts `ids` give."""
        return self.each(x.unsqueeze(1) * worth.unsqueeze(2), ids).sum(1)


def _by_sigmoid(chosen: int) -> Choose:
    def choose(scores: Tensor) -> Choice:
        best, ids = topk(scores, chosen)
        return ids, best.sigmoid()

    return choose


def _experts(cfg: Config) -> SparseMlp:
    size, count, width = cfg.hidden_size, cfg.num_experts, cfg.moe_intermediate_size
    return SparseMlp(
        Router(size, count, _by_sigmoid(cfg.num_experts_per_tok)),
        ScaledExperts(count, size, width),
        router_name="router",
        shared=GatedMlp(size, width, bias=False),
        shared_name="shared_expert",
    )


define_causal(globals(), "Llama4", Llama4TextModel)
