"""`tallow export`: a model as a program that runs without Python."""

from __future__ import annotations

from typing import Annotated

from tallow.cli import options
from tallow.cli.parameters import Argument, Option

TASKS = ("generate", "classify", "classify-images", "embed")


def export(
    model: options.Model,
    out: Annotated[str, Argument("OUT", "File to write: .tlw.")],
    task: Annotated[
        str | None,
        Option("generate, embed, classify or classify-images.", absent="what the model is for"),
    ] = None,
    context: Annotated[
        int | None, Option("Room for so many tokens.", metavar="N", absent="the model's")
    ] = None,
    activations: options.ActivationsOption = options.Activations.INT8,
    cache_type: options.CacheTypeOption = None,
    force: options.Force = False,
) -> None:
    """Write plans, weights and tokenizer as one file for tallow-run and the C library.

    It is mapped when it runs. A language model continues texts, an encoder gives vectors, a
    classifier labels; tallow-run FILE --help tells more.
    """
    from tallow.cli.writing import note, refuse_existing, written
    from tallow.errors import ArgumentError, expect
    from tallow.tasks import LLM
    from tallow.tasks.exporting import export as write

    refuse_existing(out, force)
    opened = options.open_task(model, task, str(activations), "export", TASKS)
    if cache_type is not None:
        wanted, found = "a model that continues texts", type(opened).__name__
        expect(isinstance(opened, LLM), "--cache-type", wanted, found, ArgumentError)
        opened.cache_dtype = opened.model.make_state(dtype=cache_type.value).dtype
    with written(out):
        write(opened, out, context=context)
    note(f"{out}: run it by tallow-run {out}")
