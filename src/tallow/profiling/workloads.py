"""What is run for a profile: a prompt and tokens of a language model, passes of other models."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tallow.autograd.mode import inference_mode
from tallow.dtype import DTYPES, i64
from tallow.errors import ArgumentError, ContextError, ModelError, expect
from tallow.factories import full, ones, tensor, zeros
from tallow.lazy_dataclasses import dataclass
from tallow.profiling.recording import Profile, record
from tallow.tensor import Tensor

if TYPE_CHECKING:
    from tallow.models.causal_lm import CausalLM
    from tallow.programs import Program
    from tallow.tasks import LLM
    from tallow.tasks.base import Task

PROMPT = 512  # tokens, where a caller names no number and the model has room


@dataclass(frozen=True)
class Phase:
    """One part of a run: so many of `unit` (tokens, passes) in its profile's time."""

    profile: Profile
    count: int
    unit: str


def language_model(
    llm: LLM, prompt: int | None = None, gen: int = 64, cache_dtype: str | None = None
) -> list[Phase]:
    """Prefill of `prompt` random tokens, and `gen` steps of decoding behind them.

    Keys and values are kept in `cache_dtype` (None: the model's). Both are warmed up first;
    decoding replays a plan, as generation does.

    Raises:
        ContextError: the model has not so many positions.
    """
    from tallow.generate.prefill import CHUNK
    from tallow.generate.step import DecodeStep

    model: CausalLM = llm.model
    room = model.context - gen - 1
    count = min(PROMPT, max(room, 0)) if prompt is None else prompt
    if count > room:
        raise ContextError(f"profile: expected up to {model.context - 1} tokens, got {count + gen}")
    draw = random.Random(0)
    ids = [draw.randrange(model.config.vocab_size) for _ in range(count + gen + 1)]

    def prefill() -> Any:
        state = model.make_state(1, count + gen + 1, cache_dtype or llm.cache_dtype)
        for at in range(0, count, CHUNK):
            part = tensor([ids[at : min(at + CHUNK, count)]], dtype=i64)
            model(part, state=state, logits_to_keep=1)
        return state

    phases = []
    with inference_mode():
        state = prefill()
        if count:
            with record("prefill") as found:
                state = prefill()
            phases.append(Phase(found, count, "tokens"))
        if gen:
            step = DecodeStep(model, state)
            step([ids[count]])  # records the plan
            with record("decode") as found:
                for token in ids[count + 1 :]:
                    step([token])
            phases.append(Phase(found, gen, "tokens"))
    return phases


def encoder(task: Task[Any, Any], prompt: int | None = None, runs: int = 5) -> list[Phase]:
    """Forward passes of one text of `prompt` tokens, or of one picture."""
    from tallow.tasks.base import inputs_of
    from tallow.tasks.image_tasks import ImageTask

    if getattr(getattr(task, "chain", None), "static", False):
        raise ModelError("profile: expected an encoder, got a table of word vectors")
    if isinstance(task, ImageTask):
        from PIL import Image

        given = task.batch([Image.new("RGB", (640, 480))])
    else:
        shape = (1, _length(task, prompt))
        made = {"input_ids": ones(shape, dtype=i64), "attention_mask": ones(shape, dtype=i64)}
        given = inputs_of(task.model, made)
    with inference_mode():
        return [_passes("forward", lambda: task.model(**given), runs)]


def _length(task: Task[Any, Any], prompt: int | None) -> int:
    from tallow.tasks.base import longest

    limit = longest(task.tokenizer, task.model.config) or PROMPT
    if prompt is not None and not 1 <= prompt <= limit:
        raise ContextError(f"profile: expected 1 to {limit} tokens, got {prompt}")
    return min(PROMPT, limit) if prompt is None else prompt


def _passes(name: str, run: Callable[[], object], runs: int) -> Phase:
    run()
    with record(name) as found:
        for _ in range(runs):
            run()
    return Phase(found, runs, "passes")


# --- programs -------------------------------------------------------------------------------------


def program(
    path: str | os.PathLike[str],
    prompt: int | None = None,
    gen: int = 64,
    runs: int = 5,
    sizes: Mapping[str, int] | None = None,
) -> list[Phase]:
    """A .tlw file: a prompt and tokens where it generates, else passes of each plan.

    Sizes that are not given: `length` is the prompt's, others the least that a plan allows.

    Raises:
        FormatError: as `load_program`.
        ArgumentError: a size that no plan has, or beyond its range.
    """
    from tallow.programs import load_program

    opened = load_program(path)
    known = {name for plan in opened.plans.values() for name in plan["sizes"]}
    for name in sizes or ():
        good = name in known
        expect(good, "profile", f"a size of {', '.join(known) or 'none'}", name, ArgumentError)
    text = opened.sections.get("settings", b"{}")
    settings = json.loads(text)
    if settings.get("task") == "generate" and {"prefill", "decode"} <= opened.plans.keys():
        none = "no sizes beside prompt and gen, from which they follow"
        expect(not sizes, "profile", none, ", ".join(sizes or ()), ArgumentError)
        return list(_generate(opened, settings, prompt, gen))
    return [_plan(opened, name, prompt, runs, sizes or {}) for name in opened.plans]


def _generate(
    opened: Program, settings: Mapping[str, Any], prompt: int | None, gen: int
) -> Iterator[Phase]:
    least, most = opened.plans["prefill"]["sizes"]["context"]
    shortest, longest = opened.plans["prefill"]["sizes"]["length"]
    room = most - gen - 1
    count = min(PROMPT, longest, max(room, 0)) if prompt is None else prompt
    if count > room or 0 < count < shortest:
        wanted = f"{shortest} to {most - gen - 1} tokens before {gen} others"
        raise ContextError(f"profile: expected {wanted}, got {count}")
    context = max(least, count + gen + 1)

    def feed(plan: str, at: int, tokens: int, **sizes: int) -> None:
        given = {"input_ids": zeros(1, tokens, dtype=i64), "start": tensor([at], dtype=i64)}
        opened(plan, given, context=context, **sizes)

    def prefill() -> None:
        for at in _chunks(count, min(int(settings.get("chunk", longest)), longest), shortest):
            feed("prefill", at[0], at[1], length=at[1])

    prefill()
    if count:
        with record("prefill") as found:
            prefill()
        yield Phase(found, count, "tokens")
    if gen:
        feed("decode", count, 1)
        with record("decode") as found:
            for at in range(count + 1, count + 1 + gen):
                feed("decode", at, 1)
        yield Phase(found, gen, "tokens")


def _chunks(count: int, size: int, least: int) -> Iterator[tuple[int, int]]:
    """(start, length) of parts of at most `size`, none below `least`."""
    at = 0
    while at < count:
        length = min(size, count - at)
        if 0 < count - at - length < least:
            length -= least - (count - at - length)
        yield at, length
        at += length


def _plan(
    opened: Program, name: str, prompt: int | None, runs: int, sizes: Mapping[str, int]
) -> Phase:
    chosen = {}
    for size, (least, most) in opened.plans[name]["sizes"].items():
        usual = min(PROMPT, most) if prompt is None else prompt
        value = sizes.get(size, usual if size == "length" else least)
        expect(least <= value <= most, f"profile {name}", f"{size} of {least} to {most}", value)
        chosen[size] = value
    opened._native.set(name, list(chosen.values()))
    native = opened._native.plan(name)
    given: dict[str, Tensor] = {}
    for label, place in zip(opened.plans[name]["inputs"], native.inputs, strict=True):
        _, _, dtype, shape, _ = native.values[place]
        # What is masked out would be computed from nothing.
        value = 1 if "mask" in label else 0
        given[label] = full(shape, value, dtype=DTYPES[dtype])
    return _passes(name, lambda: opened(name, given, **chosen), runs)
