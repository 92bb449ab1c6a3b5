"""The Jinja environment of chat templates: as transformers sets it up, and with limits.

A template comes with a model file, so it is untrusted: Jinja's sandbox keeps it from Python's
insides, and `template_limits` from eating memory or time.
"""

from __future__ import annotations

import datetime as dt
import functools
import importlib
import json
from collections.abc import Callable, Iterator
from typing import Any, Final

from tallow.errors import MissingExtraError
from tallow.text.template_limits import (
    Budget,
    check_binop,
    check_call,
    check_format,
    check_replace,
    check_size,
    check_width,
)

# The variable that holds a rendering's Budget, and our filters: no template can write such names.
BUDGET: Final = "the budget"
_ADMITTED, _COUNTED, _JOINED, _SPENT = "it admitted", "it counted", "it joined", "it spent"

# Filters that pad, slice or invent text at a size of the template's choosing, and no chat needs.
_NO_FILTERS: Final = (
    *("batch", "center", "format", "pprint", "random", "slice", "urlize", "wordwrap"),
    *("filesizeformat", "xmlattr"),
)


def import_jinja2() -> Any:
    """The package `jinja2`, with its sandbox.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        importlib.import_module("jinja2.sandbox")
        importlib.import_module("jinja2.ext")
        return importlib.import_module("jinja2")
    except ImportError as error:
        raise MissingExtraError(
            "chat templates need the package jinja2: pip install 'tallow[text]'"
        ) from error


@functools.cache
def environment() -> Any:
    """The environment of every chat template."""
    jinja2 = import_jinja2()

    def raise_exception(message: str) -> None:
        raise jinja2.TemplateError(message)

    def admitted(context: Any, value: Any) -> Any:
        budget: Budget = context[BUDGET]
        budget.spend()
        return budget.admit(value)

    with_context = jinja2.pass_context
    env = _environment_class(jinja2)(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[jinja2.ext.loopcontrols, _generation_extension(jinja2)],
        finalize=with_context(admitted),
    )
    for name in _NO_FILTERS:
        env.filters.pop(name, None)
    for name in ("lipsum", "cycler", "joiner"):
        env.globals.pop(name, None)
    wrapped: dict[str, Callable[..., Any]] = {"indent": _indent, "join": _join, "replace": _replace}
    for name, wrapper in wrapped.items():
        inner = env.filters[name]
        function = functools.partial(wrapper, inner)
        if hasattr(inner, "jinja_pass_arg"):
            vars(function)["jinja_pass_arg"] = inner.jinja_pass_arg
        env.filters[name] = function
    env.filters |= {
        "tojson": _tojson,
        _ADMITTED: with_context(admitted),
        _COUNTED: with_context(_counted),
        _JOINED: with_context(_joined),
        _SPENT: with_context(_spent),
    }
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = _strftime_now
    return env


def _environment_class(jinja2: Any) -> Any:
    nodes = jinja2.nodes
    base: Any = jinja2.sandbox.ImmutableSandboxedEnvironment

    class LimitedEnvironment(base):  # type: ignore[misc]  # jinja2 is imported late
        """Writes into each template the filters that count its steps and measure its values."""

        intercepted_binops = frozenset({"*", "**", "%", "+"})

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            check_binop(operator, left, right)
            return context[BUDGET].admit(super().call_binop(context, operator, left, right))

        def call(self, context: Any, function: Any, /, *args: Any, **kwargs: Any) -> Any:
            budget: Budget = context[BUDGET]
            budget.spend()
            check_call(function, (*args, *kwargs.values()))
            return budget.admit(super().call(context, function, *args, **kwargs))

        def _parse(self, source: str, name: str | None, filename: str | None) -> Any:
            tree = super()._parse(source, name, filename)
            return _limited(nodes, tree).set_environment(self)

    return LimitedEnvironment


def _limited(nodes: Any, node: Any) -> Any:
    """`node` with the rounds of its loops counted and the values that it makes measured."""
    weight = sum(1 for _ in node.find_all(nodes.Node))
    for field, value in list(node.iter_fields()):
        if isinstance(node, (nodes.AssignBlock, nodes.FilterBlock)) and field == "filter":
            continue  # what it filters is measured where it is written
        if isinstance(value, nodes.Node):
            setattr(node, field, _limited(nodes, value))
        elif isinstance(value, list):
            inner = [_limited(nodes, v) if isinstance(v, nodes.Node) else v for v in value]
            setattr(node, field, inner)

    def filtered(name: str, value: Any, *args: Any) -> Any:
        line = node.lineno
        return nodes.Filter(value, name, list(args), [], None, None, lineno=line)

    if isinstance(node, nodes.For):
        node.iter = filtered(_COUNTED, node.iter, nodes.Const(weight))
    elif isinstance(node, (nodes.Macro, nodes.CallBlock)):
        spent = filtered(_SPENT, nodes.Const(weight))
        node.body = [nodes.ExprStmt(spent, lineno=node.lineno), *node.body]
    elif isinstance(node, nodes.TemplateData):  # as an expression, it is measured when written
        return nodes.Const(node.data, lineno=node.lineno)
    elif isinstance(node, nodes.Concat):
        return filtered(_JOINED, nodes.List(node.nodes, lineno=node.lineno))
    elif isinstance(node, (nodes.Filter, nodes.List, nodes.Dict)) or (
        isinstance(node, nodes.Tuple) and node.ctx == "load"
    ):
        return filtered(_ADMITTED, node)
    return node


def _generation_extension(jinja2: Any) -> Any:
    class Generation(jinja2.ext.Extension):  # type: ignore[misc]  # jinja2 is imported late
        """`{% generation %}` marks the assistant's words for training; it renders what it holds."""

        tags = frozenset({"generation"})

        def parse(self, parser: Any) -> Any:
            next(parser.stream)
            return parser.parse_statements(["name:endgeneration"], drop_needle=True)

    return Generation


def _counted(context: Any, value: Any, weight: int) -> Iterator[Any]:
    budget: Budget = context[BUDGET]
    for item in value:
        budget.spend(weight)
        yield item


def _spent(context: Any, weight: int) -> None:
    context[BUDGET].spend(weight)


def _joined(context: Any, values: list[Any]) -> Any:
    budget: Budget = context[BUDGET]
    parts = [str(budget.admit(value)) for value in values]
    check_size(sum(map(len, parts)))
    return budget.admit("".join(parts))


def _indent(inner: Any, text: str, width: Any = 4, *args: Any, **kwargs: Any) -> Any:
    check_width(width)
    columns = len(width) if isinstance(width, str) else int(width)
    check_size(len(str(text)) + columns * (str(text).count("\n") + 1))
    return inner(text, width, *args, **kwargs)


def _join(inner: Any, context: Any, value: Any, d: Any = "", attribute: Any = None) -> Any:
    values = list(value)
    check_size(len(values) * max(len(str(d)), 1))
    if attribute is None:
        check_size(sum(len(value) for value in values if isinstance(value, str)))
    return inner(context, values, d, attribute)


def _replace(inner: Any, context: Any, s: Any, old: Any, new: Any, count: Any = None) -> Any:
    check_replace(str(s), old, new)
    return inner(context, s, old, new, count)


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON without HTML escapes, as transformers writes it."""
    check_width(indent)
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def _strftime_now(form: str) -> str:
    check_format(form)
    return dt.datetime.now().strftime(form)
