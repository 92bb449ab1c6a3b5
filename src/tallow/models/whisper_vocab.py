"""What ids mean in Whisper's vocabularies: the end, languages, tasks and times.

Source: the order of the special tokens of `whisper/tokenizer.py` (arXiv 2212.04356).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from tallow.errors import ArgumentError, ModelError, expect
from tallow.lazy_dataclasses import dataclass

TIME_STEP: Final = 0.02  # seconds from one time token to the next
TIMES: Final = 1501  # time tokens: 0 to 30 seconds
_AROUND: Final = 8  # special tokens beside languages and times
_FEWEST: Final = 51865  # ids of the first vocabulary of several languages

_LANGUAGES: Final = """
en english, zh chinese, de german, es spanish, ru russian, ko korean, fr french, ja japanese, pt
portuguese, tr turkish, pl polish, ca catalan, nl dutch, ar arabic, sv swedish, it italian, id
indonesian, hi hindi, fi finnish, vi vietnamese, he hebrew, uk ukrainian, el greek, ms malay, cs
czech, ro romanian, da danish, hu hungarian, ta tamil, no norwegian, th thai, ur urdu, hr
croatian, bg bulgarian, lt lithuanian, la latin, mi maori, ml malayalam, cy welsh, sk slovak, te
telugu, fa persian, lv latvian, bn bengali, sr serbian, az azerbaijani, sl slovenian, kn kannada,
et estonian, mk macedonian, br breton, eu basque, is icelandic, hy armenian, ne nepali, mn
mongolian, bs bosnian, kk kazakh, sq albanian, sw swahili, gl galician, mr marathi, pa punjabi, si
sinhala, km khmer, sn shona, yo yoruba, so somali, af afrikaans, oc occitan, ka georgian, be
belarusian, tg tajik, sd sindhi, gu gujarati, am amharic, yi yiddish, lo lao, uz uzbek, fo
faroese, ht haitian creole, ps pashto, tk turkmen, nn nynorsk, mt maltese, sa sanskrit, lb
luxembourgish, my myanmar, bo tibetan, tl tagalog, mg malagasy, as assamese, tt tatar, haw
hawaiian, ln lingala, ha hausa, ba bashkir, jw javanese, su sundanese, yue cantonese
"""
LANGUAGES: Final[Mapping[str, str]] = {
    code: name
    for code, _, name in (each.partition(" ") for each in " ".join(_LANGUAGES.split()).split(", "))
}  # codes in the order of their ids, and English names
_OTHER_NAMES: Final = {
    "burmese": "my", "valencian": "ca", "flemish": "nl", "haitian": "ht", "letzeburgesch": "lb",
    "pushto": "ps", "panjabi": "pa", "moldavian": "ro", "moldovan": "ro", "sinhalese": "si",
    "castilian": "es", "mandarin": "zh", "iw": "he", "jv": "jw",
}  # fmt: skip


@dataclass(frozen=True)
class SpeechTokens:
    """The ids of a vocabulary: `end` of the text, `start` of the transcript, and so on.

    `languages` are codes by id, one alone (`en`) where the model is of English and its transcripts
    name none. `times` is the id of 0.00 seconds; each one after it is 0.02 seconds later.
    """

    end: int
    start: int
    translate: int
    transcribe: int
    previous: int
    no_speech: int
    no_times: int
    times: int
    languages: Mapping[str, int]
    multilingual: bool

    @classmethod
    def of(cls, vocab_size: int, find: Callable[[str], int | None] | None = None) -> SpeechTokens:
        """By what a tokenizer calls them, or without it by the size of the vocabulary.

        Raises:
            ModelError: it is no vocabulary of Whisper's.
        """
        if find is not None and find("<|startoftranscript|>") is not None:
            return cls._named(find)
        multilingual = vocab_size >= _FEWEST
        count = vocab_size - TIMES - 50257 - _AROUND + (not multilingual)
        good = count in (99, len(LANGUAGES))
        wanted = "a tokenizer, or the vocabulary of a model of OpenAI's"
        expect(good, "Whisper", wanted, f"{vocab_size} ids and no tokenizer", ModelError)
        end = 50257 if multilingual else 50256
        first = end + 2
        after = first + count
        codes = list(LANGUAGES)[:count]
        return cls(
            end=end, start=end + 1, translate=after, transcribe=after + 1, previous=after + 3,
            no_speech=after + 4, no_times=after + 5, times=after + 6,
            languages={code: first + at for at, code in enumerate(codes)},
            multilingual=multilingual,
        )  # fmt: skip

    @classmethod
    def _named(cls, find: Callable[[str], int | None]) -> SpeechTokens:
        def need(*names: str) -> int:
            found = next((i for i in map(find, names) if i is not None), None)
            wanted = f"the token {names[0]}"
            expect(found is not None, "Whisper: tokenizer", wanted, "none", ModelError)
            assert found is not None
            return found

        spelled = {"he": ("he", "iw"), "jw": ("jw", "jv")}
        languages = {}
        for code in LANGUAGES:
            ids = (find(f"<|{name}|>") for name in spelled.get(code, (code,)))
            found = next((i for i in ids if i is not None), None)
            if found is not None:
                languages[code] = found
        end, start, no_times = (
            need(f"<|{name}|>") for name in ("endoftext", "startoftranscript", "notimestamps")
        )
        return cls(
            end=end, start=start, translate=need("<|translate|>"),
            transcribe=need("<|transcribe|>"), previous=need("<|startofprev|>"),
            no_speech=need("<|nospeech|>", "<|nocaptions|>"), no_times=no_times,
            times=no_times + 1, languages=languages or {"en": start + 1},
            # The end stands before the byte pairs' number in the vocabulary of English alone.
            multilingual=end != 50256,
        )  # fmt: skip

    def code(self, language: object) -> str:
        """The code of a language, by its code or English name.

        Raises:
            ArgumentError: it is none that the model knows.
        """
        word = language.strip().lower() if isinstance(language, str) else repr(language)
        names = {name: code for code, name in LANGUAGES.items()} | _OTHER_NAMES
        code = word if word in LANGUAGES else names.get(word, "")
        if code not in self.languages or not (self.multilingual or code == "en"):
            known = ", ".join(self.languages if self.multilingual else ("en",))
            raise ArgumentError(f"language: expected one of {known}, got {language!r:.40}")
        return code

    def names(self) -> dict[int, str]:
        """What the special tokens are called, by id."""
        words = {
            "endoftext": self.end, "startoftranscript": self.start, "translate": self.translate,
            "transcribe": self.transcribe, "startoflm": self.previous - 1,
            "startofprev": self.previous, "nospeech": self.no_speech,
            "notimestamps": self.no_times, **self.languages,
        }  # fmt: skip
        times = {self.times + i: f"<|{TIME_STEP * i:.2f}|>" for i in range(TIMES)}
        return {index: f"<|{word}|>" for word, index in words.items()} | times
