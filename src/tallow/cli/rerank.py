"""`tallow rerank`: documents ordered by how well they answer a query."""

from __future__ import annotations

from typing import Annotated

from tallow.cli import items, options
from tallow.cli.parameters import Argument, Option


def rerank(
    model: options.Model,
    query: Annotated[str, Argument("QUERY", "What the documents should answer.")],
    documents: items.Texts,
    top_k: Annotated[int | None, Option("Only the best.", min=1, absent="all")] = None,
    batch_size: items.BatchSize = None,
    threads: options.Threads = None,
) -> None:
    """Order documents by a cross-encoder, a JSON line each with id, score and text, the best first.

    Documents are texts, files of one a line, .jsonl files, globs, folders, or - for a pipe.
    """
    from tallow.cli.errors import UsageError
    from tallow.cli.output import print_json
    from tallow.tasks import Reranker

    found = list(items.find_texts(documents))
    if not found:
        raise UsageError("rerank: expected documents, got none")
    options.set_threads(threads)
    ranking = Reranker(model).rank(
        query, [item.value for item in found], top_k=top_k, batch_size=batch_size
    )
    for place in ranking:
        print_json({"id": found[place.index].id, "score": place.score, "text": place.text})
