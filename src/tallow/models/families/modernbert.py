"""ModernBERT: a pre-norm rotary encoder with windows in most layers (arXiv 2412.13663)."""

from __future__ import annotations

from typing import Any

from tallow.factories import arange
from tallow.models.blocks.activation import ACTIVATIONS, linear_then
from tallow.models.blocks.embedding import Embedding, text_inputs
from tallow.models.blocks.heads import as_mask, kept_mean
from tallow.models.blocks.packed import PackedAttention, PackedMlp, places
from tallow.models.blocks.rope import Rope, RopeScaling
from tallow.models.blocks.text_calls import (
    TypelessMaskedLM,
    TypelessMultipleChoice,
    TypelessSequenceClassification,
    TypelessTokenClassification,
)
from tallow.models.blocks.text_encoder import Inputs, TypelessInputs
from tallow.models.blocks.text_heads import Answers, TextScores
from tallow.models.configs import Config, activation, choice, custom, layers, size, token
from tallow.models.fields import Fields
from tallow.models.outputs import AnswerOutput, BaseOutput
from tallow.models.rope_fields import read_rope
from tallow.nn import LayerNorm, Linear, Module, ModuleList, tie
from tallow.ops import take_along_dim
from tallow.overrides import is_watched
from tallow.tensor import Tensor

KINDS = ("full_attention", "sliding_attention")
Rotation = tuple[float, RopeScaling | None]


def _kinds(fields: Fields, name: str, default: Any) -> tuple[str, ...]:
    """The kind of each layer; older configs say how many layers apart global ones are."""
    count = fields.integer("num_hidden_layers", 22, low=0, high=4096)
    every = fields.integer("global_attn_every_n_layers", 3)
    kinds = fields.get(name)
    if kinds is None:
        return tuple(KINDS[bool(i % every)] for i in range(count))
    if not isinstance(kinds, list) or len(kinds) != count or not set(kinds) <= set(KINDS):
        raise fields.error(name, f"{count} of {' or '.join(KINDS)}", kinds)
    return tuple(kinds)


def _rotations(fields: Fields, name: str, default: Any) -> tuple[Rotation, Rotation]:
    """How full and sliding layers rotate."""
    given, scaling = fields.scope(name), fields.get("rope_scaling")
    found = []
    for kind, old, theta in zip(KINDS, ("global", "local"), (160000.0, 10000.0), strict=True):
        own = given.get(kind) or {}
        if not isinstance(own, dict) or not isinstance(scaling or {}, dict):
            raise fields.error(name, "an object for each kind of layer", fields.get(name))
        base = fields.number(f"{old}_rope_theta", theta)
        values: dict[str, Any] = {
            "rope_parameters": {"rope_theta": base, **(scaling or {}), **own},
            "max_position_embeddings": fields.integer("max_position_embeddings", 8192),
        }
        found.append(read_rope(Fields(values, f"{fields.source}: {name}: {kind}")))
    return found[0], found[1]


class ModernBertConfig(Config):
    """Of Hugging Face's `ModernBertConfig`."""

    without_effect = frozenset(
        {
            "deterministic_flash_attn",
            "initializer_cutoff_factor",
            "layer_norm_eps",
            "position_embedding_type",
            "reference_compile",
            "repad_logits_with_grad",
            "sparse_pred_ignore_index",
        }
    )

    vocab_size: int = size(50368, high=2**31 - 1)
    hidden_size: int = size(768)
    intermediate_size: int = size(1152)
    num_hidden_layers: int = layers(22)
    num_attention_heads: int = size(12)
    hidden_activation: str = activation("gelu")
    max_position_embeddings: int = size(8192, high=2**31 - 1)
    norm_eps: float = 1e-5
    norm_bias: bool = False
    pad_token_id: int | None = token(50283)
    attention_bias: bool = False
    layer_types: tuple[str, ...] = custom((), _kinds)
    rope_parameters: tuple[Rotation, Rotation] = custom((), _rotations)
    local_attention: int = size(128, high=2**31 - 1)
    mlp_bias: bool = False
    decoder_bias: bool = True
    classifier_pooling: str = choice("cls", "mean")
    classifier_bias: bool = False
    classifier_activation: str = activation("gelu")
    sparse_prediction: bool = choice(False)
    tie_word_embeddings: bool = True

    def check(self, fields: Fields) -> None:
        """Heads share the width in equal, even parts."""
        if self.hidden_size % (2 * self.num_attention_heads):
            wanted = f"a divisor of half of hidden_size {self.hidden_size}"
            raise fields.error("num_attention_heads", wanted, self.num_attention_heads)

    def norm(self) -> LayerNorm:
        """One of the model's norms."""
        return LayerNorm(self.hidden_size, self.norm_eps, bias=self.norm_bias)


class Embeddings(Module):
    """Words, normalised."""

    def __init__(self, cfg: ModernBertConfig) -> None:
        self.tok_embeddings = Embedding(cfg.vocab_size, cfg.hidden_size, cfg.pad_token_id)
        self.norm = cfg.norm()

    def forward(self, input_ids: Tensor | None, inputs_embeds: Tensor | None) -> Tensor:
        """`(batch, length)` of ids, or their embeddings → `(batch, length, size)`."""
        x = text_inputs(input_ids, inputs_embeds)
        x = self.tok_embeddings(x) if inputs_embeds is None else x
        return self.norm(x)


class Layer(Module):
    """Attention and feed-forward, each normalised before; the first layer's input is already."""

    def __init__(self, cfg: ModernBertConfig, index: int) -> None:
        self.attn_norm = cfg.norm() if index else None
        self.attn = PackedAttention(
            cfg.hidden_size,
            cfg.num_attention_heads,
            packed="Wqkv",
            out="Wo",
            bias=cfg.attention_bias,
        )
        self.mlp_norm = cfg.norm()
        self.mlp = PackedMlp(
            cfg.hidden_size,
            cfg.intermediate_size,
            cfg.hidden_activation,
            packed="Wi",
            out="Wo",
            bias=cfg.mlp_bias,
        )

    def forward(self, x: Tensor, mask: Tensor | None, table: Tensor) -> Tensor:
        """`(batch, length, size)` → the same shape."""
        inner = x if self.attn_norm is None else self.attn_norm(x)
        x = x + self.attn(inner, mask, table)
        return x + self.mlp(self.mlp_norm(x))


class ModernBertModel(TypelessInputs):
    """Embeddings, layers and a last norm."""

    config_class = ModernBertConfig
    base_model_prefix = "model"

    def __init__(self, cfg: ModernBertConfig, *, pooled: bool = False) -> None:
        self.config = cfg
        self.embeddings = Embeddings(cfg)
        self.layers = ModuleList([Layer(cfg, i) for i in range(cfg.num_hidden_layers)])
        self.final_norm = cfg.norm()
        head = cfg.hidden_size // cfg.num_attention_heads
        self.ropes = [Rope(head, *rotation) for rotation in cfg.rope_parameters]

    def run(self, inputs: Inputs, hidden: bool) -> BaseOutput:
        """What the layers make of the inputs, of which token types are none."""
        ids, mask, _, positions, embeds = inputs
        x = self.embeddings(ids, embeds)
        n, cfg = x.shape[1], self.config
        if positions is None:
            positions = places(n, cfg.max_position_embeddings)
        full = None if mask is None else as_mask(mask)
        masks = full, self.near(full, n)
        tables = [each.table(positions) for each in self.ropes]
        states = [x]
        for kind, layer in zip(cfg.layer_types, self.layers, strict=True):
            local = kind == KINDS[1]
            states.append(layer(states[-1], masks[local], tables[local]))
        states[-1] = self.final_norm(states[-1])
        return BaseOutput(states[-1], None, tuple(states) if hidden else None)

    def near(self, full: Tensor | None, n: int) -> Tensor | None:
        """The mask of layers with a window to both sides."""
        half = self.config.local_attention // 2
        if n <= half + 1 and not is_watched():
            return full
        at = arange(n)
        near = (at.reshape(n, 1) - at).abs().le(half).reshape(1, 1, n, n)
        return near if full is None else near.bitwise_and(full)


class Head(Module):
    """The layer before a head's scores."""

    def __init__(self, cfg: ModernBertConfig) -> None:
        self.dense = Linear(cfg.hidden_size, cfg.hidden_size, bias=cfg.classifier_bias)
        self.norm = cfg.norm()
        self.act = ACTIVATIONS[cfg.classifier_activation]

    def forward(self, x: Tensor) -> Tensor:
        """`(..., size)` → the same shape."""
        return self.norm(linear_then(self.dense, x, self.act))


class ModernBertForMaskedLM(TypelessMaskedLM):
    """Scores of every word at each position."""

    config_class, base_class, base_model_prefix = ModernBertConfig, ModernBertModel, "model"

    def __init__(self, cfg: ModernBertConfig) -> None:
        super().__init__(cfg)
        self.head = Head(cfg)
        self.decoder = Linear(cfg.hidden_size, cfg.vocab_size, bias=cfg.decoder_bias)
        if cfg.tie_word_embeddings:
            tie(self.decoder, "weight", self.model.embeddings.tok_embeddings, "weight")

    def score(self, found: BaseOutput, mask: Tensor | None) -> Tensor:
        """`(batch, length, vocabulary)`."""
        return self.decoder(self.head(found.last_hidden_state))


class Pooled(TextScores):
    """Scores from the first position or the mean of those that the mask keeps."""

    pooled = False

    def __init__(self, cfg: ModernBertConfig) -> None:
        super().__init__(cfg)
        self.head = Head(cfg)

    def score(self, found: BaseOutput, mask: Tensor | None) -> Tensor:
        """`(batch, labels)`."""
        x = found.last_hidden_state
        if self.config.classifier_pooling == "cls":
            x = self.first(x, mask)
        else:
            x = kept_mean(x, mask)
        return self.classifier(self.head(x))

    def first(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """What stands for the whole text."""
        return x[:, 0]


class ModernBertForSequenceClassification(TypelessSequenceClassification, Pooled):
    """Scores of a text."""

    config_class, base_class, base_model_prefix = ModernBertConfig, ModernBertModel, "model"
    pooled = False


class ModernBertForMultipleChoice(TypelessMultipleChoice, Pooled):
    """Scores of several continuations; padding may stand before them."""

    config_class, base_class, base_model_prefix = ModernBertConfig, ModernBertModel, "model"
    pooled = False

    def first(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """The first position that the mask keeps."""
        if mask is None:
            return x[:, 0]
        place = mask.argmax(1).reshape(-1, 1, 1).expand(-1, 1, x.shape[2])
        return take_along_dim(x, place, 1).squeeze(1)


class ModernBertForTokenClassification(TypelessTokenClassification):
    """Scores of each position."""

    config_class, base_class, base_model_prefix = ModernBertConfig, ModernBertModel, "model"

    def __init__(self, cfg: ModernBertConfig) -> None:
        super().__init__(cfg)
        self.head = Head(cfg)

    def score(self, found: BaseOutput, mask: Tensor | None) -> Tensor:
        """`(batch, length, labels)`."""
        return self.classifier(self.head(found.last_hidden_state))


class ModernBertForQuestionAnswering(Answers):
    """Scores of each position as start and end of the answer."""

    config_class, base_class, base_model_prefix = ModernBertConfig, ModernBertModel, "model"
    output_name = "classifier"

    def __init__(self, cfg: ModernBertConfig) -> None:
        super().__init__(cfg)
        self.head = Head(cfg)

    def both(self, found: BaseOutput) -> Tensor:
        """`(batch, length, 2)`."""
        return self.classifier(self.head(found.last_hidden_state))

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        *,
        inputs_embeds: Tensor | None = None,
        output_hidden_states: bool = False,
    ) -> AnswerOutput:
        """Token ids `(batch, length)` → scores of starts and ends, `(batch, length)` each."""
        inputs = input_ids, attention_mask, position_ids, inputs_embeds
        return self.answer(inputs, start_positions, end_positions, output_hidden_states)
