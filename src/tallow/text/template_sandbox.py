"""The Jinja environment of chat templates: as transformers sets it up, and with limits.

A template comes with a model file, so it is untrusted: Jinja's sandbox keeps it from Python's
insides, and the limits here keep it from eating memory or time.
"""

from __future__ import annotations

import datetime as dt
import functools
import importlib
import json
import re
from collections.abc import Iterator
from typing import Any, Final

from tallow.errors import MissingExtraError

MAX_STEPS: Final = 200_000  # loop rounds and calls of one rendering
MAX_SIZE: Final = 8_000_000  # characters or items in one value
MAX_WIDTH: Final = 1_000  # columns that a format or an indent may fill

# Filters that pad, slice or invent text at a size of the template's choosing, and that no chat
# needs.
_NO_FILTERS: Final = (
    "batch",
    "center",
    "format",
    "random",
    "slice",
    "urlize",
    "wordwrap",
    "xmlattr",
)
_PADDING: Final = frozenset({"center", "ljust", "rjust", "zfill", "expandtabs"})
_WIDE: Final = re.compile(r"\d{4}|\*")


class TemplateLimit(Exception):  # noqa: N818
    """A template asked for more than the limits allow."""


class Budget:
    """Counts the steps of one rendering."""

    def __init__(self) -> None:
        self.left = MAX_STEPS

    def spend(self) -> None:
        """Take one step; raises TemplateLimit when none is left."""
        self.left -= 1
        if self.left < 0:
            raise TemplateLimit(f"more than {MAX_STEPS} steps")


def import_jinja2() -> Any:
    """The package `jinja2`, with its sandbox.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        importlib.import_module("jinja2.sandbox")
        return importlib.import_module("jinja2")
    except ImportError as error:
        raise MissingExtraError(
            "chat templates need the package jinja2: pip install 'tallow[text]'"
        ) from error


def _limit(value: Any) -> Any:
    """`value`, if it is not too big."""
    if isinstance(value, (str, bytes, list, tuple, dict)) and len(value) > MAX_SIZE:
        raise TemplateLimit(f"a value of more than {MAX_SIZE} characters or items")
    return value


def _limit_size(size: int) -> None:
    if size > MAX_SIZE:
        raise TemplateLimit(f"a value of more than {MAX_SIZE} characters or items")


def _check_binop(operator: str, left: Any, right: Any) -> None:
    if operator == "*":
        for value, times in ((left, right), (right, left)):
            if isinstance(value, (str, bytes, list, tuple)) and isinstance(times, int):
                _limit_size(len(value) * times)
        if isinstance(left, int) and isinstance(right, int):
            _limit_size(left.bit_length() + right.bit_length())
    elif operator == "**" and isinstance(left, int) and isinstance(right, int):
        _limit_size(left.bit_length() * max(right, 0))
    elif operator == "%" and isinstance(left, str) and _WIDE.search(left):
        raise TemplateLimit("a format width of more than 999")
    elif operator == "+" and isinstance(left, (str, list, tuple)) and hasattr(right, "__len__"):
        _limit_size(len(left) + len(right))


def _check_call(function: Any, args: tuple[Any, ...]) -> None:
    """Refuse the methods of strings whose result is far bigger than what goes in."""
    owner = getattr(function, "__self__", None)
    if not isinstance(owner, str):
        return
    name = getattr(function, "__name__", "")
    if name in _PADDING and any(isinstance(arg, int) and arg > MAX_WIDTH for arg in args):
        raise TemplateLimit(f"padding to more than {MAX_WIDTH} columns")
    if name in ("format", "format_map"):
        wide = any(isinstance(arg, int) and arg > MAX_WIDTH for arg in args) and "{" in owner
        if _WIDE.search(owner) or (wide and re.search(r"\{[^{}]*\{", owner)):
            raise TemplateLimit("a format width of more than 999")
    if name == "replace" and len(args) >= 2 and all(isinstance(arg, str) for arg in args[:2]):
        _check_replace(owner, args[0], args[1])
    if name == "join" and args and hasattr(args[0], "__len__"):
        _limit_size(len(owner) * len(args[0]))
    if name == "translate":
        raise TemplateLimit("str.translate")


def _check_replace(text: str, old: str, new: str) -> None:
    _limit_size(len(text) + text.count(old) * max(len(new) - len(old), 0))


def _indent(do_indent: Any, text: str, width: Any = 4, *args: Any, **kwargs: Any) -> Any:
    size = len(width) if isinstance(width, str) else int(width)
    if size > MAX_WIDTH:
        raise TemplateLimit(f"an indent of more than {MAX_WIDTH} columns")
    _limit_size(len(str(text)) + size * (str(text).count("\n") + 1))
    return do_indent(text, width, *args, **kwargs)


def _join(do_join: Any, context: Any, value: Any, d: Any = "", attribute: Any = None) -> Any:
    items = list(value)
    _limit_size(len(items) * max(len(str(d)), 1))
    return _limit(do_join(context, items, d, attribute))


def _replace(do_replace: Any, context: Any, s: Any, old: Any, new: Any, count: Any = None) -> Any:
    _check_replace(str(s), str(old), str(new))
    return do_replace(context, s, old, new, count)


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON without HTML escapes, as transformers writes it."""
    if isinstance(indent, int) and indent > MAX_WIDTH:
        raise TemplateLimit(f"an indent of more than {MAX_WIDTH} columns")
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def _strftime_now(form: str) -> str:
    if _WIDE.search(form):
        raise TemplateLimit("a format width of more than 999")
    return dt.datetime.now().strftime(form)


@functools.cache
def environment_class() -> Any:
    """The sandboxed environment with limits; made here, so that this file imports no jinja2."""
    jinja2 = import_jinja2()
    nodes = jinja2.nodes
    base: Any = jinja2.sandbox.ImmutableSandboxedEnvironment

    class LimitedEnvironment(base):  # type: ignore[misc]
        """Counts loop rounds and calls, and bounds the size of values."""

        intercepted_binops = frozenset({"*", "**", "%", "+"})

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            _check_binop(operator, left, right)
            return _limit(super().call_binop(context, operator, left, right))

        def call(self, context: Any, function: Any, /, *args: Any, **kwargs: Any) -> Any:
            context["__budget"].spend()
            _check_call(function, (*args, *kwargs.values()))
            return _limit(super().call(context, function, *args, **kwargs))

        def _parse(self, source: str, name: str | None, filename: str | None) -> Any:
            return self._limited(super()._parse(source, name, filename))

        def _limited(self, node: Any) -> Any:
            """Count every loop's rounds and measure what `~` joins, by wrapping them in filters."""
            for field, value in list(node.iter_fields()):
                if isinstance(value, nodes.Node):
                    setattr(node, field, self._limited(value))
                elif isinstance(value, list):
                    wrapped = [self._limited(v) if isinstance(v, nodes.Node) else v for v in value]
                    setattr(node, field, wrapped)
            if isinstance(node, nodes.For):
                node.iter = _filter(nodes, "_counted", node.iter)
            elif isinstance(node, nodes.Concat):
                return _filter(nodes, "_joined", nodes.List(node.nodes, lineno=node.lineno))
            return node

    return LimitedEnvironment


def _filter(nodes: Any, name: str, value: Any) -> Any:
    return nodes.Filter(value, name, [], [], None, None, lineno=value.lineno)


def _generation_extension(jinja2: Any) -> Any:
    class Generation(jinja2.ext.Extension):  # type: ignore[misc]
        """`{% generation %}` marks the assistant's words for training; it renders what it holds."""

        tags = frozenset({"generation"})

        def parse(self, parser: Any) -> Any:
            next(parser.stream)
            return parser.parse_statements(["name:endgeneration"], drop_needle=True)

    return Generation


@functools.cache
def environment() -> Any:
    """The environment of every chat template."""
    jinja2 = import_jinja2()
    importlib.import_module("jinja2.ext")

    def raise_exception(message: str) -> None:
        raise jinja2.TemplateError(message)

    def counted(context: Any, value: Any) -> Iterator[Any]:
        budget = context["__budget"]
        for item in value:
            budget.spend()
            yield item

    def joined(values: list[Any]) -> str:
        parts = [str(value) for value in values]
        _limit_size(sum(map(len, parts)))
        return "".join(parts)

    env = environment_class()(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[jinja2.ext.loopcontrols, _generation_extension(jinja2)],
        finalize=_limit,
    )
    filters = env.filters
    for name in _NO_FILTERS:
        filters.pop(name, None)
    filters["_counted"], filters["_joined"] = jinja2.pass_context(counted), joined
    filters["tojson"] = _tojson
    filters["indent"] = functools.partial(_indent, filters["indent"])
    for name, wrapper in (("join", _join), ("replace", _replace)):
        inner = filters[name]
        passes = getattr(inner, "jinja_pass_arg", None)
        wrapped = functools.partial(wrapper, inner)
        if passes is not None:
            wrapped.jinja_pass_arg = passes  # type: ignore[attr-defined]
        filters[name] = wrapped
    for name in ("lipsum", "cycler", "joiner"):
        env.globals.pop(name, None)
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = _strftime_now
    return env
