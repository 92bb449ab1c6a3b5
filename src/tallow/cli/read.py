"""`tallow read`: the text of pictures of lines."""

from __future__ import annotations

from typing import Annotated

from tallow.cli import items, options
from tallow.cli.parameters import Option


def read(
    model: options.Model,
    inputs: items.Pictures,
    max_tokens: Annotated[int, Option("Tokens of a line at most.", min=1)] = 128,
    beams: Annotated[int | None, Option("Beams.", min=1, absent="as the model says")] = None,
    output: items.Output = None,
    resume: items.Resume = False,
    batch_size: items.BatchSize = None,
    threads: options.Threads = None,
    force: options.Force = False,
) -> None:
    """Read lines of text from pictures (TrOCR and its like), a JSON line each with id and text."""
    from tallow.tasks import LineReader

    options.set_threads(threads)
    items.check_output(output, resume, force)
    reader = LineReader(model, max_new_tokens=max_tokens, num_beams=beams)
    items.run(
        items.find_pictures(inputs, output),
        lambda values: reader.stream(values, batch_size=batch_size),
        lambda item, text: {"id": item.id, "text": text},
        what="read",
        output=output,
        resume=resume,
        force=force,
    )
