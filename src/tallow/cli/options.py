"""Arguments and options that several commands take, and what they mean."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypedDict

from tallow.cli.parameters import Argument, Option
from tallow.errors import TallowError

if TYPE_CHECKING:
    from tallow.generate import Result
    from tallow.tasks import LLM
    from tallow.weights import WeightSource


class Activations(StrEnum):
    """What block-quantised weights are multiplied with."""

    INT8 = "int8"
    FLOAT = "float"

    @classmethod
    def _missing_(cls, value: object) -> Activations | None:
        """The newer name of an older word."""
        from tallow.errors import ArgumentError
        from tallow.models.loading import activations_named

        try:
            new = cls(activations_named(str(value)))
        except ArgumentError:
            return None
        print(f"note: --activations {value} is now {new}", file=sys.stderr)
        return new


Model = Annotated[str, Argument("MODEL", "Alias, path or reference.")]
MaxTokens = Annotated[int, Option("Tokens at most.", min=1)]
Temperature = Annotated[float, Option("0: always the likeliest token.", min=0)]
TopK = Annotated[int, Option("Only the k likeliest tokens; 0: all.", min=0)]
TopP = Annotated[float, Option("Only the likeliest of this much probability.", min=0, max=1)]
MinP = Annotated[float, Option("Only tokens above this share of the likeliest's.", min=0, max=1)]
RepetitionPenalty = Annotated[float, Option("Above 1: less repetition.")]
Seed = Annotated[int | None, Option("Makes sampling reproducible.", absent="random")]
Stop = Annotated[list[str] | None, Option("End before this text; may be repeated.", metavar="TEXT")]
Image = Annotated[list[str] | None, Option("Show this picture; may be repeated.", metavar="FILE")]
ActivationsOption = Annotated[
    Activations, Option("Arithmetic of quantised weights: 8-bit activations, or floats.")
]


class Weights(StrEnum):
    """Where weights are while a model is used."""

    MAPPED = "mapped"
    RESIDENT = "resident"


WeightsOption = Annotated[
    Weights, Option("In the mapped file, or copied to huge pages: slower to load, faster to run.")
]


class CacheType(StrEnum):
    """Dtypes of keys and values."""

    F32 = "f32"
    F16 = "f16"
    BF16 = "bf16"
    Q8_0 = "q8_0"


CacheTypeOption = Annotated[
    CacheType | None,
    Option(
        "What keys and values are kept in.",
        absent="f16; f32 with weights of f32 or --activations float",
    ),
]
Context = Annotated[
    int | None,
    Option("Positions at most, whatever the model's file says.", min=1, absent="its own"),
]
AllowExtra = Annotated[bool, Option("Leave tensors unused that the model has no place for.")]
Projector = Annotated[
    str | None,
    Option("A projector's file (mmproj), by which a GGUF file reads pictures.", metavar="PATH"),
]
Speculation = Annotated[
    str | None,
    Option(
        "Guess tokens ahead: prompt_lookup, or a smaller model.", metavar="MODEL", absent="none"
    ),
]
Lora = Annotated[
    list[str] | None,
    Option("A LoRA adapter to use, with its weight; may be repeated.", metavar="PATH[:SCALE]"),
]
DTypeOption = Annotated[
    str | None,
    Option(
        "What weights become while loading, as bf16, q8_0 or q4_k.", metavar="TYPE",
        absent="as in the file",
    ),
]  # fmt: skip
Threads = Annotated[int | None, Option("Threads.", min=1, max=1024, absent="all cores granted")]
Json = Annotated[bool, Option("Print one JSON document.")]
Strict = Annotated[bool, Option("Refuse what would be lost, instead of a note.")]
Force = Annotated[bool, Option("Overwrite what is there.")]
MaxExpansion = Annotated[
    float, Option("How many times larger than the file its tensors may be.", min=1)
]
ShardSize = Annotated[str | None, Option("Split above this size, as 5GB or 800MB.", metavar="SIZE")]


class TemplateOptions(TypedDict):
    """What `LLM.chat` gives to the template besides messages."""

    tools: Any
    template_options: dict[str, Any]


class NameStyle(StrEnum):
    """Whose names tensors go by."""

    KEEP = "keep"
    HF = "hf"
    GGUF = "gguf"


REMOTE_SUFFIXES = (".safetensors", ".gguf", ".safetensors.index.json")

Names = Annotated[NameStyle, Option("Whose tensor names: as they are, Hugging Face's or GGUF's.")]


def open_llm(
    model: str,
    activations: Activations,
    threads: int | None,
    *,
    context: int | None = None,
    allow_extra: bool = False,
    speculation: str | None = None,
    cache_type: CacheType | None = None,
    weights: Weights = Weights.MAPPED,
    lora: Sequence[str] | None = None,
    dtype: str | None = None,
    projector: str | None = None,
) -> LLM:
    """The model of a command line, with that many threads."""
    from tallow.tasks import LLM

    set_threads(threads)
    guessing: LLM | Literal["prompt_lookup"] | None = None
    if speculation == "prompt_lookup":
        guessing = "prompt_lookup"
    elif speculation is not None:
        guessing = LLM(speculation, activations=activations.value)
    return LLM(
        model,
        activations=activations.value,
        weights=weights.value,
        dtype=dtype,
        context=context,
        allow_extra=allow_extra,
        cache_dtype=cache_type and cache_type.value,
        speculation=guessing,
        adapters=[_adapter(given) for given in lora or ()],
        projector=projector,
    )


def _adapter(given: str) -> tuple[str, float]:
    """The reference and the weight of an adapter; a colon may be part of the reference."""
    ref, _, scale = given.rpartition(":")
    try:
        return (ref, float(scale)) if ref else (given, 1.0)
    except ValueError:
        return given, 1.0


TASKS = {
    "generate": "LLM",
    "classify": "TextClassifier",
    "classify-tokens": "TokenClassifier",
    "classify-images": "ImageClassifier",
    "detect": "Detector",
    "segment": "Segmenter",
    "embed": "Embedder",
    "embed-images": "ImageEmbedder",
}
"""Classes of `tallow.tasks` by what `--task` says, in the order in which they are tried."""


def open_task(
    model: str,
    task: str | None,
    activations: str,
    where: str,
    names: Sequence[str] = tuple(TASKS),
) -> Any:
    """The model of a command line behind its task: the first of `names` that takes it, or `task`.

    Raises:
        ArgumentError: there is no such task.
        ModelError: no task takes the model; each says why.
    """
    from tallow import tasks
    from tallow.errors import ArgumentError, ModelError, expect

    good = task is None or task in names
    expect(good, "--task", f"one of {', '.join(names)}", task, ArgumentError)
    if task is not None:
        return getattr(tasks, TASKS[task])(model, activations=activations)
    failed: dict[str, None] = {}  # each message once, in order
    for name in names:
        try:
            return getattr(tasks, TASKS[name])(model, activations=activations)
        except ModelError as error:
            failed[str(error)] = None
    raise ModelError(f"{where}: no task fits (--task names one): {'; '.join(failed)}")


def template_options(tools: str | None, variables: list[str] | None) -> TemplateOptions:
    """What `--tools FILE` and `--template-var NAME=VALUE` say; a value is JSON, else text."""
    import json

    from tallow.cli.errors import UsageError

    found: TemplateOptions = {"tools": None, "template_options": {}}
    if tools is not None:
        try:
            found["tools"] = json.loads(read_text(tools, "--tools"))
        except (ValueError, RecursionError) as error:
            if isinstance(error, TallowError):
                raise
            raise UsageError(f"--tools {tools}: expected JSON, got: {error}") from None
    for pair in variables or ():
        name, equals, text = pair.partition("=")
        if not equals or not name.isidentifier():
            raise UsageError(f"--template-var: expected NAME=VALUE, got {pair!r}")
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = text
        found["template_options"][name] = value
    return found


def tokens_per_second(result: Result) -> float | None:
    """How fast the tokens after the first came; None when there were none."""
    # The first token comes from the prompt's logits; an end token takes a step and is not shown.
    steps = len(result.tokens) - 1 + (result.finish_reason == "stop")
    return steps / result.decode_s if steps > 0 and result.decode_s > 0 else None


def local_path(reference: str) -> Path | None:
    """The file or folder behind a reference; None for a URL of which parts are fetched."""
    from tallow.hub import resolve
    from tallow.hub.refs import WebRef, parse

    target = parse(reference)
    # A checksum is one of the whole file.
    if isinstance(target, WebRef) and target.sha256 is None and _is_read_in_parts(target.url):
        return None
    return Path(resolve(reference))


def open_source(reference: str) -> WeightSource:
    """The weights behind a reference; of a file behind a URL only what is needed is fetched."""
    from tallow.weights import open_weights

    path = local_path(reference)
    return open_weights(reference if path is None else path)


def _is_read_in_parts(url: str) -> bool:
    return url.partition("?")[0].endswith(REMOTE_SUFFIXES)


def set_threads(threads: int | None) -> None:
    """Use that many threads; None leaves it at all cores granted."""
    import tallow

    if threads is not None:
        tallow.set_num_threads(threads)


def read_text(name: str, where: str) -> str:
    """The text of a file, or of standard input for `-`; `where` is the option that names it."""
    from tallow.errors import ArgumentError

    try:
        if name == "-":
            if sys.stdin is None:
                raise ArgumentError(f"{where} -: expected standard input, got none")
            return sys.stdin.buffer.read().decode()
        return Path(name).read_bytes().decode()
    except UnicodeDecodeError as error:
        wanted = f"UTF-8, got {error.reason} at byte {error.start}"
        raise ArgumentError(f"{where} {name}: expected {wanted}") from error
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise ArgumentError(f"{where} {name}: expected a readable file, got: {why}") from error
