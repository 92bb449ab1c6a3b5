"""Datasets: samples by index (Dataset) or in a stream (IterableDataset), and how they combine."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any, Generic, TypeVar

from tallow.errors import ArgumentError, DTypeError, IndexRangeError, expect
from tallow.factories import tensor
from tallow.tensor import Tensor

T = TypeVar("T")


class Dataset(Generic[T]):
    """Samples by index: a subclass has `__getitem__(index)` and mostly `__len__()`.

    Where it has `batch(indices)` too, a DataLoader without a `collate_fn` of its own takes whole
    batches from it instead of collating samples.
    """

    def __getitem__(self, index: int) -> T:
        raise NotImplementedError(f"{type(self).__name__} has no __getitem__")

    def __add__(self, other: Dataset[T]) -> ConcatDataset[T]:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[T]):
    """Samples in a stream: a subclass has `__iter__()`."""

    def __iter__(self) -> Iterator[T]:
        raise NotImplementedError(f"{type(self).__name__} has no __iter__")

    def __add__(self, other: Any) -> Any:
        return ChainDataset([self, other])


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """Tensors of equal first axes; sample i holds element i of each."""

    def __init__(self, *tensors: Tensor) -> None:
        expect(len(tensors) > 0, TensorDataset, "at least one tensor", "none", ArgumentError)
        lengths = [len(t) for t in tensors]
        expect(len(set(lengths)) == 1, TensorDataset, "first axes of one length", lengths)
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(t[index] for t in self.tensors)

    def __len__(self) -> int:
        return len(self.tensors[0])

    def batch(self, indices: Sequence[int]) -> list[Tensor]:
        """The samples stacked, one gather per tensor."""
        return take(self.tensors, indices)


def take(tensors: Sequence[Tensor], indices: Sequence[int]) -> list[Tensor]:
    """The elements `indices` of each tensor, as new tensors."""
    first, count = (indices[0] if indices else 0), len(indices)
    if count and all(index == first + i for i, index in enumerate(indices)) and first >= 0:
        expect(first + count <= len(tensors[0]), "batch", "indices in range", first + count - 1,
               IndexRangeError)  # fmt: skip
        return [t[first : first + count].clone() for t in tensors]
    where = tensor(list(indices), dtype="i64")
    return [t[where] for t in tensors]


class Subset(Dataset[T]):
    """The samples `indices` of another dataset."""

    def __init__(self, dataset: Dataset[T], indices: Sequence[int]) -> None:
        self.dataset, self.indices = dataset, indices
        inner = getattr(dataset, "batch", None)
        if inner is not None:
            self.batch = lambda chosen: inner([self.indices[i] for i in chosen])

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, list):
            return self.dataset[[self.indices[i] for i in index]]  # type: ignore[index]  # some take lists
        return self.dataset[self.indices[index]]

    def __getitems__(self, indices: Sequence[int]) -> Any:
        """The samples `indices`, at once where the other dataset gives them so."""
        chosen = [self.indices[i] for i in indices]
        if hasattr(self.dataset, "__getitems__"):
            return self.dataset.__getitems__(chosen)
        return [self.dataset[i] for i in chosen]

    def __len__(self) -> int:
        return len(self.indices)


class ConcatDataset(Dataset[T]):
    """One dataset after the other."""

    def __init__(self, datasets: Iterable[Dataset[T]]) -> None:
        self.datasets = list(datasets)
        expect(bool(self.datasets), ConcatDataset, "at least one dataset", "none", ArgumentError)
        for dataset in self.datasets:
            streamed = isinstance(dataset, IterableDataset)
            expect(not streamed, ConcatDataset, "datasets with indices", dataset, ArgumentError)
        self.cumulative_sizes = self.cumsum(self.datasets)

    @staticmethod
    def cumsum(sequence: Iterable[Any]) -> list[int]:
        """Where each of these ends."""
        return list(accumulate(len(part) for part in sequence))

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> T:
        size = len(self)
        if not -size <= index < size:
            raise IndexRangeError(f"ConcatDataset: expected an index below {size}, got {index}")
        index += size if index < 0 else 0
        which = bisect_right(self.cumulative_sizes, index)
        return self.datasets[which][index - (self.cumulative_sizes[which - 1] if which else 0)]


class ChainDataset(IterableDataset[T]):
    """One stream after the other."""

    def __init__(self, datasets: Iterable[Iterable[T]]) -> None:
        self.datasets = datasets

    def __iter__(self) -> Iterator[T]:
        for dataset in self.datasets:
            self._streamed(dataset)
            yield from dataset

    def __len__(self) -> int:
        total = 0
        for dataset in self.datasets:
            self._streamed(dataset)
            total += len(dataset)  # type: ignore[arg-type]  # some have no length
        return total

    def _streamed(self, dataset: Any) -> None:
        good = isinstance(dataset, IterableDataset)
        wanted = "streams (IterableDataset)"
        expect(good, ChainDataset, wanted, type(dataset).__name__, DTypeError)


def random_split(
    dataset: Dataset[T], lengths: Sequence[int | float], generator: Any = None
) -> list[Subset[T]]:
    """Cut a dataset into parts of random samples.

    `lengths` are numbers of samples that sum to all of them, or fractions that sum to 1; what
    rounding leaves over goes to the first parts, one each.
    """
    from tallow.data.sampler import draw_seed, permutation

    total = len(dataset)  # type: ignore[arg-type]  # some have no length
    if lengths and abs(sum(lengths) - 1) < 1e-9 and all(0 <= part <= 1 for part in lengths):
        sizes = [int(total * part) for part in lengths]
        for i in range(total - sum(sizes)):
            sizes[i % len(sizes)] += 1
    else:
        sizes = [int(part) for part in lengths]
    ok = sum(sizes) == total and min(sizes, default=0) >= 0
    expect(ok, random_split, f"lengths that sum to {total}, or to 1", lengths, ArgumentError)
    order = permutation(total, draw_seed(generator))
    ends = list(accumulate(sizes))
    return [Subset(dataset, order[end - size : end]) for size, end in zip(sizes, ends, strict=True)]
