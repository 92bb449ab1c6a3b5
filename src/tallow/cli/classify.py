"""`tallow classify`: labels of texts or pictures, by whatever classifier MODEL is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

from tallow.cli import items, options
from tallow.cli.parameters import Option

if TYPE_CHECKING:
    from tallow.tasks.base import Task


def classify(
    model: options.Model,
    inputs: items.Inputs,
    top_k: Annotated[int, Option("Labels of each, the best first.", min=1)] = 5,
    labels: Annotated[
        list[str] | None,
        Option("A label to choose from (CLIP and its like); may be repeated.", metavar="LABEL"),
    ] = None,
    output: items.Output = None,
    resume: items.Resume = False,
    batch_size: items.BatchSize = None,
    threads: options.Threads = None,
    force: options.Force = False,
) -> None:
    """Classify texts or pictures, a JSON line each with id and labels (or entities).

    Texts for sequence and token classifiers; pictures for image classifiers, and with --labels
    for CLIP and its like.
    """
    options.set_threads(threads)
    items.check_output(output, resume, force)
    task, show = _task(model, labels, top_k)
    texts = task.task in ("text-classification", "token-classification")
    items.run(
        items.find_texts(inputs, output) if texts else items.find_pictures(inputs, output),
        lambda values: task.stream(values, batch_size=batch_size),
        lambda item, found: {"id": item.id, **show(item, found)},
        what="classify",
        output=output,
        resume=resume,
        force=force,
    )


Show = Callable[[items.NamedItem, Any], dict[str, Any]]


def _task(model: str, labels: list[str] | None, top_k: int) -> tuple[Task[Any, Any], Show]:
    """The task for the checkpoint's class, and what is shown of its results."""
    from tallow.errors import ModelError
    from tallow.models.family import identify
    from tallow.models.loading import open_ref
    from tallow.tasks import (
        ImageClassifier,
        TextClassifier,
        TokenClassifier,
        ZeroShotImageClassifier,
    )

    if labels:
        choosing = ZeroShotImageClassifier(model)
        scores = choosing.scorer(labels)
        return choosing, lambda _, logits: {"labels": _rows(scores(logits)[:top_k])}
    source, config = open_ref(model)
    found = identify(source, config=config)
    name = found.row.architecture(found.model)
    if name.endswith("ForTokenClassification"):
        tokens = TokenClassifier(model)
        return tokens, lambda item, found: {"entities": _rows(tokens.entities(item.value, found))}
    if name.endswith("ForSequenceClassification"):
        texts = TextClassifier(model)
        return texts, lambda _, logits: {"labels": _rows(texts.labels(logits, top_k))}
    if "ForImageClassification" in name:  # DeiT's goes on with WithTeacher
        pictures = ImageClassifier(model)
        return pictures, lambda _, logits: {"labels": _rows(pictures.labels(logits, top_k))}
    wanted = "a sequence, token or image classifier, or --labels for CLIP and its like"
    raise ModelError(f"{model}: expected {wanted}, found {name}")


def _rows(found: Any) -> list[dict[str, Any]]:
    return [asdict(each) for each in _each(found)]


def _each(found: Any) -> Iterator[Any]:
    yield from found
