"""Datasets and samplers: indexing, combining, splitting, orders."""

from __future__ import annotations

from collections import Counter

import pytest

import tallow as tl
from tallow.data import (
    BatchSampler,
    ChainDataset,
    ConcatDataset,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
    random_split,
)
from tallow.errors import IndexRangeError, TallowError


class Squares(Dataset):
    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        return i * i


class Stream(IterableDataset):
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        return iter(range(self.n))


def test_tensor_dataset():
    data = TensorDataset(tl.arange(10), tl.arange(20).reshape(10, 2))
    assert len(data) == 10
    assert [t.tolist() for t in data[3]] == [3, [6, 7]]
    assert [t.tolist() for t in data.batch([4, 1])] == [[4, 1], [[8, 9], [2, 3]]]
    assert [t.tolist() for t in data.batch([4, 5])] == [[4, 5], [[8, 9], [10, 11]]]
    data.batch([0, 1])[0].zero_()  # a batch is a copy
    assert data[1][0].item() == 1
    for indices in ([10], [9, 10], [-11]):
        with pytest.raises(IndexRangeError):
            data.batch(indices)
    with pytest.raises(TallowError, match="length"):
        TensorDataset(tl.zeros(3), tl.zeros(4))
    with pytest.raises(TallowError):
        TensorDataset()


def test_combining():
    both = Squares(3) + Squares(4)
    assert isinstance(both, ConcatDataset) and [both[i] for i in range(7)] == [0, 1, 4, 0, 1, 4, 9]
    assert both[-1] == 9 and both[-7] == 0
    for index in (7, -8):
        with pytest.raises(IndexRangeError):
            both[index]
    assert list(Stream(2) + Stream(3)) == [0, 1, 0, 1, 2]
    assert isinstance(Stream(2) + Stream(3), ChainDataset)
    assert [Subset(Squares(9), [8, 2])[i] for i in range(2)] == [64, 4]
    with pytest.raises(TallowError):
        ConcatDataset([Stream(3)])
    with pytest.raises(TallowError):
        ConcatDataset([])


def test_random_split():
    parts = random_split(Squares(10), [7, 3], generator=tl.Generator().manual_seed(1))
    assert [len(part) for part in parts] == [7, 3]
    seen = sorted(index for part in parts for index in part.indices)
    assert seen == list(range(10))
    again = random_split(Squares(10), [7, 3], generator=tl.Generator().manual_seed(1))
    assert [list(p.indices) for p in parts] == [list(p.indices) for p in again]
    assert [len(part) for part in random_split(Squares(10), [0.5, 0.25, 0.25])] == [6, 2, 2]
    for lengths in ([5, 4], [11, -1], []):
        with pytest.raises(TallowError):
            random_split(Squares(10), lengths)


def test_samplers():
    assert list(SequentialSampler(range(4))) == [0, 1, 2, 3]
    shuffled = RandomSampler(range(50), generator=tl.Generator().manual_seed(3))
    first, second = list(shuffled), list(shuffled)
    assert sorted(first) == sorted(second) == list(range(50)) and first != second
    again = RandomSampler(range(50), generator=tl.Generator().manual_seed(3))
    assert list(again) == first
    state = shuffled.state_dict()
    again.load_state_dict(state)
    assert list(again) == second
    more = list(RandomSampler(range(5), num_samples=12))
    assert len(more) == 12 and sorted(more[:5]) == sorted(more[5:10]) == list(range(5))
    drawn = RandomSampler(range(5), replacement=True, num_samples=3000)
    counts = Counter(drawn)
    assert len(drawn) == 3000 and all(abs(counts[i] - 600) < 120 for i in range(5))
    assert sorted(SubsetRandomSampler([3, 9, 27])) == [3, 9, 27]
    counts = Counter(WeightedRandomSampler([0.0, 1.0, 3.0], 4000))
    assert counts[0] == 0 and abs(counts[2] - 3000) < 200
    assert sorted(WeightedRandomSampler([1, 5, 0, 2], 3, replacement=False)) == [0, 1, 3]
    assert list(BatchSampler(range(7), 3, False)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(BatchSampler(range(7), 3, True)) == [[0, 1, 2], [3, 4, 5]]
    assert [len(BatchSampler(range(7), 3, drop)) for drop in (False, True)] == [3, 2]
    for bad in (
        lambda: RandomSampler(range(3), num_samples=0),
        lambda: WeightedRandomSampler([0.0, 0.0], 1),
        lambda: WeightedRandomSampler([-1.0, 2.0], 1),
        lambda: WeightedRandomSampler([1.0, 0.0], 2, replacement=False),
        lambda: BatchSampler(range(3), 0, False),
        lambda: RandomSampler(range(3)).load_state_dict({"seed": -1}),
        lambda: RandomSampler(range(3)).load_state_dict({"seed": "x"}),
    ):
        with pytest.raises(TallowError):
            bad()


def test_the_global_seed_fixes_the_order():
    tl.manual_seed(5)
    first = list(RandomSampler(range(30)))
    tl.manual_seed(5)
    assert list(RandomSampler(range(30))) == first


def test_collate():
    batch = default_collate([{"x": tl.tensor([1.0]), "n": 2, "s": "a"},
                             {"x": tl.tensor([3.0]), "n": 4, "s": "b"}])  # fmt: skip
    assert batch["x"].tolist() == [[1], [3]] and batch["n"].tolist() == [2, 4]
    assert batch["s"] == ["a", "b"] and batch["n"].dtype is tl.i64
    assert default_collate([0.5, 1.5]).dtype is tl.f64
    assert default_collate([True, False]).dtype is tl.bool_
    pairs = default_collate([(1, [2, 3]), (4, [5, 6])])
    assert [p.tolist() if hasattr(p, "tolist") else [q.tolist() for q in p] for p in pairs] == [
        [1, 4],
        [[2, 5], [3, 6]],
    ]
    with pytest.raises(TallowError, match="length"):
        default_collate([[1, 2], [3]])
    with pytest.raises(TallowError, match="object"):
        default_collate([object()])
