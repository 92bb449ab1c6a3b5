"""Finds tokens that stand literally in text, such as `<|im_end|>`, before a model sees the rest."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

_SPACES: Final = " \t\n\v\f\r"


class AddedTokens:
    """Cuts text into plain pieces and the ids of `tokens`; at each place the longest one wins.

    The ids in `strips_before` and `strips_after` swallow the white space of ASCII on that side, as
    in llama.cpp, or other `spaces` (None: all of Unicode's).
    """

    def __init__(
        self,
        tokens: Mapping[str, int],
        *,
        strips_before: frozenset[int] = frozenset(),
        strips_after: frozenset[int] = frozenset(),
        spaces: str | None = _SPACES,
    ) -> None:
        self._spaces = spaces
        self._strips_before = strips_before
        self._strips_after = strips_after
        self._ids = {text: index for text, index in tokens.items() if text}
        lengths: dict[str, set[int]] = {}
        for text in self._ids:
            lengths.setdefault(text[0], set()).add(len(text))
        self._lengths = {char: sorted(found, reverse=True) for char, found in lengths.items()}
        firsts = "".join(map(re.escape, self._lengths))
        self._first = re.compile(f"[{firsts}]") if firsts else None

    def split(self, text: str) -> Iterator[str | int]:
        """The pieces of `text` in order: a string of plain text, or the id of a token."""
        if self._first is None:
            if text:
                yield text
            return
        done = at = 0
        while found := self._first.search(text, at):
            at = found.start()
            for length in self._lengths[found.group()]:
                index = self._ids.get(text[at : at + length])
                if index is not None:
                    plain = text[done:at]
                    if index in self._strips_before:
                        plain = plain.rstrip(self._spaces)
                    if plain:
                        yield plain
                    yield index
                    at += length
                    if index in self._strips_after:
                        rest = text[at:]
                        at += len(rest) - len(rest.lstrip(self._spaces))
                    done = at
                    break
            else:
                at += 1
        if done < len(text):
            yield text[done:]

    def begins_at_end_of(self, text: str) -> bool:
        """Whether the end of `text` is the beginning, but not the whole, of some token."""
        longest = max(map(len, self._ids), default=0)
        ends = tuple(text[-length:] for length in range(1, min(longest, len(text) + 1)))
        return any(token.startswith(ends) and token not in ends for token in self._ids)
