"""Stream: the pieces of an answer as they come."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

from tallow.errors import ArgumentError
from tallow.generate import (
    Event,
    Piece,
    Result,
)


class Stream(Iterator[str]):
    """Pieces of an answer as they come; afterwards `result` holds the whole of it.

    Closing it (or leaving its `with` block) ends the work.
    """

    def __init__(self, events: Iterator[Event]) -> None:
        self._events = events
        self._result: Result | None = None

    def __next__(self) -> str:
        for event in self._events:
            if isinstance(event, Piece):
                if event.text:
                    return event.text
            elif isinstance(event, Result):
                self._result = event
        raise StopIteration

    @property
    def result(self) -> Result:
        """The finished answer.

        Raises:
            ArgumentError: the stream has not been read to its end.
        """
        if self._result is None:
            raise ArgumentError("Stream.result: expected a stream read to its end, got an open one")
        return self._result

    def close(self) -> None:
        """End the work, if it is not at its end."""
        close = getattr(self._events, "close", None)
        if close is not None:
            close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
