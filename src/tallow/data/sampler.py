"""Samplers: the order in which a DataLoader asks for samples, reproducible from one seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Sized
from typing import Any, Generic, TypeVar

from tallow.errors import ArgumentError, DTypeError, expect

T = TypeVar("T", covariant=True)

# A range of seeds that every 64-bit generator takes.
SEEDS = 2**62


def draw_seed(generator: Any = None) -> int:
    """A seed from `generator`, or from the global one that `tl.manual_seed` sets."""
    from tallow.ops.random import randint

    return int(randint(0, SEEDS, (), generator=generator, device="cpu").item())


def seeded(seed: int) -> Any:
    """A generator of its own."""
    from tallow.random import Generator

    return Generator().manual_seed(seed)


def permutation(n: int, seed: int) -> list[int]:
    """The numbers below n in the order that `seed` gives."""
    from tallow.ops.random import randperm

    order: list[int] = randperm(n, generator=seeded(seed), device="cpu").tolist()
    return order


class Sampler(Generic[T]):
    """Indices (or batches) in some order: a subclass has `__iter__` and mostly `__len__`."""

    def __iter__(self) -> Iterator[T]:
        raise NotImplementedError(f"{type(self).__name__} has no __iter__")


class SequentialSampler(Sampler[int]):
    """From 0 upwards."""

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class SeededSampler(Sampler[int]):
    """A sampler whose order follows from a seed, drawn anew from the generator for each pass.

    `state_dict()` holds the seed of the pass that was begun last; after `load_state_dict` the next
    pass has that order again.
    """

    def __init__(self, generator: Any = None) -> None:
        self.generator = generator
        self.seed: int | None = None
        self._again = False

    def order(self, seed: int) -> Iterator[int]:
        """The indices of a pass."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[int]:
        if not self._again or self.seed is None:
            self.seed = draw_seed(self.generator)
        self._again = False
        return self.order(self.seed)

    def state_dict(self) -> dict[str, Any]:
        """The seed of the current pass, and the state of the sampler's own generator."""
        own = {} if self.generator is None else {"generator": self.generator.get_state()}
        return {"seed": self.seed, **own}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Let the next pass have the order of a saved one (a seed of None: a new order)."""
        seed = state_dict.get("seed")
        ok = seed is None or (type(seed) is int and 0 <= seed < SEEDS)
        expect(ok, type(self), f"a seed below {SEEDS}", seed, ArgumentError)
        if self.generator is not None and "generator" in state_dict:
            self.generator.set_state(state_dict["generator"])
        self.seed, self._again = seed, seed is not None


class RandomSampler(SeededSampler):
    """All indices in random order, or `num_samples` drawn with `replacement`."""

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Any = None,
    ) -> None:
        super().__init__(generator)
        ok = num_samples is None or (type(num_samples) is int and num_samples > 0)
        expect(ok, RandomSampler, "an integer num_samples above 0", num_samples, ArgumentError)
        ok = isinstance(replacement, bool)
        expect(ok, RandomSampler, "replacement True or False", replacement, DTypeError)
        size = len(data_source)
        ok = num_samples is not None or size > 0
        expect(ok, RandomSampler, "at least one sample to choose from", size, ArgumentError)
        self.data_source, self.replacement = data_source, replacement
        self._num_samples = num_samples

    @property
    def num_samples(self) -> int:
        """How many indices a pass has."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __len__(self) -> int:
        return self.num_samples

    def order(self, seed: int) -> Iterator[int]:
        """Permutations, one after the other; or independent draws."""
        n, wanted = len(self.data_source), self.num_samples
        if n == 0:
            return
        if not self.replacement:
            for i in range(0, wanted, n):
                yield from permutation(n, seed + i // n)[: wanted - i]
            return
        from tallow.ops.random import randint

        source = seeded(seed)
        for i in range(0, wanted, 1024):
            count = min(1024, wanted - i)
            yield from randint(0, n, (count,), generator=source, device="cpu").tolist()


class SubsetRandomSampler(SeededSampler):
    """Given indices in random order."""

    def __init__(self, indices: Sequence[int], generator: Any = None) -> None:
        super().__init__(generator)
        self.indices = indices

    def __len__(self) -> int:
        return len(self.indices)

    def order(self, seed: int) -> Iterator[int]:
        """A permutation of the indices."""
        return (self.indices[i] for i in permutation(len(self.indices), seed))


class WeightedRandomSampler(SeededSampler):
    """`num_samples` indices, drawn with the probabilities `weights` (which need not sum to 1)."""

    def __init__(
        self,
        weights: Sequence[float],
        num_samples: int,
        replacement: bool = True,
        generator: Any = None,
    ) -> None:
        super().__init__(generator)
        ok, where = type(num_samples) is int and num_samples > 0, WeightedRandomSampler
        expect(ok, where, "an integer num_samples above 0", num_samples, ArgumentError)
        ok = isinstance(replacement, bool)
        expect(ok, where, "replacement True or False", replacement, ArgumentError)
        values = weights.tolist() if hasattr(weights, "tolist") else list(weights)
        flat = not any(hasattr(value, "__len__") for value in values)
        expect(flat, where, "weights of one axis", values[:10], ArgumentError)
        good = all(0 <= w < float("inf") for w in values) and sum(w > 0 for w in values)
        expect(bool(good), WeightedRandomSampler, "weights of at least 0, not all 0", values[:10],
               ArgumentError)  # fmt: skip
        ok = replacement or sum(w > 0 for w in values) >= num_samples
        wanted = f"{num_samples} weights above 0 without replacement"
        expect(ok, WeightedRandomSampler, wanted, len(values), ArgumentError)
        from tallow.factories import tensor

        self.weights = tensor(values, dtype="f64")
        self._values = [float(value) for value in values]
        self.num_samples, self.replacement = num_samples, replacement

    def __len__(self) -> int:
        return self.num_samples

    def order(self, seed: int) -> Iterator[int]:
        """Draws from the multinomial distribution."""
        from random import Random

        source = Random(seed)
        if self.replacement:
            places = range(len(self._values))
            return iter(source.choices(places, self._values, k=self.num_samples))
        # Efraimidis & Spirakis 2006: the largest of u ** (1 / w) are a draw without replacement.
        keys = [(source.random() ** (1 / w), i) for i, w in enumerate(self._values) if w > 0]
        return (i for _, i in sorted(keys, reverse=True)[: self.num_samples])


class BatchSampler(Sampler[list[int]]):
    """Lists of `batch_size` indices of another sampler; the last one shorter, or dropped."""

    def __init__(self, sampler: Any, batch_size: int, drop_last: bool) -> None:
        ok = type(batch_size) is int and batch_size > 0
        expect(ok, BatchSampler, "an integer batch_size above 0", batch_size, ArgumentError)
        ok = isinstance(drop_last, bool)
        expect(ok, BatchSampler, "drop_last True or False", drop_last, ArgumentError)
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, drop_last

    def __iter__(self) -> Iterator[list[int]]:
        batch: list[int] = []
        for index in self.sampler:
            batch.append(index)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch

    def __len__(self) -> int:
        whole, rest = divmod(len(self.sampler), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)
