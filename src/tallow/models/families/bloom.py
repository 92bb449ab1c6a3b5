"""BLOOM: biases that fall with distance in the place of positions (arXiv 2211.05100)."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar, Self

from tallow.lazy_dataclasses import dataclass, replace
from tallow.models.blocks import DecoderLayer, DecoderNames, LayerNames, Mlp, Rope
from tallow.models.blocks.activation import ACTIVATIONS
from tallow.models.blocks.alibi import alibi_slopes
from tallow.models.blocks.heads import Mask
from tallow.models.blocks.positions import last_positions
from tallow.models.causal_lm import CausalLM
from tallow.models.config import DecoderConfig
from tallow.models.decoder_model import decoder_attention
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUFLayout, Key, decoder_keys
from tallow.models.gguf_rows import joined_rows
from tallow.models.gpt_model import LayerNormModel
from tallow.models.states import KeyValue
from tallow.nn import LayerNorm, Module
from tallow.tensor import Tensor
from tallow.weights import NameMap


@dataclass(frozen=True)
class Config(DecoderConfig):
    """Of Hugging Face's `BloomConfig`."""

    without_effect: ClassVar[frozenset[str]] = frozenset(
        {*DecoderConfig.without_effect, "slow_but_exact", "masked_softmax_fusion", "offset_alibi",
         "unk_token_id", "attention_softmax_in_fp32", "bias_dropout_fusion", "skip_bias_add",
         "skip_bias_add_qkv"}
    )  # fmt: skip

    sums_normed: bool = False
    groups: int = 1  # of rows of the joined projection; as many as heads in checkpoints

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Any number of positions is possible; `seq_length` says how many were trained."""
        if "num_attention_heads" not in fields:
            fields = fields.called({"num_attention_heads": "n_head"})
        if "num_hidden_layers" not in fields:
            fields = fields.called({"num_hidden_layers": "n_layer"})
        if "hidden_size" not in fields:
            fields = fields.called({"hidden_size": "n_embed"})
        fields = fields.with_defaults(tie_word_embeddings=True, layer_norm_epsilon=1e-5)
        names = {"rms_norm_eps": "layer_norm_epsilon", "max_position_embeddings": "seq_length"}
        width = fields.integer("hidden_size", 64)
        fields = fields.called(names).with_value("intermediate_size", 4 * width)
        normed = fields.flag("apply_residual_connection_post_layernorm")
        cfg = super().read(fields.with_value("num_key_value_heads", None))
        return replace(
            cfg, qkv_bias=True, output_bias=True, mlp_bias=True, sums_normed=normed,
            rope_layers=(False,) * cfg.num_hidden_layers, groups=cfg.num_attention_heads,
        )  # fmt: skip


_LAYER = "transformer.h.{}."
_OTHER = ("context_length", "rope.freq_base", "attention.head_count_kv")
GGUF = GGUFLayout(
    names=NameMap(
        {
            "token_embd": "transformer.word_embeddings",
            "output_norm": "transformer.ln_f",
            "output": "lm_head",
            "token_embd_norm": "transformer.word_embeddings_layernorm",
            "blk.{}.attn_norm": _LAYER + "input_layernorm",
            "blk.{}.ffn_norm": _LAYER + "post_attention_layernorm",
            "blk.{}.attn_qkv": _LAYER + "self_attention.query_key_value",
            "blk.{}.attn_output": _LAYER + "self_attention.dense",
            "blk.{}.ffn_up": _LAYER + "mlp.dense_h_to_4h",
            "blk.{}.ffn_down": _LAYER + "mlp.dense_4h_to_h",
        }
    ),
    keys=(
        *(key for key in decoder_keys("layer_norm_epsilon") if key.name not in _OTHER),
        Key("context_length", "seq_length", attribute="max_position_embeddings"),
    ),
    rules=lambda cfg: joined_rows(
        "blk.{}.attn_qkv", _LAYER + "self_attention.query_key_value",
        cfg.num_attention_heads, cfg.num_attention_heads, cfg.groups,
    ),
    attributes={"groups": 1},
)  # fmt: skip


class NormedSumLayer(DecoderLayer):
    """A layer whose parts are added to what the norms before them give."""

    def forward(
        self,
        x: Tensor,
        *,
        positions: Tensor | None = None,
        mask: Mask | None = None,
        state: KeyValue | None = None,
        last: int = 0,
    ) -> Tensor:
        """`(batch, length, size)` → the same shape; arguments as of `Attention`."""
        x = self.normed(self.norms.before_attention, x)
        part = {"last": last} if last else {}
        attended = self.attention(x, positions=positions, mask=mask, state=state, **part)
        x = self.normed(self.norms.before_mlp, last_positions(x, last) + attended)
        return x + self.feed(x)


class BloomModel(LayerNormModel):
    """The decoder without a head."""

    config_class = Config
    part_names = DecoderNames("word_embeddings", "h", "ln_f")

    def __init__(self, cfg: Config) -> None:
        super().__init__(cfg)
        self.word_embeddings_layernorm = LayerNorm(cfg.hidden_size, cfg.rms_norm_eps)

    def embed(self, ids: Tensor | None, embeds: Tensor | None, positions: Tensor) -> Tensor:
        """Words behind a norm."""
        found: Tensor = self.word_embeddings_layernorm(super().embed(ids, embeds, positions))
        return found

    @staticmethod
    def make_layer(cfg: Any, index: int, rope: Rope | None) -> Module:
        """The rows of the joined projection hold each head's query, key and value together."""
        size, names = cfg.hidden_size, ("dense_h_to_4h", "dense_4h_to_h")
        heads = cfg.num_attention_heads
        return (NormedSumLayer if cfg.sums_normed else DecoderLayer)(
            self_attn=decoder_attention(
                cfg, index, None, joined="query_key_value", groups=cfg.groups, out_name="dense",
                slopes=alibi_slopes(heads),
            ),
            mlp=Mlp(size, cfg.intermediate_size, ACTIVATIONS["gelu_pytorch_tanh"], names=names),
            norm=partial(LayerNorm, size, cfg.rms_norm_eps),
            names=LayerNames("self_attention"),
        )  # fmt: skip


class BloomForCausalLM(CausalLM):
    """A decoder with the scores of the next token."""

    config_class = Config
    model_class = BloomModel
    base_model_prefix = "transformer"
