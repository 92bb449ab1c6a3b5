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
    output: items.Output = None,
    batch_size: items.BatchSize = None,
    threads: options.Threads = None,
    force: options.Force = False,
) -> None:
    """Order documents by a cross-encoder, a JSON line each with id, score and text, the best first.

    Documents are texts, files of one a line, .jsonl files, globs, folders, or - for a pipe.
    """
    from tallow.cli.errors import UsageError
    from tallow.cli.output import json_line
    from tallow.tasks import Reranker

    items.check_output(output, False, force)
    found = list(items.find_texts(documents, output))
    if not found:
        raise UsageError("rerank: expected documents, got none")
    options.set_threads(threads)
    reranker, failures = Reranker(model), items.Failures("rerank", len(found))
    sound = failures.sound(found)
    pairs = ((query, item.value) for item in sound)
    ranked = []
    with items.bar("rerank", output) as tell:
        tell(0, len(found))
        outcomes = reranker.stream(pairs, batch_size=batch_size)
        for item, outcome in zip(sound, outcomes, strict=True):
            if outcome.error is not None:
                failures.add(item, outcome.error)
            elif outcome.result is not None:
                ranked.append((reranker.score(outcome.result).item(), item))
            tell(len(ranked), len(found))
    ranked.sort(key=lambda row: -row[0])
    with items.opened(output) as file:
        for score, item in ranked[:top_k]:
            print(json_line({"id": item.id, "score": score, "text": item.value}), file=file)
    failures.tell()
