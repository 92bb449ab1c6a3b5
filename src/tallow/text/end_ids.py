"""Which ids end a generation by the configs of a Hugging Face folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tallow.text.folder_files import read_config


def configured_ends(path: Path, config: Mapping[str, Any] | None = None) -> list[int]:
    """`eos_token_id` of generation_config.json, else of config.json: one or several.

    Raises:
        FormatError: a file is not JSON, or the value is no id.
    """
    for name in ("generation_config.json", "config.json"):
        values = config if config is not None and name == "config.json" else read_config(path, name)
        value = values.get("eos_token_id")
        if value is not None:
            ids = value if isinstance(value, list) else [value]
            return [index for index in ids if type(index) is int and index >= 0]
    return []
