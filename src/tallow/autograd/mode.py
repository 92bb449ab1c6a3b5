"""Grad mode: whether operations on tensors that require a gradient are recorded (per thread)."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any, Self, TypeVar

from .. import _native

F = TypeVar("F", bound=Callable[..., Any])


# Of this thread. `enabled`: operations are recorded; `inference`: not even views are noted;
# `anomaly`: the backward pass refuses NaN; `autocast`, in an `amp.autocast`: (what it does with an
# op, tensors…) -> the tensors in the dtype for it.
MODE = _native.MODE


def set_mode(enabled: bool, inference: bool) -> None:
    """Set the mode of this thread; storage made in inference mode is marked by the native core."""
    MODE.enabled, MODE.inference = enabled, inference


# Flags of code objects, as `inspect` has them.
_GENERATOR, _COROUTINE, _ASYNC_GENERATOR = 0x20, 0x80, 0x200


class _Switch:
    """A context manager and decorator that holds the mode at (enabled, inference).

    `inference` None leaves that as it is: `no_grad` inside `inference_mode` does not end it.
    """

    def __init__(self, enabled: bool, inference: bool | None) -> None:
        self._wanted = (enabled, inference)
        self._before: list[tuple[bool, bool]] = []

    def __enter__(self) -> Self:
        self._before.append((MODE.enabled, MODE.inference))
        self._switch()
        return self

    def __exit__(self, *_: object) -> None:
        set_mode(*self._before.pop())

    def _switch(self) -> None:
        enabled, inference = self._wanted
        set_mode(enabled, MODE.inference if inference is None else inference)

    def _again(self) -> _Switch:
        return _Switch(*self._wanted)

    def __call__(self, function: F) -> F:
        """The function (a generator, a coroutine, the `__init__` of a class) in this mode."""
        if isinstance(function, type):
            function.__init__ = self(function.__init__)  # type: ignore[misc]  # on the class itself
            return function
        flags = getattr(getattr(function, "__code__", None), "co_flags", 0)
        made: Any
        if flags & _GENERATOR:

            @functools.wraps(function)
            def made(*args: Any, **options: Any) -> Any:
                return (yield from self._held(function(*args, **options)))

        elif flags & _COROUTINE:

            @functools.wraps(function)
            async def made(*args: Any, **options: Any) -> Any:
                return await _GeneratorAwaitable(self._held(function(*args, **options).__await__()))

        elif flags & _ASYNC_GENERATOR:

            @functools.wraps(function)
            def made(*args: Any, **options: Any) -> Any:
                return self._streamed(function(*args, **options))

        else:

            @functools.wraps(function)
            def made(*args: Any, **options: Any) -> Any:
                with self._again():  # a switch of its own: the function may recurse
                    return function(*args, **options)

        wrapped: F = made
        return wrapped

    def _held(self, inner: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """The generator, each of its steps in this mode, its caller's code in the caller's."""
        step: Callable[[], Any] = functools.partial(next, inner)
        while True:
            try:
                with self._again():
                    given = step()
            except StopIteration as end:
                return end.value
            try:
                sent = yield given
            except GeneratorExit:
                with self._again():
                    inner.close()
                raise
            except BaseException as error:  # the generator sees what its caller throws in
                step = functools.partial(inner.throw, error)
            else:
                step = functools.partial(next, inner)
                if sent is not None:
                    step = functools.partial(inner.send, sent)

    async def _streamed(self, inner: AsyncGenerator[Any, Any]) -> AsyncGenerator[Any, Any]:
        """The asynchronous generator, each of its steps in this mode."""
        step: Any = inner.__anext__()
        try:
            while True:
                try:
                    given = await _GeneratorAwaitable(self._held(step.__await__()))
                except StopAsyncIteration:
                    return
                try:
                    sent = yield given
                except GeneratorExit:
                    raise
                except BaseException as error:  # the generator sees what its caller throws in
                    step = inner.athrow(error)
                else:
                    step = inner.asend(sent)
        finally:
            await _GeneratorAwaitable(self._held(inner.aclose().__await__()))


class _GeneratorAwaitable:
    """What a coroutine waits for: the steps of a generator."""

    def __init__(self, steps: Generator[Any, Any, Any]) -> None:
        self._steps = steps

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._steps


class _Plain(_Switch):
    """A switch without options, which also decorates without parentheses."""

    def __new__(cls, function: Any = None) -> Any:
        """A switch, or the function in its mode."""
        made = super().__new__(cls)
        if function is None:
            return made
        made.__init__()  # type: ignore[misc]  # on the class itself
        return made(function)


class no_grad(_Plain):  # noqa: N801  (PyTorch's name)
    """`with no_grad():` or `@no_grad()`: nothing in it is recorded."""

    def __init__(self) -> None:
        super().__init__(False, None)


class enable_grad(_Plain):  # noqa: N801
    """`with enable_grad():` records again inside `no_grad`."""

    def __init__(self) -> None:
        super().__init__(True, False)


class inference_mode(_Switch):  # noqa: N801
    """As `no_grad`, and views are not tied to their base either: the cheapest way to run a model.

    What is made in it may be changed in place only in it (GradError). A view made in it of a tensor
    from outside, changed in place outside, does not pass the change on to the history of its base.
    """

    def __new__(cls, mode: Any = True) -> Any:
        """A switch, or the function in its mode."""
        return cls()(mode) if callable(mode) else super().__new__(cls)

    def __init__(self, mode: bool = True) -> None:
        super().__init__(not mode, mode)


class set_grad_enabled(_Switch):  # noqa: N801
    """Switch recording on or off: at once, and until the end of the block when used in `with`.

    As a decorator it concerns the function alone.
    """

    def __init__(self, mode: bool) -> None:
        super().__init__(bool(mode), False if mode else None)
        self._before.append((MODE.enabled, MODE.inference))
        self._switch()

    def __enter__(self) -> Self:
        self._switch()
        return self

    def __call__(self, function: F) -> F:
        """The function in this mode; outside of it, the mode from before comes back."""
        set_mode(*self._before.pop())
        return super().__call__(function)


def is_grad_enabled() -> bool:
    """Whether operations are recorded in this thread."""
    return MODE.enabled


def is_inference_mode_enabled() -> bool:
    """Whether this thread is in `inference_mode`."""
    return MODE.inference


def capturing() -> bool:
    """Whether this thread captures a plan, in which no value that depends on an input is read."""
    return _native.capturing()


def refuse_trace() -> None:
    """Let the ops that run be asked anew each time (`op(cached=True)`): what they do shows."""
    _native.refuse_trace()
