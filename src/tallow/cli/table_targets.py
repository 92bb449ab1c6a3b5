"""Names of the files that a folder gets of several inputs."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

_MOST_BYTES = 200  # of a stem: file systems take 255 of a name, which grows by endings


def stems(ids: Sequence[str], split: bool) -> list[str]:
    """A name without an ending for each input, none twice; of one name the second gets `-2`.

    Where tables are `split` to files of their own, `a-2` is the second table of `a`: names that
    could meet so keep the ending of their input, as `a-2.png`.
    """
    plain = [_short("stdin" if each == "-" else Path(each).stem) for each in ids]
    counts = Counter(plain)
    taken: set[str] = set()
    made = []
    for id, stem in zip(ids, plain, strict=True):
        if split and (counts[stem] > 1 or _is_part(stem, counts)):
            stem = _short(Path(id).name)
        form = "{} ({})" if split else "{}-{}"
        names = itertools.chain([stem], (form.format(stem, n) for n in itertools.count(2)))
        found = next(name for name in names if name not in taken)
        taken.add(found)
        made.append(found)
    return made


def _is_part(stem: str, others: Counter[str]) -> bool:
    """Whether a name is that of a table of another input."""
    match = re.fullmatch(r"(.+)-\d+", stem, re.DOTALL)
    return match is not None and match[1] in others


def _short(name: str) -> str:
    """A name that leaves room for endings, cut at its end where it is long."""
    encoded = name.encode("utf-8", "surrogateescape")
    if len(encoded) <= _MOST_BYTES:
        return name
    return encoded[:_MOST_BYTES].decode("utf-8", "ignore")
