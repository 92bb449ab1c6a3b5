"""Files that end too early, at each place of a layout where something was to follow."""

from collections.abc import Iterable

Part = tuple[str, bytes]  # what the error must blame when the file ends before or within it, bytes


def whole(parts: Iterable[Part]) -> bytes:
    return b"".join(raw for _, raw in parts)


def cuts(parts: list[Part], suffix: str) -> dict[str, tuple[bytes, str]]:
    """The file without each of its parts and what follows, and with half of it."""
    found: dict[str, tuple[bytes, str]] = {}
    at = 0
    raw = whole(parts)
    for number, (blamed, part) in enumerate(parts):
        name = f"cut-{number:02d}-{blamed.replace(' ', '-').replace('/', '-')}".replace("'", "")
        if at:
            found[f"{name}-missing{suffix}"] = (raw[:at], blamed)
        if len(part) > 1:
            found[f"{name}-halved{suffix}"] = (raw[: at + len(part) // 2], blamed)
        at += len(part)
    return found
