"""Bamba: Mamba 2 layers between some of attention whose heads are rotated in half (IBM, 2024)."""

from __future__ import annotations

from typing import ClassVar, Self

from tallow.lazy_dataclasses import dataclass, replace
from tallow.models.blocks import Attention, GatedMlp, Rope
from tallow.models.blocks.hybrid_layer import MixedLayer, Names
from tallow.models.blocks.mamba_heads import HeadSizes, read_heads
from tallow.models.config import DecoderConfig
from tallow.models.fields import Fields
from tallow.models.recurrent_model import RecurrentLM, RecurrentModel
from tallow.nn import Module, RMSNorm


@dataclass(frozen=True)
class BambaConfig(DecoderConfig):
    """Of Hugging Face's `BambaConfig`; `attends` says which layers are attention."""

    rotary_share: ClassVar[float | None] = 0.5
    without_effect = DecoderConfig.without_effect | {
        "attn_rotary_emb", "layers_block_type", "mamba_chunk_size", "num_logits_to_keep",
        "z_loss_coefficient",
    }  # fmt: skip

    mamba: HeadSizes | None = None
    attends: tuple[bool, ...] = ()

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Layers of attention are told by their indices."""
        fields = fields.with_defaults(
            num_key_value_heads=8, max_position_embeddings=262144, pad_token_id=0,
            rms_norm_eps=1e-5,
        )  # fmt: skip
        cfg = super().read(fields)
        which, layers = fields.get("attn_layer_indices") or [], range(cfg.num_hidden_layers)
        if not isinstance(which, list) or any(type(i) is not int for i in which):
            raise fields.error("attn_layer_indices", "a list of indices of layers", which)
        bias = fields.flag("attention_bias")
        return replace(
            cfg,
            mamba=read_heads(fields, cfg.hidden_size, state_size=256),
            attends=tuple(i in which for i in layers),
            qkv_bias=bias,
            output_bias=bias,
            mlp_bias=fields.flag("mlp_bias"),
        )


def _layer(cfg: BambaConfig, index: int, rope: Rope) -> MixedLayer:
    size, eps, attends = cfg.hidden_size, cfg.rms_norm_eps, cfg.attends[index]
    assert cfg.mamba is not None
    mixer: Module = cfg.mamba.mixer(size, eps)
    if attends:
        mixer = Attention(
            size, cfg.num_attention_heads, cfg.num_key_value_heads, cfg.head_dim,
            bias=cfg.qkv_bias, out_bias=cfg.output_bias, rope=rope, causal=True,
        )  # fmt: skip
    name = "self_attn" if attends else "mamba"
    names = Names("input_layernorm", name, "pre_ff_layernorm", "feed_forward")
    mlp = GatedMlp(size, cfg.intermediate_size, bias=cfg.mlp_bias)
    return MixedLayer(names, mixer, mlp, (RMSNorm(size, eps), RMSNorm(size, eps)))


class BambaModel(RecurrentModel):
    """The decoder without a head."""

    config_class = BambaConfig
    names = ("embed_tokens", "final_layernorm")

    def __init__(self, cfg: BambaConfig) -> None:
        rope = Rope(cfg.rotary_dim or cfg.head_dim, cfg.rope_theta, cfg.rope_scaling)
        layers = [_layer(cfg, i, rope) for i in range(cfg.num_hidden_layers)]
        norm = RMSNorm(cfg.hidden_size, cfg.rms_norm_eps)
        super().__init__(cfg, layers, norm, padding=cfg.pad_token_id, rope=rope)


class BambaForCausalLM(RecurrentLM):
    """A decoder with the scores of the next token."""

    config_class = BambaConfig

    def __init__(self, cfg: BambaConfig) -> None:
        super().__init__(cfg, BambaModel(cfg))
