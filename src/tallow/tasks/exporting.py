"""Models as programs that run without Python: language models, embedders, classifiers."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tallow._version import __version__
from tallow.autograd.mode import inference_mode
from tallow.dtype import f32, i64
from tallow.errors import ModelError
from tallow.factories import ones, zeros
from tallow.generate.prefill import CHUNK
from tallow.models.base import Model
from tallow.nn import Module
from tallow.programs import Entry, Size, Traced, save_program
from tallow.tasks.accepting import accepted
from tallow.tasks.base import Task, label_names, longest
from tallow.tasks.embedder import Embedder
from tallow.tasks.image_tasks import ImageClassifier
from tallow.tasks.labels import apply, function_of
from tallow.tasks.llm import LLM
from tallow.tasks.text_classifier import TextClassifier
from tallow.tensor import Tensor
from tallow.text import chat_template_of
from tallow.text.chat_tables import PlainChat, plain_chat
from tallow.text.tables import tokenizer_tables

Exportable = LLM | Embedder | TextClassifier | ImageClassifier
Settings = dict[str, Any]
LEAST_CONTEXT = 32  # positions of a state: the smallest that a program may be run with
MOST_ROWS = 4096


def export(model: Exportable, path: str | os.PathLike[str], *, context: int | None = None) -> None:
    """Write a model with its tokenizer as a .tlw file, which tallow-run and the C library run.

    A language model gets plans for a prompt of any length and for one token, with room for at most
    `context` positions (None: the model's); an embedder and classifiers one for any number of rows.

    Raises:
        CaptureError: the model reads a value that depends on its input.
        ModelError: a part of it has no form without Python, such as a window of its attention or a
            step of its tokenizer.
    """
    make = next((make for kind, make in _KINDS.items() if isinstance(model, kind)), None)
    if make is None:
        wanted = ", ".join(kind.__name__ for kind in _KINDS)
        raise ModelError(f"export: expected one of {wanted}, got {type(model).__name__}")
    entries, weights, settings, tokenizer = make(model, context)
    sections = {"settings": json.dumps(settings, ensure_ascii=False).encode()}
    if tokenizer is not None:
        sections["tokenizer"] = tokenizer
    with inference_mode():
        save_program(path, entries, weights, sections, {"tallow": __version__})


Parts = tuple[Sequence[Entry], Mapping[str, Tensor], Settings, bytes | None]


def _weights(model: Model) -> dict[str, Tensor]:
    return dict([*model.named_parameters(), *model.named_buffers()])


# --- language models ------------------------------------------------------------------------------


def _language_model(llm: LLM, context: int | None) -> Parts:
    model = llm.model
    most = model.context if context is None else min(context, model.context)
    if most < LEAST_CONTEXT:
        raise ModelError(f"export: expected a context of at least {LEAST_CONTEXT}, got {most}")
    state = model.make_state(1, LEAST_CONTEXT, llm.cache_dtype)
    if any(span.window for span in state.spans.values()):
        raise ModelError("export: expected attention to all positions, got layers with a window")
    step = min(16, (most - LEAST_CONTEXT) // 3)
    points = (LEAST_CONTEXT, LEAST_CONTEXT + step) if step else (most,)
    room = Size(points[0], most, points, points[-1] + 2 * step)

    def entry(name: str, sizes: dict[str, Size]) -> Entry:
        def trace(point: dict[str, int]) -> Traced:
            state = model.make_state(1, point["context"], llm.cache_dtype)
            n = point.get("length", 1)
            start = state.reserve(n)

            def run(ids: Tensor, _: Tensor) -> Tensor:
                return model.head(model.decode(ids, state)[:, -1:]).squeeze(1)

            inputs = {"input_ids": zeros(1, n, dtype=i64), "start": start}
            return Traced(run, inputs, ["logits"], state.memory())

        return Entry(name, trace, {**sizes, "context": room})

    length = Size(2, min(CHUNK, most - 1), (5, 7, 12), 13)
    entries = [entry("prefill", {"length": length}), entry("decode", {})]
    settings = {"task": "generate", "context": most, "chunk": CHUNK}
    return entries, _weights(model), settings, tokenizer_tables(llm.tokenizer, _chat(llm))


def _chat(llm: LLM) -> PlainChat | None:
    """The texts around messages; none where there are no such, which tallow-run says."""
    try:
        return plain_chat(chat_template_of(llm.tokenizer))
    except ModelError:
        return None


# --- what encodes texts ---------------------------------------------------------------------------


def _text_entry(
    name: str, task: Task[Any, Any], output: str, finish: Callable[[Any, Tensor], Tensor], most: int
) -> Entry:
    names = [n for n in ("input_ids", "attention_mask") if n in accepted(type(task.model).forward)]

    def trace(point: dict[str, int]) -> Traced:
        shape = (point["batch"], point["length"])
        made = {"input_ids": zeros(shape, dtype=i64), "attention_mask": ones(shape, dtype=i64)}

        def run(*tensors: Tensor) -> Tensor:
            given = dict(zip(names, tensors, strict=True))
            return finish(task.model(**given), given.get("attention_mask", ones(shape, dtype=i64)))

        return Traced(run, {each: made[each] for each in names}, [output])

    sizes = {"batch": Size(1, MOST_ROWS, (2, 3), 4), "length": Size(1, most, (5, 7, 12), 13)}
    return Entry(name, trace, sizes)


def _limit(task: Task[Any, Any]) -> int:
    return longest(task.tokenizer, task.model.config) or 512


def _embedder(task: Embedder, _: int | None) -> Parts:
    if task.chain.static:
        raise ModelError("export: expected an encoder, got a table of word vectors")
    if getattr(task.model, "get_text_features", None) is not None:
        raise ModelError("export: expected an encoder of texts alone, got one beside pictures")
    if task.lower_case:
        raise ModelError("export: expected a tokenizer that lowers texts itself (do_lower_case)")
    limit = task.max_length or _limit(task)

    def finish(out: Any, mask: Tensor) -> Tensor:
        return task.finish(task.pool(out.last_hidden_state, mask))

    entry = _text_entry("embed", task, "embedding", finish, limit)
    settings = {"task": "embed", "max_length": limit, "prompt": task.prompt(None)}
    weights = _weights(task.model)
    for i, step in enumerate(task.chain.steps):
        if isinstance(step, Module):
            weights |= {f"steps.{i}.{name}": w for name, w in step.named_parameters()}
    return [entry], weights, settings, tokenizer_tables(task.tokenizer)


def _text_classifier(task: TextClassifier, _: int | None) -> Parts:
    function = function_of(task.model)
    limit = _limit(task)

    def finish(out: Any, _: Tensor) -> Tensor:
        return apply(function, out.logits.to(f32))

    entry = _text_entry("classify", task, "scores", finish, limit)
    settings = {"task": "classify", "max_length": limit, "labels": label_names(task.model)}
    return [entry], _weights(task.model), settings, tokenizer_tables(task.tokenizer)


# --- what takes pictures --------------------------------------------------------------------------


def _image_classifier(task: ImageClassifier, _: int | None) -> Parts:
    function, model = function_of(task.model), task.model
    from PIL import Image

    blank = task.batch([Image.new("RGB", (640, 480))])["pixel_values"]
    height, width = blank.shape[2:]

    def trace(point: dict[str, int]) -> Traced:
        pixels = zeros(point["batch"], 3, height, width)
        run = lambda x: apply(function, model(pixel_values=x).logits)  # noqa: E731
        return Traced(run, {"pixel_values": pixels}, ["scores"])

    entry = Entry("classify", trace, {"batch": Size(1, MOST_ROWS, (2, 3), 4)})
    settings = {"task": "classify", "labels": label_names(model), "image_size": [height, width]}
    return [entry], _weights(model), settings, None


_KINDS: dict[type, Callable[[Any, int | None], Parts]] = {
    LLM: _language_model, Embedder: _embedder, TextClassifier: _text_classifier,
    ImageClassifier: _image_classifier,
}  # fmt: skip
