"""What a chat template may cost: steps, sizes of values, and widths of padding."""

from __future__ import annotations

import re
from typing import Any, Final

MAX_STEPS: Final = 10_000_000  # parts of a template that are run, rounds of loops counted
MAX_SIZE: Final = 8_000_000  # characters in one value, those of its items included
MAX_TOTAL: Final = 16 * MAX_SIZE  # the same for all values of one rendering
ITEM_SIZE: Final = 16  # what an item counts besides its characters
MAX_WIDTH: Final = 1_000  # columns that a format or an indent may fill

_PADDING: Final = frozenset({"center", "ljust", "rjust", "zfill", "expandtabs"})
_WIDE: Final = re.compile(r"\d{4}|\*")


class TemplateLimit(Exception):  # noqa: N818
    """A template asked for more than the limits allow."""


class Budget:
    """Counts what one rendering has used."""

    def __init__(self) -> None:
        self._steps = MAX_STEPS
        self._total = MAX_TOTAL
        self._sizes: dict[int, tuple[Any, int]] = {}

    def spend(self, steps: int = 1) -> None:
        """Take some steps; raises TemplateLimit when none are left."""
        self._steps -= steps
        if self._steps < 0:
            raise TemplateLimit(f"more than {MAX_STEPS} steps")

    def admit(self, value: Any) -> Any:
        """`value`, if it is not too big."""
        if isinstance(value, (str, bytes, list, tuple, dict)):
            check_size(self._size(value))
            self._total -= len(value) * (1 if isinstance(value, (str, bytes)) else ITEM_SIZE)
            if self._total < 0:
                raise TemplateLimit(f"values of more than {MAX_TOTAL} characters in all")
        return value

    def _size(self, value: Any) -> int:
        """The items in `value` and in its items: a list may hold another one many times over."""
        if isinstance(value, (str, bytes)):
            return len(value)
        if not isinstance(value, (list, tuple, dict)):
            return ITEM_SIZE
        known = self._sizes.get(id(value))
        if known is not None:
            return known[1]
        items = [*value, *value.values()] if isinstance(value, dict) else value
        size = ITEM_SIZE + sum(map(self._size, items))
        self._sizes[id(value)] = (value, size)  # the reference keeps the id from being used again
        return size


def check_size(size: int) -> None:
    """Raise TemplateLimit for a size beyond the limit."""
    if size > MAX_SIZE:
        raise TemplateLimit(f"a value of more than {MAX_SIZE} characters")


def check_width(width: Any) -> None:
    """Raise TemplateLimit for padding beyond the limit; `width` is a number or the padding."""
    columns = len(width) if isinstance(width, str) else width
    if isinstance(columns, int) and columns > MAX_WIDTH:
        raise TemplateLimit(f"padding to more than {MAX_WIDTH} columns")


def check_format(text: str) -> None:
    """Raise TemplateLimit for a format with a width of four digits or taken from an argument."""
    if _WIDE.search(text):
        raise TemplateLimit("a format width of more than 999")


def check_binop(operator: str, left: Any, right: Any) -> None:
    """Refuse an operation whose result would be too big, before it is computed."""
    if operator == "*":
        for value, times in ((left, right), (right, left)):
            if isinstance(value, (str, bytes, list, tuple)) and isinstance(times, int):
                check_size(len(value) * times * (1 if isinstance(value, str) else ITEM_SIZE))
        if isinstance(left, int) and isinstance(right, int):
            check_size(left.bit_length() + right.bit_length())
    elif operator == "**" and isinstance(left, int) and isinstance(right, int):
        check_size(left.bit_length() * max(right, 0))
    elif operator == "%" and isinstance(left, str):
        check_format(left.replace("%%", ""))


def check_call(function: Any, args: tuple[Any, ...]) -> None:
    """Refuse calls of string methods whose result would be far bigger than what goes in."""
    function = getattr(function, "__wrapped__", function)  # the sandbox wraps `format`
    owner = getattr(function, "__self__", None)
    if not isinstance(owner, str):
        return
    name = getattr(function, "__name__", "")
    if name in _PADDING:
        for arg in args:
            check_width(arg if isinstance(arg, int) else 0)
    elif name in ("format", "format_map"):
        check_format(owner)
        if re.search(r"\{[^{}]*\{", owner):
            raise TemplateLimit("a format width taken from an argument")
    elif name == "replace" and len(args) >= 2:
        check_replace(owner, args[0], args[1])
    elif name == "join" and args and hasattr(args[0], "__len__"):
        check_size(len(owner) * len(args[0]))
    elif name == "translate":
        raise TemplateLimit("str.translate")


def check_replace(text: str, old: Any, new: Any) -> None:
    """Refuse a replacement whose result would be too big."""
    check_size(len(text) + text.count(str(old)) * max(len(str(new)) - len(str(old)), 0))
