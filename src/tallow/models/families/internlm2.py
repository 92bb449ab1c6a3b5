"""InternLM 2 and 2.5: Llama under names of its own, with joined queries, keys and values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from tallow.lazy_dataclasses import dataclass, replace
from tallow.models.causal_lm import CausalLM
from tallow.models.config import DecoderConfig
from tallow.models.decoder_model import DecoderModel
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUF_LLAMA
from tallow.models.gguf_rows import moved_rows
from tallow.weights.arrange import WeightConverter, mapped, rename, split


@dataclass(frozen=True)
class Config(DecoderConfig):
    """Of the `InternLM2Config` beside the published checkpoints."""

    defaults: ClassVar[Mapping[str, Any]] = {
        "max_position_embeddings": 2048,
        "pad_token_id": 2,
    }

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """`bias` is of the attention's products."""
        bias = fields.flag("bias", True)
        return replace(super().read(fields), qkv_bias=bias, output_bias=bias)


_NAMES = {
    "tok_embeddings": "embed_tokens",
    "layers.{}.attention_norm": "layers.{}.input_layernorm",
    "layers.{}.attention.wo": "layers.{}.self_attn.o_proj",
    "layers.{}.ffn_norm": "layers.{}.post_attention_layernorm",
    "layers.{}.feed_forward.w1": "layers.{}.mlp.gate_proj",
    "layers.{}.feed_forward.w3": "layers.{}.mlp.up_proj",
    "layers.{}.feed_forward.w2": "layers.{}.mlp.down_proj",
}
_ATTENTION = "layers.{}.self_attn."


def _joined(cfg: DecoderConfig) -> tuple[WeightConverter, ...]:
    """Rows are by head of keys: its queries, the key, the value."""
    keys, size = cfg.num_key_value_heads, cfg.head_dim
    each = cfg.num_attention_heads // keys
    order = [group * (each + 2) + i for group in range(keys) for i in range(each)]
    order += [group * (each + 2) + each + part for part in (0, 1) for group in range(keys)]
    moved, sizes = moved_rows(order), (keys * each * size, keys * size, keys * size)
    rules: list[WeightConverter] = []
    for part in ("weight", "bias"):
        between = f"{_ATTENTION}qkv.{part}"
        apart = (f"{_ATTENTION}{role}_proj.{part}" for role in ("q", "k", "v"))
        rules += [
            mapped(f"layers.{{}}.attention.wqkv.{part}", between, moved),
            split(between, *apart, sizes=sizes),
        ]
    return tuple(rules)


GGUF = replace(GGUF_LLAMA, architecture="internlm2", biases=("attn_q", "attn_k", "attn_v"))


class InternLM2Model(DecoderModel):
    """The decoder without a head."""

    config_class = Config

    rules = stored = tuple(rename(f"{name}.*", f"{own}.*") for name, own in _NAMES.items())

    def sized_rules(self) -> tuple[WeightConverter, ...]:
        """What checkpoints join."""
        return _joined(self.config)


class InternLM2(CausalLM):
    """A decoder with the scores of the next token."""

    config_class = Config
    model_class = InternLM2Model
    rules = stored = (rename("output.*", "lm_head.*"),)
