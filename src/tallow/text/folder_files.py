"""The JSON files of a Hugging Face folder, read with a check."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tallow.errors import FormatError, ModelError


def parse_json(file: Path, source: str) -> dict[str, Any]:
    """The object that `source`, the content of `file`, stands for; else a FormatError."""
    try:
        root = json.loads(source)
    except (ValueError, RecursionError) as error:
        raise FormatError(file, "content", "JSON", error) from None
    if not isinstance(root, dict):
        raise FormatError(file, "content", "an object", type(root).__name__)
    return root


def read_config(path: Path, name: str) -> dict[str, Any]:
    """The object in a file of the folder; an empty one where there is no such file."""
    file = path / name
    if not file.is_file():
        return {}
    return parse_json(file, file.read_text(encoding="utf-8", errors="replace"))


def field_of(file: Path, owner: Mapping[str, Any], name: str, kind: type, default: Any) -> Any:
    """A value of that kind, `default` where it is absent or null; else a FormatError."""
    value = owner.get(name)
    if value is None:
        return default
    if not isinstance(value, kind):
        raise FormatError(file, name, f"a JSON {kind.__name__}", type(value).__name__)
    return value


def steps_of(part: Any, children: str) -> list[dict[str, Any]]:
    """A component of tokenizer.json as the flat list of its steps.

    `children` is the key under which a Sequence keeps its list.
    """
    if not isinstance(part, dict):
        return []
    if not isinstance(part.get("type"), (str, type(None))):
        kind = str(part["type"])[:60]
        raise ModelError(f"tokenizer.json: {children}: expected the name of a step, got {kind}")
    inner = part.get(children)
    if part.get("type") == "Sequence" and isinstance(inner, list):
        return [step for child in inner for step in steps_of(child, children)]
    return [part]


def chat_template_of(config: Mapping[str, Any], path: Path) -> str | None:
    """The template of a folder's chats: that of its own file, else of the configs; None without."""
    file = path / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    value = config.get("chat_template") or read_config(path, "chat_template.json").get(
        "chat_template"
    )
    if isinstance(value, list):  # several by name: the one called "default"
        rows = [row for row in value if isinstance(row, dict)]
        value = next((r.get("template") for r in rows if r.get("name") == "default"), None)
    return value if isinstance(value, str) else None
