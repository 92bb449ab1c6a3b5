"""Where a name of a WeightSource leads: files of tensors, and parts of the tensors in them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Protocol

from tallow.dtype import DType
from tallow.lazy_dataclasses import dataclass, replace
from tallow.weights.slices import Slice, rows_of, slice_info

if TYPE_CHECKING:
    from tallow.formats.mapping import TensorInfo
    from tallow.tensor import Tensor


class TensorFile(Protocol):
    """What `formats` gives for an open file."""

    @property
    def tensors(self) -> Mapping[str, TensorInfo]:
        """What there is, by name."""

    def tensor(self, name: str) -> Tensor:
        """One tensor, borrowing the file's bytes."""

    def close(self) -> None:
        """Let go of the file; tensors that were taken stay valid."""


class PartialFile(ABC):
    """A file of which parts are worth asking for: fetching all of a tensor would cost more."""

    @abstractmethod
    def part(self, name: str, start: int, stop: int, shape: tuple[int, ...]) -> Tensor:
        """Bytes `start` to `stop` of a tensor, as a tensor of `shape` and the same dtype."""

    @abstractmethod
    def prefetch(self, names: Iterable[str]) -> None:
        """Fetch the bytes of these tensors now, neighbours together."""


class ComputedFile(ABC):
    """A file whose tensors are computed from others, which may fail or depend on the dtype."""

    @abstractmethod
    def tensor_as(self, name: str, dtype: DType) -> Tensor:
        """A tensor in `dtype`, from the stored values without rounding to `info.dtype` between."""

    @abstractmethod
    def problem(self, name: str, dtype: DType | None) -> str | None:
        """Why a tensor cannot be given in `dtype` (None: that of its info), or None if it can."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a visible name leads: a file, the name there, and which part of that tensor."""

    file: TensorFile
    stored: str
    slices: tuple[Slice, ...] = ()

    @property
    def info(self) -> TensorInfo:
        """Dtype, shape and place, without touching a byte of the tensor."""
        return slice_info(self.file.tensors[self.stored], self.slices)

    def read(self, dtype: DType | None) -> Tensor:
        """The tensor; what is computed comes in `dtype`, what is stored as it is."""
        file = self.file
        if self.slices and isinstance(file, PartialFile):
            span = rows_of(file.tensors[self.stored], self.slices)
            if span is not None:
                return file.part(self.stored, *span, self.info.shape)
        if dtype is not None and isinstance(file, ComputedFile):
            tensor = file.tensor_as(self.stored, dtype)
        else:
            tensor = file.tensor(self.stored)
        for part in self.slices:
            tensor = part.of(tensor)
        return tensor

    def problem(self, dtype: DType | None) -> str | None:
        """Why it cannot be read in `dtype`, or None."""
        file = self.file
        return file.problem(self.stored, dtype) if isinstance(file, ComputedFile) else None


def with_slice(entry: Entry, part: Slice) -> Entry:
    """`entry` sliced once more; a second slice of an axis counts from where the first begins."""
    return replace(entry, slices=(*entry.slices, part))
