"""Heads on text encoders: what they score and lose, whatever the order of their inputs.

A family names its base class, and how it is called: a class of `text_calls` with one of these.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from tallow.models import losses
from tallow.models.base import Model
from tallow.models.blocks.bert import FirstClassifier
from tallow.models.outputs import AnswerOutput, BaseOutput, LogitsOutput
from tallow.nn import Linear, Module
from tallow.tensor import Tensor

Inputs = Sequence[Tensor | None]  # of the base model in its order; the mask is the second


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
        return base(*inputs, output_hidden_states=output_hidden_states)


class Scores(TextHead):
    """One head's scores and their loss; sub-classes say both."""

    def answer(self, inputs: Inputs, labels: Tensor | None, hidden: bool) -> LogitsOutput:
        """The scores, the loss where labels are given, and the hidden states on request."""
        found = self.encode(*inputs, output_hidden_states=hidden)
        logits = self.score(found, inputs[1])
        loss = None if labels is None else self.loss(logits, labels, inputs[1])
        return LogitsOutput(logits=logits, loss=loss, hidden_states=found.hidden_states)

    def score(self, found: BaseOutput, mask: Tensor | None) -> Tensor:
        """The scores of what the base model gave."""
        raise NotImplementedError

    def loss(self, logits: Tensor, labels: Tensor, mask: Tensor | None) -> Tensor:
        """The mean loss of scores against labels."""
        return losses.classes(logits, labels)


class WordScores(Scores):
    """Scores of every word at each position, `(batch, length, vocabulary)`.

    The family makes `lm_head`, or says the scores.
    """

    lm_head: Module

    def score(self, found: BaseOutput, mask: Tensor | None) -> Tensor:
        """`(batch, length, vocabulary)`."""
        return self.lm_head(found.last_hidden_state)


class TextScores(Scores):
    """Scores of a whole text, `(batch, labels)`, from the pooled output or all positions."""

    pooled = True

    def __init__(self, cfg: Any) -> None:
        super().__init__(cfg)
        self.classifier: Module = self.make_classifier(cfg, cfg.num_labels)

    def make_classifier(self, cfg: Any, labels: int) -> Module:
        """The module from the pooled output (all positions where `pooled` is false) to scores."""
        return Linear(cfg.hidden_size, labels)

    def score(self, found: BaseOutput, mask: Tensor | None) -> Tensor:
        """`(batch, labels)`."""
        x = found.pooler_output if self.pooled else found.last_hidden_state
        return self.classifier(x)

    def loss(self, logits: Tensor, labels: Tensor, mask: Tensor | None) -> Tensor:
        """Of regression, one label or several."""
        return losses.sequence(logits, labels, self.config)


class FirstScores(TextScores):
    """Scores of a text from its first position, behind one more layer."""

    pooled = False

    def make_classifier(self, cfg: Any, labels: int) -> Module:
        """All positions → scores."""
        return FirstClassifier(cfg.hidden_size, labels)


class TokenScores(Scores):
    """Scores of each position, `(batch, length, labels)`."""

    def __init__(self, cfg: Any) -> None:
        super().__init__(cfg)
        self.classifier = Linear(cfg.hidden_size, cfg.num_labels)

    def score(self, found: BaseOutput, mask: Tensor | None) -> Tensor:
        """`(batch, length, labels)`."""
        return self.classifier(found.last_hidden_state)


class ChoiceScores(TextScores):
    """Scores of choices, `(batch, choices)`, for ids of shape `(batch, choices, length)`."""

    def make_classifier(self, cfg: Any, labels: int) -> Module:
        """One score a choice."""
        return super().make_classifier(cfg, 1)

    def answer(self, inputs: Inputs, labels: Tensor | None, hidden: bool) -> LogitsOutput:
        """All choices of all rows as rows; the loss is over the choices."""
        choices = next(each for each in inputs if each is not None).shape[1]
        flat = [None if each is None else each.flatten(0, 1) for each in inputs]
        found = super().answer(flat, None, hidden)
        logits = found.logits.reshape(-1, choices)
        loss = None if labels is None else losses.classes(logits, labels)
        return LogitsOutput(logits=logits, loss=loss, hidden_states=found.hidden_states)


class Answers(TextHead):
    """Scores of each position as start and end of the answer."""

    output_name: ClassVar[str] = "qa_outputs"

    def __init__(self, cfg: Any) -> None:
        super().__init__(cfg)
        setattr(self, self.output_name, Linear(cfg.hidden_size, 2))

    def both(self, found: BaseOutput) -> Tensor:
        """`(batch, length, 2)`."""
        return getattr(self, self.output_name)(found.last_hidden_state)

    def answer(
        self, inputs: Inputs, start: Tensor | None, end: Tensor | None, hidden: bool
    ) -> AnswerOutput:
        """The scores, the loss where both positions are given, the hidden states on request."""
        found = self.encode(*inputs, output_hidden_states=hidden)
        both = self.both(found)
        starts, ends = both[..., 0], both[..., 1]
        loss = None
        if start is not None and end is not None:
            loss = losses.answer(starts, ends, start, end)
        return AnswerOutput(starts, ends, loss, found.hidden_states)
