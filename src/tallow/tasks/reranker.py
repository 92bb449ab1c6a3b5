"""Reranker: how well documents answer a query, by a cross-encoder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tallow.errors import ArgumentError, ModelError, expect
from tallow.factories import empty
from tallow.lazy_dataclasses import dataclass
from tallow.ops import stack
from tallow.tasks.base import Task
from tallow.tasks.labels import check_top_k
from tallow.tasks.sentence_modules import ACTIVATIONS
from tallow.tasks.text_classifier import TextOrPair, batch_of, length, text_or_pair
from tallow.tensor import Tensor


@dataclass(frozen=True)
class Ranked:
    """One document of a ranking: its place in the list that was given, its score, its text."""

    index: int
    score: float
    text: str


class Reranker(Task[TextOrPair, Tensor]):
    """A cross-encoder with one score: `rank(query, documents)` orders documents.

    Scores are between 0 and 1 (sigmoid) unless the checkpoint names another activation, as
    sentence-transformers' CrossEncoder has it.
    """

    task = "reranking"

    def check(self) -> None:
        """Raise what would make every pair fail.

        Raises:
            ModelError: the checkpoint has several labels, no tokenizer, or an unknown activation.
        """
        super().check()
        count = self.model.config.num_labels
        if count != 1:
            raise ModelError(f"Reranker: num_labels: expected 1, found {count}")
        _ = self._activation

    def predict(self, pairs: Any, *, batch_size: int | None = None, raw: bool = False) -> Tensor:
        """The scores of pairs of query and document, `(pairs,)`; `raw` gives logits.

        Of a single pair, a scalar.

        Raises:
            BatchError: some pairs failed; the others' scores are kept in it.
        """
        made = self.each(pairs, batch_size, lambda _, logit: self.score(logit, raw=raw))
        if self.is_one(pairs):
            return made  # type: ignore[no-any-return]
        return stack(made) if made else empty(0)

    @staticmethod
    def is_one(items: Any) -> bool:
        """Whether a call was given a single pair."""
        pair = isinstance(items, list | tuple) and len(items) == 2
        return Task.is_one(items) or (pair and all(isinstance(each, str) for each in items))

    def score(self, logit: Tensor, *, raw: bool = False) -> Tensor:
        """The score of one pair by its logit, a scalar."""
        logit = logit.reshape(())
        return logit if raw else self._activation(logit)

    def rank(
        self,
        query: str,
        documents: Iterable[str],
        *,
        top_k: int | None = None,
        batch_size: int | None = None,
    ) -> list[Ranked]:
        """Documents by falling score, the best `top_k` of them.

        Raises:
            ArgumentError: no number of best ones, or documents that are no list.
            BatchError: some documents failed; the others' scores are kept in it.
        """
        check_top_k(top_k)
        wanted = "a list of texts"
        got = type(documents).__name__
        expect(not Task.is_one(documents), "Reranker.rank: documents", wanted, got, ArgumentError)
        texts = list(documents)
        pairs = [(query, text) for text in texts]
        scores: list[float] = self.predict(pairs, batch_size=batch_size).tolist()
        order = sorted(range(len(scores)), key=lambda index: -scores[index])
        return [Ranked(index, scores[index], texts[index]) for index in order[:top_k]]

    @property
    def _activation(self) -> Callable[[Tensor], Tensor]:
        """What makes a score of a logit, by the name of one of PyTorch's modules."""
        values = self.model.config_values
        own = values.get("sentence_transformers")
        asked = own.get("activation_fn") if isinstance(own, dict) else None
        asked = asked or values.get("sbert_ce_default_activation_function")
        name = "Sigmoid" if asked is None else str(asked).rpartition(".")[2]
        if name not in ACTIVATIONS:
            wanted = f"one of {', '.join(sorted(ACTIVATIONS))}"
            raise ModelError(f"Reranker: activation_fn: expected {wanted}, found {asked!r}")
        return ACTIVATIONS[name]

    def prepare(self, item: TextOrPair) -> TextOrPair:
        """The pair, checked."""
        pair = isinstance(item, list | tuple) and len(item) == 2
        wanted = "a pair of query and document"
        expect(pair, "rerank", wanted, type(item).__name__, ArgumentError)
        return text_or_pair(item, "rerank")

    weigh = staticmethod(length)

    def compute(self, prepared: Sequence[TextOrPair]) -> Sequence[Tensor]:
        """The logit of each pair, `(1,)`."""
        logits = self.model(**batch_of(self, prepared)).logits
        return list(logits.unbind(0))
