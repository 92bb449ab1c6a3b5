"""What stands in a file, to be written elsewhere: metadata, and tensors made one at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from tallow.dtype import by_name, f32
from tallow.errors import ModelError
from tallow.lazy_dataclasses import dataclass, field

if TYPE_CHECKING:
    from tallow.formats.mapping import Stored
    from tallow.tensor import Tensor
    from tallow.weights import WeightSource

MAX_EXPANSION = 16.0  # by how much tensors may exceed the bytes that they lie in
FREE_EXPANSION = 64 << 20


@dataclass(frozen=True)
class Entry:
    """A tensor of `dtype` (a name of the dtype table) and row-major `shape`; `take()` makes it.

    `stored` is set for a dtype of the file that is none of ours: the tensor is its bytes. `exact`
    is set for a tensor that a file holds packed (GPTQ and the like): its values in f32.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    take: Callable[[], Tensor]
    stored: Stored | None = None
    exact: Callable[[], Tensor] | None = None

    def values(self) -> Tensor:
        """The tensor; where it is computed from packed numbers in f32, not through blocks."""
        return self.take() if self.exact is None else self.exact()

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Its size in `dtype`."""
        return stored_bytes(self.dtype, self.shape)


@dataclass(frozen=True)
class Content:
    """Entries by name in the order in which they are written, and metadata.

    Values of GGUF metadata are `Typed`. `origin` is the path that errors name, `losses` what the
    source has and the content lacks, in sentences for people.
    """

    origin: str
    entries: dict[str, Entry]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    losses: tuple[str, ...] = ()


def stored_bytes(dtype: str, shape: tuple[int, ...]) -> int:
    """The bytes of a tensor; blocks lie along the last axis, which they divide."""
    row = by_name(dtype)
    return math.prod(shape) // row.block * row.itemsize


def entries_of(source: WeightSource, max_expansion: float = MAX_EXPANSION) -> dict[str, Entry]:
    """The tensors of an open source, as they are.

    Raises:
        ModelError: they take more than `max_expansion` times the bytes of their files, as views do
            that repeat one element.
    """
    taken, stored = source.expansion()
    if taken > max_expansion * stored + FREE_EXPANSION:
        most = f"{max_expansion:g} times the {stored:,} bytes of the file"
        raise ModelError(
            f"{source.label}: expected tensors of at most {most} and {FREE_EXPANSION >> 20} MiB, "
            f"found {taken:,} bytes (--max-expansion allows more)"
        )
    found = {}
    for name in source.names():
        info = source.info(name)
        take = partial(source.take, name)
        exact = partial(source.take, name, f32) if source.is_computed(name) else None
        found[name] = Entry(name, info.dtype, tuple(info.shape), take, info.stored, exact)
    return found


def typed_metadata(source: WeightSource) -> dict[str, Any]:
    """The metadata of a source, with GGUF types where it has them."""
    typed = getattr(source.metadata, "typed_items", None)
    return dict(typed() if typed is not None else source.metadata)
