"""Reranker: how well documents answer a query, by a cross-encoder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tallow.errors import ModelError
from tallow.ops import sigmoid, stack
from tallow.tasks.base import Task
from tallow.tasks.text_classifier import TextOrPair, batch_of, text_or_pair
from tallow.tensor import Tensor


@dataclass(frozen=True)
class Ranked:
    """One document of a ranking: its place in the list that was given, its score, its text."""

    index: int
    score: float
    text: str


class Reranker(Task[TextOrPair, Tensor]):
    """A cross-encoder with one score: `rank(query, documents)` orders documents.

    Scores are between 0 and 1 (sigmoid) unless the checkpoint names the identity as its activation,
    as sentence-transformers' CrossEncoder has it.
    """

    task = "reranking"

    def predict(
        self, pairs: Iterable[tuple[str, str]], *, batch_size: int | None = None, raw: bool = False
    ) -> Tensor:
        """The scores of pairs of query and document, `(pairs,)`; `raw` gives logits.

        Raises:
            BatchError: some pairs failed; the others' scores are kept in it.
            ModelError: the checkpoint has several labels.
        """
        count = self.model.config.num_labels
        if count != 1:
            raise ModelError(f"Reranker: num_labels: expected 1, found {count}")
        rows = self.all(pairs, batch_size)
        if not rows:
            from tallow.factories import empty

            return empty(0)
        logits = stack(rows).reshape(-1)
        return logits if raw or self._identity else sigmoid(logits)

    def rank(
        self,
        query: str,
        documents: Sequence[str],
        *,
        top_k: int | None = None,
        batch_size: int | None = None,
    ) -> list[Ranked]:
        """Documents by falling score, the best `top_k` of them."""
        pairs = [(query, document) for document in documents]
        scores: list[float] = self.predict(pairs, batch_size=batch_size).tolist()
        order = sorted(range(len(scores)), key=lambda index: -scores[index])
        return [Ranked(index, scores[index], documents[index]) for index in order[:top_k]]

    @property
    def _identity(self) -> bool:
        values = self.model.config_values
        own = values.get("sentence_transformers")
        asked = own.get("activation_fn") if isinstance(own, dict) else None
        asked = asked or values.get("sbert_ce_default_activation_function")
        return isinstance(asked, str) and asked.endswith("Identity")

    def prepare(self, item: TextOrPair) -> TextOrPair:
        """The pair, checked."""
        return text_or_pair(item, "rerank")

    @staticmethod
    def weigh(prepared: Any) -> int:
        """The length of the longer text."""
        return max(map(len, prepared))

    def compute(self, prepared: Sequence[TextOrPair]) -> Sequence[Tensor]:
        """The logit of each pair, `(1,)`."""
        logits = self.model(**batch_of(self, prepared)).logits
        return list(logits.unbind(0))
