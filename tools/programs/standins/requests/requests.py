"""Stands in for requests: what is asked for lies in the working directory under its own name."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class Response:
    """A file as an answer."""

    def __init__(self, url: str) -> None:
        self.raw = Path(url.rpartition("/")[2]).open("rb")  # noqa: SIM115  (closed by __exit__)

    @property
    def content(self) -> bytes:
        """All bytes."""
        with self.raw:
            return self.raw.read()

    def __enter__(self) -> Response:
        return self

    def __exit__(self, *_: Any) -> None:
        self.raw.close()


def get(url: str, **_: Any) -> Response:
    """The file that the address ends with."""
    return Response(url)
