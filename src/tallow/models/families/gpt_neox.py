"""GPT-NeoX and Pythia: attention and feed-forward side by side, partly rotated heads.

Source: arXiv 2204.06745.
"""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar, Self

from tallow.lazy_dataclasses import dataclass, replace
from tallow.models.blocks import (
    DecoderLayer,
    DecoderNames,
    LayerNames,
    Mlp,
    ParallelLayer,
    Rope,
)
from tallow.models.blocks.activation import ACTIVATIONS
from tallow.models.causal_lm import CausalLM
from tallow.models.config import DecoderConfig
from tallow.models.decoder_model import decoder_attention
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUFLayout, Key, decoder_keys
from tallow.models.gguf_rows import joined_rows
from tallow.models.gpt_model import LayerNormModel
from tallow.nn import LayerNorm, Module
from tallow.weights import NameMap


@dataclass(frozen=True)
class Config(DecoderConfig):
    """Of Hugging Face's `GPTNeoXConfig`."""

    act: ClassVar[str] = "gelu"
    rotary_share: ClassVar[float | None] = 0.25
    without_effect: ClassVar[frozenset[str]] = frozenset(
        {*DecoderConfig.without_effect, "is_decoder"}
    )

    parallel: bool = True
    groups: int = 1  # of rows of the joined projection; as many as heads in checkpoints

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Older configs say `rotary_pct` and `rotary_emb_base`."""
        older = {"partial_rotary_factor": "rotary_pct", "rope_theta": "rotary_emb_base"}
        fields = fields.called({"rms_norm_eps": "layer_norm_eps", **older})
        cfg = super().read(fields.with_default("rms_norm_eps", 1e-5))
        bias = fields.flag("attention_bias", True)
        parallel = fields.flag("use_parallel_residual", True)
        return replace(
            cfg,
            qkv_bias=bias,
            output_bias=bias,
            mlp_bias=True,
            parallel=parallel,
            groups=cfg.num_attention_heads,
        )


_LAYER = "gpt_neox.layers.{}."
GGUF = GGUFLayout(
    names=NameMap(
        {
            "token_embd": "gpt_neox.embed_in",
            "output_norm": "gpt_neox.final_layer_norm",
            "output": "embed_out",
            "blk.{}.attn_norm": _LAYER + "input_layernorm",
            "blk.{}.attn_qkv": _LAYER + "attention.query_key_value",
            "blk.{}.attn_output": _LAYER + "attention.dense",
            "blk.{}.ffn_norm": _LAYER + "post_attention_layernorm",
            "blk.{}.ffn_up": _LAYER + "mlp.dense_h_to_4h",
            "blk.{}.ffn_down": _LAYER + "mlp.dense_4h_to_h",
        }
    ),
    keys=(
        *decoder_keys("layer_norm_eps"),
        Key("use_parallel_residual", "use_parallel_residual", "bool", attribute="parallel"),
    ),
    architecture="gptneox",
    rules=lambda cfg: joined_rows(
        "blk.{}.attn_qkv", _LAYER + "attention.query_key_value",
        cfg.num_attention_heads, cfg.num_attention_heads, cfg.groups,
    ),
    attributes={"groups": 1},
    required=("output.weight", "blk.0.attn_qkv.bias"),
    partial=True,
)  # fmt: skip


class GPTNeoXModel(LayerNormModel):
    """The decoder without a head."""

    config_class = Config
    base_model_prefix = "gpt_neox"
    part_names = DecoderNames("embed_in", "layers", "final_layer_norm")
    ignorable = (r"layers\.\d+\.attention\.(masked_)?bias",)

    @staticmethod
    def make_layer(cfg: Any, index: int, rope: Rope | None) -> Module:
        """The rows of the joined projection hold each head's query, key and value together."""
        size, hidden = cfg.hidden_size, cfg.intermediate_size
        names = ("dense_h_to_4h", "dense_4h_to_h")
        return (ParallelLayer if cfg.parallel else DecoderLayer)(
            self_attn=decoder_attention(
                cfg, index, rope, joined="query_key_value", groups=cfg.groups,
                out_name="dense",
            ),
            mlp=Mlp(size, hidden, ACTIVATIONS[cfg.hidden_act], names=names),
            norm=partial(LayerNorm, size, cfg.rms_norm_eps),
            names=LayerNames("attention"),
        )  # fmt: skip


class GPTNeoXForCausalLM(CausalLM):
    """A decoder with the scores of the next token."""

    config_class = Config
    model_class = GPTNeoXModel
    base_model_prefix, head_name = "gpt_neox", "embed_out"
