"""What a model's call takes, which tells the tasks that it can do."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import cache
from inspect import signature
from typing import Any


@cache
def accepted(forward: Callable[..., Any]) -> Collection[str]:
    """The names that a model's call takes."""
    return signature(forward).parameters.keys()
