"""When words are said: the way through a decoder's attention to the sound, and words of ids.

Source: `timing.py` of OpenAI's Whisper; dynamic time warping as Sakoe and Chiba (1978).
"""

from __future__ import annotations

from collections.abc import Sequence
from string import punctuation
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tallow.models.whisper_vocab import TIME_STEP

if TYPE_CHECKING:
    from tallow.text import Tokenizer

MEDIAN: Final = 7  # positions that weights are smoothed over
_WITHOUT_SPACES: Final = frozenset({"zh", "ja", "th", "lo", "my", "yue"})
_BEFORE: Final = "\"'“¿([{-"
_BEHIND: Final = "\"'.。,，!！?？:：”)]}、"
_ENDS: Final = ".。!！?？"


class TimedWord(NamedTuple):
    """A word, its ids, seconds from the begin of the window, and its mean probability."""

    text: str
    tokens: list[int]
    start: float
    end: float
    probability: float


def median_filter(x: Any, width: int = MEDIAN) -> Any:
    """The median of `width` neighbours along the last axis, mirrored at both ends (numpy)."""
    import numpy as np

    half = width // 2
    if x.shape[-1] <= half:
        return x
    around = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(half, half)], mode="reflect")
    views = np.lib.stride_tricks.sliding_window_view(around, width, axis=-1)
    return np.partition(views, half, axis=-1)[..., half]


def warping_path(costs: Any) -> tuple[list[int], list[int]]:
    """Rows and columns of the cheapest way through `costs` (n, m), from the first to the last.

    Each step goes one row down, one column on, or both. Sums are made along diagonals, whose
    elements do not depend on each other.
    """
    import numpy as np

    n, m = costs.shape
    none = float("inf")
    kinds = np.full((n + 1, m + 1), 2, np.int8)
    kinds[1:, 0] = 1
    before, last = np.full(n + 1, none), np.full(n + 1, none)
    last[0] = 0.0  # sums of the diagonals i + j = d - 2 and d - 1, by row i
    before, last = last, np.full(n + 1, none)
    for d in range(2, n + m + 1):
        low, high = max(1, d - m), min(n, d - 1)
        rows = np.arange(low, high + 1)
        both, down, on = before[rows - 1], last[rows - 1], last[rows]
        kind = np.where((both < down) & (both < on), 0, np.where((down < both) & (down < on), 1, 2))
        least = np.choose(kind, (both, down, on))
        now = np.full(n + 1, none)
        now[rows] = costs[rows - 1, d - rows - 1] + least
        kinds[rows, d - rows] = kind
        before, last = last, now
    return _backwards(kinds, n, m)


def _backwards(kinds: Any, n: int, m: int) -> tuple[list[int], list[int]]:
    i, j = n, m
    rows, columns = [], []
    while i > 0 and j > 0:
        rows.append(i - 1)
        columns.append(j - 1)
        kind = int(kinds[i, j])
        i -= kind != 2
        j -= kind != 1
    # What is left is the first row's or column's.
    return rows[::-1], columns[::-1]


def token_times(weights: Any, skipped: int) -> list[float]:
    """Seconds at which ids begin, and the end, of attention `(heads, ids, positions)`.

    The first `skipped` rows are left out, and the last, of the end: each row tells where the sound
    is of the id that follows it.
    """
    import numpy as np

    spread = np.maximum(weights.std(-2, keepdims=True), 1e-10)
    scaled = (weights - weights.mean(-2, keepdims=True)) / spread
    matrix = median_filter(scaled).mean(0)[skipped:-1]
    rows, columns = warping_path(-matrix.astype(np.float64))
    jumps = [at for at in range(len(rows)) if at == 0 or rows[at] != rows[at - 1]]
    return [columns[at] * TIME_STEP for at in jumps]


def split_words(tokenizer: Tokenizer, tokens: Sequence[int], language: str) -> list[list[int]]:
    """Ids by word: at spaces, or in languages without them by whole characters."""
    pieces = _characters(tokenizer, tokens)
    if language in _WITHOUT_SPACES:
        return pieces
    words: list[list[int]] = []
    for piece in pieces:
        text = tokenizer.decode(piece)
        if not words or text.startswith(" ") or text.strip() in punctuation:
            words.append(list(piece))
        else:
            words[-1] += piece
    return words


def _characters(tokenizer: Tokenizer, tokens: Sequence[int]) -> list[list[int]]:
    """Runs of ids that are whole characters."""
    runs: list[list[int]] = []
    run: list[int] = []
    for token in tokens:
        run.append(token)
        try:
            b"".join(map(tokenizer.token_bytes, run)).decode()
        except UnicodeDecodeError:
            continue
        runs.append(run)
        run = []
    return [*runs, run] if run else runs


def timed_words(
    tokenizer: Tokenizer,
    tokens: Sequence[int],
    times: Sequence[float],
    chances: Sequence[float],
    language: str,
) -> list[TimedWord]:
    """Words of ids that begin at `times` (one more than ids), with punctuation joined to them."""
    words, at = [], 0
    for ids in split_words(tokenizer, tokens, language):
        end = at + len(ids)
        text = b"".join(map(tokenizer.token_bytes, ids)).decode("utf-8", "replace")
        share = sum(chances[at:end]) / len(ids)
        words.append(TimedWord(text, ids, times[at], times[min(end, len(times) - 1)], share))
        at = end
    return _joined(_shortened(words))


def _shortened(words: list[TimedWord]) -> list[TimedWord]:
    """Words that last far longer than others, at the border of a sentence, cut."""
    lasting = sorted(each.end - each.start for each in words if each.end > each.start)
    if not lasting:
        return words
    most = 2 * min(0.7, lasting[len(lasting) // 2])
    made = list(words)
    for at in range(1, len(made)):
        word = made[at]
        if word.end - word.start <= most:
            continue
        if word.text.strip() in _ENDS:
            made[at] = word._replace(end=word.start + most)
        elif made[at - 1].text.strip() in _ENDS:
            made[at] = word._replace(start=word.end - most)
    return made


def _joined(words: list[TimedWord]) -> list[TimedWord]:
    """Punctuation with the word behind it, or before it."""
    made: list[TimedWord] = []
    for word in words:
        sign = word.text.strip()
        behind = bool(sign) and sign in _BEHIND and not word.text.startswith(" ")
        if made and behind:
            last = made[-1]
            made[-1] = last._replace(text=last.text + word.text, tokens=last.tokens + word.tokens)
            continue
        if made and made[-1].text.startswith(" ") and made[-1].text.strip() in _BEFORE:
            last = made.pop()
            text, ids = last.text + word.text, last.tokens + word.tokens
            word = word._replace(text=text, tokens=ids)
        made.append(word)
    return made
