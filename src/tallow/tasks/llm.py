"""LLM: load a language model and let it continue texts, answer chats and score tokens."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Self, Unpack, overload

from tallow.adapters import adapted
from tallow.dtype import DType
from tallow.errors import ArgumentError, ModelError, expect
from tallow.generate import (
    Cancel,
    Event,
    Result,
    RowEvent,
    SamplingOptions,
    SamplingParams,
    generate,
    generate_rows,
)
from tallow.generate.speculation import NUM_SPECULATIVE_TOKENS, Speculation
from tallow.models import CausalLM, load
from tallow.models.cache_dtypes import cache_dtype_for
from tallow.models.loading import Activations, Weights, tokenizer_next, tokenizer_of
from tallow.models.states import State
from tallow.tasks.accepting import accepted
from tallow.tasks.drafts import Drafts
from tallow.tasks.llm_adapters import AdapterRef, WithAdapters
from tallow.tasks.llm_pictures import (
    keys_of,
    place_of,
    prompt_of,
    prompts_of,
    suited,
    text_ids,
    without_pictures,
)
from tallow.tasks.llm_scores import Scoring
from tallow.tasks.llm_tools import WithTools
from tallow.tasks.prefix_cache import PrefixCache, PrefixCacheInfo, room_for
from tallow.tasks.stream import Stream
from tallow.text.chat_messages import plain_messages
from tallow.text.tool_calls import with_objects

if TYPE_CHECKING:
    from tallow.text import ChatTemplate, Tokenizer

Message = Mapping[str, Any]


class LLM(WithAdapters, WithTools, Scoring):
    """A language model, its tokenizer and the cache of the last conversation.

    `ref` and the options are those of `tallow.models.load`; `tokenizer` refers to a tokenizer.json,
    or its folder, that stands elsewhere; prompts have at most `context` tokens. `cache_dtype` keeps
    keys and values: f32, f16, bf16, q8_0 (None: f16; f32 if `activations` or matrices are).
    `adapters` are LoRA adapters to load and use: references, or pairs of one and its weight. With
    a `projector` (llama.cpp's mmproj) a GGUF file's model reads pictures.

    A call computes what its prompt does not share with the beginning of the one before. With
    `prefix_cache=` bytes, those of earlier prompts and answers are kept, too, up to that size.
    Several threads may call; each at the same time works with a state of its own.

    With `speculation`, "prompt_lookup" or another LLM of the same vocabulary, single answers (not
    batches) are decoded several tokens a pass, `num_speculative_tokens` guesses and one at most,
    as far as guesses are right. Answers (sampled beside an LLM: their probabilities) stay the same.

    Raises:
        ArgumentError: a `speculation` or a `cache_dtype` that does not suit this model.
        HubError, FormatError, ModelError: as `tallow.models.load`; the model continues no texts.
    """

    _model: CausalLM | None
    cache_dtype: DType

    def __init__(
        self,
        ref: str | os.PathLike[str],
        *,
        config: Mapping[str, Any] | None = None,
        tokenizer: str | os.PathLike[str] | None = None,
        device: str = "cpu",
        dtype: DType | str | None = None,
        activations: Activations = "int8",
        weights: Weights = "mapped",
        context: int | None = None,
        allow_extra: bool = False,
        cache_dtype: DType | str | None = None,
        prefix_cache: int = 0,
        adapters: Sequence[AdapterRef] = (),
        speculation: LLM | Speculation | None = None,
        num_speculative_tokens: int = NUM_SPECULATIVE_TOKENS,
        projector: str | os.PathLike[str] | None = None,
    ) -> None:
        with tokenizer_next(tokenizer is None):
            model: CausalLM = load(
                ref, config=config, device=device, dtype=dtype, activations=activations,
                weights=weights, context=context, allow_extra=allow_extra, projector=projector,
            )  # fmt: skip
        continues = hasattr(model, "make_state") and hasattr(model, "head")
        if not continues or "input_ids" not in accepted(type(model).forward):
            wanted, found = "a model that continues texts", type(model).__name__
            raise ModelError(f"{ref}: LLM: expected {wanted}, found {found}")
        if tokenizer is not None:
            model.tokenizer_source = partial(tokenizer_of, tokenizer)
        draft = speculation.model if isinstance(speculation, LLM) else speculation
        self._drafts = Drafts(model, draft, num_speculative_tokens)
        cached = cache_dtype_for(model, activations) if cache_dtype is None else cache_dtype
        self._model, self.cache_dtype = model, model.make_state(dtype=cached).dtype
        self._cache = PrefixCache(prefix_cache)
        self._template: ChatTemplate | None = None
        if adapters:
            self._load_adapters(adapters)

    @property
    def model(self) -> CausalLM:
        """The model.

        Raises:
            ModelError: `close` was called.
        """
        if self._model is None:
            raise ModelError("LLM: expected an open model, got one that was closed")
        return self._model

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer, made when first asked for."""
        return self.model.tokenizer

    def generate(
        self,
        prompt: str | Sequence[int],
        params: SamplingParams | None = None,
        *,
        images: Sequence[Any] | None = None,
        parse_special: bool = True,
        cancel: Cancel | None = None,
        **options: Unpack[SamplingOptions],
    ) -> Result:
        """Continue a text or token ids; `options` are fields of `SamplingParams`.

        Control tokens that are written in the text, such as `<|im_end|>`, count; give
        `parse_special=False` for text of unknown origin, which then cannot forge one. A model
        without a tokenizer takes ids and gives ids. `images`, for a model that reads pictures, are
        what `vision.load_image` takes; the prompt has the model's token for a picture for each.

        Raises:
            ArgumentError: an empty prompt, or a parameter out of range.
            ContextError: the prompt fills the model's context.
            NonFiniteError: the model computes NaN or infinity.
        """
        special = parse_special
        return _finish(
            self.events(
                prompt, params, images=images, parse_special=special, cancel=cancel, **options
            )
        )

    def generate_batch(
        self,
        prompts: Sequence[str] | Sequence[Sequence[int]],
        params: SamplingParams | Sequence[SamplingParams] | None = None,
        *,
        images: Sequence[Sequence[Any]] | None = None,
        parse_special: bool = True,
        cancel: Cancel | None = None,
        rows: int = 8,
        **options: Unpack[SamplingOptions],
    ) -> list[Result]:
        """Continue several prompts, `rows` of them at once; the results come in order.

        Each is continued as `generate` would, by its own parameters where `params` is a list.
        `images` has a list for each prompt.

        Raises:
            ArgumentError, ContextError: as `generate`, before anything is computed.
            NonFiniteError: the model computes NaN or infinity.
        """
        events = self.batch_events(
            prompts, params, images=images, parse_special=parse_special, cancel=cancel, rows=rows,
            **options,
        )  # fmt: skip
        found = {i: event for i, event in events if isinstance(event, Result)}
        return [found[i] for i in range(len(prompts))]

    def batch_events(
        self,
        prompts: Sequence[str] | Sequence[Sequence[int]],
        params: SamplingParams | Sequence[SamplingParams] | None = None,
        *,
        images: Sequence[Sequence[Any]] | None = None,
        parse_special: bool = True,
        cancel: Cancel | None = None,
        rows: int = 8,
        **options: Unpack[SamplingOptions],
    ) -> Iterator[RowEvent]:
        """`generate_batch` as it goes: pairs of a prompt's index and its event."""
        good = hasattr(prompts, "__len__") and not isinstance(prompts, str | bytes)
        expect(good, LLM.generate_batch, "a list of prompts", type(prompts).__name__, ArgumentError)
        each = list(params) if isinstance(params, Sequence) else [params] * len(prompts)
        count = f"{len(prompts)} of them"
        expect(len(each) == len(prompts), "params", count, len(each), ArgumentError)
        return generate_rows(
            adapted(self.model),
            prompts_of(self.model, [self._ids(each, parse_special) for each in prompts], images),
            [SamplingParams.of(chosen, options) for chosen in each],
            rows=rows,
            cancel=cancel,
            make_state=partial(self.model.make_state, dtype=self.cache_dtype),
        )

    def _ids(self, prompt: str | Sequence[int], parse_special: bool) -> Sequence[int]:
        if isinstance(prompt, str):
            return text_ids(self.model, self.tokenizer, prompt, parse_special)
        return prompt

    def stream(
        self,
        prompt: str | Sequence[int],
        params: SamplingParams | None = None,
        *,
        images: Sequence[Any] | None = None,
        parse_special: bool = True,
        cancel: Cancel | None = None,
        **options: Unpack[SamplingOptions],
    ) -> Stream:
        """`generate` as an iterator of text pieces."""
        special = parse_special
        return Stream(
            self.events(
                prompt, params, images=images, parse_special=special, cancel=cancel, **options
            )
        )

    @overload
    def chat(
        self,
        messages: Sequence[Message] | str,
        params: SamplingParams | None = None,
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
        template_options: Mapping[str, Any] | None = None,
        stream: Literal[False] = False,
        cancel: Cancel | None = None,
        **options: Unpack[SamplingOptions],
    ) -> Result: ...

    @overload
    def chat(
        self,
        messages: Sequence[Message] | str,
        params: SamplingParams | None = None,
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
        template_options: Mapping[str, Any] | None = None,
        stream: Literal[True],
        cancel: Cancel | None = None,
        **options: Unpack[SamplingOptions],
    ) -> Stream: ...

    def chat(
        self,
        messages: Sequence[Message] | str,
        params: SamplingParams | None = None,
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
        template_options: Mapping[str, Any] | None = None,
        stream: bool = False,
        cancel: Cancel | None = None,
        **options: Unpack[SamplingOptions],
    ) -> Result | Stream:
        """Answer a conversation: messages with `role` and `content`, or one question as a string.

        To go on, append the answer as a message of the role `assistant`, then the next question:
        only what is new goes through the model. Messages may have what the template knows besides,
        such as `tool_calls` and `reasoning_content` of an assistant, and the role `tool`. `tools`
        are JSON schemas of functions; `template_options` are variables of the template, such as
        `{"enable_thinking": False}`. Control tokens that are written in any of them are plain text.

        A model that reads pictures takes contents such as `[{"type": "image", "image": path},
        {"type": "text", "text": question}]`: paths, bytes, Pillow images, arrays or `data:` URLs.

        Raises:
            ModelError: the model has no chat template, or its template refuses the messages.
            ArgumentError: something that is no list of messages; and as `generate`.
            ContextError, NonFiniteError: as `generate`.
        """
        ids = self.chat_ids(messages, tools=tools, template_options=template_options)
        images = without_pictures(messages)[1]
        events = self.events(ids, params, images=images, cancel=cancel, **options)
        return Stream(events) if stream else _finish(events)

    def chat_ids(
        self,
        messages: Sequence[Message] | str,
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
        template_options: Mapping[str, Any] | None = None,
        add_generation_prompt: bool = True,
    ) -> list[int]:
        """The ids that `chat` gives the model for `messages`, one for each picture.

        `add_generation_prompt` adds what begins an answer.
        """
        from tallow.text import chat_template_of, encode_chat

        if self._template is None:
            self._template = chat_template_of(self.tokenizer)
        if isinstance(messages, str):
            messages = [{"role": "user", "content": messages}]
        listed = [with_objects(each) for each in plain_messages(without_pictures(messages)[0])]
        place = place_of(self.model, self.tokenizer)
        listed = suited(listed, self.model, self._template, place)
        expect(len(listed) > 0, LLM.chat, "at least one message", "none", ArgumentError)
        return encode_chat(
            self.tokenizer, self._template, listed, tools=tools, variables=template_options,
            add_generation_prompt=add_generation_prompt, place=place,
        )  # fmt: skip

    def events(
        self,
        prompt: str | Sequence[int],
        params: SamplingParams | None = None,
        *,
        images: Sequence[Any] | None = None,
        parse_special: bool = True,
        cancel: Cancel | None = None,
        **options: Unpack[SamplingOptions],
    ) -> Iterator[Event]:
        """`generate` as the events of `tallow.generate`: progress, pieces, the result."""
        chosen = SamplingParams.of(params, options)
        ids = prompt_of(self.model, self._ids(prompt, parse_special), images)
        keys = keys_of(ids)
        make = partial(self.model.make_state, 1, room_for(keys, chosen), self.cache_dtype)
        model = adapted(self.model)  # an answer keeps the adapters that it began with
        cache = self._cache.borrow(keys, make, getattr(model, "key", None))
        guesses = self._drafts.borrow()
        try:
            events = generate(
                model,
                ids,
                chosen,
                state=cache,
                cancel=cancel,
                speculation=guesses,
                num_speculative_tokens=self._drafts.most,
            )
        except BaseException:  # an interrupt, too, gives the cache back
            self._give_back(cache, guesses)
            raise
        return self._returning(events, cache, guesses)

    def _returning(
        self, events: Iterator[Event], cache: State, guesses: Speculation | None
    ) -> Iterator[Event]:
        try:
            for event in events:
                if isinstance(event, Result):
                    self._cache.note(event.cached_tokens)
                yield event
        finally:
            self._give_back(cache, guesses)

    def _give_back(self, cache: State, guesses: Speculation | None) -> None:
        self._cache.give_back(cache)
        if self._model is not None:
            self._drafts.give_back(guesses)

    def prefix_cache_info(self) -> PrefixCacheInfo:
        """How many prompts began as one before, and what of them is kept."""
        return self._cache.info()

    def close(self) -> None:
        """Let go of weights, tokenizer and cache."""
        self._model = None
        self._cache.close()
        self._drafts.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"LLM({'closed' if self._model is None else type(self._model).__name__})"


def _finish(events: Iterator[Event]) -> Result:
    result: Result | None = None
    for event in events:
        if isinstance(event, Result):
            result = event
    assert result is not None, "the decoding loop always ends with a result"
    return result
