"""CodeGen: GPT-J with a joined projection (arXiv 2203.13474)."""

from __future__ import annotations

from functools import partial
from typing import Any, Self

from tallow.lazy_dataclasses import replace
from tallow.models.blocks import (
    DecoderNames,
    JoinedAttention,
    LayerNames,
    Mlp,
    Norms,
    ParallelLayer,
    Rope,
)
from tallow.models.blocks.activation import ACTIVATIONS
from tallow.models.causal_lm import CausalLM
from tallow.models.config import DecoderConfig
from tallow.models.fields import Fields
from tallow.models.gpt_model import LayerNormModel, gpt_fields
from tallow.nn import LayerNorm, Module
from tallow.tensor import Tensor

GROUPS = 4  # of the rows of the joined projection: the cores that it was trained on


class Config(DecoderConfig):
    """Of Hugging Face's `CodeGenConfig`."""

    act = "gelu_new"
    without_effect = frozenset({*DecoderConfig.without_effect, "n_ctx"})

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """`rotary_dim` elements of a head are rotated, neighbours together."""
        fields = gpt_fields(fields, n_positions=2048, n_embd=4096, n_layer=28, n_head=16)
        cfg = super().read(fields)
        if cfg.num_attention_heads % GROUPS:
            wanted = f"a multiple of {GROUPS}"
            raise fields.error("num_attention_heads", wanted, cfg.num_attention_heads)
        turned = fields.integer("rotary_dim", 64, low=2, high=cfg.head_dim)
        if turned % 2:
            raise fields.error("rotary_dim", "an even number", turned)
        return replace(cfg, rotary_dim=turned, rope_interleaved=True, head_bias=True)


class CodeGenAttention(JoinedAttention):
    """Attention whose joined rows hold values before keys."""

    def project(self, queries: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, ...]:
        """As of `JoinedAttention`."""
        q, v, k = super().project(queries, keys, values)
        return q, k, v


class CodeGenModel(LayerNormModel):
    """The decoder without a head."""

    config_class = Config
    part_names = DecoderNames("wte", "h", "ln_f")
    ignorable = (r"h\.\d+\.attn\.causal_mask",)

    @staticmethod
    def make_layer(cfg: Any, index: int, rope: Rope | None) -> Module:
        """Attention and feed-forward see what one norm gives."""
        size, names = cfg.hidden_size, ("fc_in", "fc_out")
        return ParallelLayer(
            self_attn=CodeGenAttention(
                size, cfg.num_attention_heads, joined="qkv_proj", groups=GROUPS,
                rope=rope, causal=True, out_name="out_proj",
            ),
            mlp=Mlp(size, cfg.intermediate_size, ACTIVATIONS[cfg.hidden_act], names=names),
            norm=partial(LayerNorm, size, cfg.rms_norm_eps),
            norms=Norms("ln_1", None, None, None),
            names=LayerNames("attn"),
        )  # fmt: skip


class CodeGenForCausalLM(CausalLM):
    """A decoder with the scores of the next token."""

    config_class = Config
    model_class = CodeGenModel
    base_model_prefix = "transformer"
