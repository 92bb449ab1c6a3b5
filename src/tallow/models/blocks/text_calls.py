"""How heads on text encoders are called: BERT's order of inputs, and that without token types."""

from __future__ import annotations

from tallow.models.blocks.text_heads import (
    Answers,
    ChoiceScores,
    Scores,
    TextScores,
    TokenScores,
    WordScores,
)
from tallow.models.outputs import AnswerOutput, LogitsOutput
from tallow.tensor import Tensor


class BertCall(Scores):
    """A head with BERT's inputs."""

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> LogitsOutput:
        """Token ids `(batch, length)` → scores, and the loss where labels are given."""
        inputs = input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds
        return self.answer(inputs, labels, output_hidden_states)


class TypelessCall(Scores):
    """A head with BERT's inputs but token types."""

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> LogitsOutput:
        """Token ids `(batch, length)` → scores, and the loss where labels are given."""
        inputs = input_ids, attention_mask, position_ids, inputs_embeds
        return self.answer(inputs, labels, output_hidden_states)


class MaskedLM(BertCall, WordScores):
    """Scores of every word at each position, `(batch, length, vocabulary)`; by the family."""


class SequenceClassification(BertCall, TextScores):
    """Scores of a whole text, `(batch, labels)`."""


class TokenClassification(BertCall, TokenScores):
    """Scores of each position, `(batch, length, labels)`."""


class MultipleChoice(BertCall, ChoiceScores):
    """Scores of choices, `(batch, choices)`, for ids of shape `(batch, choices, length)`."""


class QuestionAnswering(Answers):
    """Scores of each position as start and end of the answer."""

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> AnswerOutput:
        """Token ids `(batch, length)` → scores of starts and ends, `(batch, length)` each."""
        inputs = input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds
        return self.answer(inputs, start_positions, end_positions, output_hidden_states)


class TypelessMaskedLM(TypelessCall, WordScores):
    """Scores of every word at each position, `(batch, length, vocabulary)`; by the family."""


class TypelessSequenceClassification(TypelessCall, TextScores):
    """Scores of a whole text, `(batch, labels)`."""


class TypelessTokenClassification(TypelessCall, TokenScores):
    """Scores of each position, `(batch, length, labels)`."""


class TypelessMultipleChoice(TypelessCall, ChoiceScores):
    """Scores of choices, `(batch, choices)`, for ids of shape `(batch, choices, length)`."""


class TypelessQuestionAnswering(Answers):
    """Scores of each position as start and end of the answer."""

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> AnswerOutput:
        """Token ids `(batch, length)` → scores of starts and ends, `(batch, length)` each."""
        inputs = input_ids, attention_mask, position_ids, inputs_embeds
        return self.answer(inputs, start_positions, end_positions, output_hidden_states)
