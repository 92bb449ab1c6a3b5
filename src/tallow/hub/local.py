"""References that are paths beyond doubt: what a start with a file needs of this package."""

from __future__ import annotations

import os
from pathlib import Path

_BEGINNINGS = ("/", "./", "../")  # of no alias and no scheme


def local_path(ref: str | os.PathLike[str]) -> Path | None:
    """The path that `ref` says, where something stands there; None where `resolve` must tell."""
    text = os.fspath(ref)
    if not isinstance(ref, str) or not text.startswith(_BEGINNINGS) or "\0" in text:
        return None
    return Path(text) if os.path.exists(text) else None
