"""GPTBigCode (SantaCoder, StarCoder): GPT-2 with keys and values that heads share.

Source: arXiv 2301.03988.
"""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar, Self

from tallow.lazy_dataclasses import dataclass, replace
from tallow.models.blocks import DecoderLayer, DecoderNames, LayerNames, Mlp, Norms, Rope
from tallow.models.blocks.activation import ACTIVATIONS
from tallow.models.causal_lm import CausalLM
from tallow.models.config import DecoderConfig
from tallow.models.decoder_model import decoder_attention
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUFLayout, Key
from tallow.models.gguf_rows import joined_rows
from tallow.models.gpt_model import LearnedPositionsModel, gpt_fields
from tallow.nn import LayerNorm, Module
from tallow.weights import NameMap


@dataclass(frozen=True)
class Config(DecoderConfig):
    """Of Hugging Face's `GPTBigCodeConfig`."""

    act: ClassVar[str] = "gelu_pytorch_tanh"
    without_effect: ClassVar[frozenset[str]] = frozenset(
        {*DecoderConfig.without_effect, "attention_softmax_in_fp32", "inference_runner",
         "max_batch_size", "max_sequence_length", "pad_key_length", "pre_allocate_kv_cache",
         "scale_attention_softmax_in_fp32", "validate_runner_input"}
        | {f"summary_{name}" for name in
           ["type", "use_proj", "activation", "proj_to_labels", "first_dropout", "last_dropout"]}
    )  # fmt: skip

    groups: int = 1  # of rows of the joined projection

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """All heads share one key and value, unless `multi_query` is false."""
        fields = fields.with_defaults(tie_word_embeddings=True)
        fields = gpt_fields(fields, n_positions=1024, n_embd=768, n_layer=12, n_head=12)
        shared = fields.flag("multi_query", True)
        if fields.flag("add_cross_attention"):
            raise fields.error("add_cross_attention", "false (not supported)", True)
        cfg = super().read(fields.with_value("num_key_value_heads", 1 if shared else None))
        scale = None if fields.flag("scale_attn_weights", True) else 1.0
        return replace(
            cfg, qkv_bias=True, output_bias=True, mlp_bias=True, query_scale=scale,
            rope_layers=(False,) * cfg.num_hidden_layers, groups=cfg.num_key_value_heads,
        )  # fmt: skip


_LAYER = "transformer.h.{}."
GGUF = GGUFLayout(
    names=NameMap(
        {
            "token_embd": "transformer.wte",
            "position_embd": "transformer.wpe",
            "output_norm": "transformer.ln_f",
            "output": "lm_head",
            "blk.{}.attn_norm": _LAYER + "ln_1",
            "blk.{}.attn_qkv": _LAYER + "attn.c_attn",
            "blk.{}.attn_output": _LAYER + "attn.c_proj",
            "blk.{}.ffn_norm": _LAYER + "ln_2",
            "blk.{}.ffn_up": _LAYER + "mlp.c_fc",
            "blk.{}.ffn_down": _LAYER + "mlp.c_proj",
        }
    ),
    keys=(
        Key("block_count", "n_layer", attribute="num_hidden_layers"),
        Key("context_length", "n_positions", attribute="max_position_embeddings"),
        Key("embedding_length", "n_embd", attribute="hidden_size"),
        Key("feed_forward_length", "n_inner", attribute="intermediate_size"),
        Key("attention.head_count", "n_head", attribute="num_attention_heads"),
        Key("attention.layer_norm_epsilon", "layer_norm_epsilon", "f32", attribute="rms_norm_eps"),
    ),
    architecture="starcoder",
    rules=lambda cfg: joined_rows(
        "blk.{}.attn_qkv", _LAYER + "attn.c_attn",
        cfg.num_attention_heads, cfg.num_key_value_heads, cfg.groups,
    ),
    read=lambda fields, source: {
        "multi_query": fields.integer("attention.head_count_kv", 1) == 1
    },
    write=lambda cfg: {"attention.head_count_kv": ("u32", cfg.num_key_value_heads)},
    attributes={"groups": 1},
)  # fmt: skip


class GPTBigCodeModel(LearnedPositionsModel):
    """The decoder without a head."""

    config_class = Config
    part_names = DecoderNames("wte", "h", "ln_f")
    ignorable = (r"h\.\d+\.attn\.(masked_)?bias",)

    @staticmethod
    def make_layer(cfg: Any, index: int, rope: Rope | None) -> Module:
        """Rows of the joined projection stand by head where each has a key of its own."""
        act, names = ACTIVATIONS[cfg.hidden_act], ("c_fc", "c_proj")
        return DecoderLayer(
            self_attn=decoder_attention(
                cfg, index, None, joined="c_attn", groups=cfg.groups, out_name="c_proj"
            ),
            mlp=Mlp(cfg.hidden_size, cfg.intermediate_size, act, names=names),
            norm=partial(LayerNorm, cfg.hidden_size, cfg.rms_norm_eps),
            norms=Norms("ln_1", None, "ln_2", None),
            names=LayerNames("attn"),
        )


class GPTBigCodeForCausalLM(CausalLM):
    """A decoder with the scores of the next token."""

    config_class = Config
    model_class = GPTBigCodeModel
    base_model_prefix = "transformer"
