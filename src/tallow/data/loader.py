"""DataLoader: batches of a dataset in a reproducible order, read ahead by threads."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count, islice
from typing import Any, NamedTuple

from tallow.data.collate import default_collate, default_convert
from tallow.data.dataset import IterableDataset
from tallow.data.sampler import BatchSampler, RandomSampler, SequentialSampler
from tallow.errors import ArgumentError, expect

_local = threading.local()

# What follows from the arguments of a loader together, and is refused when set alone later.
FIXED = frozenset(
    ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers")
)


class LoaderIterator(Iterator[Any]):
    """One pass over a loader: its batches in order, and how many there are in all."""

    def __init__(self, loader: DataLoader, batches: Iterator[Any]) -> None:
        self._loader, self._batches = loader, batches
        self._num_yielded = 0

    def __next__(self) -> Any:
        batch = next(self._batches)
        self._num_yielded += 1
        return batch

    def __len__(self) -> int:
        return len(self._loader)


class WorkerInfo(NamedTuple):
    """Which of the loader's threads this is, of how many."""

    id: int
    num_workers: int
    dataset: Any


def get_worker_info() -> WorkerInfo | None:
    """The facts about the calling worker thread; None in other threads."""
    return getattr(_local, "info", None)


class DataLoader:
    """Iterate over a dataset in batches; arguments as torch.utils.data.DataLoader.

    `num_workers` are threads of this process that prepare batches ahead (`prefetch_factor` each);
    kernels and file reads run beside Python. The order and content of batches do not depend on
    their number. A stream (IterableDataset) is read ahead by one thread, in its own order. An
    exception in a worker is raised where the batch is asked for, with the worker's traceback and a
    note that names the batch. Leaving a loop early stops the workers. Samples that draw from the
    global random stream come out alike again only without workers, which take turns as they may.

    `state_dict()` within a loop tells how many batches were handed out and in which order;
    after `load_state_dict` the next loop goes on with the batch that follows.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[int] | None = None,
        batch_sampler: Iterable[list[int]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: object = None,
        generator: Any = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        where = DataLoader
        ok = type(num_workers) is int and num_workers >= 0
        expect(ok, where, "num_workers of at least 0", num_workers, ArgumentError)
        self._fixed = False
        for_workers = {
            "prefetch_factor": prefetch_factor is not None,
            "persistent_workers": persistent_workers,
            "multiprocessing_context": multiprocessing_context is not None,
        }
        for name, given in for_workers.items():
            good = num_workers > 0 or not given
            expect(good, where, f"num_workers above 0 with {name}", num_workers, ArgumentError)
        ahead = 2 if prefetch_factor is None and num_workers else prefetch_factor
        good = ahead is None or ahead > 0
        expect(good, where, "a prefetch_factor above 0", prefetch_factor, ArgumentError)
        expect(timeout >= 0, where, "a timeout of at least 0", timeout, ArgumentError)
        self.dataset = dataset
        self.streamed = isinstance(dataset, IterableDataset)
        if self.streamed:
            given = bool(shuffle) or sampler is not None or batch_sampler is not None
            expect(not given, where, "no order for a stream", "shuffle or a sampler", ArgumentError)
        if batch_sampler is not None:
            given = batch_size != 1 or bool(shuffle) or sampler is not None or drop_last
            wanted = "batch_sampler without batch_size, shuffle, sampler, drop_last"
            expect(not given, where, wanted, "both", ArgumentError)
            batch_size = None
        elif batch_size is None:
            expect(not drop_last, where, "drop_last with a batch_size", None, ArgumentError)
        else:
            ok = type(batch_size) is int and batch_size > 0
            expect(ok, where, "an integer batch_size above 0", batch_size, ArgumentError)
        expect(
            not (shuffle and sampler is not None), where, "shuffle or a sampler", "both",
            ArgumentError,
        )  # fmt: skip
        if sampler is None and not self.streamed:
            if shuffle:
                sampler = RandomSampler(dataset, generator=generator)
            else:
                sampler = SequentialSampler(dataset)
        if batch_sampler is None and batch_size is not None and not self.streamed:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.batch_size, self.drop_last = batch_size, drop_last
        self.sampler, self.batch_sampler = sampler, batch_sampler
        self.generator, self.timeout = generator, timeout
        self.num_workers, self.prefetch_factor = num_workers, ahead
        # Workers are threads: there is nothing to pin, to keep alive or to fork.
        self.pin_memory, self.pin_memory_device = pin_memory, pin_memory_device
        self.persistent_workers, self.in_order = persistent_workers, in_order
        self.multiprocessing_context = multiprocessing_context
        self.worker_init_fn = worker_init_fn
        batched = batch_sampler is not None or (self.streamed and batch_size is not None)
        self._whole = getattr(dataset, "batch", None) if collate_fn is None and batched else None
        self._batched = batched
        usual: Callable[[Any], Any] = default_collate if batched else default_convert
        self.collate_fn = usual if collate_fn is None else collate_fn
        self._position = 0  # batches handed out in the current pass
        self._resume = 0  # batches that the next pass leaves out
        self._fixed = True

    def __setattr__(self, name: str, value: Any) -> None:
        if name in FIXED and self.__dict__.get("_fixed"):
            text = f"DataLoader: expected {name} as it was made, got another one"
            raise ArgumentError(text)
        super().__setattr__(name, value)

    def __class_getitem__(cls, _item: Any) -> type[DataLoader]:
        return cls

    def __len__(self) -> int:
        if self.streamed:
            length = len(self.dataset)
            if self.batch_size is None:
                return length
            whole, rest = divmod(length, self.batch_size)
            return whole + (rest > 0 and not self.drop_last)
        return len(self._order())  # type: ignore[arg-type]  # some have no length

    def _order(self) -> Iterable[Any]:
        return self.batch_sampler if self.batch_sampler is not None else self.sampler or ()

    # --- fetching ---------------------------------------------------------------------------------

    def _fetch(self, wanted: Any) -> Any:
        """The batch (or, without batches, the sample) of one entry of the order."""
        if not self._batched:
            return self.collate_fn(self.dataset[wanted])
        if self._whole is not None:
            return self._whole(wanted)
        if hasattr(self.dataset, "__getitems__"):
            return self.collate_fn(self.dataset.__getitems__(wanted))
        dataset = self.dataset
        return self.collate_fn([dataset[index] for index in wanted])

    def _jobs(self, skip: int) -> Iterator[tuple[Callable[[Any], Any], Any]]:
        """(function, argument) of every batch, `skip` of them left out."""
        if not self.streamed:
            for wanted in islice(iter(self._order()), skip, None):
                yield self._fetch, wanted
            return
        for samples in islice(self._stream(), skip, None):
            yield self.collate_fn, samples

    def _stream(self) -> Iterator[Any]:
        if self.batch_size is None:
            yield from self.dataset
            return
        batch: list[Any] = []
        for sample in self.dataset:
            batch.append(sample)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch

    def __iter__(self) -> Iterator[Any]:
        skip, self._resume = self._resume, 0
        self._position = skip
        jobs = self._jobs(skip)
        made = self._threaded(jobs, skip) if self.num_workers else self._plain(jobs, skip)
        return LoaderIterator(self, self._counted(made))

    def _counted(self, batches: Iterator[Any]) -> Iterator[Any]:
        for batch in batches:
            self._position += 1
            yield batch
        self._position = 0

    def _plain(self, jobs: Iterator[Any], skip: int) -> Iterator[Any]:
        for number in count(skip):
            job = next(jobs, None)
            if job is None:
                return
            yield _run(job, number)

    def _threaded(self, jobs: Iterator[Any], skip: int) -> Iterator[Any]:
        """Hand out results in order while up to `prefetch_factor` batches per thread are made."""
        threads = 1 if self.streamed else self.num_workers
        ahead = threads * (self.prefetch_factor or 2)
        ids = count()

        def begin() -> None:
            number = next(ids)
            _local.info = WorkerInfo(number, threads, self.dataset)
            if self.worker_init_fn is not None:
                self.worker_init_fn(number)

        def pull(number: int) -> tuple[bool, Any]:
            """The next batch of a stream: read and collated by the one thread."""
            job = next(jobs, None)
            return (False, None) if job is None else (True, _run(job, number))

        numbers = count(skip)
        waiting: deque[Future[tuple[bool, Any]]] = deque()
        pool = ThreadPoolExecutor(threads, "tallow-loader", initializer=begin)
        try:
            while True:
                while len(waiting) < ahead:
                    if self.streamed:
                        waiting.append(pool.submit(pull, next(numbers)))
                        continue
                    job = next(jobs, None)
                    if job is None:
                        break
                    waiting.append(pool.submit(_run_more, job, next(numbers)))
                if not waiting:
                    return
                more, batch = waiting.popleft().result(self.timeout or None)
                if not more:
                    return
                yield batch
        finally:
            for future in waiting:
                future.cancel()
            pool.shutdown(wait=True, cancel_futures=True)

    # --- state ------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """How many batches of this pass were handed out, and what its order follows from."""
        state: dict[str, Any] = {"position": self._position or self._resume}
        for name, part in self._parts():
            state[name] = part.state_dict()
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Let the next pass go on where a saved one was.

        Orders of the loader's own samplers come again; another sampler is asked for its order and
        as many entries of it are left out, so it must give the same one (or have `state_dict`).
        """
        position = state_dict.get("position")
        ok = type(position) is int and 0 <= position < 2**63
        expect(ok, DataLoader, "a position of at least 0", position, ArgumentError)
        assert isinstance(position, int)
        for name, part in self._parts():
            entries = state_dict.get(name)
            ok = isinstance(entries, Mapping)
            expect(ok, DataLoader, f"the state of its {name}", entries, ArgumentError)
            # Between passes there is no order to repeat.
            if position or "seed" in (entries or ()):
                part.load_state_dict(entries if position else {**(entries or {}), "seed": None})
        self._position = self._resume = position

    def _parts(self) -> Iterator[tuple[str, Any]]:
        for name in ("dataset", "sampler", "batch_sampler"):
            part = getattr(self, name)
            if hasattr(part, "state_dict") and hasattr(part, "load_state_dict"):
                yield name, part


def _run(job: tuple[Callable[[Any], Any], Any], number: int) -> Any:
    function, argument = job
    try:
        return function(argument)
    except Exception as error:  # the user's code can raise anything; it goes on
        info = get_worker_info()
        place = f" in worker thread {info.id}" if info else ""
        what = f", samples {_short(argument)}" if isinstance(argument, (int, list)) else ""
        error.add_note(f"DataLoader: while making batch {number}{place}{what}")
        raise


def _short(argument: Any) -> str:
    if not isinstance(argument, list):
        return str(argument)
    if not all(isinstance(index, int) for index in argument):
        return f"({len(argument)} of a stream)"
    shown = ", ".join(map(str, argument[:8]))
    return f"[{shown}{', …' if len(argument) > 8 else ''}]"


def _run_more(job: tuple[Callable[[Any], Any], Any], number: int) -> tuple[bool, Any]:
    return True, _run(job, number)
