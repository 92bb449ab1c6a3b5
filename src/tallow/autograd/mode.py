"""Grad mode: whether operations on tensors that require a gradient are recorded (per thread)."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any, Self, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


class _Mode(threading.local):
    enabled = True  # operations are recorded
    inference = False  # not even views are noted
    anomaly = False  # the backward pass refuses NaN
    # In an `amp.autocast`: (kind of row, tensors…) -> the tensors in the dtype for that kind.
    autocast: Callable[..., tuple[Any, ...]] | None = None


MODE = _Mode()


class _Switch:
    """A context manager and decorator that holds the mode at (enabled, inference)."""

    def __init__(self, enabled: bool, inference: bool) -> None:
        self._wanted = (enabled, inference)
        self._before: list[tuple[bool, bool]] = []

    def __enter__(self) -> Self:
        self._before.append((MODE.enabled, MODE.inference))
        MODE.enabled, MODE.inference = self._wanted
        return self

    def __exit__(self, *_: object) -> None:
        MODE.enabled, MODE.inference = self._before.pop()

    def _again(self) -> _Switch:
        return _Switch(*self._wanted)

    def __call__(self, function: F) -> F:
        @functools.wraps(function)
        def within(*args: Any, **options: Any) -> Any:
            with self._again():  # a switch of its own: the function may recurse
                return function(*args, **options)

        return within  # type: ignore[return-value]


class no_grad(_Switch):  # noqa: N801  (PyTorch's name)
    """`with no_grad():` or `@no_grad()`: nothing in it is recorded."""

    def __init__(self) -> None:
        super().__init__(False, False)


class enable_grad(_Switch):  # noqa: N801
    """`with enable_grad():` records again inside `no_grad`."""

    def __init__(self) -> None:
        super().__init__(True, False)


class inference_mode(_Switch):  # noqa: N801
    """As `no_grad`, and views are not tied to their base either: the cheapest way to run a model.

    A view made in it and changed in place outside does not pass the change on to the history of
    its base.
    """

    def __init__(self, mode: bool = True) -> None:
        super().__init__(not mode, mode)


class set_grad_enabled(_Switch):  # noqa: N801
    """Switch recording on or off: at once, and until the end of the block when used in `with`."""

    def __init__(self, mode: bool) -> None:
        super().__init__(mode, False)
        self._before.append((MODE.enabled, MODE.inference))
        MODE.enabled, MODE.inference = self._wanted

    def __enter__(self) -> Self:
        MODE.enabled, MODE.inference = self._wanted
        return self


def is_grad_enabled() -> bool:
    """Whether operations are recorded in this thread."""
    return MODE.enabled


def is_inference_mode_enabled() -> bool:
    """Whether this thread is in `inference_mode`."""
    return MODE.inference
