"""Pictures in prompts: what a model is given of them, and where in the ids they stand."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from tallow.errors import ArgumentError, expect
from tallow.lazy_dataclasses import dataclass
from tallow.tensor import Tensor

_BITS = 62  # of a key that stands for a part of a picture


@dataclass(frozen=True)
class Picture:
    """`inputs` of a model for one picture, and the `tokens` that stand for it in a prompt.

    Of these the ones that are the model's `image_token` give way to its vectors.
    """

    inputs: Mapping[str, Any]
    tokens: Sequence[int]

    def digest(self) -> bytes:
        """What tells it from others: a hash of all inputs."""
        found = hashlib.sha256()
        for name, value in sorted(self.inputs.items()):
            held = value.contiguous().numpy() if isinstance(value, Tensor) else value
            shape = held.shape if isinstance(value, Tensor) else ()
            found.update(f"{name}{shape}".encode())
            found.update(held.tobytes() if isinstance(value, Tensor) else repr(value).encode())
        return found.digest()


def expanded(ids: Sequence[int], pictures: Sequence[Picture], token: int) -> list[int]:
    """The ids with each `token` as the tokens of the next picture.

    Raises:
        ArgumentError: another number of places than of pictures.
    """
    count = sum(each == token for each in ids)
    wanted = f"a place for each of {len(pictures)} pictures"
    expect(count == len(pictures), "prompt", wanted, f"{count} places", ArgumentError)
    found: list[int] = []
    rest = iter(pictures)
    for each in ids:
        if each == token:
            found += next(rest).tokens
        else:
            found.append(each)
    return found


def spans_of(ids: Sequence[int], pictures: Sequence[Picture], token: int) -> list[list[int]]:
    """Where in the expanded ids the vectors of each picture stand."""
    here = (at for at, each in enumerate(ids) if each == token)
    return [
        [at for _, at in zip(range(sum(each == token for each in picture.tokens)), here)]  # noqa: B905
        for picture in pictures
    ]


def keys_of(
    ids: Sequence[int], spans: Sequence[Sequence[int]], pictures: Sequence[Picture]
) -> list[int]:
    """The ids, with numbers below 0 that belong to a picture alone in the places of its vectors."""
    keys = list(ids)
    for span, picture in zip(spans, pictures, strict=True):
        first = int.from_bytes(picture.digest()[:8]) >> (64 - _BITS)
        for n, at in enumerate(span):
            keys[at] = -1 - (first + n) % (1 << _BITS)
    return keys
