"""Transcriber: what is said in sounds, with times, by Whisper's models."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Self

from tallow.autograd.mode import inference_mode
from tallow.dtype import DType, i64
from tallow.errors import ArgumentError, ModelError, expect
from tallow.factories import tensor
from tallow.lazy_dataclasses import replace
from tallow.models import load
from tallow.models.loading import Activations, Weights, tokenizer_of
from tallow.models.whisper_vocab import SpeechTokens
from tallow.ops import stack
from tallow.tasks.heard_sound import HeardSound
from tallow.tasks.plain_speech import plain_speech
from tallow.tasks.speech_decoding import TEMPERATURES, Kind, SpeechDecoder, SpeechOptions
from tallow.tasks.speech_reading import FRAMES, Aligner, Reading, restored
from tallow.tasks.speech_sound import RATE, speech_samples
from tallow.tasks.transcript import Transcription
from tallow.tasks.word_times import TimedWord, timed_words, token_times
from tallow.tensor import Tensor

if TYPE_CHECKING:
    from tallow.tasks.live_speech import LiveSpeech
    from tallow.tasks.voice_activity import VoiceActivity

Tell = Callable[[float, float], None]


class Transcriber:
    """Writes down speech: `Transcriber(ref).transcribe("talk.mp3").text`.

    `ref` and the other arguments are those of `tallow.models.load`: a folder of Hugging Face's or
    CTranslate2's (faster-whisper), or a file of whisper.cpp's, of any size of Whisper and
    Distil-Whisper; or a folder of a CTC model (wav2vec 2.0, HuBERT, WavLM) or of Moonshine, which
    know none of Whisper's options. `vad` is the voice activity model's reference for `vad=True`.

    Raises:
        HubError, FormatError, ModelError: the model is not there, damaged, or of another kind.
    """

    def __init__(
        self,
        ref: str | os.PathLike[str],
        *,
        tokenizer: str | os.PathLike[str] | None = None,
        device: str = "cpu",
        dtype: DType | str | None = None,
        activations: Activations = "int8",
        weights: Weights = "mapped",
        vad: str | os.PathLike[str] = "silero-vad",
    ) -> None:
        from tallow.audio import LogMel

        model = load(
            ref, task="automatic-speech-recognition", device=device, dtype=dtype,
            activations=activations, weights=weights,
        )  # fmt: skip
        self._plain = plain_speech(model)
        if self._plain is None and not hasattr(model, "cross_weights"):
            wanted, found = "a model of speech to text", type(model).__name__
            raise ModelError(f"{ref}: Transcriber: expected {wanted}, found {found}")
        if tokenizer is not None:
            model.tokenizer_source = partial(tokenizer_of, tokenizer)
        self._model: Any = model
        self._vad = vad
        if self._plain is None:
            self._mel = LogMel(model.config.num_mel_bins)
            self._window = 2 * model.config.max_source_positions

    @property
    def model(self) -> Any:
        """The model.

        Raises:
            ModelError: `close` was called.
        """
        if self._model is None:
            raise ModelError("Transcriber: expected an open model, got one that was closed")
        return self._model

    @cached_property
    def tokens(self) -> SpeechTokens:
        """What ids mean in the model's vocabulary; `tokens.languages` are those that it knows."""
        find = self.model.tokenizer.token_to_id
        return SpeechTokens.of(self.model.config.vocab_size, find)

    @cached_property
    def _decoder(self) -> SpeechDecoder:
        return SpeechDecoder(self.model, self.model.tokenizer, self.tokens)

    @cached_property
    def _voice(self) -> VoiceActivity:
        from tallow.tasks.voice_activity import VoiceActivity

        return VoiceActivity(self._vad)

    @cached_property
    def _heads(self) -> list[tuple[int, int]]:
        """Layers and heads whose attention follows the sound; by default of the upper half."""
        cfg = self.model.config
        layers, heads = cfg.decoder_layers, cfg.decoder_attention_heads
        given = self.model.config_values.get("alignment_heads") or _generation_heads(self.model)
        if given:
            found = sorted((int(layer), int(head)) for layer, head in given)
            good = all(0 <= layer < layers and 0 <= head < heads for layer, head in found)
            wanted = f"pairs below ({layers}, {heads})"
            expect(good, "alignment_heads", wanted, found, ModelError)
            return found
        return [(layer, head) for layer in range(layers // 2, layers) for head in range(heads)]

    def transcribe(
        self,
        audio: Any,
        rate: int | None = None,
        *,
        language: str | None = None,
        task: Kind = "transcribe",
        timestamps: bool = True,
        word_timestamps: bool = False,
        temperature: float | Sequence[float] = TEMPERATURES,
        compression_ratio_threshold: float | None = 2.4,
        logprob_threshold: float | None = -1.0,
        no_speech_threshold: float | None = 0.6,
        condition_on_previous_text: bool = True,
        initial_prompt: str | None = None,
        beam_size: int | None = None,
        best_of: int | None = None,
        patience: float | None = None,
        length_penalty: float | None = None,
        vad: bool = False,
        batch_size: int = 1,
        seed: int = 0,
        progress: Tell | None = None,
    ) -> Any:
        """The `Transcription` of a sound of any length, or of each sound of a list.

        `audio` is a path, the bytes of a file, an open file, or samples `(length,)` or `(channels,
        length)` with their `rate` (16000 unless given). The names and rules of the options are
        those of OpenAI's `transcribe`: `language` is a code or English name (None: detected),
        `task` transcribe or translate (to English). A window whose text repeats itself
        (`compression_ratio_threshold`) or is unlikely (`logprob_threshold`) is done again at the
        next `temperature`; one that is probably silent (`no_speech_threshold`) is left out. At
        temperature 0 `beam_size` hypotheses are followed at once (None: the likeliest id is taken)
        until `patience` times as many have ended; above 0 `best_of` transcripts are drawn. The best
        is that of the largest mean log-probability, or with a `length_penalty` from 0 to 1 of their
        sum over `((5 + length) / 6) ** length_penalty`. With `vad` only what the voice activity
        model takes for speech is heard. `batch_size` windows are read together: of several sounds,
        and with `vad` of one, whose parts then do not know of each other. `progress(done, whole)`
        is told seconds.

        Raises:
            ArgumentError: an option is out of its range, a language unknown, or a sound empty, not
                finite or longer than 24 hours.
            FormatError, MissingFileError, MissingExtraError: as `tallow.audio.load_audio`.
        """
        given = (temperature,) if isinstance(temperature, int | float) else tuple(temperature)
        options = SpeechOptions(
            language, task, timestamps, word_timestamps, given, compression_ratio_threshold,
            logprob_threshold, no_speech_threshold, condition_on_previous_text, initial_prompt,
            beam_size, best_of, patience, length_penalty, seed,
        )  # fmt: skip
        several = _is_list(audio)
        _check_plain(options) if self._plain else self._check(options, batch_size)
        sounds = [speech_samples(each, rate) for each in (audio if several else [audio])]
        if self._plain is not None:
            found = self._by_plain(sounds, word_timestamps, vad, progress)
        else:
            found = self._transcribe(sounds, options, vad, batch_size, progress)
        return found if several else found[0]

    @inference_mode()
    def _by_plain(
        self, sounds: Sequence[Tensor], words: bool, vad: bool, progress: Tell | None
    ) -> list[Transcription]:
        """Of a model without Whisper's rules; with `vad` each stretch of speech by itself."""
        assert self._plain is not None
        parts = [HeardSound(samples, self._voice if vad else None) for samples in sounds]
        whole, done = sum(part.duration for part in parts), 0.0
        found = []
        for part in parts:
            heard = self._plain.transcribe(part.heard, words)
            moved = partial(part.time, 0.0)
            segments = tuple(restored(each, moved) for each in heard.segments)
            found.append(replace(heard, segments=segments, duration=part.duration))
            done += part.duration
            if progress is not None:
                progress(done, whole)
        return found

    def stream(
        self,
        chunks: Iterable[Any],
        rate: int = RATE,
        *,
        language: str | None = None,
        task: Kind = "transcribe",
        every: float = 1.0,
        initial_prompt: str | None = None,
    ) -> Iterator[LiveSpeech]:
        """What is said in sound as it comes: `LiveSpeech` with sure segments, and what may follow.

        `chunks` are samples of any number, as a microphone gives them. Every `every` seconds of
        sound what is not sure yet is read again; segments are sure when others follow them.
        """
        from tallow.tasks.live_speech import live

        options = SpeechOptions(language, task, initial_prompt=initial_prompt)
        self._check(options, 1)
        expect(every > 0, "stream", "every above 0", every, ArgumentError)
        return live(self, chunks, rate, options, every)

    def detect_language(self, audio: Any, rate: int | None = None) -> dict[str, float]:
        """How likely each language is in the first 30 seconds, by code, the likeliest first."""
        self._check(SpeechOptions(), 1)
        samples = speech_samples(audio, rate)[: self._window * self._mel.hop]
        with inference_mode():
            found = self._languages(self._windows([self._mel(samples)]))[0]
        return dict(sorted(found.items(), key=lambda each: -each[1]))

    def _check(self, options: SpeechOptions, batch_size: int) -> None:
        where = "Transcriber"
        kind = type(self.model).__name__
        expect(self._plain is None, where, "a Whisper model for this", kind, ArgumentError)
        if options.language is not None:
            self.tokens.code(options.language)
        options.check(where)
        several = self.tokens.multilingual or options.task == "transcribe"
        wanted = "a model of several languages for translate"
        expect(several, where, wanted, "one of English", ArgumentError)
        good = type(batch_size) is int and batch_size >= 1
        expect(good, where, "batch_size of at least 1", repr(batch_size), ArgumentError)

    @inference_mode()
    def _transcribe(
        self,
        sounds: Sequence[Tensor],
        options: SpeechOptions,
        vad: bool,
        batch_size: int,
        progress: Tell | None,
    ) -> list[Transcription]:
        parts = [HeardSound(samples, self._voice if vad else None) for samples in sounds]
        jobs: list[tuple[HeardSound, float, Tensor]] = []
        for part in parts:
            features = self._mel(part.heard)
            for first, last in part.pieces(vad and batch_size > 1, self._window * self._mel.hop):
                frames = slice(first // self._mel.hop, last // self._mel.hop)
                jobs.append((part, first / RATE, features[:, frames]))
        self._settle_languages(parts, jobs, options)
        readings = []
        for part, offset, features in jobs:
            reading = Reading(features, self._decoder, part.language, options, window=self._window)
            part.readings.append((offset, reading))
            readings.append(reading)
        whole = sum(reading.frames for reading in readings)
        while active := [each for each in readings if not each.done][:batch_size]:
            self._read(active, options)
            if progress is not None:
                done = sum(min(each.seek, each.frames) for each in readings)
                progress(done / FRAMES, whole / FRAMES)
        return [part.transcription() for part in parts]

    def _read(self, active: Sequence[Reading], options: SpeechOptions) -> None:
        """A window of each."""
        context = self._decoder.encode(stack([each.features() for each in active]))
        prompts = [each.prompt() for each in active]
        found = self._decoder.decode(context, prompts, options)
        for row, (reading, decoded) in enumerate(zip(active, found, strict=True)):
            align: Aligner | None = None
            if options.word_timestamps:
                align = partial(self._align, context[row : row + 1], reading.language, options)
            reading.take(decoded, align)

    def _settle_languages(
        self, parts: Sequence[HeardSound], jobs: Sequence[Any], options: SpeechOptions
    ) -> None:
        """The language of each sound: as given, the only one, or the likeliest at its begin."""
        for part in parts:
            if options.language is not None:
                part.language = self.tokens.code(options.language)
            elif self.tokens.multilingual:
                first = next((features for owner, _, features in jobs if owner is part), None)
                if first is None or first.shape[1] == 0:
                    continue
                shares = self._languages(self._windows([first]))[0]
                part.language = max(shares, key=lambda code: shares[code])
                part.certainty = shares[part.language]

    def _languages(self, features: Tensor) -> list[dict[str, float]]:
        if not self.tokens.multilingual:
            return [{"en": 1.0} for _ in range(features.shape[0])]
        return self._decoder.languages(self._decoder.encode(features))

    def _windows(self, features: Sequence[Tensor]) -> Tensor:
        """The first window of each, with zeros behind the end."""
        from tallow.ops import cat

        made = []
        for each in features:
            part = each[:, : self._window]
            rest = part.new_zeros(part.shape[0], self._window - part.shape[1])
            made.append(cat([part, rest], 1))
        return stack(made)

    def _align(
        self, context: Tensor, language: str, options: SpeechOptions, text: list[int], frames: int
    ) -> list[TimedWord]:
        """The words of the text of a window, from its begin."""
        import numpy as np

        plain = SpeechOptions(task=options.task, timestamps=False)
        begin = self._decoder.begin(language, plain)
        text = text[: self._decoder.context - len(begin) - 1]
        ids = tensor([[*begin, *text, self.tokens.end]], dtype=i64)
        seen = context[:, : max(1, frames // 2)]
        weights, hidden = self.model.cross_weights(ids, seen, self._heads)
        scores = self.model.head(hidden[:, len(begin) - 1 : -2]).numpy()[0, :, : self.tokens.end]
        shares = np.exp(scores - scores.max(1, keepdims=True))
        chances = shares[np.arange(len(text)), text] / shares.sum(1)
        times = token_times(weights.numpy(), len(begin) - 1)
        return timed_words(self.model.tokenizer, text, times, chances.tolist(), language)

    def close(self) -> None:
        """Let go of the weights; may be called again."""
        self._model = None
        self.__dict__.pop("_decoder", None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        held = self._model
        return f"Transcriber({'closed' if held is None else type(held).__name__})"


def _check_plain(options: SpeechOptions) -> None:
    """Refuse what only Whisper's models know."""
    plain = SpeechOptions(word_timestamps=options.word_timestamps)
    searched = ("beam_size", "best_of", "patience", "length_penalty")
    for name in ("language", "task", "initial_prompt", "temperatures", *searched):
        wanted, found = getattr(plain, name), getattr(options, name)
        expect(found == wanted, "Transcriber", f"no {name} for this model", found, ArgumentError)


def _generation_heads(model: Any) -> Any:
    """`alignment_heads` of a folder's generation_config.json."""
    path = None if model.folder is None else model.folder / "generation_config.json"
    if path is None or not path.is_file():
        return None
    from tallow.weights.open import read_json

    values: Mapping[str, Any] = read_json(path)
    return values.get("alignment_heads")


def _is_list(audio: Any) -> bool:
    """Whether it is several sounds: a list or tuple of anything but numbers."""
    return isinstance(audio, list | tuple) and not (audio and isinstance(audio[0], int | float))
