"""Falcon: shared keys and values, attention and feed-forward side by side (arXiv 2311.16867)."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar, Self

from tallow.lazy_dataclasses import dataclass, replace
from tallow.models.blocks import (
    PRE_NORMS,
    DecoderLayer,
    DecoderNames,
    LayerNames,
    Mlp,
    Norms,
    ParallelLayer,
    Rope,
)
from tallow.models.blocks.activation import ACTIVATIONS
from tallow.models.blocks.alibi import alibi_slopes
from tallow.models.causal_lm import CausalLM
from tallow.models.config import DecoderConfig
from tallow.models.decoder_model import decoder_attention
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUFLayout, Key, decoder_keys
from tallow.models.gguf_rows import joined_rows
from tallow.models.gpt_model import LayerNormModel
from tallow.nn import LayerNorm, Module
from tallow.weights import NameMap, WeightSource
from tallow.weights.arrange import WeightConverter, rename

_ONE = Norms("input_layernorm", None, None, None)
_TWO = Norms("ln_attn", None, "ln_mlp", None)


@dataclass(frozen=True)
class Config(DecoderConfig):
    """Of Hugging Face's `FalconConfig`.

    `groups` are those of the joined projection's rows, `norms` where the layers' stand.
    """

    act: ClassVar[str] = "gelu"
    without_effect: ClassVar[frozenset[str]] = frozenset(
        {*DecoderConfig.without_effect, "num_kv_heads", "num_ln_in_parallel_attn"}
    )

    groups: int = 1
    norms: Norms = _ONE
    slopes: tuple[float, ...] = ()

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Keys and values are one, as many as heads, or `num_kv_heads` in the new architecture."""
        width = fields.integer("hidden_size", 4544)
        fields = fields.with_defaults(tie_word_embeddings=True, layer_norm_epsilon=1e-5)
        heads = fields.integer("num_attention_heads", 71)
        new, many = fields.flag("new_decoder_architecture"), not fields.flag("multi_query", True)
        shared = fields.integer("num_kv_heads", heads) if new else heads if many else 1
        names = {"hidden_act": "activation", "rms_norm_eps": "layer_norm_epsilon"}
        fields = fields.called({**names, "intermediate_size": "ffn_hidden_size"})
        fields = fields.with_default("intermediate_size", 4 * width)
        cfg = super().read(fields.with_value("num_key_value_heads", shared))
        norms = PRE_NORMS
        if fields.flag("parallel_attn", True):
            count = fields.integer("num_ln_in_parallel_attn", 2 if new else 1, high=2)
            norms = _TWO if count == 2 and new else _ONE
        elif new:
            raise fields.error("parallel_attn", "true in the new architecture", False)
        bias = fields.flag("bias")
        slopes: tuple[float, ...] = ()
        if fields.flag("alibi"):
            # Here the bias is scaled with the products.
            slopes = tuple(each * cfg.head_dim**-0.5 for each in alibi_slopes(heads))
        return replace(
            cfg, qkv_bias=bias, output_bias=bias, mlp_bias=bias, norms=norms, slopes=slopes,
            groups=shared if new or many else 1,
            rope_layers=(False,) * cfg.num_hidden_layers if slopes else (),
        )  # fmt: skip


def _read(fields: Fields, source: WeightSource) -> dict[str, Any]:
    """Two norms and shared keys tell the new architecture."""
    shared = fields.integer("attention.head_count_kv", fields.integer("attention.head_count"))
    heads, two = fields.integer("attention.head_count"), "blk.0.attn_norm_2.weight" in source
    return {
        "new_decoder_architecture": two or shared not in (1, heads), "num_kv_heads": shared,
        "multi_query": shared == 1, "num_ln_in_parallel_attn": 2 if two else 1,
    }  # fmt: skip


def _rules(cfg: Config) -> tuple[WeightConverter, ...]:
    """The norm of attention is the second one where there are two."""
    joined = joined_rows(
        "blk.{}.attn_qkv", _LAYER + "self_attention.query_key_value",
        cfg.num_attention_heads, cfg.num_key_value_heads, cfg.groups,
    )  # fmt: skip
    norms = {"attn_norm": "input_layernorm"}
    if cfg.norms == _TWO:
        norms = {"attn_norm": "ln_mlp", "attn_norm_2": "ln_attn"}
    return (
        *joined,
        *(rename(f"blk.{{}}.{a}.*", f"{_LAYER}{b}.*") for a, b in norms.items()),
    )


_LAYER = "transformer.h.{}."
_OTHER = ("feed_forward_length", "attention.head_count_kv")
GGUF = GGUFLayout(
    names=NameMap(
        {
            "token_embd": "transformer.word_embeddings",
            "output_norm": "transformer.ln_f",
            "output": "lm_head",
            "blk.{}.attn_qkv": _LAYER + "self_attention.query_key_value",
            "blk.{}.attn_output": _LAYER + "self_attention.dense",
            "blk.{}.ffn_up": _LAYER + "mlp.dense_h_to_4h",
            "blk.{}.ffn_down": _LAYER + "mlp.dense_4h_to_h",
        }
    ),
    keys=(
        *(key for key in decoder_keys("layer_norm_epsilon") if key.name not in _OTHER),
        Key("feed_forward_length", "ffn_hidden_size", attribute="intermediate_size"),
        Key("attention.head_count_kv", "num_kv_heads", attribute="num_key_value_heads"),
    ),
    biases=("attn_norm", "attn_norm_2"),
    rules=_rules,
    read=_read,
    attributes={"groups": 1},
)  # fmt: skip


class FalconModel(LayerNormModel):
    """The decoder without a head."""

    config_class = Config
    part_names = DecoderNames("word_embeddings", "h", "ln_f")

    @staticmethod
    def make_layer(cfg: Any, index: int, rope: Rope | None) -> Module:
        """Side by side, or one behind the other where both have a norm of the usual names."""
        size, names = cfg.hidden_size, ("dense_h_to_4h", "dense_4h_to_h")
        act = ACTIVATIONS[cfg.hidden_act]
        return (DecoderLayer if cfg.norms == PRE_NORMS else ParallelLayer)(
            self_attn=decoder_attention(
                cfg, index, rope, joined="query_key_value", groups=cfg.groups, out_name="dense",
                slopes=cfg.slopes,
            ),
            mlp=Mlp(size, cfg.intermediate_size, act, bias=cfg.mlp_bias, names=names),
            norm=partial(LayerNorm, size, cfg.rms_norm_eps),
            norms=cfg.norms,
            names=LayerNames("self_attention"),
        )  # fmt: skip


class FalconForCausalLM(CausalLM):
    """A decoder with the scores of the next token."""

    config_class = Config
    model_class = FalconModel
    base_model_prefix = "transformer"
