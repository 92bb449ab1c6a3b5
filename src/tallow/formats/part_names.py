"""Files that are named as one part of several, `model-00001-of-00003.safetensors`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Final

from tallow.errors import FormatError
from tallow.formats.mapping import shown
from tallow.lazy_dataclasses import dataclass

MOST: Final = 10_000  # parts of a set; a longer one is a name that means something else
# Of Hugging Face, torch and llama.cpp alike; some count from 0, some write numbers of other widths,
# and variants stand before the numbers or after them: `model-00001-of-00002.fp16.safetensors`.
_PART: Final = re.compile(
    r"(?P<head>.*[-_.])?(?P<number>\d{1,6})-of-(?P<count>\d{1,6})(?P<tail>(?:\.\w+)+)", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class PartName:
    """A name taken apart: `{head}{number}-of-{count}{tail}`, both numbers as they are written."""

    head: str
    number: str
    count: str
    tail: str

    @property
    def group(self) -> tuple[str, str, str]:
        """What all parts of a set share."""
        return self.head, self.count, self.tail

    @property
    def whole(self) -> str:
        """What the set would be called as a single file: `model.safetensors`."""
        return self.head.rstrip("-_.") + self.tail

    def other(self, number: int) -> str:
        """The name of another part of the set."""
        return f"{self.head}{number:0{len(self.number)}}-of-{self.count}{self.tail}"

    def names(self) -> list[str]:
        """The names of all parts; they count from 1 unless this one says 0."""
        first = 0 if int(self.number) == 0 else 1
        return [self.other(first + at) for at in range(int(self.count))]


def part_name(name: str) -> PartName | None:
    """The parts of a file's name; None where it names no part of a set."""
    found = _PART.fullmatch(name)
    if found is None or not 1 <= int(found["count"]) <= MOST:
        return None
    return PartName(found["head"] or "", found["number"], found["count"], found["tail"])


def whole_set(part: PartName, folder: str, names: Iterable[str]) -> list[str]:
    """The names of the set of `part` in order, out of the `names` of the files of its folder.

    Raises:
        FormatError: a part is missing, stands there twice, or counts beyond the set.
    """
    numbered: dict[int, str] = {}
    for name in names:
        other = part_name(name)
        if other is None or other.group != part.group:
            continue
        number = int(other.number)
        if number in numbered:
            got = f"{shown(numbered[number])} and {shown(name)}"
            raise FormatError(folder, f"part {number} of {part.count}", "one file", got)
        numbered[number] = name
    count = int(part.count)
    first = 0 if 0 in numbered else 1
    wanted = range(first, first + count)
    beyond = sorted(numbered.keys() - set(wanted))
    if beyond:
        place = os.path.join(folder, numbered[beyond[0]])
        raise FormatError(place, "name", f"a part from {first} to {wanted[-1]}", beyond[0])
    missing = [part.other(number) for number in wanted if number not in numbered]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        got = f"{len(numbered)}: {missing[0]}{more} is missing"
        field = f"parts of {part.whole}"
        raise FormatError(folder, field, f"all {count}, for no index tells more", got)
    return [numbered[number] for number in wanted]
