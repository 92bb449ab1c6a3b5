"""`tallow quantize`: a smaller model file, with llama.cpp's mixes of block types."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

from tallow.cli import options
from tallow.cli.options import Activations
from tallow.cli.parameters import Argument, Option

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tallow.quantization import FileType, ModelPlan, Options


def quantize(
    model: options.Model,
    out: Annotated[str | None, Argument("OUT", "The GGUF file to write.")] = None,
    *,
    type: Annotated[str, Option("q4_k_m, q5_k_s, q8_0, iq4_xs, …: as in llama.cpp.")],
    imatrix: Annotated[
        str | None, Option("Importance matrix: of `tallow imatrix`.", metavar="FILE")
    ] = None,
    pure: Annotated[bool, Option("One type for all matrices, no mix.")] = False,
    output_tensor_type: Annotated[
        str | None, Option("Of the output matrix.", metavar="DTYPE")
    ] = None,
    token_embedding_type: Annotated[
        str | None, Option("Of the token embedding.", metavar="DTYPE")
    ] = None,
    tensor_type: Annotated[
        list[str] | None,
        Option("Of tensors whose name matches; may be repeated.", metavar="REGEX=DTYPE"),
    ] = None,
    allow_requantize: Annotated[bool, Option("Also from a model that is quantised.")] = False,
    threads: options.Threads = None,
    dry_run: Annotated[bool, Option("Show the plan and the size, write nothing.")] = False,
    perplexity: Annotated[
        str | None, Option("Compare before and after on this text.", metavar="FILE")
    ] = None,
    activations: options.ActivationsOption = Activations.INT8,
    max_expansion: options.MaxExpansion = 16.0,
    strict: options.Strict = False,
    force: options.Force = False,
    json: options.Json = False,
) -> None:
    """Quantise a model: a GGUF file or a Hugging Face folder of a known family.

    Sensitive tensors get more bits than the rest, as llama-quantize has it. Types below 3 bits
    need an importance matrix.
    """
    from tallow.cli.errors import UsageError
    from tallow.cli.writing import progress, refuse_existing, tell_losses
    from tallow.conversion.gguf_model import gguf_content
    from tallow.formats.imatrix import open_imatrix
    from tallow.hub import resolve
    from tallow.quantization import plan_model, quantize_model
    from tallow.weights import open_weights

    if out is None and not dry_run:
        raise UsageError("quantize: expected OUT, the file to write, or --dry-run")
    if out is not None and not dry_run:
        refuse_existing(out, force)
    options.set_threads(threads)
    kind = _file_type(type)
    by_hand = _by_hand(pure, output_tensor_type, token_embedding_type, tensor_type)
    text = None if perplexity is None or dry_run else options.read_text(perplexity, "--perplexity")
    path = resolve(model)
    content = gguf_content(open_weights(path), max_expansion)
    tell_losses(content.losses, strict=strict)
    importance = None if imatrix is None else open_imatrix(imatrix)
    made = plan_model(content, kind, by_hand, has_imatrix=importance is not None)
    if dry_run:
        _show_plan(made, json=json, has_imatrix=importance is not None)
        return
    assert out is not None, "checked above"
    quantize_model(
        content,
        made,
        out,
        importance=importance,
        importance_path=imatrix or "",
        allow_requantize=allow_requantize,
        progress=progress(),
    )
    scores = None if text is None else _perplexities((str(path), out), text, activations)
    _report(made, out, scores, json=json)


def _file_type(name: str) -> FileType:
    from tallow.cli.errors import UsageError
    from tallow.errors import ArgumentError
    from tallow.quantization import file_type

    try:
        return file_type(name)
    except ArgumentError as error:
        raise UsageError(str(error)) from error


def _by_hand(
    pure: bool, output: str | None, embedding: str | None, pairs: list[str] | None
) -> Options:
    from tallow.cli.errors import UsageError
    from tallow.quantization import Options

    overrides = []
    for pair in pairs or ():
        pattern, equals, dtype = pair.rpartition("=")
        if not equals or not pattern:
            raise UsageError(f"tensor-type: expected REGEX=DTYPE, got {pair!r}")
        try:
            overrides.append((re.compile(pattern), _dtype(dtype)))
        except re.error as error:
            raise UsageError(f"tensor-type: {pattern!r}: {error}") from error
    return Options(
        pure=pure,
        output=None if output is None else _dtype(output),
        token_embedding=None if embedding is None else _dtype(embedding),
        overrides=overrides,
    )


def _dtype(name: str) -> str:
    from tallow.cli.errors import UsageError
    from tallow.quantization import TARGET_DTYPES

    lower = name.lower()
    if lower not in TARGET_DTYPES:
        raise UsageError(f"dtype: expected one of {', '.join(TARGET_DTYPES)}, got {name!r}")
    return lower


def _perplexities(
    paths: Iterable[str], text: str, activations: Activations
) -> list[tuple[str, float]]:
    from tallow.tasks import LLM

    found = []
    for path in paths:
        with LLM(path, activations=activations.value) as llm:
            window = min(512, llm.model.context)
            found.append((path, llm.perplexity(text, window=window)))
    return found


def _show_plan(made: ModelPlan, *, json: bool, has_imatrix: bool) -> None:
    from tallow.cli.output import print_json, print_table, shortened, table
    from tallow.cli.writing import note

    if json:
        print_json({**_summary(made), "tensors": _rows(made)})
        return
    shown = table("tensor", "shape", "from", "to", "bytes", right=("bytes",))
    for row in _rows(made):
        mark = " (fallback)" if row["fallback"] else ""
        shape = " × ".join(map(str, row["shape"])) or "scalar"
        to = row["dtype"] + mark if row["dtype"] != row["from"] else "as is"
        shown.add_row(shortened(row["name"], 200), shape, row["from"], to, f"{row['bytes']:,}")
    print_table(shown)
    print()
    _print_summary(made)
    if made.without_imatrix and not has_imatrix:
        note(f"{made.kind.name} needs an importance matrix: see `tallow imatrix`, --imatrix")


def _rows(made: ModelPlan) -> list[dict[str, Any]]:
    from tallow.conversion.content import stored_bytes

    return [
        {
            "name": row.subject.name,
            "shape": row.subject.shape,
            "from": row.subject.dtype,
            "dtype": row.dtype,
            "fallback": row.fallback,
            "bytes": stored_bytes(row.dtype, row.subject.shape),
        }
        for row in made.choices
    ]


def _summary(made: ModelPlan) -> dict[str, Any]:
    return {
        "type": made.kind.name,
        "file_type": made.kind.code,
        "parameters": made.elements,
        "bytes_before": made.bytes_before,
        "bytes_after": made.bytes_after,
        "bits_per_weight_before": _bits(made.bytes_before, made),
        "bits_per_weight": _bits(made.bytes_after, made),
        "fallbacks": made.fallbacks,
    }


def _bits(count: int, made: ModelPlan) -> float:
    return round(8 * count / made.elements, 3) if made.elements else 0.0


def _print_summary(made: ModelPlan) -> None:
    from tallow.cli.writing import note
    from tallow.hub.progress import size_text

    before, after = (
        f"{size_text(count)} ({_bits(count, made):.2f} bits a weight)"
        for count in (made.bytes_before, made.bytes_after)
    )
    print(f"{made.kind.name}: {before} → {after}")
    if made.fallbacks:
        note(
            f"{made.fallbacks} of {len(made.choices)} tensors have rows that blocks of 256 do not "
            "divide; they got the nearest type of smaller blocks"
        )


def _report(
    made: ModelPlan, out: str, scores: list[tuple[str, float]] | None, *, json: bool
) -> None:
    from tallow.cli.output import print_json, print_table, shortened, table

    if json:
        named = None if scores is None else dict(zip(("before", "after"), scores, strict=True))
        values = None if named is None else {key: pair[1] for key, pair in named.items()}
        print_json({"path": out, **_summary(made), "perplexity": values})
        return
    _print_summary(made)
    if scores is not None:
        print()
        first = scores[0][1]
        shown = table("file", "perplexity", "ratio", right=("perplexity", "ratio"))
        for path, value in scores:
            shown.add_row(shortened(path, 200), f"{value:.4f}", f"{value / first:.4f}")
        print_table(shown)
