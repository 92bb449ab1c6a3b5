"""`tallow export`: a model as a program that runs without Python, or as an ONNX graph."""

from __future__ import annotations

from typing import Annotated

from tallow.cli import options
from tallow.cli.parameters import Argument, Option

TASKS = ("generate", "classify", "classify-images", "embed")


def export(
    model: options.Model,
    out: Annotated[str, Argument("OUT", "File to write: .tlw, or .onnx.")],
    task: Annotated[
        str | None,
        Option("generate, embed, classify or classify-images.", absent="what the model is for"),
    ] = None,
    context: Annotated[
        int | None, Option("Room for so many tokens.", metavar="N", absent="the model's")
    ] = None,
    activations: options.ActivationsOption = options.Activations.INT8,
    cache_type: options.CacheTypeOption = None,
    onnx: Annotated[bool, Option("Write an ONNX graph instead.", absent="for OUT.onnx")] = False,
    opset: Annotated[
        int, Option("With --onnx: version of the operators, 17 to 21.", metavar="N")
    ] = 17,
    image_size: Annotated[
        str | None,
        Option("With --onnx: of images.", metavar="HEIGHTxWIDTH", absent="the config's, or 224"),
    ] = None,
    force: options.Force = False,
) -> None:
    """Write plans, weights and tokenizer as one file for tallow-run and the C library.

    It is mapped when it runs. A language model continues texts, an encoder gives vectors, a
    classifier labels; tallow-run FILE --help tells more. With --onnx, write the model (no
    tokenizer) as a graph for any runtime: texts of any batch and length, images of any batch.
    """
    from tallow.cli.writing import note, refuse_existing, written
    from tallow.errors import ArgumentError, expect
    from tallow.tasks import LLM
    from tallow.tasks.exporting import export as write

    refuse_existing(out, force)
    if onnx or out.endswith(".onnx"):
        _export_onnx(model, out, task, opset, image_size)
        return
    opened = options.open_task(model, task, str(activations), "export", TASKS)
    if cache_type is not None:
        wanted, found = "a model that continues texts", type(opened).__name__
        expect(isinstance(opened, LLM), "--cache-type", wanted, found, ArgumentError)
        opened.cache_dtype = opened.model.make_state(dtype=cache_type.value).dtype
    with written(out):
        write(opened, out, context=context)
    note(f"{out}: run it by tallow-run {out}")


def _export_onnx(
    model: str, out: str, task: str | None, opset: int, image_size: str | None
) -> None:
    from tallow.cli.writing import check_writable, note, steps
    from tallow.models import load
    from tallow.onnx import export as write
    from tallow.onnx.exporter.examples import example_inputs

    check_writable(out)
    size = None if image_size is None else _size(image_size)
    if task is None:
        opened = load(model, activations="float")
    else:
        opened = options.open_task(model, task, "float", "export", tuple(options.TASKS)).model
    examples, dynamic = example_inputs(opened, size)
    with steps("writing") as progress:
        paths = write(opened, examples, out, opset=opset, dynamic=dynamic, progress=progress)
    shown = [
        f"{n} {[dynamic[n].get(i, k) for i, k in enumerate(x.shape)]}" for n, x in examples.items()
    ]
    note(f"{' and '.join(paths)}: takes {', '.join(shown)}".replace("'", ""))


def _size(text: str) -> tuple[int, int]:
    from tallow.cli.errors import UsageError

    height, _, width = text.lower().partition("x")
    if not (height.isdecimal() and width.isdecimal() and int(height) and int(width)):
        raise UsageError(f"--image-size: expected HEIGHTxWIDTH as 224x224, got {text!r}")
    return int(height), int(width)
