"""GTE ("new"): a post-norm rotary encoder with packed, gated layers (arXiv 2407.19669)."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from tallow.models.base import define_heads
from tallow.models.blocks.activation import ACTIVATIONS
from tallow.models.blocks.bert import BertEmbeddings, Pooler
from tallow.models.blocks.packed import (
    PackedAttention,
    PackedMlp,
    PostNormLayer,
    RotaryEncoder,
)
from tallow.models.blocks.rope import Rope
from tallow.models.blocks.text_calls import (
    MaskedLM,
    MultipleChoice,
    QuestionAnswering,
    SequenceClassification,
    TokenClassification,
)
from tallow.models.blocks.text_encoder import TextConfig
from tallow.models.configs import choice, custom, size
from tallow.models.fields import Fields
from tallow.nn import LayerNorm, Linear, Module, ModuleList, RMSNorm, tie
from tallow.tensor import Tensor
from tallow.weights.arrange import cat

Stretch = tuple[float, float | None] | None


def _stretch(fields: Fields, name: str, default: Any) -> Stretch:
    """Factor and exponent of NTK-aware stretching; transformers 5 writes `rope_parameters`."""
    name = "rope_parameters" if fields.get("rope_parameters") else name
    if fields.get(name) is None:
        return None
    rope = fields.scope(name)
    kind = rope.get("type") or rope.get("rope_type")
    if kind in (None, "default"):
        return None
    if kind != "ntk":
        raise rope.error("type", "'ntk' (others are not supported)", kind)
    mixed = rope.number("mixed_b") if "mixed_b" in rope else None
    return rope.number("factor", low=1.0), mixed


class NewConfig(TextConfig):
    """Of the authors' `NewConfig`."""

    without_effect = frozenset(
        {"logn_attention_clip1", "pack_qkv", "unpad_inputs", "use_memory_efficient_attention"}
    )

    vocab_size: int = size(30528, high=2**31 - 1)
    max_position_embeddings: int = size(2048)
    type_vocab_size: int = size(1, low=0)
    position_embedding_type: str = choice("rope", "absolute")
    rope_theta: float = 10000.0
    rope_scaling: Stretch = custom(None, _stretch)
    logn_attention_scale: bool = choice(False)
    layer_norm_type: str = choice("layer_norm", "rms_norm")

    def check(self, fields: Fields) -> None:
        """Heads share the width in equal, even parts; the base of rotations is a number above 0."""
        super().check(fields)
        fields.number("rope_theta", self.rope_theta)
        mixed = None if self.rope_scaling is None else self.rope_scaling[1]
        if mixed is not None and mixed > 64:  # powers of frequencies' numbers leave the floats
            raise fields.error("rope_scaling", "a mixed_b of at most 64", mixed)
        if self.hidden_size // self.num_attention_heads % 2:
            wanted = "one that leaves even heads"
            raise fields.error("num_attention_heads", wanted, self.num_attention_heads)


def rotation(cfg: NewConfig) -> Rope:
    """Frequencies, stretched by a factor as NTK-aware interpolation does."""
    head = cfg.hidden_size // cfg.num_attention_heads
    if cfg.rope_scaling is None:
        return Rope(head, cfg.rope_theta)
    factor, mixed = cfg.rope_scaling
    half = head // 2
    if mixed is None:
        return Rope(head, cfg.rope_theta * factor, factors=[factor ** (2 / head)] * half)
    rate = math.log(factor) / half**mixed
    factors = [math.exp(rate * (i + 1) ** mixed) for i in range(half)]
    return Rope(head, cfg.rope_theta, factors=factors)


class Encoder(Module):
    """Layers under the name `layer`."""

    def __init__(self, cfg: NewConfig) -> None:
        width, hidden, eps = cfg.hidden_size, cfg.intermediate_size, cfg.layer_norm_eps
        kind = LayerNorm if cfg.layer_norm_type == "layer_norm" else RMSNorm
        norm = partial(kind, width, eps=eps)
        attention = partial(
            PackedAttention, width, cfg.num_attention_heads,
            packed="qkv_proj", out="o_proj", bias=True,
        )  # fmt: skip
        mlp = partial(
            PackedMlp, width, hidden, cfg.hidden_act,
            packed="up_gate_proj", out="down_proj", gated="second", out_bias=True,
        )  # fmt: skip
        self.layer = ModuleList(
            [
                PostNormLayer(
                    attention(), mlp(), (norm(), norm()), ("attention", "attn_ln", "mlp_ln")
                )
                for _ in range(cfg.num_hidden_layers)
            ]
        )


class NewModel(RotaryEncoder):
    """Embeddings and layers; heads add a pooler.

    Called as BERT is, without what only serves the authors' training (`length`, `subset_indices`).
    """

    config_class = NewConfig
    base_model_prefix = "new"
    rules = tuple(
        cat(
            *(f"encoder.layer.{{}}.attention.{each}_proj.{kind}" for each in "qkv"),
            to=f"encoder.layer.{{}}.attention.qkv_proj.{kind}",
        )
        for kind in ("weight", "bias")
    )

    def __init__(self, cfg: NewConfig, *, pooled: bool = False) -> None:
        self.config = cfg
        width, rotary = cfg.hidden_size, cfg.position_embedding_type == "rope"
        self.embeddings = BertEmbeddings.of(cfg, positions=not rotary)
        self.encoder = Encoder(cfg)
        self.pooler = Pooler(width) if pooled else None
        self.rope = rotation(cfg) if rotary else None
        stretch = 1.0 if cfg.rope_scaling is None else cfg.rope_scaling[0]
        self.most = int(cfg.max_position_embeddings * stretch)

    def layers(self) -> ModuleList:
        """The layers in order."""
        return self.encoder.layer


class LMHead(Module):
    """Scores of every word, behind layers named `dense` and `norm`."""

    def __init__(self, cfg: NewConfig) -> None:
        width = cfg.hidden_size
        self.dense = Linear(width, width)
        self.norm = LayerNorm(width, cfg.layer_norm_eps)
        self.decoder = Linear(width, cfg.vocab_size)
        self.act = ACTIVATIONS[cfg.hidden_act]

    def forward(self, x: Tensor) -> Tensor:
        """`(..., size)` → `(..., vocabulary)`."""
        return self.decoder(self.norm(self.act(self.dense(x))))


class NewForMaskedLM(MaskedLM):
    """Scores of every word at each position."""

    config_class, base_class, base_model_prefix = NewConfig, NewModel, "new"

    def __init__(self, cfg: NewConfig) -> None:
        super().__init__(cfg)
        self.lm_head = LMHead(cfg)
        if cfg.tie_word_embeddings:
            tie(self.lm_head.decoder, "weight", self.new.embeddings.word_embeddings, "weight")


define_heads(
    globals(), "New",
    SequenceClassification, MultipleChoice, TokenClassification, QuestionAnswering,
    config_class=NewConfig, base_class=NewModel, base_model_prefix="new",
)  # fmt: skip
