"""Datasets, samplers and loaders beside torch's: attributes, orders without chance, refusals."""

# ruff: noqa: E501 (a program holds a line together)

from __future__ import annotations

import pytest

import side_by_side

pytestmark = pytest.mark.needs_torch

SETS = """
class Numbers(data.Dataset):
    def __init__(self, n=10):
        self.n = n
    def __len__(self):
        return self.n
    def __getitem__(self, i):
        if not 0 <= i < self.n:
            raise IndexError(i)
        return i * 10
class Stream(data.IterableDataset):
    def __init__(self, n=5):
        self.n = n
    def __iter__(self):
        return iter(range(self.n))
class Sized(Stream):
    def __len__(self):
        return self.n
def shown(loader):
    return [plain_of(batch) for batch in loader]
def plain_of(batch):
    return batch.tolist() if hasattr(batch, "tolist") else batch
Point = collections.namedtuple("Point", "x y")
"""

TEXT = """
l = data.DataLoader(Numbers())
l.batch_size; l.num_workers; l.pin_memory; l.persistent_workers; l.prefetch_factor; l.drop_last
l.timeout; l.generator
type(l.sampler).__name__; type(l.batch_sampler).__name__; l.collate_fn is data.default_collate
l.multiprocessing_context
l.worker_init_fn; len(l); len(iter(l)); l.dataset.n; l.pin_memory_device; l.in_order
l.batch_size = 4
l.batch_sampler = None
l.sampler = None
l.drop_last = True
l.dataset = 3
l.persistent_workers = True
l.num_workers = 0
l.timeout = 5
l.collate_fn = list
l.anything = 3
l.anything; l.timeout
---
l = data.DataLoader(Numbers(), batch_size=4, drop_last=True, num_workers=0)
it = iter(l)
len(it); next(it).tolist(); len(it); next(it).tolist(); next(it); shown(l); iter(it) is it
hasattr(it, "_num_yielded")
data.DataLoader(Numbers(), batch_size=None).collate_fn is data.default_convert
shown(data.DataLoader(Numbers(3), batch_size=None))
data.DataLoader(Numbers(3), batch_size=None).batch_sampler
data.DataLoader(Numbers(3), batch_size=None).drop_last
len(data.DataLoader(Numbers(3), batch_size=None))
---
data.DataLoader(Numbers(), prefetch_factor=2)
data.DataLoader(Numbers(), num_workers=0, persistent_workers=True)
data.DataLoader(Numbers(), num_workers=-1); data.DataLoader(Numbers(), timeout=-1)
data.DataLoader(Numbers(), shuffle=True, sampler=[1])
data.DataLoader(Numbers(), batch_sampler=[[1]], batch_size=2)
data.DataLoader(Numbers(), batch_sampler=[[1]], shuffle=True)
data.DataLoader(Numbers(), batch_sampler=[[1]], drop_last=True)
data.DataLoader(Numbers(), batch_size=None, drop_last=True)
data.DataLoader(Numbers(), batch_size=0); data.DataLoader(Numbers(), batch_size=-1)
data.DataLoader(Numbers(), batch_size="a"); data.DataLoader(Stream(), shuffle=True)
data.DataLoader(Stream(), sampler=[1]); data.DataLoader(Stream(), batch_sampler=[[1]])
data.DataLoader(Stream(), shuffle=False).batch_size
data.DataLoader(Numbers(), multiprocessing_context="fork")
data.DataLoader(Numbers(0), shuffle=True); shown(data.DataLoader(Numbers(0))); data.DataLoader()
data.DataLoader(Numbers(), 2, False, None, None, 0, None, True, False, 0, None, None, None).batch_size
data.DataLoader(Numbers(), batch_sampler=[[1, 2]]).batch_size
data.DataLoader(Numbers(), batch_sampler=[[1, 2]]).drop_last
shown(data.DataLoader(Numbers(), batch_sampler=[[1, 2], [3]]))
---
l = data.DataLoader(Stream(), batch_size=2)
len(l); shown(l); shown(data.DataLoader(Stream(), batch_size=2, drop_last=True))
shown(data.DataLoader(Stream(), batch_size=None)); len(data.DataLoader(Sized(5), batch_size=2))
len(data.DataLoader(Sized(5), batch_size=2, drop_last=True))
0; 0
data.get_worker_info()
---
data.default_collate([{"a": 1, "b": "x"}, {"a": 2, "b": "y"}])
data.default_collate([Point(1, 2.0), Point(3, 4.0)]); data.default_collate(["a", "b"])
data.default_collate([b"a", b"b"]); data.default_collate([1, 2]); data.default_collate([1.5, 2])
data.default_collate([True, False])
data.default_collate([np.ones(2), np.zeros(2)])
data.default_collate([np.float32(1), np.float32(2)])
data.default_collate([np.array(["a"]), np.array(["b"])])
data.default_collate([torch.ones(2), torch.zeros(2)])
data.default_collate([torch.ones(2), torch.zeros(3)])
data.default_collate([(1, [2, 3]), (4, [5, 6])]); data.default_collate([[1, 2], [3]])
data.default_collate([None, None])
data.default_collate([object(), object()]); data.default_collate([])
data.default_collate([{1, 2}])
data.default_collate([collections.OrderedDict(a=1), collections.OrderedDict(a=2)])
data.default_collate([np.int64(3), np.int64(4)])
data.default_collate([np.bool_(True), np.bool_(False)])
data.default_collate([torch.tensor(1.0), torch.tensor(2.0)])
data.default_collate([{"a": 1}, {"b": 2}])
---
data.default_convert(3); data.default_convert(np.ones(2))
data.default_convert({"a": np.ones(2), "b": "x"}); data.default_convert([np.ones(1), 2])
data.default_convert(Point(np.ones(1), 2)); data.default_convert("x")
data.default_convert(np.array(["a"])).tolist(); data.default_convert((1, np.zeros(1)))
data.default_convert(torch.ones(1)); data.default_convert(np.float64(3))
data.default_convert(collections.OrderedDict(a=np.ones(1)))
---
list(data.SequentialSampler(range(3))); len(data.SequentialSampler(range(3)))
list(data.BatchSampler(data.SequentialSampler(range(5)), 2, False))
list(data.BatchSampler(range(5), 2, True)); len(data.BatchSampler(range(5), 2, True))
len(data.BatchSampler(range(5), 2, False)); data.BatchSampler(range(5), 0, False)
data.BatchSampler(range(5), 2, 1); data.BatchSampler(range(5), True, False)
s = data.RandomSampler(range(5))
sorted(s); len(s); s.num_samples; s.replacement; s.generator
data.RandomSampler(range(5), num_samples=0); data.RandomSampler(range(5), num_samples="a")
data.RandomSampler(range(5), replacement=3); data.RandomSampler(range(5), num_samples=-2)
r = data.RandomSampler(range(5), True, 20)
len(r); len(list(r)); set(r) <= set(range(5)); sorted(data.RandomSampler(range(3), num_samples=6))
len(list(data.RandomSampler(range(5), num_samples=7)))
sorted(data.RandomSampler(range(5), num_samples=2)) == [0]; data.RandomSampler(range(0))
list(data.RandomSampler(range(0)))
w = data.WeightedRandomSampler([0, 1.0, 0], 4)
list(w); len(w); w.weights; w.num_samples; w.replacement
sorted(data.WeightedRandomSampler([0.5, 1, 0], 2, replacement=False))
data.WeightedRandomSampler([1], 0); data.WeightedRandomSampler([1], 2.5)
data.WeightedRandomSampler([1], 2, replacement=1); data.WeightedRandomSampler([[1.0]], 1)
data.WeightedRandomSampler([1], True); list(data.WeightedRandomSampler([1.0], 2, replacement=False))
sorted(data.SubsetRandomSampler([3, 5, 9])); len(data.SubsetRandomSampler([3, 5, 9]))
data.SubsetRandomSampler([3, 5]).indices; list(iter(data.Sampler()))
---
c = data.ConcatDataset([Numbers(2), Numbers(3)])
len(c); c[0]; c[2]; c[-1]; c[5]; c[-6]; c.cumulative_sizes; c.datasets[0].n
data.ConcatDataset([]); data.ConcatDataset([Stream()]); (Numbers(2) + Numbers(1))[2]
type(Numbers(1) + Numbers(1)).__name__; data.ConcatDataset.cumsum([[1, 2], [3]])
h = data.ChainDataset([Stream(2), Stream(1)])
list(h); len(data.ChainDataset([Sized(2), Sized(1)])); list(Stream(1) + Stream(2))
data.ChainDataset([Numbers()]) is None; list(data.ChainDataset([Numbers(2)]))
type(Stream(1) + Stream(1)).__name__; len(h)
k = data.StackDataset(Numbers(3), [7, 8, 9])
k[1]; len(k); k.__getitems__([0, 2]); data.StackDataset(a=Numbers(2), b=[1, 2])[0]
data.StackDataset(a=Numbers(2), b=[1, 2]).__getitems__([1])
data.StackDataset(Numbers(3), Numbers(2)); data.StackDataset()
data.StackDataset(Numbers(1), a=Numbers(1)); shown(data.DataLoader(k, 2))
t = data.TensorDataset(torch.arange(4), torch.arange(4) * 2)
len(t); t[1]; t[-1]; t[1:3]; t[9]; data.TensorDataset(torch.ones(2), torch.ones(3)); t.tensors[0]
shown(data.DataLoader(t, 3)); data.DataLoader(t, 2).collate_fn is data.default_collate
u = data.Subset(Numbers(), [3, 1])
len(u); u[0]; u[[0, 1]]; u.indices; u.dataset.n; u.__getitems__([1]); u[5]
shown(data.DataLoader(u, 2))
---
p = data.random_split(range(10), [7, 3])
[len(q) for q in p]; sorted(i for q in p for i in q); data.random_split(range(10), [5, 4])
[len(q) for q in data.random_split(range(10), [0.5, 0.3, 0.2])]
[len(q) for q in data.random_split(range(11), [0.5, 0.5])]
data.random_split(range(10), [0.5, 0.6]); data.random_split(range(3), [1.5, -0.5])
[len(q) for q in data.random_split(range(10), [0.1, 0.1])]
[type(q).__name__ for q in data.random_split(range(2), [1, 1])]
[len(q) for q in data.random_split(range(1), [0.5, 0.5])]; data.random_split(Stream(), [1])
data.random_split(range(4), [1, 3], generator=torch.Generator().manual_seed(1))[0].indices == data.random_split(range(4), [1, 3], torch.Generator().manual_seed(1))[0].indices
[len(q) for q in data.random_split(range(10), [1.0])]
---
class Bad(data.Dataset):
    pass
Bad()[0]; len(Bad()); data.DataLoader(Bad()) is None; shown(data.DataLoader(Bad(), batch_size=2))
data.Dataset()[0]; len(data.Dataset()); 0
data.DataLoader([1, 2, 3], 2).batch_size; shown(data.DataLoader([1, 2, 3], 2))
shown(data.DataLoader({0: 5, 1: 6}, 2)); shown(data.DataLoader(torch.arange(3), 2))
shown(data.DataLoader(np.arange(3), 2)); shown(data.DataLoader("ab", 2))
shown(data.DataLoader([{"a": 1}], 1)); shown(data.DataLoader([1, 2, 3], 2, collate_fn=sum))
shown(data.DataLoader(range(5), 2, sampler=[4, 0, 2]))
class Many(data.Dataset):
    def __len__(self):
        return 4
    def __getitems__(self, indices):
        return [i * 2 for i in indices]
shown(data.DataLoader(Many(), 3)); isinstance(data.DataLoader([1]), collections.abc.Iterable)
data.DataLoader[int] is None; data.Dataset[int] is None; data.Sampler([1]) is None
---
d = data.DistributedSampler(range(7), 2, 1, shuffle=False)
list(d); len(d); d.set_epoch(3); d.epoch
list(data.DistributedSampler(range(7), 2, 0, False, drop_last=True))
data.DistributedSampler(range(7), 2, 2)
data.DistributedSampler(range(3), 5, 4, False).num_samples
list(data.DistributedSampler(range(3), 5, 4, False))
"""

PROGRAMS = [SETS + part for part in side_by_side.programs(TEXT)]


@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
def test_the_program_does_what_it_does_with_torch(program):
    assert side_by_side.compare(program) == ""
