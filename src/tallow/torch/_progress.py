"""What stands in for tqdm's bars where the package is not installed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any


class NoBar:
    """Takes tqdm's arguments, passes items on, shows nothing."""

    def __init__(self, iterable: Iterable[Any] | None = None, *_: Any, **__: Any) -> None:
        self.iterable = iterable

    def __iter__(self) -> Iterator[Any]:
        return iter(self.iterable or ())

    def __enter__(self) -> NoBar:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to close."""

    def update(self, n: float = 1) -> None:
        """Nothing to move on."""

    def close(self) -> None:
        """Nothing to close."""
