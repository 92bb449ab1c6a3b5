"""Parts of torch.utils.data beside Tallow's: the sampler of one process of many, stacked sets."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from tallow.data import Dataset, Sampler
from tallow.errors import ArgumentError, expect
from tallow.ops import randperm
from tallow.random import Generator
from tallow.torch import distributed


class DistributedSampler(Sampler[int]):
    """Every `num_replicas`-th index from `rank` on; shuffled anew by `set_epoch`."""

    def __init__(
        self,
        dataset: Any,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        self.num_replicas = distributed.get_world_size() if num_replicas is None else num_replicas
        self.rank = distributed.get_rank() if rank is None else rank
        good = 0 <= self.rank < self.num_replicas
        expect(good, "DistributedSampler", f"a rank below {self.num_replicas}", self.rank,
               ArgumentError)  # fmt: skip
        self.dataset, self.shuffle, self.seed, self.drop_last = dataset, shuffle, seed, drop_last
        self.epoch = 0
        count = len(dataset)
        uneven = count % self.num_replicas and drop_last
        short = (count - self.num_replicas) / self.num_replicas
        self.num_samples = math.ceil(short if uneven else count / self.num_replicas)
        self.total_size = self.num_samples * self.num_replicas

    def __iter__(self) -> Iterator[int]:
        """The indices of this process."""
        count = len(self.dataset)
        if self.shuffle:
            stream = Generator().manual_seed(self.seed + self.epoch)
            order: list[int] = randperm(count, generator=stream).tolist()
        else:
            order = list(range(count))
        if self.drop_last:
            order = order[: self.total_size]
        elif len(order) < self.total_size:
            times = math.ceil(self.total_size / max(count, 1))
            order = (order * times)[: self.total_size]
        return iter(order[self.rank : self.total_size : self.num_replicas])

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Let the next pass have an order of its own."""
        self.epoch = epoch


class StackDataset(Dataset[Any]):
    """Samples of several datasets side by side: a tuple, or a dict by name."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        expect(bool(args) != bool(kwargs), "StackDataset", "datasets, or datasets by name",
               f"{len(args)} and {len(kwargs)}", ArgumentError)  # fmt: skip
        self.datasets: Any = args or kwargs
        given = list(args or kwargs.values())
        sizes = {len(d) for d in given}
        expect(len(sizes) == 1, "StackDataset", "datasets of one length", sorted(sizes),
               ArgumentError)  # fmt: skip
        self._length = sizes.pop()

    def __getitem__(self, index: int) -> Any:
        if isinstance(self.datasets, dict):
            return {name: data[index] for name, data in self.datasets.items()}
        return tuple(data[index] for data in self.datasets)

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """The samples `indices`, at once from the datasets that give them so."""
        named = isinstance(self.datasets, dict)
        columns = [
            _column(d, indices) for d in (self.datasets.values() if named else self.datasets)
        ]
        rows = zip(*columns, strict=True)
        return [dict(zip(self.datasets, row, strict=True)) if named else row for row in rows]

    def __len__(self) -> int:
        return self._length


def _column(dataset: Any, indices: Sequence[int]) -> list[Any]:
    if not callable(getattr(dataset, "__getitems__", None)):
        return [dataset[index] for index in indices]
    found = list(dataset.__getitems__(indices))
    wanted = f"{len(indices)} samples"
    expect(len(found) == len(indices), "StackDataset", wanted, len(found), ArgumentError)
    return found
