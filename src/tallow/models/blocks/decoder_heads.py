"""Heads on decoders that score a text or its tokens in the place of the next token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from tallow.dtype import i64
from tallow.errors import ArgumentError, ModelError, expect
from tallow.factories import arange
from tallow.lazy_dataclasses import dataclass, field, replace
from tallow.models import losses
from tallow.models.base import Model
from tallow.models.config import DecoderConfig
from tallow.models.configs import read_labels, read_problem
from tallow.models.fields import Fields
from tallow.models.outputs import AnswerOutput, BaseOutput, LogitsOutput
from tallow.models.states import State
from tallow.nn import Linear
from tallow.tensor import Tensor


@dataclass(frozen=True)
class HeadConfig(DecoderConfig):
    """What a head asks for beside the decoder; put before a family's config."""

    pad_token_id: int | None = None  # a negative one is that of no token
    id2label: Mapping[int, str] = field(default_factory=dict)
    problem_type: str | None = None

    @property
    def num_labels(self) -> int:
        """The number of labels of a classifier."""
        return len(self.id2label)

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """The decoder's keys, and those of its head."""
        fields = fields.with_defaults(**cls.defaults)
        pad = fields.get("pad_token_id")
        if pad is not None and type(pad) is not int:
            raise fields.error("pad_token_id", "a token id or null", pad)
        labels, kind = read_labels(fields), read_problem(fields)
        return replace(super().read(fields), pad_token_id=pad, id2label=labels, problem_type=kind)


class DecoderHead(Model):
    """A head on `base_class`, which stands under `base_model_prefix`."""

    base_class: ClassVar[Any]
    base_model_prefix: ClassVar[str] = "model"

    def __init__(self, cfg: Any) -> None:
        known = hasattr(cfg, "num_labels")
        wanted = "a folder with config.json for a head on a decoder"
        expect(known, "task", wanted, "the metadata of a GGUF file", ModelError)
        self.config = cfg
        self.rows_alone = cfg.pad_token_id is None
        setattr(self, self.base_model_prefix, self.base_class(cfg))

    @property
    def base(self) -> Any:
        """The model without the head."""
        return getattr(self, self.base_model_prefix)


class Scores(DecoderHead):
    """A head with scores and their loss."""

    def answer(self, found: BaseOutput, ids: Tensor | None, labels: Tensor | None) -> LogitsOutput:
        """Scores of what the base model gave for `ids` `(batch, n)`, or embeddings (None)."""
        raise NotImplementedError


class LastScores(Scores):
    """Scores of a text, `(batch, labels)`, from its last token that is no padding."""

    def __init__(self, cfg: Any) -> None:
        super().__init__(cfg)
        self.score = Linear(cfg.hidden_size, cfg.num_labels, bias=False)

    def answer(self, found: BaseOutput, ids: Tensor | None, labels: Tensor | None) -> LogitsOutput:
        """`(batch, labels)`, and the loss of regression, one label or several.

        Raises:
            ArgumentError: several rows, and no `pad_token_id` in the config.
        """
        x, pad = found.last_hidden_state, self.config.pad_token_id
        b, n, size = x.shape
        wanted = "one row, as the config has no pad_token_id"
        expect(b == 1 or pad is not None, "forward", wanted, b, ArgumentError)
        if pad is None or ids is None:
            last = x[:, -1]
        else:  # the rightmost, so that padding may stand on either side
            at = (ids.ne(pad).to(i64) * arange(n, dtype=i64)).amax(1)
            last = x.gather(1, at.view(b, 1, 1).expand(b, 1, size)).squeeze(1)
        logits = self.score(last)
        loss = None if labels is None else losses.sequence(logits, labels, self.config)
        return LogitsOutput(logits, loss, found.hidden_states)


class EachScores(Scores):
    """Scores of each position, `(batch, n, labels)`."""

    head_name: ClassVar[str] = "score"

    def __init__(self, cfg: Any) -> None:
        super().__init__(cfg)
        setattr(self, self.head_name, Linear(cfg.hidden_size, cfg.num_labels))

    def answer(self, found: BaseOutput, ids: Tensor | None, labels: Tensor | None) -> LogitsOutput:
        """`(batch, n, labels)`, and the mean loss of labels."""
        logits: Tensor = getattr(self, self.head_name)(found.last_hidden_state)
        loss = None if labels is None else losses.classes(logits, labels)
        return LogitsOutput(logits, loss, found.hidden_states)


class Answers(DecoderHead):
    """Scores of each position as start and end of the answer."""

    def __init__(self, cfg: Any) -> None:
        super().__init__(cfg)
        self.qa_outputs = Linear(cfg.hidden_size, 2)

    def answer(self, found: BaseOutput, start: Tensor | None, end: Tensor | None) -> AnswerOutput:
        """`(batch, n)` each, and the loss where both positions are given."""
        both = self.qa_outputs(found.last_hidden_state)
        starts, ends = both[..., 0], both[..., 1]
        loss = None
        if start is not None and end is not None:
            loss = losses.answer(starts, ends, start, end)
        return AnswerOutput(starts, ends, loss, found.hidden_states)


class _Call(Scores):
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        state: State | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> LogitsOutput:
        """Token ids `(batch, n)`, or their embeddings → scores, and the loss of labels."""
        found = self.base(
            input_ids, attention_mask, position_ids, state, inputs_embeds,
            output_hidden_states=output_hidden_states,
        )  # fmt: skip
        return self.answer(found, input_ids, labels)


class SequenceClassification(_Call, LastScores):
    """Scores of a text, `(batch, labels)`, from its last token that is no padding."""


class TokenClassification(_Call, EachScores):
    """Scores of each position, `(batch, n, labels)`."""


class QuestionAnswering(Answers):
    """Scores of each position as start and end of the answer."""

    base_model_prefix = "transformer"  # of all but Mistral's in transformers

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        state: State | None = None,
        inputs_embeds: Tensor | None = None,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> AnswerOutput:
        """Token ids `(batch, n)`, or their embeddings → scores of starts and ends, `(batch, n)`."""
        found = self.base(
            input_ids, attention_mask, position_ids, state, inputs_embeds,
            output_hidden_states=output_hidden_states,
        )  # fmt: skip
        return self.answer(found, start_positions, end_positions)
