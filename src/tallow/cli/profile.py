"""`tallow profile`: what a model's time goes to, and how near each kernel is to the limits."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any

from tallow.cli import options
from tallow.cli.options import Activations, CacheType
from tallow.cli.parameters import Argument, Option

if TYPE_CHECKING:
    from tallow.profiling import Limits, Row
    from tallow.profiling.workloads import Phase

SUFFIX = ".tlw"


def profile(
    model: Annotated[str, Argument("MODEL", "Alias, path or reference, or a program (.tlw).")],
    prompt: Annotated[
        int | None, Option("Tokens of the prompt.", min=0, absent="512, or what there is room for")
    ] = None,
    gen: Annotated[int, Option("Tokens to decode behind it.", min=0)] = 64,
    runs: Annotated[int, Option("Passes of what does not generate.", min=1)] = 5,
    task: Annotated[
        str | None,
        Option("generate, embed, classify or another one.", absent="what the model is for"),
    ] = None,
    size: Annotated[
        list[str] | None,
        Option("A size of a program; may be repeated.", metavar="NAME=N", absent="its least"),
    ] = None,
    shapes: Annotated[
        bool, Option("A row for each choice of shapes, not for each kernel.")
    ] = False,
    threads: options.Threads = None,
    activations: options.ActivationsOption = Activations.INT8,
    cache_type: options.CacheTypeOption = None,
    json: options.Json = False,
    trace: Annotated[
        str | None, Option("Chrome trace to write, for Perfetto.", metavar="OUT.json", absent="no")
    ] = None,
    svg: Annotated[str | None, Option("Roofline to draw.", metavar="OUT.svg", absent="no")] = None,
    force: options.Force = False,
) -> None:
    """Show what a model's time goes to: calls, time, rates and waits of each kernel.

    Rates stand beside the multiply-add peak and the read bandwidth measured in the same run.
    """
    from tallow.profiling import best, measure

    _check_outputs([path for path in (trace, svg) if path is not None], force)
    options.set_threads(threads)
    before = measure()
    with ExitStack() as stack:
        phases = _run(model, prompt, gen, runs, task, size, activations, cache_type, stack)
    limits = best(before, measure())
    _write(trace, svg, phases, limits, model)
    show = _print_json if json else _print_tables
    show(model, phases, limits, shapes)


def _check_outputs(paths: list[str], force: bool) -> None:
    """Refuse files that could not be written after all is done."""
    from tallow.cli.writing import check_writable, refuse_existing

    for path in paths:
        refuse_existing(path, force)
        check_writable(path)


def _run(
    model: str, prompt: int | None, gen: int, runs: int, task: str | None, size: list[str] | None,
    activations: Activations, cache_type: CacheType | None, stack: ExitStack,
) -> list[Phase]:  # fmt: skip
    from tallow.cli.errors import UsageError
    from tallow.profiling import workloads
    from tallow.tasks import LLM

    if model.endswith(SUFFIX):
        fixed = {
            "--task": task is not None,
            "--activations": activations != Activations.INT8,
            "--cache-type": cache_type is not None,
        }
        for option in (name for name, given in fixed.items() if given):
            raise UsageError(f"{option}: expected a model beside it, got a program")
        phases = workloads.program(model, prompt, gen, runs, _sizes(size))
    else:
        if size:
            raise UsageError("--size: expected a program (.tlw) beside it, got a model")
        opened = stack.enter_context(options.open_task(model, task, str(activations), "profile"))
        if isinstance(opened, LLM):
            phases = workloads.language_model(opened, prompt, gen, cache_type and cache_type.value)
        else:
            phases = workloads.encoder(opened, prompt, runs)
    if not phases:
        raise UsageError("profile: expected --prompt or --gen above 0")
    return phases


def _sizes(given: list[str] | None) -> dict[str, int]:
    from tallow.cli.errors import UsageError

    found = {}
    for pair in given or ():
        name, _, number = pair.partition("=")
        if not name or not number.isascii() or not number.isdigit():
            raise UsageError(f"--size: expected NAME=N, got {pair!r}")
        found[name] = int(number)
    return found


def _write(
    trace: str | None, svg: str | None, phases: Sequence[Phase], limits: Limits, model: str
) -> None:
    import os
    from pathlib import Path

    from tallow.cli.output import json_line, printable
    from tallow.cli.writing import written
    from tallow.profiling import chrome, roofline

    profiles = [phase.profile for phase in phases]
    if trace is not None:
        with written(trace):
            text = json_line(chrome.trace(profiles, limits))
            Path(trace).write_text(text + "\n", encoding="utf-8")
    if svg is not None:
        with written(svg):
            title = printable(os.path.basename(model) or model)
            drawn = roofline.roofline(profiles, limits, title)
            Path(svg).write_text(drawn, encoding="utf-8")


def _rows(phase: Phase, shapes: bool) -> list[Row]:
    from tallow.profiling import by_kernel, by_shapes
    from tallow.profiling.summary import total

    found = by_shapes(phase.profile) if shapes else by_kernel(phase.profile)
    return [*found, total(phase.profile)]


def _print_json(model: str, phases: Sequence[Phase], limits: Limits, shapes: bool) -> None:
    from tallow.cli.output import print_json

    shown = []
    for phase in phases:
        *rows, last = [row.as_json(limits) for row in _rows(phase, shapes)]
        found = phase.profile
        about: dict[str, Any] = {"name": found.name, "count": phase.count, "unit": phase.unit}
        about |= {"seconds": found.seconds, "left_out": found.left_out}
        shown.append({**about, "kernels": rows, "total": last})
    print_json({"model": model, "limits": vars(limits), "phases": shown})


def _print_tables(_: str, phases: Sequence[Phase], limits: Limits, shapes: bool) -> None:
    from tallow.cli.output import print_table, printable, table
    from tallow.cli.writing import note

    print(
        f"{limits.threads} thread{'s' * (limits.threads > 1)}, {limits.isa} kernels; measured now: "
        f"{limits.flops_per_s / 1e9:.0f} GFLOP/s multiply-adds, "
        f"{limits.read_bytes_per_s / 1e9:.1f} GB/s reads"
    )
    numbers = ("calls", "ms", "share", "GFLOP/s", "of peak", "GB/s", "of reads", "waiting")
    for phase in phases:
        print(f"\n{_headline(phase)}")
        made = table("kernel", *numbers, right=numbers)
        for row in _rows(phase, shapes):
            made.add_row(printable(row.name), *_cells(row, limits))
        print_table(made)
        if phase.profile.left_out:
            note(f"{phase.profile.left_out} calls and spans found no room and are not counted")


def _headline(phase: Phase) -> str:
    found = phase.profile
    each = found.seconds / phase.count
    rate = f"{1 / each:.1f} {phase.unit}/s" if each else ""
    between = max(found.seconds - found.in_kernels, 0.0)
    return (
        f"{found.name}: {phase.count} {phase.unit} in {found.seconds * 1e3:.1f} ms "
        f"({each * 1e3:.2f} ms each, {rate}); between calls {between * 1e3:.1f} ms"
    )


def _cells(row: Row, limits: Limits) -> list[str]:
    def number(value: float | None, scale: float = 1e9) -> str:
        return "" if value is None else f"{value / scale:.1f}"

    def share(value: float | None) -> str:
        return "" if value is None else f"{value:.0%}"

    return [
        str(row.calls),
        f"{row.seconds * 1e3:.2f}",
        f"{row.share:.1%}",
        number(row.flops_per_s),
        share(row.of_peak(limits)),
        number(row.bytes_per_s),
        share(row.of_reads(limits)),
        share(row.waiting),
    ]
