"""DataLoader: batches, threads, exceptions, early ends, resuming."""

from __future__ import annotations

import threading
import time

import pytest

import tallow as tl
from tallow.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    TensorDataset,
    get_worker_info,
)
from tallow.errors import TallowError


class Slow(Dataset):
    """Samples that take a while, the first ones of a batch longest."""

    def __init__(self, n, bad=None):
        self.n, self.bad = n, bad

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        time.sleep(0.002 * (i % 3))
        if i == self.bad:
            raise KeyError(f"sample {i}")
        return i, float(i) / 2


class Stream(IterableDataset):
    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def __iter__(self):
        return iter(range(self.n))


def values(loader):
    return [tuple(part.tolist() for part in batch) for batch in loader]


def loader_threads():
    return [t for t in threading.enumerate() if t.name.startswith("tallow-loader")]


def test_batches():
    x = tl.arange(10)
    assert [b[0].tolist() for b in DataLoader(TensorDataset(x), 4)] == [
        [0, 1, 2, 3], [4, 5, 6, 7], [8, 9]
    ]  # fmt: skip
    loader = DataLoader(TensorDataset(x), 4, drop_last=True)
    assert len(loader) == 2 and len(list(loader)) == 2
    assert len(DataLoader(TensorDataset(x), 4)) == 3
    assert [i for i, _ in DataLoader(Slow(3), batch_size=None)] == [0, 1, 2]
    assert [b.tolist() for b in DataLoader(range(4), 3)] == [[0, 1, 2], [3]]
    batches = DataLoader(TensorDataset(x), batch_sampler=[[1, 9], [3]])
    assert [b[0].tolist() for b in batches] == [[1, 9], [3]]
    assert list(DataLoader([1, 2, 3], 2, collate_fn=sum)) == [3, 3]
    assert [b[0].tolist() for b in DataLoader(TensorDataset(x), 5, sampler=[7, 8, 2])] == [
        [7, 8, 2]
    ]


@pytest.mark.parametrize("workers", [1, 3])
def test_threads_change_nothing(workers):
    def make(n):
        return DataLoader(
            Slow(23), 4, shuffle=True, num_workers=n, generator=tl.Generator().manual_seed(7)
        )

    assert values(make(workers)) == values(make(0))
    assert not loader_threads()


@pytest.mark.parametrize("workers", [0, 2])
def test_streams(workers):
    loader = DataLoader(Stream(10), 4, num_workers=workers)
    assert [b.tolist() for b in loader] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert len(loader) == 3
    assert len(list(DataLoader(Stream(10), 4, num_workers=workers, drop_last=True))) == 2
    assert list(DataLoader(Stream(3), None, num_workers=workers)) == [0, 1, 2]


@pytest.mark.parametrize("workers", [0, 2])
def test_an_exception_tells_its_place(workers):
    iterator = iter(DataLoader(Slow(20, bad=9), 4, num_workers=workers))
    seen = [next(iterator)[0].tolist() for _ in range(2)]
    with pytest.raises(KeyError, match="sample 9") as caught:
        next(iterator)
    assert seen == [[0, 1, 2, 3], [4, 5, 6, 7]]
    note = caught.value.__notes__[0]
    assert "batch 2" in note and "[8, 9, 10, 11]" in note and ("worker" in note) == bool(workers)
    assert any("__getitem__" in str(entry) for entry in caught.traceback)
    assert not loader_threads()


def test_an_exception_in_a_stream_and_in_the_start_of_a_worker():
    class Bad(Stream):
        def __iter__(self):
            yield from (1, 2, 3)
            raise RuntimeError("gone")

    for workers in (0, 1):
        iterator = iter(DataLoader(Bad(9), 2, num_workers=workers))
        assert next(iterator).tolist() == [1, 2]
        with pytest.raises(RuntimeError, match="gone"):
            next(iterator)
    with pytest.raises(Exception, match="initializer"):
        list(DataLoader(range(3), num_workers=1, worker_init_fn=lambda i: 1 / 0))


def test_leaving_early_stops_the_threads():
    for _ in DataLoader(Slow(1000), 2, num_workers=2):
        break
    assert not loader_threads()
    iterator = iter(DataLoader(Slow(1000), 2, num_workers=2))
    next(iterator)
    del iterator
    assert not loader_threads()


def test_threads_read_ahead_but_not_far():
    asked = []

    class Watched(Dataset):
        def __len__(self):
            return 100

        def __getitem__(self, i):
            asked.append(i)
            return i

    for i, _ in enumerate(DataLoader(Watched(), 1, num_workers=2, prefetch_factor=3)):
        time.sleep(0.005)
        assert len(asked) <= i + 1 + 6
        if i == 5:
            assert len(asked) > i + 1
            break


def test_workers_know_themselves():
    seen = []
    begun = []

    class Asking(Dataset):
        def __len__(self):
            return 8

        def __getitem__(self, i):
            seen.append(get_worker_info())
            time.sleep(0.003)
            return i

    list(DataLoader(Asking(), num_workers=2, worker_init_fn=begun.append))
    assert {info.id for info in seen} <= {0, 1} and seen[0].num_workers == 2
    assert sorted(begun)[0] == 0
    assert get_worker_info() is None


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("shuffle", [False, True])
def test_resuming_in_the_middle(workers, shuffle):
    def make(seed):
        return DataLoader(
            Slow(30), 4, shuffle=shuffle, num_workers=workers,
            generator=tl.Generator().manual_seed(seed),
        )  # fmt: skip

    loader = make(1)
    list(loader)  # a pass before
    rest, state = [], None
    for i, batch in enumerate(loader):
        if state is not None:
            rest.append(batch[0].tolist())
        if i == 3:
            state = loader.state_dict()
    other = make(2)
    other.load_state_dict(state)
    assert repr(other.state_dict()) == repr(state)
    assert [batch[0].tolist() for batch in other] == rest
    assert len(list(other)) == 8  # the pass after is a whole one
    fresh = make(3)
    fresh.load_state_dict(loader.state_dict())  # between two passes
    assert values(fresh) == values(loader)


def test_resuming_a_stream():
    loader = DataLoader(Stream(20), 3)
    iterator = iter(loader)
    for _ in range(4):
        next(iterator)
    other = DataLoader(Stream(20), 3)
    other.load_state_dict(loader.state_dict())
    assert [b.tolist() for b in other] == [b.tolist() for b in iterator]


def test_what_is_refused():
    x = TensorDataset(tl.arange(4))
    for options in (
        {"batch_size": 0}, {"batch_size": 2.0}, {"num_workers": -1}, {"timeout": -1},
        {"prefetch_factor": 0}, {"shuffle": True, "sampler": [0]},
        {"batch_sampler": [[0]], "batch_size": 2}, {"batch_sampler": [[0]], "shuffle": True},
        {"batch_size": None, "drop_last": True},
    ):  # fmt: skip
        with pytest.raises(TallowError):
            DataLoader(x, **options)
    with pytest.raises(TallowError):
        DataLoader(Stream(3), shuffle=True)
    loader = DataLoader(x, shuffle=True)
    for state in (
        {}, {"position": -1}, {"position": "x", "sampler": {}}, {"position": 1},
        {"position": 1, "sampler": []}, {"position": 1, "sampler": {"seed": 1.5}},
        {"position": True, "sampler": {}},
    ):  # fmt: skip
        with pytest.raises(TallowError):
            loader.load_state_dict(state)


def test_a_position_behind_the_end_gives_nothing():
    loader = DataLoader(TensorDataset(tl.arange(4)), 2)
    loader.load_state_dict({"position": 10**12})
    assert list(loader) == []


def test_replacement_sampler_resumes():
    x = TensorDataset(tl.arange(100))
    sampler = RandomSampler(x, replacement=True, num_samples=40)
    loader = DataLoader(x, 8, sampler=sampler)
    iterator = iter(loader)
    next(iterator), next(iterator)
    state = loader.state_dict()
    rest = [b[0].tolist() for b in iterator]
    other = DataLoader(x, 8, sampler=RandomSampler(x, replacement=True, num_samples=40))
    other.load_state_dict(state)
    assert [b[0].tolist() for b in other] == rest
