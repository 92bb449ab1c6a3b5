"""`tallow translate`: texts in another language."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from tallow.cli import items, options, text_job
from tallow.cli.parameters import Option

Beams = Annotated[
    int | None, Option("Hypotheses that are followed at once.", min=1, absent="the checkpoint's")
]
Tokens = Annotated[
    int | None, Option("Tokens of a part's answer at most.", min=1, absent="the checkpoint's")
]
Prefix = Annotated[
    str | None, Option("Written before each part.", metavar="TEXT", absent="the checkpoint's")
]


def translate(
    model: options.Model,
    inputs: text_job.Inputs,
    source: Annotated[
        str | None, Option("Code of the texts' language.", metavar="CODE", absent="the model's")
    ] = None,
    target: Annotated[
        str | None, Option("Code of the language wanted.", metavar="CODE", absent="the model's")
    ] = None,
    prefix: Prefix = None,
    beams: Beams = None,
    max_tokens: Tokens = None,
    output: text_job.Output = None,
    resume: text_job.Resume = False,
    batch_size: items.BatchSize = None,
    threads: options.Threads = None,
    force: options.Force = False,
) -> None:
    """Translate texts by Marian, NLLB, M2M-100, mBART or T5; lines stay lines.

    Unknown codes are refused with those that the model has. JSON lines have an id and a text for
    each line of a file.
    """
    from tallow.tasks import Translator

    options.set_threads(threads)
    job = text_job.TextJob("translate", output, resume=resume, force=force)
    translator = Translator(
        model, source=source, target=target, prefix=prefix, num_beams=beams,
        max_new_tokens=max_tokens,
    )  # fmt: skip
    translator.route()  # a wrong code is told once
    job.run(inputs, partial(translator.stream, batch_size=batch_size), by_line=True)
