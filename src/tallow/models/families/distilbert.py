"""DistilBERT: BERT of half the layers, without token types and pooler (arXiv 1910.01108)."""

from __future__ import annotations

from tallow.models.blocks.activation import ACTIVATIONS
from tallow.models.blocks.bert import BertEmbeddings, Layers
from tallow.models.blocks.heads import attend
from tallow.models.blocks.text_encoder import TextConfig, TextEncoder
from tallow.models.blocks.text_heads import (
    Answers,
    ChoiceScores,
    Scores,
    TextScores,
    TokenScores,
    WordScores,
)
from tallow.models.blocks.vision import LinearMlp
from tallow.models.configs import activation, layers, size
from tallow.models.outputs import AnswerOutput, BaseOutput, LogitsOutput
from tallow.nn import LayerNorm, Linear, Module, tie
from tallow.ops import relu
from tallow.tensor import Tensor

EPS = 1e-12


class DistilBertConfig(TextConfig):
    """Of Hugging Face's `DistilBertConfig`; files hold sinusoidal positions, too."""

    without_effect = frozenset({"sinusoidal_pos_embds", "tie_weights_"})

    hidden_size: int = size(768, "dim")
    num_hidden_layers: int = layers(6, "n_layers")
    num_attention_heads: int = size(12, "n_heads")
    intermediate_size: int = size(3072, "hidden_dim")
    hidden_act: str = activation("gelu", "activation")


class Attention(Module):
    """Projections named `q_lin`, `k_lin`, `v_lin` and `out_lin`."""

    def __init__(self, size: int, heads: int) -> None:
        self.q_lin = Linear(size, size)
        self.k_lin = Linear(size, size)
        self.v_lin = Linear(size, size)
        self.out_lin = Linear(size, size)
        self.heads = heads

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """`(batch, length, size)` → the same shape."""
        seen = attend(self.q_lin(x), self.k_lin(x), self.v_lin(x), self.heads, mask=mask)
        return self.out_lin(seen)


class Layer(Module):
    """Attention and feed-forward, each normalised behind its sum."""

    def __init__(self, cfg: DistilBertConfig) -> None:
        width = cfg.hidden_size
        self.attention = Attention(width, cfg.num_attention_heads)
        self.sa_layer_norm = LayerNorm(width, EPS)
        self.ffn = LinearMlp(width, cfg.intermediate_size, cfg.hidden_act)
        self.output_layer_norm = LayerNorm(width, EPS)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """`(batch, length, size)` → the same shape."""
        x = self.sa_layer_norm(self.attention(x, mask) + x)
        return self.output_layer_norm(self.ffn(x) + x)


class DistilBertModel(TextEncoder):
    """Embeddings and layers."""

    config_class = DistilBertConfig
    base_model_prefix = "distilbert"
    optional_parts = ()

    def __init__(self, cfg: DistilBertConfig, *, pooled: bool = False) -> None:
        self.config = cfg
        self.embeddings = BertEmbeddings(
            cfg.vocab_size, cfg.max_position_embeddings, 0, cfg.hidden_size, EPS,
            padding=cfg.pad_token_id,
        )  # fmt: skip
        self.transformer = Layers([Layer(cfg) for _ in range(cfg.num_hidden_layers)])

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        position_ids: Tensor | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> BaseOutput:
        """Token ids `(batch, length)` → hidden states `(batch, length, size)`."""
        x = self.embeddings(input_ids, None, position_ids, inputs_embeds)
        states = self.transformer(x, attention_mask)
        return BaseOutput(states[-1], None, tuple(states) if output_hidden_states else None)


class Call(Scores):
    """The order of inputs of DistilBERT's heads."""

    config_class, base_class, base_model_prefix = DistilBertConfig, DistilBertModel, "distilbert"
    pooled = False

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        position_ids: Tensor | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> LogitsOutput:
        """Token ids `(batch, length)` → scores, and the loss where labels are given."""
        inputs = input_ids, attention_mask, inputs_embeds, position_ids
        return self.answer(inputs, labels, output_hidden_states)


class DistilBertForMaskedLM(Call, WordScores):
    """Scores of every word at each position."""

    def __init__(self, cfg: DistilBertConfig) -> None:
        super().__init__(cfg)
        width = cfg.hidden_size
        self.vocab_transform = Linear(width, width)
        self.vocab_layer_norm = LayerNorm(width, EPS)
        self.vocab_projector = Linear(width, cfg.vocab_size)
        self.act = ACTIVATIONS[cfg.hidden_act]
        if cfg.tie_word_embeddings:
            words = self.distilbert.embeddings.word_embeddings
            tie(self.vocab_projector, "weight", words, "weight")

    def score(self, found: BaseOutput, mask: Tensor | None) -> Tensor:
        """`(batch, length, vocabulary)`."""
        inner = self.vocab_layer_norm(self.act(self.vocab_transform(found.last_hidden_state)))
        return self.vocab_projector(inner)


class FirstScores(Call, TextScores):
    """Scores from the first position, behind one more layer."""

    pooled = False

    def __init__(self, cfg: DistilBertConfig) -> None:
        super().__init__(cfg)
        self.pre_classifier = Linear(cfg.hidden_size, cfg.hidden_size)

    def score(self, found: BaseOutput, mask: Tensor | None) -> Tensor:
        """`(batch, labels)`."""
        return self.classifier(relu(self.pre_classifier(found.last_hidden_state[:, 0])))


class DistilBertForSequenceClassification(FirstScores):
    """Scores of a whole text."""


class DistilBertForMultipleChoice(ChoiceScores, FirstScores):
    """Scores of several continuations."""

    pooled = False


class DistilBertForTokenClassification(Call, TokenScores):
    """Scores of each position."""


class DistilBertForQuestionAnswering(Answers):
    """Scores of each position as start and end of the answer."""

    config_class, base_class, base_model_prefix = DistilBertConfig, DistilBertModel, "distilbert"

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        position_ids: Tensor | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> AnswerOutput:
        """Token ids `(batch, length)` → scores of starts and ends, `(batch, length)` each."""
        inputs = input_ids, attention_mask, inputs_embeds, position_ids
        return self.answer(inputs, start_positions, end_positions, output_hidden_states)
