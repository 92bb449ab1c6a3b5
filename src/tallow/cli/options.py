"""Arguments and options that several commands take, and what they mean."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

from tallow.cli.parameters import Argument, Option

if TYPE_CHECKING:
    from tallow.generate import Result
    from tallow.tasks import LLM


class Activations(StrEnum):
    """What block-quantised weights are multiplied with."""

    FAST = "fast"
    EXACT = "exact"


Model = Annotated[str, Argument("MODEL", "Alias, path or reference.")]
MaxTokens = Annotated[int, Option("Tokens at most.", min=1)]
Temperature = Annotated[float, Option("0: always the likeliest token.", min=0)]
TopK = Annotated[int, Option("Only the k likeliest tokens; 0: all.", min=0)]
TopP = Annotated[float, Option("Only the likeliest of this much probability.", min=0, max=1)]
MinP = Annotated[float, Option("Only tokens above this share of the likeliest's.", min=0, max=1)]
RepetitionPenalty = Annotated[float, Option("Above 1: less repetition.")]
Seed = Annotated[int | None, Option("Makes sampling reproducible.", absent="random")]
Stop = Annotated[list[str] | None, Option("End before this text; may be repeated.", metavar="TEXT")]
ActivationsOption = Annotated[
    Activations, Option("Arithmetic of quantised weights: 8-bit activations, or floats.")
]
Threads = Annotated[int | None, Option("Threads.", min=1, max=1024, absent="all cores granted")]
Json = Annotated[bool, Option("Print one JSON document.")]


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
