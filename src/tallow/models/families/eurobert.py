"""EuroBERT: Llama's layers seeing both sides (arXiv 2503.05500)."""

from __future__ import annotations

from functools import partial
from typing import Any

from tallow.models.blocks import Attention, DecoderLayer, GatedMlp, Rope
from tallow.models.blocks.activation import ACTIVATIONS
from tallow.models.blocks.embedding import Embedding, text_inputs
from tallow.models.blocks.heads import kept_mean
from tallow.models.blocks.packed import places
from tallow.models.blocks.rope import RopeScaling
from tallow.models.blocks.text_calls import (
    TypelessMaskedLM,
    TypelessSequenceClassification,
    TypelessTokenClassification,
)
from tallow.models.blocks.text_encoder import Inputs, TypelessInputs
from tallow.models.configs import Config, activation, choice, custom, layers, size, token
from tallow.models.fields import Fields
from tallow.models.outputs import BaseOutput
from tallow.models.rope_fields import read_rope
from tallow.nn import Linear, ModuleList, RMSNorm, tie
from tallow.ops import gelu
from tallow.tensor import Tensor


def _rotation(fields: Fields, name: str, default: Any) -> tuple[float, RopeScaling | None]:
    return read_rope(fields)


class EuroBertConfig(Config):
    """Of Hugging Face's `EuroBertConfig`."""

    without_effect = frozenset({"clf_pooling"})

    vocab_size: int = size(128256, high=2**31 - 1)
    hidden_size: int = size(768)
    intermediate_size: int = size(3072)
    num_hidden_layers: int = layers(12)
    num_attention_heads: int = size(12)
    num_key_value_heads: int | None = None
    head_dim: int | None = None
    hidden_act: str = activation("silu")
    max_position_embeddings: int = size(8192, high=2**31 - 1)
    rms_norm_eps: float = 1e-5
    pad_token_id: int | None = token(128001)
    tie_word_embeddings: bool = False
    rope_parameters: tuple[float, RopeScaling | None] = custom((10000.0, None), _rotation)
    attention_bias: bool = False
    mlp_bias: bool = False
    classifier_pooling: str = choice("late", "bos", "mean")

    def check(self, fields: Fields) -> None:
        """Heads have an even width, and share keys in equal groups."""
        heads = self.num_attention_heads
        groups = self.num_key_value_heads or heads
        if heads % groups:
            wanted = f"a divisor of the {heads} attention heads"
            raise fields.error("num_key_value_heads", wanted, groups)
        if self.hidden_size % heads or (self.head_dim or self.hidden_size // heads) % 2:
            raise fields.error("num_attention_heads", "one that leaves even heads", heads)


class EuroBertModel(TypelessInputs):
    """Embeddings, layers and a last norm."""

    config_class = EuroBertConfig
    base_model_prefix = "model"

    def __init__(self, cfg: EuroBertConfig, *, pooled: bool = False) -> None:
        self.config = cfg
        width, heads = cfg.hidden_size, cfg.num_attention_heads
        head = cfg.head_dim or width // heads
        norm = partial(RMSNorm, width, eps=cfg.rms_norm_eps)
        act = None if cfg.hidden_act in ("silu", "swish") else ACTIVATIONS[cfg.hidden_act]
        self.rope = Rope(head, *cfg.rope_parameters)
        self.embed_tokens = Embedding(cfg.vocab_size, width, cfg.pad_token_id)
        self.layers = ModuleList(
            [
                DecoderLayer(
                    self_attn=Attention(
                        width, heads, cfg.num_key_value_heads, head,
                        bias=cfg.attention_bias, rope=self.rope,
                    ),
                    mlp=GatedMlp(width, cfg.intermediate_size, bias=cfg.mlp_bias, act=act),
                    norm=norm,
                )
                for _ in range(cfg.num_hidden_layers)
            ]
        )  # fmt: skip
        self.norm = norm()

    def run(self, inputs: Inputs, hidden: bool) -> BaseOutput:
        """What the layers make of the inputs, of which token types are none."""
        ids, mask, _, positions, embeds = inputs
        x = text_inputs(ids, embeds)
        x = self.embed_tokens(x) if embeds is None else x
        if positions is None:
            positions = places(x.shape[1], self.config.max_position_embeddings)
        table = self.rope.table(positions)
        states = [x]
        for layer in self.layers:
            states.append(layer(states[-1], positions=table, mask=mask))
        states[-1] = self.norm(states[-1])
        return BaseOutput(states[-1], None, tuple(states) if hidden else None)


class EuroBertForMaskedLM(TypelessMaskedLM):
    """Scores of every word at each position."""

    config_class, base_class, base_model_prefix = EuroBertConfig, EuroBertModel, "model"

    def __init__(self, cfg: EuroBertConfig) -> None:
        super().__init__(cfg)
        self.lm_head = Linear(cfg.hidden_size, cfg.vocab_size, bias=cfg.mlp_bias)
        if cfg.tie_word_embeddings:
            tie(self.lm_head, "weight", self.model.embed_tokens, "weight")


class EuroBertForSequenceClassification(TypelessSequenceClassification):
    """Scores of a text: of its first position, of the mean, or the mean of all scores (`late`)."""

    config_class, base_class, base_model_prefix = EuroBertConfig, EuroBertModel, "model"
    pooled = False

    def __init__(self, cfg: EuroBertConfig) -> None:
        super().__init__(cfg)
        self.dense = Linear(cfg.hidden_size, cfg.hidden_size)

    def score(self, found: BaseOutput, mask: Tensor | None) -> Tensor:
        """`(batch, labels)`."""
        x, kind = found.last_hidden_state, self.config.classifier_pooling
        if kind != "late":
            x = x[:, 0] if kind == "bos" else kept_mean(x, mask)
        logits: Tensor = self.classifier(gelu(self.dense(x)))
        return kept_mean(logits, mask) if kind == "late" else logits


class EuroBertForTokenClassification(TypelessTokenClassification):
    """Scores of each position."""

    config_class, base_class, base_model_prefix = EuroBertConfig, EuroBertModel, "model"
