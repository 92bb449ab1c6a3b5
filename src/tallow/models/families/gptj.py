"""GPT-J: attention and feed-forward of one norm, heads whose first elements rotate in pairs.

Source: https://github.com/kingoflolz/mesh-transformer-jax
"""

from __future__ import annotations

from functools import partial
from typing import Any, Self

from tallow.lazy_dataclasses import replace
from tallow.models.blocks import DecoderNames, LayerNames, Mlp, Norms, ParallelLayer, Rope
from tallow.models.blocks.activation import ACTIVATIONS
from tallow.models.causal_lm import CausalLM
from tallow.models.config import DecoderConfig
from tallow.models.decoder_model import decoder_attention
from tallow.models.fields import Fields
from tallow.models.gpt_model import LayerNormModel, gpt_fields
from tallow.nn import LayerNorm, Module


class Config(DecoderConfig):
    """Of Hugging Face's `GPTJConfig`."""

    act = "gelu_new"

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """`rotary_dim` elements of a head are rotated, neighbours together; null is all."""
        fields = gpt_fields(fields, n_positions=2048, n_embd=4096, n_layer=28, n_head=16)
        cfg = super().read(fields)
        turned = fields.get("rotary_dim") if fields.has("rotary_dim") else 64
        if turned is not None:
            turned = fields.integer("rotary_dim", 64, low=2, high=cfg.head_dim)
            if turned % 2:
                raise fields.error("rotary_dim", "an even number", turned)
        return replace(cfg, rotary_dim=turned or 0, rope_interleaved=True, head_bias=True)


class GPTJModel(LayerNormModel):
    """The decoder without a head."""

    config_class = Config
    part_names = DecoderNames("wte", "h", "ln_f")
    ignorable = (r"h\.\d+\.attn\.(masked_)?bias",)

    @staticmethod
    def make_layer(cfg: Any, index: int, rope: Rope | None) -> Module:
        """Attention and feed-forward see what one norm gives."""
        size, names = cfg.hidden_size, ("fc_in", "fc_out")
        return ParallelLayer(
            self_attn=decoder_attention(cfg, index, rope, out_name="out_proj"),
            mlp=Mlp(size, cfg.intermediate_size, ACTIVATIONS[cfg.hidden_act], names=names),
            norm=partial(LayerNorm, size, cfg.rms_norm_eps),
            norms=Norms("ln_1", None, None, None),
            names=LayerNames("attn"),
        )


class GPTJForCausalLM(CausalLM):
    """A decoder with the scores of the next token."""

    config_class = Config
    model_class = GPTJModel
    base_model_prefix = "transformer"
