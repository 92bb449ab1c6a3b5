"""torch.utils._contextlib: context managers that are decorators, too."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any


def context_decorator(ctx: Any, func: Callable[..., Any]) -> Callable[..., Any]:
    """`func` run in a context that `ctx()` makes, or in `ctx` itself."""

    @functools.wraps(func)
    def within(*args: Any, **kwargs: Any) -> Any:
        with ctx() if callable(ctx) and not hasattr(ctx, "__enter__") else ctx:
            return func(*args, **kwargs)

    return within


class _DecoratorContextManager:
    """Base of context managers that also decorate functions."""

    def __call__(self, func: Callable[..., Any]) -> Callable[..., Any]:
        return context_decorator(self.clone, func)

    def __enter__(self) -> Any:
        raise NotImplementedError

    def __exit__(self, *_: object) -> None:
        raise NotImplementedError

    def clone(self) -> Any:
        """Another of its kind."""
        return self.__class__()


class _NoParamDecoratorContextManager(_DecoratorContextManager):
    """The same, also without parentheses."""

    def __new__(cls, orig_func: Callable[..., Any] | None = None) -> Any:
        """A context manager, or the function decorated."""
        made = super().__new__(cls)
        return made if orig_func is None else made(orig_func)
