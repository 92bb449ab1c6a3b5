"""torch._C's keys of dispatch: named by packages that register ops; there is one path here."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from tallow.overrides import disable_overrides


class _Keys(type):
    def __getattr__(cls, name: str) -> str:
        if name.startswith("__"):
            raise AttributeError(name)
        return name


class DispatchKey(metaclass=_Keys):
    """Every key is its name."""


class DispatchKeySet:
    """A set of keys."""

    def __init__(self, *keys: Any) -> None:
        self.keys = frozenset(keys)

    def __or__(self, other: DispatchKeySet) -> DispatchKeySet:
        return DispatchKeySet(*self.keys, *other.keys)

    def has(self, key: Any) -> bool:
        """Whether the key is among them."""
        return key in self.keys


class Guard:
    """A block that changes nothing."""

    def __init__(self, *_: Any) -> None:
        pass

    def __enter__(self) -> Guard:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to undo."""


class NotAsked(Guard):
    """A block in which functions take subclasses of Tensor as plain tensors."""

    _inner: AbstractContextManager[None]

    def __enter__(self) -> NotAsked:
        self._inner = disable_overrides()
        self._inner.__enter__()
        return self

    def __exit__(self, *raised: Any) -> None:
        """As before."""
        self._inner.__exit__(*raised)
