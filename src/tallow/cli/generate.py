"""`tallow generate`: continue a text."""

from __future__ import annotations

import sys
from typing import Annotated

from tallow.cli import options
from tallow.cli.options import Activations
from tallow.cli.parameters import Option


def generate(
    model: options.Model,
    prompt: Annotated[
        str | None, Option("The text to continue.", short="-p", metavar="TEXT")
    ] = None,
    prompt_file: Annotated[
        str | None, Option("A UTF-8 file with it; - is standard input.", metavar="FILE")
    ] = None,
    image: options.Image = None,
    max_tokens: options.MaxTokens = 512,
    temperature: options.Temperature = 0.0,
    top_k: options.TopK = 0,
    top_p: options.TopP = 1.0,
    min_p: options.MinP = 0.0,
    repetition_penalty: options.RepetitionPenalty = 1.0,
    seed: options.Seed = None,
    stop: options.Stop = None,
    ignore_eos: Annotated[bool, Option("Go on after the end.")] = False,
    json_schema: Annotated[
        str | None, Option("A JSON schema that the answer satisfies.", metavar="FILE")
    ] = None,
    regex: Annotated[
        str | None, Option("An expression that matches the answer.", metavar="REGEX")
    ] = None,
    grammar: Annotated[
        str | None, Option("Rules in Lark or GBNF that derive it.", metavar="FILE")
    ] = None,
    logprobs: Annotated[
        int | None, Option("With --json: of each token, and of so many of the likeliest.", min=0)
    ] = None,
    context_shift: Annotated[
        int | None,
        Option(
            "Go on when the context is full, without the first half of what stands behind so "
            "many first tokens; -1: the prompt.",
            min=-1,
            metavar="KEEP",
            absent="end there",
        ),
    ] = None,
    no_special: Annotated[bool, Option("Take control tokens in the text for plain text.")] = False,
    json: options.Json = False,
    activations: options.ActivationsOption = Activations.INT8,
    lora: options.Lora = None,
    projector: options.Projector = None,
    dtype: options.DTypeOption = None,
    context: options.Context = None,
    allow_extra: options.AllowExtra = False,
    speculation: options.Speculation = None,
    cache_type: options.CacheTypeOption = None,
    weights: options.WeightsOption = options.Weights.MAPPED,
    threads: options.Threads = None,
) -> None:
    """Continue a text; the continuation goes to standard output as it comes.

    --json prints text, token_ids, prompt_tokens, finish_reason, prefill_s and decode_s instead;
    with --speculation, drafted_tokens and accepted_tokens, too.
    """
    from tallow.cli.errors import UsageError
    from tallow.cli.output import print_json
    from tallow.generate import SamplingParams

    if (prompt is None) == (prompt_file is None):
        raise UsageError("generate: expected either --prompt or --prompt-file")
    params = SamplingParams(
        max_tokens=max_tokens,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        repetition_penalty=repetition_penalty,
        seed=seed,
        stop=stop or (),
        ignore_eos=ignore_eos,
        json_schema=json_schema and options.read_text(json_schema, "--json-schema"),
        regex=regex,
        logprobs=logprobs,
        context_shift=context_shift,
        grammar=grammar and options.read_text(grammar, "--grammar"),
    )
    text = prompt or ""
    if prompt_file is not None:
        text = options.read_text(prompt_file, "--prompt-file")
    text = text.encode("utf-8", "replace").decode()  # a command line may hold any bytes
    with options.open_llm(
        model,
        activations,
        threads,
        context=context,
        allow_extra=allow_extra,
        speculation=speculation,
        cache_type=cache_type,
        weights=weights,
        lora=lora,
        projector=projector,
        dtype=dtype,
    ) as llm:
        if not json:
            with llm.stream(text, params, images=image, parse_special=not no_special) as stream:
                for piece in stream:
                    sys.stdout.write(piece)
                    sys.stdout.flush()
            sys.stdout.write("\n")
            return
        result = llm.generate(text, params, images=image, parse_special=not no_special)
    names = ["prompt_tokens", "finish_reason", "prefill_s", "decode_s"]
    if speculation is not None:
        names += ["drafted_tokens", "accepted_tokens"]
    figures = {name: getattr(result, name) for name in names}
    if logprobs is not None:
        figures["logprobs"] = [
            {"token": each.token, "logprob": each.logprob, "top": each.top}
            for each in result.logprobs
        ]
    print_json({"text": result.text, "token_ids": result.tokens, **figures})
