"""SpeechSynthesizer: speech from text by Piper's voices (VITS)."""

from __future__ import annotations

import json
import os
import re
import unicodedata
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tallow.autograd.mode import inference_mode
from tallow.dtype import f32, i16, i64
from tallow.errors import ArgumentError, FormatError, ModelError, expect
from tallow.factories import tensor, zeros
from tallow.tasks.phonemes import check_table, espeak_sentences, ids_of, sentences
from tallow.tensor import Tensor

if TYPE_CHECKING:
    from tallow.onnx import Model

_REMOTE_FILE = re.compile(r"(hf|pypi|https?):.*\.onnx", re.S)
_QUIET = 0.01  # a peak below is not made louder than this would be


class Speech(NamedTuple):
    """Samples `(length,)` in f32 as the voice gives them, and how many there are a second."""

    samples: Tensor
    rate: int

    def pcm(self) -> Tensor:
        """The samples in i16, as loud as that can be, as Piper writes them."""
        peak = self.samples.abs().max().item() if self.samples.numel() else 0.0
        scaled = self.samples * (32767 / max(_QUIET, peak))
        return scaled.clamp(-32767, 32767).to(i16)

    def save(self, path: Any) -> None:
        """Write `pcm()` as a wav file: to a path or an open binary file."""
        from tallow.audio import save_audio

        save_audio(path, self.pcm(), self.rate)


class SpeechSynthesizer:
    """A voice: `tts.synthesize("Hello.")` gives samples and their rate.

    `ref` is an alias, a folder of one voice, or a path or reference of an .onnx file of Piper's
    with its .onnx.json beside it, such as
    `hf:rhasspy/piper-voices/en/en_US/amy/low/en_US-amy-low.onnx`. `noise_scale` (how much the sound
    varies), `length_scale` (above 1: slower) and `noise_w` (how much durations vary) are the
    voice's own unless given. Noise is `tl.manual_seed`'s. `sentence_silence` are seconds after each
    sentence, `speaker` is a name or number in voices of several. Phonemes come from the program
    espeak-ng.

    Raises:
        HubError, FormatError, ModelError: the voice is not there, or is none.
        ArgumentError: an option is out of its range, or there is no such speaker.
    """

    def __init__(
        self,
        ref: str | os.PathLike[str] = "piper-joe",
        *,
        noise_scale: float | None = None,
        length_scale: float | None = None,
        noise_w: float | None = None,
        sentence_silence: float = 0.0,
        speaker: str | int | None = None,
    ) -> None:
        from tallow import onnx
        from tallow.hub import resolve

        path = _model_in(resolve(ref))
        self.config = _config_of(path, ref)
        self.rate: int = self.config["audio"]["sample_rate"]
        self._table = check_table(self.config.get("phoneme_id_map"), ModelError, f"{path}.json")
        given = {"noise_scale": noise_scale, "length_scale": length_scale, "noise_w": noise_w}
        own = {"noise_scale": 0.667, "length_scale": 1.0, "noise_w": 0.8}
        own |= self.config.get("inference") or {}
        self.scales = [float(own[k] if v is None else v) for k, v in given.items()]
        for name, value in zip(given, self.scales, strict=True):
            good = value > 0 if name == "length_scale" else value >= 0
            wanted = f"{name} {'above 0' if name == 'length_scale' else 'of 0 or more'}"
            expect(good, "SpeechSynthesizer", wanted, value, ArgumentError)
        good = sentence_silence >= 0
        expect(good, "SpeechSynthesizer", "sentence_silence of 0 or more", sentence_silence,
               ArgumentError)  # fmt: skip
        self.sentence_silence = sentence_silence
        self._speaker = self._number_of(speaker)
        self.model: Model = onnx.load(path)
        names = {each.name for each in self.model.inputs}
        wanted_names = {"input", "input_lengths", "scales"} | ({"sid"} if self._several else set())
        if names != wanted_names:
            wanted = f"a voice of Piper's with the inputs {sorted(wanted_names)}"
            raise ModelError(f"{ref}: expected {wanted}, found {sorted(names)}")

    @property
    def speakers(self) -> dict[str, int]:
        """Names and numbers of the speakers, where the voice has several."""
        return dict(self.config.get("speaker_id_map") or {})

    def phonemes(self, text: str) -> list[str]:
        """The phonemes of each sentence of a text.

        Raises:
            MissingExtraError: the program espeak-ng is not installed, and the voice needs it.
        """
        return list(self._phonemes(text))

    def ids(self, phonemes: str) -> list[int]:
        """The numbers of a sentence's phonemes, with begin, end and pads.

        Raises:
            ArgumentError: the voice knows none of them, or not all.
        """
        found, unknown = ids_of(phonemes, self._table, self.config.get("phoneme_map") or {})
        expect(not unknown, "phonemes", "phonemes that the voice knows", unknown, ArgumentError)
        return found

    def synthesize(
        self, text: str | None = None, *, phonemes: str | Iterable[str] | None = None
    ) -> Speech:
        """The speech of a text, or of the phonemes of a sentence or of several.

        Raises:
            ArgumentError: there is nothing to say.
            MissingExtraError: the program espeak-ng is not installed.
        """
        from tallow.ops import cat

        parts = [each.samples for each in self.stream(text, phonemes=phonemes)]
        expect(bool(parts), "synthesize", "a text with words", repr(text), ArgumentError)
        return Speech(cat(parts) if len(parts) > 1 else parts[0], self.rate)

    def stream(
        self, text: str | None = None, *, phonemes: str | Iterable[str] | None = None
    ) -> Iterator[Speech]:
        """The speech sentence by sentence, each when it is asked for."""
        one = (text is None) != (phonemes is None)
        expect(one, "SpeechSynthesizer", "a text or phonemes", "both or none", ArgumentError)
        if phonemes is None:
            assert text is not None
            listed: Iterator[list[int]] = (self._known(each) for each in self._phonemes(text))
        else:
            given = [phonemes] if isinstance(phonemes, str) else phonemes
            made = [unicodedata.normalize("NFD", each) for each in given]
            listed = iter([self.ids(each) for each in made if each.strip()])
        return (self._speak(ids) for ids in listed)

    def speak_ids(self, ids: list[int]) -> Tensor:
        """The samples for the numbers of one sentence."""
        inputs = {
            "input": tensor([ids], dtype=i64),
            "input_lengths": tensor([len(ids)], dtype=i64),
            "scales": tensor(self.scales, dtype=f32),
        }
        if self._several:
            inputs["sid"] = tensor([self._speaker], dtype=i64)
        with inference_mode():
            (found,) = self.model.run(inputs).values()
        samples: Tensor = found.reshape(-1)
        return samples

    def _speak(self, ids: list[int]) -> Speech:
        from tallow.ops import cat

        samples = self.speak_ids(ids)
        silence = round(self.sentence_silence * self.rate)
        return Speech(cat([samples, zeros(silence)]) if silence else samples, self.rate)

    def _phonemes(self, text: str) -> Iterator[str]:
        if self.config.get("phoneme_type", "espeak") != "text":
            voice = (self.config.get("espeak") or {}).get("voice") or "en-us"
            yield from espeak_sentences(text, voice)
            return
        for sentence in sentences(text):
            line = " ".join(words + mark for words, mark in sentence)
            yield unicodedata.normalize("NFD", line.casefold())

    def _known(self, phonemes: str) -> list[int]:
        """The ids of what espeak-ng said; a voice may be older than a phoneme of it."""
        found, unknown = ids_of(phonemes, self._table, self.config.get("phoneme_map") or {})
        if unknown:
            text = f"the voice has no sound for {', '.join(map(repr, unknown))}: left out"
            warnings.warn(text, stacklevel=2)
        return found

    @property
    def _several(self) -> bool:
        return int(self.config.get("num_speakers", 1)) > 1

    def _number_of(self, speaker: str | int | None) -> int:
        if speaker is None:
            return 0
        count, names = int(self.config.get("num_speakers", 1)), self.speakers
        if isinstance(speaker, str) and speaker in names:
            return names[speaker]
        number = int(speaker) if isinstance(speaker, int) or speaker.isdecimal() else -1
        wanted = f"a speaker of {[*names] or f'0 to {count - 1}'}"
        expect(0 <= number < count, "SpeechSynthesizer", wanted, repr(speaker), ArgumentError)
        return number


def _model_in(path: Path) -> Path:
    """The .onnx file itself, or that of a folder."""
    if not path.is_dir():
        return path
    found = sorted(path.glob("*.onnx"))
    if len(found) != 1:
        names = [each.name for each in found]
        raise ModelError(f"{path}: expected a folder of one .onnx file, found {names or 'none'}")
    return found[0]


def _config_of(path: Path, ref: str | os.PathLike[str]) -> dict[str, Any]:
    """The config beside a model; of a remote file it is fetched from beside that."""
    beside = path.with_name(path.name + ".json")
    if not beside.exists() and isinstance(ref, str) and _REMOTE_FILE.fullmatch(ref):
        from tallow.hub import resolve

        beside = Path(resolve(f"{ref}.json"))
    try:
        found = json.loads(beside.read_bytes())
    except FileNotFoundError:
        raise ModelError(f"{path}: expected {beside.name} beside it, found none") from None
    except (ValueError, RecursionError, OSError) as error:
        raise FormatError(beside, "file", "a voice's config in JSON", error) from None
    audio = found.get("audio") if isinstance(found, dict) else None
    rate = audio.get("sample_rate") if isinstance(audio, dict) else None
    if type(rate) is not int or rate <= 0:
        raise FormatError(beside, "audio.sample_rate", "a number of samples a second", rate)
    return dict(found)
