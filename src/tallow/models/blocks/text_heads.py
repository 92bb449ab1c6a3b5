"""Heads on text encoders whose calls are BERT's; a family names its base class and its parts."""

from __future__ import annotations

from typing import Any, ClassVar

from tallow.models import losses
from tallow.models.base import Model
from tallow.models.outputs import AnswerOutput, BaseOutput, LogitsOutput
from tallow.nn import Linear, Module
from tallow.tensor import Tensor


class TextHead(Model):
    """A head on `base_class`, which stands under `base_model_prefix`.

    `pooled` says whether the head needs the base model's pooler.
    """

    base_class: ClassVar[Any]
    pooled: ClassVar[bool] = False

    def __init__(self, cfg: Any) -> None:
        self.config = cfg
        setattr(self, self.base_model_prefix, self.base_class(cfg, pooled=self.pooled))

    def encode(self, *inputs: Tensor | None, output_hidden_states: bool) -> BaseOutput:
        """What the base model gives for its inputs."""
        base = getattr(self, self.base_model_prefix)
        found: BaseOutput = base(*inputs, output_hidden_states=output_hidden_states)
        return found


class _Logits(TextHead):
    """One head's scores and their loss; sub-classes say both."""

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
        found = self.encode(
            input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds,
            output_hidden_states=output_hidden_states,
        )  # fmt: skip
        logits = self.score(found)
        loss = None if labels is None else self.loss(logits, labels)
        return LogitsOutput(logits=logits, loss=loss, hidden_states=found.hidden_states)

    def score(self, found: BaseOutput) -> Tensor:
        """The scores of what the base model gave."""
        raise NotImplementedError

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The mean loss of scores against labels."""
        return losses.classes(logits, labels)


class SequenceClassification(_Logits):
    """Scores of a whole text, `(batch, labels)`, from the pooled output or all positions."""

    pooled = True

    def __init__(self, cfg: Any) -> None:
        super().__init__(cfg)
        self.classifier: Module = self.make_classifier(cfg)

    def make_classifier(self, cfg: Any) -> Module:
        """The module from the pooled output (all positions where `pooled` is false) to scores."""
        return Linear(cfg.hidden_size, cfg.num_labels)

    def score(self, found: BaseOutput) -> Tensor:
        """`(batch, labels)`."""
        x = found.pooler_output if self.pooled else found.last_hidden_state
        out: Tensor = self.classifier(x)
        return out

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Of regression, one label or several."""
        return losses.sequence(logits, labels, self.config)


class TokenClassification(_Logits):
    """Scores of each position, `(batch, length, labels)`."""

    def __init__(self, cfg: Any) -> None:
        super().__init__(cfg)
        self.classifier = Linear(cfg.hidden_size, cfg.num_labels)

    def score(self, found: BaseOutput) -> Tensor:
        """`(batch, length, labels)`."""
        out: Tensor = self.classifier(found.last_hidden_state)
        return out


class MaskedLM(_Logits):
    """Scores of every word at each position, `(batch, length, vocabulary)`; by the family."""


class MultipleChoice(SequenceClassification):
    """Scores of choices, `(batch, choices)`, for ids of shape `(batch, choices, length)`."""

    def make_classifier(self, cfg: Any) -> Module:
        """One score a choice."""
        return Linear(cfg.hidden_size, 1)

    def encode(self, *inputs: Tensor | None, output_hidden_states: bool) -> BaseOutput:
        """What the base model gives for all choices of all rows."""
        given = next(each for each in inputs if each is not None)
        self._choices = given.shape[1]
        flat = [None if each is None else each.flatten(0, 1) for each in inputs]
        return super().encode(*flat, output_hidden_states=output_hidden_states)

    def score(self, found: BaseOutput) -> Tensor:
        """`(batch, choices)`."""
        return super().score(found).reshape(-1, self._choices)

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy over the choices."""
        return losses.classes(logits, labels)


class QuestionAnswering(TextHead):
    """Scores of each position as start and end of the answer."""

    def __init__(self, cfg: Any) -> None:
        super().__init__(cfg)
        self.qa_outputs = Linear(cfg.hidden_size, 2)

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
        found = self.encode(
            input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds,
            output_hidden_states=output_hidden_states,
        )  # fmt: skip
        both = self.qa_outputs(found.last_hidden_state)
        starts, ends = both[..., 0], both[..., 1]
        loss = None
        if start_positions is not None and end_positions is not None:
            loss = losses.answer(starts, ends, start_positions, end_positions)
        return AnswerOutput(starts, ends, loss, found.hidden_states)
