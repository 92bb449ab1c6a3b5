"""Text as it is generated: `StreamDecoder` from ids, `StopStrings` to end at a phrase."""

from __future__ import annotations

import codecs
from collections.abc import Sequence

from tallow.errors import ArgumentError, expect
from tallow.text.tokenizer import Tokenizer


class StreamDecoder:
    """Gives text as soon as its characters are complete.

    The pieces that `push` and `finish` return, joined, are `tokenizer.decode(ids)`.
    """

    def __init__(self, tokenizer: Tokenizer, skip_special: bool = True) -> None:
        self._tokenizer = tokenizer
        self._skip_special = skip_special
        self._at_start = tokenizer.strips_space
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, index: int) -> str:
        """The text that id `index` completes; "" while a character is unfinished."""
        piece = self._tokenizer.piece(index, self._skip_special)
        if self._at_start and piece:
            self._at_start = False
            piece = piece.removeprefix(b" ")
        return self._decoder.decode(piece)

    def finish(self) -> str:
        """The rest: U+FFFD for an unfinished character. The decoder is then new again."""
        rest = self._decoder.decode(b"", final=True)
        self._decoder.reset()
        self._at_start = self._tokenizer.strips_space
        return rest


class StopStrings:
    """Passes text on until one of `stops` stands in it; the stop and what follows are dropped.

    The stop that is complete first counts, and of those that end together the longest: so the
    result does not depend on how the text was cut into pushes.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        expect(
            type(stops) is not str and all(stops),
            StopStrings,
            "a sequence of non-empty strings",
            repr(stops),
            ArgumentError,
        )
        self._stops = tuple(stops)
        self._longest = max(map(len, self._stops), default=0)
        self._held = ""
        self._hit = False

    def push(self, text: str) -> tuple[str, bool]:
        """The text that is safe to show, and whether a stop was hit.

        Text that may be the beginning of a stop is held back.
        """
        if self._hit:
            return "", True
        held = self._held + text
        hits = [(at + len(stop), at) for stop in self._stops if (at := held.find(stop)) >= 0]
        if hits:
            self._held, self._hit = "", True
            return held[: min(hits)[1]], True
        keep = self._open_part(held)
        cut = len(held) - keep
        self._held = held[cut:]
        return held[:cut], False

    def finish(self) -> str:
        """The text that was held back; "" after a hit. The object is then new again."""
        rest, self._held, self._hit = self._held, "", False
        return rest

    def _open_part(self, text: str) -> int:
        """How many last characters of `text` are the beginning of some stop."""
        for length in range(min(self._longest - 1, len(text)), 0, -1):
            end = text[-length:]
            if any(stop.startswith(end) for stop in self._stops):
                return length
        return 0
