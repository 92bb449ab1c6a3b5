"""TextClassifier: the labels of texts, or of pairs of texts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tallow.tasks.base import Task, as_text, inputs_of, label_names, longest, pads, text_inputs
from tallow.tasks.labels import Label, apply, best, function_of, labels_of
from tallow.tensor import Tensor

TextOrPair = str | tuple[str, str]


def batch_of(task: Task[Any, Any], prepared: Sequence[TextOrPair]) -> dict[str, Tensor]:
    """The inputs of an encoder for texts or pairs, padded, and cut to what the model takes."""
    tokenizer = task.tokenizer
    limit = longest(tokenizer, task.model.config)
    found = tokenizer.batch(
        list(prepared),
        padding=pads(tokenizer, prepared),
        truncation=limit is not None,
        max_length=limit,
    )
    return inputs_of(task.model, text_inputs(found))


def text_or_pair(item: Any, where: str) -> TextOrPair:
    """A text, or two of them.

    Raises:
        ArgumentError: it is something else.
    """
    if isinstance(item, list | tuple) and len(item) == 2:
        return as_text(item[0], where), as_text(item[1], where)
    return as_text(item, where)


def length(item: TextOrPair) -> int:
    """How long a text, or the longer one of a pair, is."""
    return len(item) if isinstance(item, str) else max(map(len, item))


class TextClassifier(Task[TextOrPair, Tensor]):
    """A sequence classifier: `classifier(texts)` gives the labels of each.

    Texts beyond the model's positions are cut, as in transformers' pipelines.
    """

    task = "text-classification"

    def __call__(
        self,
        texts: TextOrPair | Iterable[TextOrPair],
        *,
        top_k: int | None = 1,
        function_to_apply: str | None = None,
        batch_size: int | None = None,
    ) -> Any:
        """The best label of each text; lists of `top_k` labels where that is not 1 (None: all).

        A single text, or pair as a tuple, gives its own. `function_to_apply` is softmax, sigmoid or
        none; the checkpoint says which where it is None.

        Raises:
            BatchError: some texts failed; the others' labels are kept in it.
        """
        return self.each(texts, batch_size, labels_of(self, top_k, function_to_apply))

    def labels(self, logits: Tensor, top_k: int | None, function: str | None = None) -> list[Label]:
        """The best labels of one text's logits."""
        scores = apply(function or function_of(self.model), logits).tolist()
        return best(scores, label_names(self.model), top_k)

    def prepare(self, item: TextOrPair) -> TextOrPair:
        """The text or pair, checked."""
        return text_or_pair(item, "classify")

    weigh = staticmethod(length)

    @staticmethod
    def is_one(items: Any) -> bool:
        """Whether a call was given a text, or a pair as a tuple."""
        return isinstance(items, tuple) or Task.is_one(items)

    def compute(self, prepared: Sequence[TextOrPair]) -> Sequence[Tensor]:
        """The logits of each text, `(labels,)`."""
        logits = self.model(**batch_of(self, prepared)).logits
        return list(logits.unbind(0))
