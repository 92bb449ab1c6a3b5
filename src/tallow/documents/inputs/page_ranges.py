"""Page ranges as people write them: `1-3,7,10-`."""

from __future__ import annotations

import re

from tallow.errors import ArgumentError

_PART = re.compile(r"(\d{1,9})?\s*(-)?\s*(\d{1,9})?")
_FORM = "page numbers and ranges from 1, as 1-3,7,10-"


def selected(pages: str | None, count: int, name: object) -> list[int]:
    """The numbers, from 1, of the pages that `pages` means in a file of `count`; None: all.

    Each is there once, in the order of the file. `10-` goes to the end, `-3` from the start.

    Raises:
        ArgumentError: it is no such text, or means a page that the file has not.
    """
    if pages is None:
        return list(range(1, count + 1))
    found: set[int] = set()
    for part in pages.split(","):
        first, last = _bounds(part, pages, count)
        if not 1 <= first <= last:
            raise ArgumentError(f"pages: expected {_FORM}, got {pages!r}")
        if last > count:
            raise ArgumentError(f"{name}: pages: expected at most {count}, got {pages!r}")
        found.update(range(first, last + 1))
    return sorted(found)


def _bounds(part: str, pages: str, count: int) -> tuple[int, int]:
    match = _PART.fullmatch(part.strip())
    if match is None or not any(match.groups()) or part.strip() == "-":
        raise ArgumentError(f"pages: expected {_FORM}, got {pages!r}")
    first, dash, last = match.groups()
    if dash is None:
        return int(first), int(first)
    return int(first or 1), int(last) if last else max(count, int(first or 1))
