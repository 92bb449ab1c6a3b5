"""Nomic BERT: a post-norm rotary encoder with a gated feed-forward (arXiv 2402.01613)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from tallow.models.base import define_heads
from tallow.models.blocks.activation import ACTIVATIONS
from tallow.models.blocks.bert import WordDecoder
from tallow.models.blocks.embedding import Embedding
from tallow.models.blocks.packed import NormedRotaryEncoder, PackedAttention, PostNormLayer
from tallow.models.blocks.rope import RopeScaling
from tallow.models.blocks.text_calls import (
    MaskedLM,
    SequenceClassification,
    TokenClassification,
)
from tallow.models.blocks.text_encoder import TextConfig
from tallow.models.configs import choice, custom, layers, size
from tallow.models.fields import Fields
from tallow.models.outputs import BaseOutput
from tallow.models.rope_fields import read_rope
from tallow.nn import LayerNorm, Linear, Module
from tallow.ops import silu_mul
from tallow.tensor import Tensor
from tallow.weights.arrange import rename

GATES = {"swiglu": "silu", "geglu": "gelu", "glu": "sigmoid"}


def _gate(fields: Fields, name: str, default: str) -> str:
    """The gate's activation; the authors' configs name the whole feed-forward network."""
    own = fields.get("activation_function")
    if own is not None:
        if own not in GATES:
            raise fields.error("activation_function", "one of " + ", ".join(GATES), own)
        return GATES[own]
    value = fields.text(name, default)
    if value not in ACTIVATIONS:
        raise fields.error(name, "one of " + ", ".join(sorted(ACTIVATIONS)), value)
    return value


def _rotation(fields: Fields, name: str, default: Any) -> tuple[float, RopeScaling | None]:
    theta = fields.number("rotary_emb_base", 1000.0)
    for key, only in (("rotary_emb_fraction", 1.0), ("rotary_emb_scale_base", None)):
        if fields.get(key) not in (None, only):
            raise fields.error(key, f"{only} (others are not supported)", fields.get(key))
    return read_rope(fields, theta)


class NomicBertConfig(TextConfig):
    """Of Hugging Face's `NomicBertConfig`, and of the authors' with the names of GPT-2."""

    without_effect = frozenset(
        {
            "dense_seq_output",
            "fused_bias_fc",
            "fused_dropout_add_ln",
            "last_layer_subset",
            "max_trained_positions",
            "pad_vocab_size_multiple",
            "reorder_and_upcast_attn",
            "summary_activation",
            "summary_first_dropout",
            "summary_proj_to_labels",
            "summary_type",
            "summary_use_proj",
            "use_flash_attn",
            "use_xentropy",
        }
    )

    vocab_size: int = size(30528, high=2**31 - 1)
    hidden_size: int = size(768, "n_embd")
    num_hidden_layers: int = layers(12, "n_layer")
    num_attention_heads: int = size(12, "n_head")
    intermediate_size: int = size(3072, "n_inner")
    hidden_act: str = custom("silu", _gate)
    max_position_embeddings: int = size(2048, "n_positions")
    type_vocab_size: int = size(2, low=0)
    layer_norm_eps: float = custom(
        1e-12,
        lambda fields, name, default: fields.real(name, fields.real("layer_norm_epsilon", default)),
    )
    rope_parameters: tuple[float, RopeScaling | None] = custom((1000.0, None), _rotation)
    head_dim: int | None = None
    prenorm: bool = choice(False)
    causal: bool = choice(False)
    parallel_block: bool = choice(False)
    use_rms_norm: bool = choice(False)
    qkv_proj_bias: bool = choice(False)
    mlp_fc1_bias: bool = choice(False)
    mlp_fc2_bias: bool = choice(False)
    rotary_emb_interleaved: bool = choice(False)
    rotary_scaling_factor: float | None = choice(None)
    scale_attn_weights: bool = choice(True)
    scale_attn_by_inverse_layer_idx: bool = choice(False)
    num_experts: int = choice(0, 1)

    def check(self, fields: Fields) -> None:
        """Heads share the width in equal parts."""
        super().check(fields)
        head = self.hidden_size // self.num_attention_heads
        if self.head_dim not in (None, head) or head % 2:
            raise fields.error("head_dim", f"an even number, {head}", self.head_dim or head)


class Mlp(Module):
    """`fc2(act(fc12(x)) * fc11(x))`."""

    def __init__(self, size: int, hidden: int, act: str) -> None:
        self.fc11 = Linear(size, hidden, bias=False)
        self.fc12 = Linear(size, hidden, bias=False)
        self.fc2 = Linear(hidden, size, bias=False)
        gate = ACTIVATIONS[act]
        self.gate: Callable[[Tensor, Tensor], Tensor] = (
            silu_mul if act in ("silu", "swish") else lambda x, up: gate(x) * up
        )

    def forward(self, x: Tensor) -> Tensor:
        """`(..., size)` → the same shape."""
        return self.fc2(self.gate(self.fc12(x), self.fc11(x)))


class NomicBertModel(NormedRotaryEncoder):
    """Embeddings, their norm, and layers; heads add a pooler."""

    config_class = NomicBertConfig
    base_model_prefix = "nomic_bert"
    rules = (rename("bert.*", "*"),)
    ignorable = (*NormedRotaryEncoder.ignorable, r"cls\..*")

    def __init__(self, cfg: NomicBertConfig, *, pooled: bool = False) -> None:
        super().__init__(cfg, pooled=pooled)

    @staticmethod
    def layer(cfg: NomicBertConfig) -> PostNormLayer:
        """Packed attention and feed-forward."""
        norm = partial(LayerNorm, cfg.hidden_size, cfg.layer_norm_eps)
        heads = cfg.num_attention_heads
        return PostNormLayer(
            PackedAttention(cfg.hidden_size, heads, packed="Wqkv", out="out_proj"),
            Mlp(cfg.hidden_size, cfg.intermediate_size, cfg.hidden_act),
            (norm(), norm()),
        )


class Transform(Module):
    """The layer before a masked language model's scores."""

    def __init__(self, cfg: NomicBertConfig) -> None:
        self.dense = Linear(cfg.hidden_size, cfg.hidden_size)
        self.layer_norm = LayerNorm(cfg.hidden_size, cfg.layer_norm_eps)
        self.act = ACTIVATIONS[cfg.hidden_act]

    def forward(self, x: Tensor) -> Tensor:
        """`(..., size)` → the same shape."""
        return self.layer_norm(self.act(self.dense(x)))


class Predictions(WordDecoder):
    """Scores of every word."""

    def __init__(self, cfg: NomicBertConfig, words: Embedding) -> None:
        super().__init__(words, tied=cfg.tie_word_embeddings)
        self.transform = Transform(cfg)

    def forward(self, x: Tensor) -> Tensor:
        """`(..., size)` → `(..., vocabulary)`."""
        return self.decoder(self.transform(x))


class Head(Module):
    """What stands under `cls`."""

    def __init__(self, cfg: NomicBertConfig, words: Embedding) -> None:
        self.predictions = Predictions(cfg, words)


class NomicBertForMaskedLM(MaskedLM):
    """Scores of every word at each position."""

    config_class, base_class, base_model_prefix = NomicBertConfig, NomicBertModel, "nomic_bert"
    rules = (rename("bert.*", "nomic_bert.*"),)

    def __init__(self, cfg: NomicBertConfig) -> None:
        super().__init__(cfg)
        self.cls = Head(cfg, self.nomic_bert.embeddings.word_embeddings)

    def score(self, found: BaseOutput, mask: Tensor | None) -> Tensor:
        """`(batch, length, vocabulary)`."""
        return self.cls.predictions(found.last_hidden_state)


define_heads(
    globals(), "NomicBert", SequenceClassification, TokenClassification,
    config_class=NomicBertConfig, base_class=NomicBertModel, base_model_prefix="nomic_bert",
)  # fmt: skip
