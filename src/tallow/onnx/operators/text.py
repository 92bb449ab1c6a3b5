"""TfIdfVectorizer: how often n-grams are in a row of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tallow.borrowing import from_numpy
from tallow.errors import ArgumentError, ModelError, expect
from tallow.onnx.operators.ml_common import kept
from tallow.onnx.operators.table import operator
from tallow.tensor import Tensor

Grams = dict[int, dict[tuple[Any, ...], int]]  # length → n-gram → its number


@operator("TfIdfVectorizer", since=9, host=True, reads=("x",))
def tf_idf_vectorizer(
    x: Any, *, max_gram_length: int, max_skip_count: int, min_gram_length: int, mode: str,
    ngram_counts: Sequence[int], ngram_indexes: Sequence[int],
    pool_int64s: Sequence[int] = (), pool_strings: Sequence[str] = (),
    weights: Sequence[float] = (),
) -> Tensor:  # fmt: skip
    """Counts of the pool's n-grams in each row, 1 for any (IDF), times weights (TFIDF, IDF).

    Tokens of an n-gram lie next to one another, or each up to `max_skip_count` farther apart.
    """
    import numpy as np

    expect(mode in ("TF", "IDF", "TFIDF"), "TfIdfVectorizer", "TF, IDF or TFIDF", mode,
           ArgumentError)  # fmt: skip
    pool: Sequence[Any] = pool_int64s or pool_strings
    grams: Grams = kept(_grams, pool, ngram_counts, min_gram_length, max_gram_length)
    rows = x if x and isinstance(x[0], list) else [x]
    count = sum(map(len, grams.values()))
    expect(count <= len(ngram_indexes), "TfIdfVectorizer", f"{count} ngram_indexes",
           len(ngram_indexes), ModelError)  # fmt: skip
    expect(len(weights) in (0, len(ngram_indexes)), "TfIdfVectorizer",
           f"{len(ngram_indexes)} weights", len(weights), ModelError)  # fmt: skip
    made = np.zeros((len(rows), max(ngram_indexes, default=-1) + 1), "float32")
    for out, row in zip(made, rows, strict=True):
        _count(out, row, grams, max_skip_count, ngram_indexes)
    if mode == "IDF":
        made = np.minimum(made, 1)
    if mode != "TF" and weights:
        factors = np.ones(made.shape[1], "float32")
        factors[[*ngram_indexes]] = weights
        made = made * factors
    return from_numpy(made if rows is x else made[0])


def _grams(pool: Sequence[Any], starts: Sequence[int], least: int, most: int) -> Grams:
    """The pool's n-grams that are asked for, each with its place among all."""
    ends = [*starts[1:], len(pool)]
    found: Grams = {}
    number = 0
    for n, (begin, end) in enumerate(zip(starts, ends, strict=True), 1):
        fits = 0 <= begin <= end <= len(pool) and (end - begin) % n == 0
        expect(fits, "TfIdfVectorizer", f"ngram_counts that cut {len(pool)} tokens",
               [*starts], ModelError)  # fmt: skip
        for at in range(begin, end, n):
            if least <= n <= most:
                found.setdefault(n, {})[tuple(pool[at : at + n])] = number
            number += 1
    return found


def _count(
    out: Any, row: Sequence[Any], grams: Grams, most_skipped: int, indexes: Sequence[int]
) -> None:
    """Add the n-grams of a row: single tokens once, others for each distance of their tokens."""
    for n, known in grams.items():
        for apart in range(1, 2 if n == 1 else most_skipped + 2):
            reach = (n - 1) * apart
            for at in range(len(row) - reach):
                number = known.get(tuple(row[at : at + reach + 1 : apart]))
                if number is not None:
                    out[indexes[number]] += 1
