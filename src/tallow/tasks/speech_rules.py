"""Which ids may come next in a transcript: what is never said, and where times stand.

Source: `ApplyTimestampRules`, `SuppressTokens` and `non_speech_tokens` of OpenAI's Whisper (arXiv
2212.04356); scores are numpy vectors that are changed in place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from tallow.models.whisper_vocab import TIME_STEP, SpeechTokens

if TYPE_CHECKING:
    from tallow.text import Tokenizer

# Signs that transcripts would have for sounds that are no speech.
_SIGNS: Final = tuple(
    """
" # ( ) * + / : ; < = > @ [ \\ ] ^ _ ` { | } ~ 「 」 『 』 << >> <<< >>> -- --- -( -[ (' (" (( ))
((( ))) [[ ]] {{ }} ♪♪ ♪♪♪
""".split()  # noqa: SIM905
)
_MUSIC: Final = "♩♪♫♬♭♮♯"


def never_said(tokenizer: Tokenizer, ids: SpeechTokens) -> tuple[int, ...]:
    """Ids of signs that are no speech, and the special ones that no transcript has."""
    found = {tokenizer.encode(text, add_special=False)[0] for text in (" -", " '")}
    for sign in (*_SIGNS, *_MUSIC):
        for text in (sign, f" {sign}"):
            made = tokenizer.encode(text, add_special=False)
            if len(made) == 1 or sign in _MUSIC:
                found.add(made[0])
    return tuple(sorted({*found, *special(ids)}))


def special(ids: SpeechTokens) -> set[int]:
    """Special ids that never follow a prompt."""
    return {
        ids.start, ids.translate, ids.transcribe, ids.previous, ids.previous - 1, ids.no_speech,
    }  # fmt: skip


class Rules:
    """The rules of one transcript: `apply(scores, said)` before each choice.

    `never` are ids that are not said, `first` further ones that are not said at first. With `times`
    text stands between two times each, which do not decrease; the first is at most `latest`
    seconds.
    """

    def __init__(
        self,
        ids: SpeechTokens,
        never: Sequence[int],
        first: Sequence[int],
        *,
        times: bool,
        latest: float | None = 1.0,
    ) -> None:
        import numpy as np

        self._ids, self._times = ids, times
        self._never = np.array(sorted({*never, *special(ids), ids.no_times}), np.int64)
        self._first = np.array(sorted(first), np.int64)
        self._latest = None if latest is None else round(latest / TIME_STEP)

    def apply(self, scores: Any, said: Sequence[int]) -> None:
        """Give -inf to the scores `(vocabulary,)` of ids that cannot follow `said`."""
        scores[self._never] = -float("inf")
        if not said:
            scores[self._first] = -float("inf")
        if self._times:
            self._apply_times(scores, said)
        else:
            scores[self._ids.times :] = -float("inf")

    def _apply_times(self, scores: Any, said: Sequence[int]) -> None:
        import numpy as np

        first, none = self._ids.times, -float("inf")
        if not said:
            scores[:first] = none
            if self._latest is not None:
                scores[first + self._latest + 1 :] = none
        last = bool(said) and said[-1] >= first
        before = len(said) < 2 or said[-2] >= first
        if last and before:
            scores[first:] = none
        elif last:
            scores[: self._ids.end] = none
        times = [token for token in said if token >= first]
        if times:  # a text has a length
            scores[first : times[-1] + (not (last and not before))] = none
        stamps = scores[first:]
        top = float(stamps.max()) if len(stamps) else none
        if top > none:
            total = top + float(np.log(np.exp(stamps - top).sum()))
            if total > float(scores[:first].max()):
                scores[:first] = none
