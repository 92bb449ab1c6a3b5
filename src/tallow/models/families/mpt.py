"""MPT: biases that fall with distance, no biases of layers (MosaicML, 2023)."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar, Self

from tallow.lazy_dataclasses import dataclass, replace
from tallow.models.blocks import (
    DecoderLayer,
    DecoderNames,
    JoinedAttention,
    LayerNames,
    Mlp,
    Norms,
    Rope,
)
from tallow.models.blocks.activation import ACTIVATIONS
from tallow.models.blocks.attention import ClippedAttention
from tallow.models.causal_lm import CausalLM
from tallow.models.config import DecoderConfig
from tallow.models.decoder_model import DecoderModel
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUFLayout, Key
from tallow.nn import LayerNorm, Module
from tallow.weights import NameMap

_REFUSED = {
    "no_bias": True, "attn_config.alibi": True, "attn_config.prefix_lm": False,
    "attn_config.qk_ln": False, "attn_config.attn_uses_sequence_id": False,
    "attn_config.attn_type": "multihead_attention", "logit_scale": None,
    "norm_type": "low_precision_layernorm",
}  # fmt: skip


def slopes_of(heads: int, largest: float) -> list[float]:
    """MPT's: those of the power of two above, every second first."""
    above = 1 << (heads - 1).bit_length()
    found = [2.0 ** (-largest * (i + 1) / above) for i in range(above)]
    return found if above == heads else (found[1::2] + found[::2])[:heads]


@dataclass(frozen=True)
class Config(DecoderConfig):
    """Of Hugging Face's `MptConfig`."""

    without_effect: ClassVar[frozenset[str]] = frozenset(
        {*DecoderConfig.without_effect, "learned_pos_emb", "embedding_fraction", "init_device",
         "emb_pdrop", "verbose", "init_config", "tokenizer_name"}
    )  # fmt: skip

    clip: float = 0.0
    slopes: tuple[float, ...] = ()
    largest_bias: float = 8.0

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """What published models do not have is refused.

        `alibi_bias_max` counts, as for the authors and llama.cpp; transformers takes 8 for it.
        """
        inner = fields.scope("attn_config")
        for name, wanted in _REFUSED.items():
            _, dot, own = name.partition(".")
            place, key = (inner, own) if dot else (fields, name)
            if place.has(key) and place.get(key) not in (wanted, None):
                raise place.error(key, f"{wanted} (others are not supported)", place.get(key))
        width = fields.integer("d_model", 2048)
        fields = fields.with_defaults(
            n_heads=16, n_layers=24, max_seq_len=2048, layer_norm_epsilon=1e-5,
            tie_word_embeddings=True, d_model=width,
        ).called({
            "hidden_size": "d_model", "num_attention_heads": "n_heads",
            "num_hidden_layers": "n_layers", "max_position_embeddings": "max_seq_len",
            "rms_norm_eps": "layer_norm_epsilon",
        })  # fmt: skip
        fields.integer("expansion_ratio", 4)  # transformers' layers are four times as wide
        cfg = super().read(fields.with_value("intermediate_size", 4 * width))
        heads, largest = cfg.num_attention_heads, inner.number("alibi_bias_max", 8)
        scale = inner.number("softmax_scale") if "softmax_scale" in inner else None
        clip = inner.number("clip_qkv") if "clip_qkv" in inner else 0.0
        return replace(
            cfg, clip=clip, query_scale=scale, largest_bias=float(largest),
            slopes=tuple(slopes_of(heads, largest)), rope_layers=(False,) * cfg.num_hidden_layers,
        )  # fmt: skip


_LAYER = "transformer.blocks.{}."
GGUF = GGUFLayout(
    names=NameMap(
        {
            "token_embd": "transformer.wte",
            "output_norm": "transformer.norm_f",
            "output": "lm_head",
            "blk.{}.attn_norm": _LAYER + "norm_1",
            "blk.{}.attn_qkv": _LAYER + "attn.Wqkv",
            "blk.{}.attn_output": _LAYER + "attn.out_proj",
            "blk.{}.ffn_norm": _LAYER + "norm_2",
            "blk.{}.ffn_up": _LAYER + "ffn.up_proj",
            "blk.{}.ffn_down": _LAYER + "ffn.down_proj",
        }
    ),
    keys=(
        Key("block_count", "n_layers", attribute="num_hidden_layers"),
        Key("context_length", "max_seq_len", attribute="max_position_embeddings"),
        Key("embedding_length", "d_model", attribute="hidden_size"),
        Key("attention.head_count", "n_heads", attribute="num_attention_heads"),
        Key("attention.layer_norm_epsilon", "layer_norm_epsilon", "f32", attribute="rms_norm_eps"),
    ),
    read=lambda fields, source: {
        "attn_config": {
            "alibi_bias_max": fields.number("attention.max_alibi_bias", 8.0),
            "clip_qkv": fields.get("attention.clamp_kqv") or None,
        }
    },
    write=lambda cfg: {
        "attention.max_alibi_bias": ("f32", cfg.largest_bias),
        "attention.clamp_kqv": ("f32", cfg.clip),
        "feed_forward_length": ("u32", cfg.intermediate_size),
    },
)


class MptAttention(ClippedAttention, JoinedAttention):
    """Attention whose joined projection is bounded."""


class MptModel(DecoderModel):
    """The decoder without a head."""

    config_class = Config
    base_model_prefix = "transformer"
    part_names = DecoderNames("wte", "blocks", "norm_f")

    @staticmethod
    def make_layer(cfg: Any, index: int, rope: Rope | None) -> Module:
        """Attention and feed-forward without biases."""
        size = cfg.hidden_size
        return DecoderLayer(
            self_attn=MptAttention(
                size, cfg.num_attention_heads, joined="Wqkv", out_name="out_proj",
                slopes=cfg.slopes, clip=cfg.clip, scale=cfg.query_scale, causal=True,
            ),
            mlp=Mlp(size, cfg.intermediate_size, ACTIVATIONS["gelu"], bias=False),
            norm=partial(LayerNorm, size, cfg.rms_norm_eps, bias=False),
            norms=Norms("norm_1", None, "norm_2", None),
            names=LayerNames("attn", "ffn"),
        )  # fmt: skip

    @staticmethod
    def make_norm(cfg: Any) -> Module:
        """The norm behind the layers."""
        return LayerNorm(cfg.hidden_size, cfg.rms_norm_eps, bias=False)


class MptForCausalLM(CausalLM):
    """A decoder with the scores of the next token."""

    config_class = Config
    model_class = MptModel
    base_model_prefix = "transformer"
