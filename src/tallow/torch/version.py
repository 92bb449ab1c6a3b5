"""The version of PyTorch whose names these are, and that nothing of CUDA is in it."""

from __future__ import annotations

from tallow._version import __version__ as _tallow


class TorchVersion(str):
    """A version that compares by its numbers: with a text, or with a tuple."""

    def _numbers(self, other: object) -> tuple[list[int], list[int]]:
        given = ".".join(map(str, other)) if isinstance(other, (tuple, list)) else str(other)
        return _release(self), _release(given)

    def __lt__(self, other: object) -> bool:
        own, given = self._numbers(other)
        return own < given

    def __le__(self, other: object) -> bool:
        own, given = self._numbers(other)
        return own <= given

    def __gt__(self, other: object) -> bool:
        own, given = self._numbers(other)
        return own > given

    def __ge__(self, other: object) -> bool:
        own, given = self._numbers(other)
        return own >= given

    def __eq__(self, other: object) -> bool:
        own, given = self._numbers(other)
        return own == given

    def __hash__(self) -> int:
        return hash(str(self))


def _release(text: str) -> list[int]:
    """The numbers of "2.13.0+tallow" without trailing zeros."""
    numbers = []
    for part in text.partition("+")[0].split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        numbers.append(int(digits))
    while numbers and not numbers[-1]:
        numbers.pop()
    return numbers


__version__ = TorchVersion(f"2.13.0+tallow{_tallow}")
git_version = "unknown"
cuda = hip = rocm = xpu = None
debug = False
