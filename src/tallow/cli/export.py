"""`tallow export`: a model as a program that runs without Python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from tallow.cli import options
from tallow.cli.parameters import Argument, Option

if TYPE_CHECKING:
    from tallow.tasks.exporting import Exportable


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
    force: options.Force = False,
) -> None:
    """Write plans, weights and tokenizer as one file for tallow-run and the C library.

    It is mapped when it runs. A language model continues texts, an encoder gives vectors, a
    classifier labels; tallow-run FILE --help tells more.
    """
    from tallow.cli.writing import note, refuse_existing, written
    from tallow.tasks.exporting import export as write

    refuse_existing(out, force)
    opened = _open(model, task, str(activations))
    with written(out):
        write(opened, out, context=context)
    note(f"{out}: run it by tallow-run {out}")


def _open(model: str, task: str | None, activations: str) -> Exportable:
    from tallow.errors import ArgumentError, ModelError, expect
    from tallow.tasks import LLM, Embedder, ImageClassifier, TextClassifier

    kinds = {
        "generate": LLM, "embed": Embedder, "classify": TextClassifier,
        "classify-images": ImageClassifier,
    }  # fmt: skip
    good = task is None or task in kinds
    expect(good, "--task", f"one of {', '.join(kinds)}", task, ArgumentError)
    if task is not None:
        return kinds[task](model, activations=activations)  # type: ignore[no-any-return]
    failed: dict[str, None] = {}  # each message once, in order
    for kind in (LLM, TextClassifier, ImageClassifier, Embedder):
        try:
            return kind(model, activations=activations)  # type: ignore[arg-type]
        except ModelError as error:
            failed[str(error)] = None
    raise ModelError(f"export: no task fits (--task names one): {'; '.join(failed)}")
