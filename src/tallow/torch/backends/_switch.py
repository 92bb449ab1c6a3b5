"""Settings of a back end, held for a block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def held(module: dict[str, Any], **values: Any) -> Iterator[None]:
    """Set names of a module until the end of the block."""
    before = {name: module[name] for name in values}
    module.update(values)
    try:
        yield
    finally:
        module.update(before)
