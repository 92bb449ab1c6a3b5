"""What a model's call takes, which tells the tasks that it can do."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import cache
from typing import Any

_VAR_POSITIONAL, _VAR_KEYWORD = 4, 8  # CO_VARARGS and CO_VARKEYWORDS of CPython's code.h


@cache
def accepted(forward: Callable[..., Any]) -> Collection[str]:
    """The names that a model's call takes."""
    code = getattr(forward, "__code__", None)
    if code is None or hasattr(forward, "__wrapped__"):
        from inspect import signature

        return signature(forward).parameters.keys()
    variadic = bool(code.co_flags & _VAR_POSITIONAL) + bool(code.co_flags & _VAR_KEYWORD)
    count = code.co_argcount + code.co_kwonlyargcount + variadic
    return frozenset(code.co_varnames[:count])
