"""Keys whose hashes were chosen to collide: found out before a dict or set spends the time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

FEW: Final = 1024  # members up to which even the worst keys cost little
_FREE: Final = 1 << 16  # steps of a search beyond those that a key pays for
_PAID: Final = 32
_LINEAR: Final = 9  # slots that a set looks at in a row
_WORD: Final = (1 << 64) - 1


class HashTable:
    """The table of CPython's dict or set for the keys so far, played through to count its steps.

    Hashes of texts are salted, those of numbers and of tuples of them are not: a file can hold keys
    that all meet at the same slots, and each is then compared with all before it. `refuse` is
    called when that happens. Source: `Objects/dictobject.c`, `Objects/setobject.c`.
    """

    def __init__(self, keys: Any, *, linear: bool, refuse: Callable[[int], None]) -> None:
        self._linear, self._refuse = linear, refuse
        self._hashes: list[int] = []
        self._steps = 0
        self._mask = 7
        self._taken = bytearray(8)
        for key in keys:
            self.add(key)

    def add(self, key: Any) -> None:
        """Play a new key through."""
        value = hash(key) & _WORD
        self._hashes.append(value)
        count = len(self._hashes)
        full = count * 5 > self._mask * 3 if self._linear else count * 3 > (self._mask + 1) * 2
        if full:
            grown = count * (2 if self._linear and count > 50_000 else 4 if self._linear else 3)
            self._mask = (1 << grown.bit_length()) - 1
            self._taken = bytearray(self._mask + 1)
            for each in self._hashes:
                self._place(each)
        else:
            self._place(value)
        if self._steps > _FREE + _PAID * count:
            self._refuse(count)

    def _place(self, value: int) -> None:
        taken, mask, linear = self._taken, self._mask, self._linear
        at, perturb, steps = value & mask, value, 0
        limit = _FREE + _PAID * len(self._hashes) - self._steps
        while taken[at] and steps <= limit:
            steps += 1
            if linear and at + _LINEAR <= mask:
                free = taken.find(0, at, at + _LINEAR + 1)
                if free >= 0:
                    at = free
                    break
                steps += _LINEAR
            perturb >>= 5
            at = (at * 5 + perturb + 1) & mask
        taken[at] = 1
        self._steps += steps
