"""Stands in for altair: charts are described, never drawn, and every description is taken."""

from __future__ import annotations

from typing import Any


class Anything:
    """Answers every name and call with itself."""

    def __getattr__(self, name: str) -> Anything:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *_: Any, **__: Any) -> Anything:
        """Itself."""
        return self


def __getattr__(name: str) -> Anything:
    if name.startswith("__"):
        raise AttributeError(name)
    return Anything()
