"""Messages, tools and variables of a chat as the plain JSON values that a template may see."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from tallow.errors import ArgumentError
from tallow.lazy_dataclasses import field_names, is_dataclass

MAX_DEPTH: Final = 200
# Names that a message's reasoning goes by: the first is the one that templates read, the second
# that of gpt-oss (as in transformers 5).
REASONING: Final = ("reasoning_content", "thinking", "reasoning")


def plain_messages(messages: object) -> list[dict[str, Any]]:
    """`messages` as dicts of JSON values; a key without a value (None) is left out.

    Raises:
        ArgumentError: no list of messages, or a message without a role or of other values.
    """
    if isinstance(messages, (str, bytes, Mapping)) or not isinstance(messages, Sequence):
        wanted = "a list of messages such as {'role': 'user', 'content': 'Hi'}"
        raise ArgumentError(f"messages: expected {wanted}, got {_named(messages)}")
    return [_message(f"messages[{i}]", message) for i, message in enumerate(messages)]


def plain_tools(tools: object) -> list[Any] | None:
    """`tools` as a list of JSON objects, None for none."""
    if tools is None:
        return None
    found = plain_json(tools, "tools")
    if not isinstance(found, list) or not all(isinstance(tool, dict) for tool in found):
        raise ArgumentError(f"tools: expected a list of JSON schemas, got {_named(tools)}")
    return found


def plain_variables(variables: object) -> dict[str, Any]:
    """The variables of a template as JSON values, none for None."""
    found = {} if variables is None else plain_json(variables, "variables")
    if not isinstance(found, dict):
        raise ArgumentError(f"variables: expected a dict, got {_named(variables)}")
    return found


def plain_json(value: Any, where: str, depth: int = 0) -> Any:
    """`value` with its containers as dicts and lists.

    Raises:
        ArgumentError: it holds something that JSON has no form for.
    """
    if depth > MAX_DEPTH:
        raise ArgumentError(f"{where}: expected at most {MAX_DEPTH} levels, got more")
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, Mapping):
        return {
            _key(key, where): plain_json(item, f"{where}.{key}"[:200], depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [plain_json(item, f"{where}[{i}]"[:200], depth + 1) for i, item in enumerate(value)]
    if is_dataclass(type(value)) and not isinstance(value, type):
        return plain_json(
            {name: getattr(value, name) for name in field_names(value)}, where, depth + 1
        )
    dump = getattr(value, "model_dump", None)  # of the objects that API clients give
    if callable(dump) and not isinstance(value, type):
        return plain_json(dump(), where, depth + 1)
    raise ArgumentError(f"{where}: expected text, numbers, lists and dicts, got {_named(value)}")


def with_texts(value: Any, change: Callable[[str], str]) -> Any:
    """The same JSON value with `change` done to each text in it, keys included."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [with_texts(item, change) for item in value]
    if isinstance(value, dict):
        return {change(key): with_texts(item, change) for key, item in value.items()}
    return value


def _message(where: str, message: object) -> dict[str, Any]:
    found = plain_json(message, where)
    if not isinstance(found, dict):
        raise ArgumentError(
            f"{where}: expected a dict with role and content, got {_named(message)}"
        )
    if not isinstance(found.get("role"), str):
        raise ArgumentError(f"{where}.role: expected a string, got {_named(found.get('role'))}")
    content = found.get("content")
    if content is not None and not isinstance(content, (str, list)):
        wanted = "a string or a list of parts"
        raise ArgumentError(f"{where}.content: expected {wanted}, got {_named(content)}")
    found = {key: value for key, value in found.items() if value is not None}
    reasoning = next((found[name] for name in REASONING if name in found), None)
    if reasoning is not None:
        found = {"thinking": reasoning, **found, "reasoning_content": reasoning}
    return found


def _key(key: object, where: str) -> str:
    if not isinstance(key, str):
        raise ArgumentError(f"{where}: expected keys that are strings, got {_named(key)}")
    return key


def _named(value: object) -> str:
    shown = repr(value) if isinstance(value, (str, int, float, type(None))) else ""
    name = type(value).__name__
    return f"{name} {shown}" if shown and len(shown) <= 60 else name
