"""The rows: which nodes an op of ours becomes."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from tallow.callers import VARIADIC
from tallow.registry import Op

# Modules of rows; a name stands in one of them.
GROUPS: Final = (
    "elementwise",
    "shapes",
    "indexing",
    "reductions",
    "layers",
    "recurrent",
    "images",
    "composed",
)


class Row(NamedTuple):
    """Writes an op: `write(g, out, **arguments)` gives the result, or a list of several.

    `out` is the result to come, or a list. Where `when` says no to the arguments of a call, the
    op's reference is written.
    """

    write: Callable[..., Any]
    when: Callable[..., bool] | None = None


ROWS: Final[dict[str, Row]] = {}


def row(*names: str, when: Callable[..., bool] | None = None) -> Callable[[Any], Any]:
    """Register a function as the row of ops."""

    def register(function: Any) -> Any:
        for name in names:
            ROWS[name] = Row(function, when)
        return function

    return register


def rows() -> dict[str, Row]:
    """All rows by the ops' names."""
    for group in GROUPS:
        importlib.import_module(f"tallow.onnx.exporter.{group}")
    return ROWS


def knows(name: str, arguments: dict[str, Any]) -> bool:
    """Whether a row takes a call."""
    found = rows().get(name)
    return found is not None and (found.when is None or found.when(**arguments))


def bind(op: Op[..., Any], args: Iterable[Any], named: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call by the op's parameters; a `*name` parameter is a tuple."""
    left = list(args)
    bound: dict[str, Any] = {}
    for name, keyword, default in op.parameters:
        if default is VARIADIC:
            bound[name], left = tuple(left), []
        elif left and not keyword:
            bound[name] = left.pop(0)
        else:
            bound[name] = named.get(name, default)
    return bound
