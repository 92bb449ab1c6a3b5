"""ALBERT: a BERT whose layers share their weights, by groups (arXiv 1909.11942)."""

from __future__ import annotations

from tallow.models import losses
from tallow.models.base import define_heads
from tallow.models.blocks.activation import ACTIVATIONS, linear_then
from tallow.models.blocks.bert import BertEmbeddings, DensePredictions, SelfAttention
from tallow.models.blocks.heads import as_mask
from tallow.models.blocks.text_calls import (
    MaskedLM,
    MultipleChoice,
    QuestionAnswering,
    SequenceClassification,
    TokenClassification,
)
from tallow.models.blocks.text_encoder import BertEncoder, TextConfig
from tallow.models.blocks.text_heads import TextHead
from tallow.models.configs import activation, size
from tallow.models.outputs import BaseOutput, HiddenStates, Output
from tallow.nn import LayerNorm, Linear, Module, ModuleList
from tallow.tensor import Tensor


class AlbertConfig(TextConfig):
    """Of Hugging Face's `AlbertConfig`."""

    without_effect = frozenset(
        {"down_scale_factor", "gap_size", "net_structure_type", "num_memory_blocks"}
    )

    vocab_size: int = size(30000, high=2**31 - 1)
    embedding_size: int = size(128)
    hidden_size: int = size(4096)
    num_hidden_groups: int = size(1, high=4096)
    num_attention_heads: int = size(64)
    intermediate_size: int = size(16384)
    inner_group_num: int = size(1, high=4096)
    hidden_act: str = activation("gelu_new")
    type_vocab_size: int = size(2)


class Attention(SelfAttention):
    """Attention with its output projection, normalised behind its sum."""

    def __init__(self, size: int, heads: int, eps: float) -> None:
        super().__init__(size, heads)
        self.dense = Linear(size, size)
        self.LayerNorm = LayerNorm(size, eps)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """`(batch, length, size)` → the same shape."""
        return self.LayerNorm(self.dense(super().forward(x, mask)) + x)


class Layer(Module):
    """Attention and feed-forward."""

    def __init__(self, cfg: AlbertConfig) -> None:
        width, eps = cfg.hidden_size, cfg.layer_norm_eps
        self.attention = Attention(width, cfg.num_attention_heads, eps)
        self.ffn = Linear(width, cfg.intermediate_size)
        self.ffn_output = Linear(cfg.intermediate_size, width)
        self.full_layer_layer_norm = LayerNorm(width, eps)
        self.act = ACTIVATIONS[cfg.hidden_act]

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """`(batch, length, size)` → the same shape."""
        x = self.attention(x, mask)
        return self.full_layer_layer_norm(
            linear_then(self.ffn_output, linear_then(self.ffn, x, self.act), residual=x)
        )


class Group(Module):
    """The layers of a group, one after the other."""

    def __init__(self, cfg: AlbertConfig) -> None:
        self.albert_layers = ModuleList([Layer(cfg) for _ in range(cfg.inner_group_num)])


class Encoder(Module):
    """The embeddings' projection, and the groups, each as often as the depth asks."""

    def __init__(self, cfg: AlbertConfig) -> None:
        self.embedding_hidden_mapping_in = Linear(cfg.embedding_size, cfg.hidden_size)
        groups, depth = cfg.num_hidden_groups, cfg.num_hidden_layers
        self.albert_layer_groups = ModuleList([Group(cfg) for _ in range(groups)])
        self.order = [int(i / (depth / groups)) for i in range(depth)]

    def forward(self, x: Tensor, mask: Tensor | None) -> list[Tensor]:
        """What goes in, projected, and what each layer gives."""
        states = [self.embedding_hidden_mapping_in(x)]
        mask = None if mask is None else as_mask(mask)
        for index in self.order:
            for layer in self.albert_layer_groups[index].albert_layers:
                states.append(layer(states[-1], mask))
        return states


class AlbertModel(BertEncoder):
    """Embeddings, shared layers, and the pooler if the file has one."""

    config_class = AlbertConfig
    base_model_prefix = "albert"

    def __init__(self, cfg: AlbertConfig, *, pooled: bool = True) -> None:
        self.config = cfg
        self.embeddings = BertEmbeddings.of(cfg, cfg.embedding_size)
        self.encoder = Encoder(cfg)
        self.pooler = Linear(cfg.hidden_size, cfg.hidden_size) if pooled else None

    def encoded(self, x: Tensor, mask: Tensor | None, hidden: bool) -> BaseOutput:
        """What layers and pooler make of the embeddings."""
        states = self.encoder(x, mask)
        pooled = None if self.pooler is None else self.pooler(states[-1][:, 0]).tanh()
        return BaseOutput(states[-1], pooled, tuple(states) if hidden else None)


def predictions(cfg: AlbertConfig, base: AlbertModel) -> DensePredictions:
    """The head that scores words."""
    words, tied = base.embeddings.word_embeddings, cfg.tie_word_embeddings
    return DensePredictions(cfg.hidden_size, cfg.hidden_act, cfg.layer_norm_eps, words, tied=tied)


class AlbertForMaskedLM(MaskedLM):
    """Scores of every word at each position."""

    config_class, base_class, base_model_prefix = AlbertConfig, AlbertModel, "albert"
    ignorable = (r"sop_classifier\..*",)

    def __init__(self, cfg: AlbertConfig) -> None:
        super().__init__(cfg)
        self.predictions = predictions(cfg, self.albert)

    def score(self, found: BaseOutput, mask: Tensor | None) -> Tensor:
        """`(batch, length, vocabulary)`."""
        return self.predictions(found.last_hidden_state)


class PreTrainingOutput(Output):
    """Scores of words `(batch, length, vocabulary)`, and of the texts' order `(batch, labels)`."""

    prediction_logits: Tensor
    sop_logits: Tensor
    loss: Tensor | None = None
    hidden_states: HiddenStates | None = None


class Order(Module):
    """Whether two texts stand in their order."""

    def __init__(self, cfg: AlbertConfig) -> None:
        self.classifier = Linear(cfg.hidden_size, cfg.num_labels)


class AlbertForPreTraining(TextHead):
    """Both heads that ALBERT was trained with."""

    config_class, base_class, base_model_prefix = AlbertConfig, AlbertModel, "albert"
    pooled = True

    def __init__(self, cfg: AlbertConfig) -> None:
        super().__init__(cfg)
        self.predictions = predictions(cfg, self.albert)
        self.sop_classifier = Order(cfg)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        sentence_order_label: Tensor | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> PreTrainingOutput:
        """Token ids `(batch, length)` → both heads' scores; the loss where both have labels."""
        found = self.encode(
            input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds,
            output_hidden_states=output_hidden_states,
        )  # fmt: skip
        words = self.predictions(found.last_hidden_state)
        order = self.sop_classifier.classifier(found.pooler_output)
        loss = None
        if labels is not None and sentence_order_label is not None:
            loss = losses.classes(words, labels) + losses.classes(order, sentence_order_label)
        return PreTrainingOutput(words, order, loss, found.hidden_states)


define_heads(
    globals(), "Albert",
    SequenceClassification, MultipleChoice, TokenClassification, QuestionAnswering,
    config_class=AlbertConfig, base_class=AlbertModel, base_model_prefix="albert",
)  # fmt: skip
