"""`tallow embed`: vectors of texts or pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from tallow.cli import items, options
from tallow.cli.parameters import Option

if TYPE_CHECKING:
    from tallow.tasks import Embedder

Stream = Callable[[Iterator[Any]], Iterator[Any]]


def embed(
    model: options.Model,
    inputs: items.Inputs,
    images: Annotated[bool, Option("The inputs are pictures.")] = False,
    prompt_name: Annotated[
        str | None, Option("Name of the folder's prompt.", absent="its default")
    ] = None,
    normalize: Annotated[bool, Option("Make each vector of length 1.")] = False,
    output: items.Output = None,
    resume: items.Resume = False,
    batch_size: items.BatchSize = None,
    threads: options.Threads = None,
    force: options.Force = False,
) -> None:
    """Turn texts (or pictures) into vectors, a JSON line each with id and embedding.

    MODEL is a sentence-transformers folder or any encoder; with --images one of pictures.
    """
    from tallow.tasks import Embedder, ImageEmbedder
    from tallow.tasks.sentence_modules import normalize as of_length_one

    options.set_threads(threads)
    items.check_output(output, resume, force)
    stream: Stream
    if images:
        pictures = ImageEmbedder(model)
        found = items.find_pictures(inputs, output)
        stream = partial(pictures.stream, batch_size=batch_size)
    else:
        texts = Embedder(model)
        found = items.find_texts(inputs, output)
        stream = partial(_prompted, texts, texts.prompt(prompt_name), batch_size)

    def show(item: items.NamedItem, vector: Any) -> dict[str, Any]:
        kept = of_length_one(vector) if normalize else vector
        return {"id": item.id, "embedding": [round(x, 7) for x in kept.tolist()]}

    items.run(
        found,
        stream,
        show,
        what="embed",
        output=output,
        resume=resume,
        force=force,
    )


def _prompted(
    embedder: Embedder, prompt: str, batch_size: int | None, values: Iterator[Any]
) -> Iterator[Any]:
    return embedder.stream(((prompt, text) for text in values), batch_size=batch_size)
