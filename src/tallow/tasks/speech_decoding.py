"""Windows of sound to transcripts, again at higher temperatures where that is needed.

Source: `decoding.py` and `decode_with_fallback` of OpenAI's Whisper (arXiv 2212.04356, 4.5).
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from tallow.autograd.mode import inference_mode
from tallow.dtype import i64
from tallow.errors import ArgumentError, expect
from tallow.factories import tensor
from tallow.generate.step import DecodeStep
from tallow.lazy_dataclasses import dataclass
from tallow.models.cache_dtypes import cache_dtype_for
from tallow.models.states import State
from tallow.models.whisper_vocab import SpeechTokens
from tallow.ops import cat
from tallow.tasks.speech_choices import Beamed, Choices, Drawn, Written
from tallow.tasks.speech_rules import Rules, never_said
from tallow.tensor import Tensor

if TYPE_CHECKING:
    from tallow.text import Tokenizer

Kind = Literal["transcribe", "translate"]
TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
MOST_ROWS = 64  # transcripts of one window at once


@dataclass(frozen=True)
class SpeechOptions:
    """How sound is transcribed; see `Transcriber.transcribe`."""

    language: str | None = None
    task: Kind = "transcribe"
    timestamps: bool = True
    word_timestamps: bool = False
    temperatures: tuple[float, ...] = TEMPERATURES
    compression_ratio_threshold: float | None = 2.4
    logprob_threshold: float | None = -1.0
    no_speech_threshold: float | None = 0.6
    condition_on_previous_text: bool = True
    initial_prompt: str | None = None
    beam_size: int | None = None
    best_of: int | None = None
    patience: float | None = None
    length_penalty: float | None = None
    seed: int = 0

    def check(self, where: str) -> None:
        """Refuse what is out of its range.

        Raises:
            ArgumentError: something is.
        """
        kinds, task = ("transcribe", "translate"), repr(self.task)
        expect(self.task in kinds, where, f"task one of {', '.join(kinds)}", task, ArgumentError)
        good = bool(self.temperatures) and all(_within(t, 0, 2) for t in self.temperatures)
        expect(good, where, "temperatures from 0 to 2", self.temperatures, ArgumentError)
        for name in ("beam_size", "best_of"):
            count = getattr(self, name)
            good = count is None or (type(count) is int and 1 <= count <= MOST_ROWS)
            wanted = f"{name} from 1 to {MOST_ROWS}"
            expect(good, where, wanted, repr(count), ArgumentError)
        patience, penalty = self.patience, self.length_penalty
        if patience is not None:
            wanted = "patience only beside beam_size"
            expect(self.beam_size is not None, where, wanted, patience, ArgumentError)
            good = _within(patience, 0, 100) and patience > 0
            expect(good, where, "patience above 0, to 100", repr(patience), ArgumentError)
        good = penalty is None or _within(penalty, 0, 1)
        expect(good, where, "length_penalty from 0 to 1", repr(penalty), ArgumentError)
        good = type(self.seed) is int and self.seed >= 0
        expect(good, where, "a seed of at least 0", repr(self.seed), ArgumentError)


def _within(value: object, low: float, high: float) -> bool:
    return isinstance(value, Real) and low <= float(value) <= high


class Decoded(NamedTuple):
    """The transcript of a window: ids without the end, and what the model made of it."""

    tokens: list[int]
    text: str
    avg_logprob: float
    no_speech_prob: float
    compression_ratio: float
    temperature: float


class SpeechDecoder:
    """A Whisper model with its vocabulary; states and plans are kept for the next window."""

    def __init__(self, model: Any, tokenizer: Tokenizer, ids: SpeechTokens) -> None:
        self.model, self.tokenizer, self.ids = model, tokenizer, ids
        values = model.config_values
        never = values.get("suppress_ids") or values.get("suppress_tokens")
        self._never = tuple(never) if never else never_said(tokenizer, ids)
        blank = tokenizer.encode(" ", add_special=False)
        self._first = (*blank[:1], ids.end)
        self._held: dict[int, tuple[State, DecodeStep]] = {}

    @property
    def context(self) -> int:
        """The positions of the decoder."""
        return int(self.model.context)

    @inference_mode()
    def encode(self, features: Tensor) -> Tensor:
        """Features `(rows, bands, frames)` → what the decoder attends to."""
        found: Tensor = self.model.encode(input_features=features)[0]
        return found

    @inference_mode()
    def languages(self, context: Tensor) -> list[dict[str, float]]:
        """How likely each language is, by code, of each row."""
        import numpy as np

        rows = context.shape[0]
        state, _ = self._fresh(rows)
        self.model.attend_to(state, context)
        state.reserve(1)
        hidden = self.model.decode(tensor([[self.ids.start]] * rows, dtype=i64), state)
        codes, places = zip(*self.ids.languages.items(), strict=True)
        scores = self.model.head(hidden).numpy()[:, 0, list(places)]
        shares = np.exp(scores - scores.max(1, keepdims=True))
        shares /= shares.sum(1, keepdims=True)
        return [dict(zip(codes, map(float, row), strict=True)) for row in shares]

    def begin(self, language: str, options: SpeechOptions) -> list[int]:
        """The ids that begin a transcript."""
        ids = self.ids
        made = [ids.start]
        if ids.multilingual:
            task = ids.translate if options.task == "translate" else ids.transcribe
            made += [ids.languages[language], task]
        return made if options.timestamps else [*made, ids.no_times]

    def decode(
        self, context: Tensor, prompts: Sequence[list[int]], options: SpeechOptions
    ) -> list[Decoded]:
        """The transcripts of rows of `context` `(rows, positions, size)` behind their prompts.

        Rows that repeat themselves, or that the model is unsure of, are done again at the next
        temperature.
        """
        found: dict[int, Decoded] = {}
        waiting = list(range(len(prompts)))
        for at, temperature in enumerate(options.temperatures):
            whole = len(waiting) == len(prompts)
            rows = context if whole else context.index_select(0, tensor(waiting, dtype=i64))
            made = self._run(rows, [prompts[row] for row in waiting], temperature, at, options)
            found |= dict(zip(waiting, made, strict=True))
            waiting = [row for row in waiting if _doubtful(found[row], options)]
            if not waiting:
                break
        return [found[row] for row in range(len(prompts))]

    def _fresh(self, rows: int) -> tuple[State, DecodeStep]:
        """A state that holds no position, whose memory and plan are those of the window before."""
        held = self._held.get(rows)
        if held is None:
            dtype = cache_dtype_for(self.model, "int8")
            state = self.model.make_state(rows, self.context, dtype)
            held = self._held[rows] = state, DecodeStep(self.model, state)
        held[0].trim(0)
        return held

    @inference_mode()
    def _run(
        self,
        context: Tensor,
        prompts: Sequence[list[int]],
        temperature: float,
        attempt: int,
        options: SpeechOptions,
    ) -> list[Decoded]:
        room = min(self.context // 2, self.context - max(map(len, prompts)))
        every = [
            self._choices(options, temperature, room, (options.seed, attempt, at))
            for at in range(len(prompts))
        ]
        state, step = self._fresh(len(prompts))
        scores, silent = self._feed(state, context, prompts)
        each = len(every[0].tokens)
        state.select([row for row in range(len(prompts)) for _ in range(each)])
        scores = scores.repeat(each, 0)
        live, changed = every, each > 1
        while True:
            parts = scores.reshape(len(live), each, -1)
            going = [at for at, own in enumerate(live) if own.choose(parts[at])]
            if not going:
                break
            changed = changed or len(going) < len(live)
            state.select([at * each + row for at in going for row in live[at].parents])
            live = [live[at] for at in going]
            after = step([said[-1] for own in live for said in own.tokens])
            scores = after.numpy().reshape(len(live) * each, -1)
        if changed:  # the state is of other rows now
            del self._held[len(prompts)]
        return [
            self._decoded(own.best(options.length_penalty), share, temperature)
            for own, share in zip(every, silent, strict=True)
        ]

    def _choices(
        self, options: SpeechOptions, temperature: float, room: int, seed: tuple[int, ...]
    ) -> Choices:
        """What a window's ids are chosen by: beams at temperature 0 alone, draws beyond it."""
        import numpy as np

        rules = Rules(self.ids, self._never, self._first, times=options.timestamps)
        end, beams = self.ids.end, options.beam_size
        if temperature == 0 and beams is not None:
            patience = 1.0 if options.patience is None else options.patience
            return Beamed(rules, end, room, beams, patience)
        rows = options.best_of or 1 if temperature > 0 else 1
        return Drawn(rules, end, room, rows, temperature, np.random.default_rng(seed))

    def _feed(
        self, state: State, context: Tensor, prompts: Sequence[list[int]]
    ) -> tuple[Any, list[float]]:
        """The scores of what follows each prompt, and how likely nobody speaks."""
        import numpy as np

        model, counts = self.model, [len(prompt) for prompt in prompts]
        model.attend_to(state, context)
        width = max(counts)
        state.reserve(counts, width)
        padded = [prompt + [0] * (width - len(prompt)) for prompt in prompts]
        hidden = model.decode(tensor(padded, dtype=i64), state)
        state.commit(counts)
        places = [(row, prompt.index(self.ids.start)) for row, prompt in enumerate(prompts)]
        places += [(row, count - 1) for row, count in enumerate(counts)]
        picked = cat([hidden[row : row + 1, at : at + 1] for row, at in places])
        scores = model.head(picked).numpy()[:, 0]
        silent = []
        for first in scores[: len(prompts)]:
            shares = np.exp(first - first.max())
            silent.append(float(shares[self.ids.no_speech] / shares.sum()))
        return scores[len(prompts) :], silent

    def _decoded(self, written: Written, silent: float, temperature: float) -> Decoded:
        tokens, total = written
        text = self.tokenizer.decode([each for each in tokens if each < self.ids.end]).strip()
        ratio = compression_ratio(text)
        return Decoded(tokens, text, total / (len(tokens) + 1), silent, ratio, temperature)


def compression_ratio(text: str) -> float:
    """The length of a text by that of its deflated form; repetitions make it large."""
    raw = text.encode()
    return len(raw) / len(zlib.compress(raw))


def is_silent(found: Decoded, options: SpeechOptions) -> bool:
    """Whether the model thinks that nobody speaks, and is not sure of its text."""
    least, most = options.logprob_threshold, options.no_speech_threshold
    if most is None or found.no_speech_prob <= most:
        return False
    return least is None or found.avg_logprob <= least


def _doubtful(found: Decoded, options: SpeechOptions) -> bool:
    most, least = options.compression_ratio_threshold, options.logprob_threshold
    doubtful = most is not None and found.compression_ratio > most
    doubtful = doubtful or (least is not None and found.avg_logprob < least)
    return doubtful and not is_silent(found, options)
