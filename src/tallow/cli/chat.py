"""`tallow chat`: talk with a model, or ask it one question."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

from tallow.cli import options
from tallow.cli.options import Activations
from tallow.cli.parameters import Option

if TYPE_CHECKING:
    from tallow.generate import SamplingParams


def chat(
    model: options.Model,
    prompt: Annotated[str | None, Option("Ask this and leave.", short="-p", metavar="TEXT")] = None,
    system: Annotated[
        str, Option('Instructions that come first ("" for none).', metavar="TEXT")
    ] = "You are a helpful assistant.",
    image: options.Image = None,
    max_tokens: options.MaxTokens = 512,
    temperature: options.Temperature = 0.0,
    top_k: options.TopK = 0,
    top_p: options.TopP = 1.0,
    min_p: options.MinP = 0.0,
    repetition_penalty: options.RepetitionPenalty = 1.0,
    seed: options.Seed = None,
    tools: Annotated[
        str | None, Option("A JSON file: functions that may be called.", metavar="FILE")
    ] = None,
    template_var: Annotated[
        list[str] | None,
        Option("Variable of the template; may be repeated.", metavar="NAME=VALUE"),
    ] = None,
    shift: Annotated[bool, Option("Forget the oldest turns when the context is full.")] = False,
    activations: options.ActivationsOption = Activations.INT8,
    weights: options.WeightsOption = options.Weights.MAPPED,
    lora: options.Lora = None,
    projector: options.Projector = None,
    dtype: options.DTypeOption = None,
    context: options.Context = None,
    allow_extra: options.AllowExtra = False,
    speculation: options.Speculation = None,
    cache_type: options.CacheTypeOption = None,
    threads: options.Threads = None,
) -> None:
    """Chat with a model.

    Without --prompt it is a conversation, or one question a line from a pipe. What --image
    names is shown with the first question.
    /reset forgets it, /exit or Ctrl-D leaves, Ctrl-C stops an answer.
    """
    from tallow.cli.conversation import Conversation, converse
    from tallow.generate import SamplingParams

    template = options.template_options(tools, template_var)
    params: SamplingParams = SamplingParams(
        max_tokens=max_tokens,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        repetition_penalty=repetition_penalty,
        seed=seed,
    )
    with options.open_llm(
        model,
        activations,
        threads,
        weights=weights,
        lora=lora,
        projector=projector,
        dtype=dtype,
        context=context,
        allow_extra=allow_extra,
        speculation=speculation,
        cache_type=cache_type,
    ) as llm:
        conversation = Conversation(
            llm, params, system or None, sys.stdout, images=image or (), shift=shift, **template
        )
        if prompt is not None:
            conversation.ask(prompt)
        else:
            converse(conversation, model)
