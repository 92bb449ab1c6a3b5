"""TextClassifier: the labels of texts, or of pairs of texts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tallow.tasks.base import Task, as_text, label_names, longest
from tallow.tasks.labels import Label, apply, best, function_of
from tallow.tensor import Tensor

TextOrPair = str | tuple[str, str]


def batch_of(task: Task[Any, Any], prepared: Sequence[TextOrPair]) -> dict[str, Tensor]:
    """The inputs of an encoder for texts or pairs, padded, and cut to what the model takes."""
    tokenizer = task.tokenizer
    limit = longest(tokenizer, task.model.config)
    firsts = [each if isinstance(each, str) else each[0] for each in prepared]
    seconds = None if isinstance(prepared[0], str) else [each[1] for each in prepared]
    padding = len(prepared) > 1 or tokenizer.pad_id is not None
    found = tokenizer.batch(
        firsts, seconds, padding=padding, truncation=limit is not None, max_length=limit
    )
    inputs = {"input_ids": found.input_ids, "attention_mask": found.attention_mask}
    if found.token_type_ids is not None:
        inputs["token_type_ids"] = found.token_type_ids
    return inputs


def text_or_pair(item: Any, where: str) -> TextOrPair:
    """A text, or two of them.

    Raises:
        ArgumentError: it is something else.
    """
    if isinstance(item, list | tuple) and len(item) == 2:
        return as_text(item[0], where), as_text(item[1], where)
    return as_text(item, where)


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
        single = isinstance(texts, str | tuple)
        items: Any = [texts] if single else texts
        rows = self.all(items, batch_size)
        made = [self.labels(logits, top_k, function_to_apply) for logits in rows]
        found = [labels[0] for labels in made] if top_k == 1 else made
        return found[0] if single else found

    def labels(self, logits: Tensor, top_k: int | None, function: str | None = None) -> list[Label]:
        """The best labels of one text's logits."""
        scores = apply(function or function_of(self.model), logits).tolist()
        return best(scores, label_names(self.model), top_k)

    def prepare(self, item: TextOrPair) -> TextOrPair:
        """The text or pair, checked."""
        return text_or_pair(item, "classify")

    weigh = staticmethod(len)

    def compute(self, prepared: Sequence[TextOrPair]) -> Sequence[Tensor]:
        """The logits of each text, `(labels,)`."""
        logits = self.model(**batch_of(self, prepared)).logits
        return list(logits.unbind(0))
