"""GPTBigCode (SantaCoder, StarCoder): GPT-2 with keys and values that heads share.

Source: arXiv 2301.03988.
"""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar, Self

from tallow.lazy_dataclasses import dataclass, replace
from tallow.models.blocks import DecoderLayer, DecoderNames, LayerNames, Mlp, Norms, Rope
from tallow.models.blocks.activation import ACTIVATIONS
from tallow.models.blocks.embedding import Embedding
from tallow.models.causal_lm import CausalLM
from tallow.models.config import DecoderConfig
from tallow.models.decoder_model import decoder_attention
from tallow.models.fields import Fields
from tallow.models.gpt_model import LayerNormModel, gpt_fields
from tallow.nn import LayerNorm, Module
from tallow.tensor import Tensor


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
            rope_layers=(False,) * cfg.num_hidden_layers,
        )  # fmt: skip


class GPTBigCodeModel(LayerNormModel):
    """The decoder without a head."""

    config_class = Config
    part_names = DecoderNames("wte", "h", "ln_f")
    ignorable = (r"h\.\d+\.attn\.(masked_)?bias",)

    def __init__(self, cfg: Config) -> None:
        super().__init__(cfg)
        self.wpe = Embedding(cfg.max_position_embeddings, cfg.hidden_size)

    def embed(self, ids: Tensor | None, embeds: Tensor | None, positions: Tensor) -> Tensor:
        """Words and their learned positions."""
        found: Tensor = super().embed(ids, embeds, positions) + self.wpe(positions)
        return found

    @staticmethod
    def make_layer(cfg: Any, index: int, rope: Rope | None) -> Module:
        """Rows of the joined projection stand by head where each has a key of its own."""
        heads = cfg.num_key_value_heads
        act, names = ACTIVATIONS[cfg.hidden_act], ("c_fc", "c_proj")
        return DecoderLayer(
            self_attn=decoder_attention(
                cfg, index, None, joined="c_attn", groups=heads, out_name="c_proj"
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
