"""Arguments and options that several commands take, and what they mean."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tallow.generate import Result
    from tallow.tasks import LLM


class Activations(StrEnum):
    """What block-quantised weights are multiplied with."""

    FAST = "fast"
    EXACT = "exact"


Model = Annotated[
    str, typer.Argument(metavar="MODEL", help="Alias, path or reference.", show_default=False)
]
MaxTokens = Annotated[int, typer.Option(min=1, help="Tokens at most.")]
Temperature = Annotated[float, typer.Option(min=0.0, help="0: always the likeliest token.")]
TopK = Annotated[int, typer.Option(min=0, help="Only the k likeliest tokens; 0: all.")]
TopP = Annotated[
    float, typer.Option(min=0.0, max=1.0, help="Only the likeliest of this much probability.")
]
MinP = Annotated[
    float, typer.Option(min=0.0, max=1.0, help="Only tokens above this share of the likeliest's.")
]
RepetitionPenalty = Annotated[float, typer.Option(help="Above 1: less repetition.")]
Seed = Annotated[
    int | None, typer.Option(help="Makes sampling reproducible.", show_default="random")
]
Stop = Annotated[
    list[str] | None, typer.Option(help="End before this text; may be repeated.", metavar="TEXT")
]
ActivationsOption = Annotated[
    Activations, typer.Option(help="Arithmetic of quantised weights: 8-bit activations, or floats.")
]
Threads = Annotated[
    int | None, typer.Option(min=1, max=1024, help="Threads.", show_default="all cores granted")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def open_llm(model: str, activations: Activations, threads: int | None) -> LLM:
    """The model of a command line, with that many threads."""
    import tallow
    from tallow.tasks import LLM

    if threads is not None:
        tallow.set_num_threads(threads)
    return LLM(model, activations=activations.value)


def tokens_per_second(result: Result) -> float | None:
    """How fast the tokens after the first came; None when there were none."""
    # The first token comes from the prompt's logits; an end token takes a step and is not shown.
    steps = len(result.tokens) - 1 + (result.finish_reason == "stop")
    return steps / result.decode_s if steps > 0 and result.decode_s > 0 else None
