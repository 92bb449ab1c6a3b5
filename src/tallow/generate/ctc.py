"""Searching for texts in what a CTC model scores, frame by frame (Graves et al. 2006)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from tallow.dtype import f32
from tallow.errors import ArgumentError, ShapeError, expect
from tallow.lazy_dataclasses import dataclass
from tallow.tensor import Tensor

_NEVER = -math.inf


@dataclass(frozen=True)
class CtcBeams:
    """How a prefix beam search goes (Hannun et al., arXiv 1408.2873).

    `width` prefixes are kept from frame to frame, those within `prune` (a natural logarithm) of
    the best; of a frame the symbols are tried that are as likely as `least`, and its best.
    """

    width: int = 64
    prune: float = 12.0
    least: float = -7.0

    def __post_init__(self) -> None:
        expect(1 <= self.width <= 1 << 16, "CtcBeams", "a width from 1 to 65536", self.width,
               ArgumentError)  # fmt: skip
        good = self.prune > 0 and not math.isnan(self.least)
        expect(good, "CtcBeams", "prune above 0, and a logarithm", self, ArgumentError)


@dataclass(frozen=True)
class CtcHypothesis:
    """The ids of a text without blanks, and the logarithm of its probability."""

    ids: tuple[int, ...]
    score: float


def best_path(log_probs: Tensor) -> list[int]:
    """The likeliest symbol of each frame: `(frames, symbols)` → ids, blanks among them."""
    _check(log_probs, 0)
    return [int(index) for index in log_probs.argmax(-1).tolist()]


def search(
    log_probs: Tensor, blank: int, beams: CtcBeams | None = None
) -> list[CtcHypothesis]:  # fmt: skip
    """The likeliest texts over all their alignments, best first.

    `log_probs` `(frames, symbols)` are logarithms. What one prefix gathers over the beams that were
    pruned is lost, so that scores are from below.

    Raises:
        ShapeError, ArgumentError: there are other axes, or no such blank.
    """
    _check(log_probs, blank)
    chosen = beams or CtcBeams()
    # Of each prefix: the logarithms of its alignments that end in a blank, and in its last symbol.
    held: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, _NEVER)}
    for frame in _frames(log_probs, chosen.least):
        held = _pruned(_step(held, frame, blank), chosen)
    made = [CtcHypothesis(ids, _add(*ends)) for ids, ends in held.items()]
    return sorted(made, key=lambda each: -each.score)


def align(log_probs: Tensor, ids: Sequence[int], blank: int) -> list[int]:
    """The symbol of each frame on the likeliest alignment of a text, blanks among them.

    Raises:
        ArgumentError: there are fewer frames than the text takes.
    """
    _check(log_probs, blank)
    states = [blank]
    for index in ids:
        states += [index, blank]
    count = len(states)
    rows: list[list[float]] = log_probs.to(f32).tolist()
    need = len(ids) + sum(a == b for a, b in itertools.pairwise(ids))
    expect(len(rows) >= need, "align", f"{need} frames or more", len(rows), ArgumentError)
    # A symbol may follow the one before at once, unless both are the same.
    skips = [k > 1 and states[k] != blank and states[k] != states[k - 2] for k in range(count)]
    best = [0.0] + [_NEVER] * (count - 1)
    back: list[list[int]] = []
    for t, row in enumerate(rows):
        made, came = [_NEVER] * count, [0] * count
        for k in range(count):
            options = [(best[k], k)] if t else [(0.0 if k < 2 else _NEVER, k)]
            if t and k:
                options.append((best[k - 1], k - 1))
                if skips[k]:
                    options.append((best[k - 2], k - 2))
            score, came[k] = max(options)
            made[k] = score + row[states[k]]
        best = made
        back.append(came)
    if not back:
        return []
    place = max(range(max(count - 2, 0), count), key=lambda k: best[k])
    path = []
    for came in reversed(back):
        path.append(states[place])
        place = came[place]
    return path[::-1]


def _check(log_probs: Tensor, blank: int) -> None:
    expect(log_probs.ndim == 2, "log_probs", "shape (frames, symbols)", log_probs.shape, ShapeError)
    symbols = log_probs.shape[1]
    expect(0 <= blank < symbols, "blank", f"a symbol below {symbols}", blank, ArgumentError)


def _frames(log_probs: Tensor, least: float) -> list[list[tuple[int, float]]]:
    """Of each frame the symbols that are tried, with their logarithms."""
    found = []
    for row in log_probs.to(f32).tolist():
        limit = min(least, max(row))
        found.append([(index, value) for index, value in enumerate(row) if value >= limit])
    return found


def _step(
    held: dict[tuple[int, ...], tuple[float, float]], frame: list[tuple[int, float]], blank: int
) -> dict[tuple[int, ...], tuple[float, float]]:
    """Every prefix with every symbol of a frame."""
    made: dict[tuple[int, ...], tuple[float, float]] = {}
    for prefix, (silent, spoken) in held.items():
        whole = _add(silent, spoken)
        last = prefix[-1] if prefix else None
        for index, value in frame:
            if index == blank:
                ends = made.get(prefix, (_NEVER, _NEVER))
                made[prefix] = (_add(ends[0], whole + value), ends[1])
                continue
            before = whole
            if index == last:  # the same again goes on; only behind a blank it is said twice
                ends = made.get(prefix, (_NEVER, _NEVER))
                made[prefix] = (ends[0], _add(ends[1], spoken + value))
                before = silent
            if before > _NEVER:
                longer = (*prefix, index)
                ends = made.get(longer, (_NEVER, _NEVER))
                made[longer] = (ends[0], _add(ends[1], before + value))
    return made


def _pruned(
    held: dict[tuple[int, ...], tuple[float, float]], beams: CtcBeams
) -> dict[tuple[int, ...], tuple[float, float]]:
    scored = [(_add(*ends), prefix) for prefix, ends in held.items()]
    top = max(scored)[0]
    scored = [each for each in scored if each[0] >= top - beams.prune]
    if len(scored) > beams.width:
        scored.sort(key=lambda each: -each[0])
        del scored[beams.width :]
    return {prefix: held[prefix] for _, prefix in scored}


def _add(a: float, b: float) -> float:
    """`log(exp(a) + exp(b))`."""
    if a < b:
        a, b = b, a
    return a if b == _NEVER else a + math.log1p(math.exp(b - a))
