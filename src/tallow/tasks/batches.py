"""Many items through a model in batches: order kept, failures told by item, nothing else lost."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Generic, TypeVar, cast

from tallow.errors import ArgumentError, OutOfMemoryError, TallowError, expect
from tallow.lazy_dataclasses import dataclass

Item = TypeVar("Item")
Made = TypeVar("Made")

WINDOW = 16  # batches that are looked at together, so that items of like size share a batch


@dataclass(frozen=True)
class Outcome(Generic[Item, Made]):
    """What came of item `index`: a result, or the error that says why there is none."""

    index: int
    item: Item
    result: Made | None = None
    error: TallowError | None = None


class BatchError(ArgumentError):
    """Some items of a call failed; `results` holds the others' in their places, None for these."""

    def __init__(self, text: str, results: list[Any], failures: list[Outcome[Any, Any]]) -> None:
        super().__init__(text)
        self.results = results
        self.failures = failures


def stream(
    items: Iterable[Item],
    prepare: Callable[[Item], Any],
    compute: Callable[[Sequence[Any]], Sequence[Made]],
    *,
    batch_size: int,
    weigh: Callable[[Any], int] | None = None,
) -> Iterator[Outcome[Item, Made]]:
    """Outcomes in the order of `items`, which are taken as they are needed.

    `prepare` makes what a model takes of one item, `compute` the results of a batch of these. With
    `weigh`, a size, those of like size share a batch. An item that `prepare` refuses is an outcome
    with an error; a batch that `compute` refuses is tried item by item.
    """
    good = type(batch_size) is int and batch_size >= 1
    expect(good, "batch_size", "a number of at least 1", batch_size, ArgumentError)
    numbered = enumerate(items)
    window = batch_size * (WINDOW if weigh is not None else 1)
    while taken := list(islice(numbered, window)):
        found: dict[int, Outcome[Item, Made]] = {}
        ready: list[tuple[int, Item, Any]] = []
        for index, item in taken:
            try:
                ready.append((index, item, prepare(item)))
            except (TallowError, MemoryError) as error:
                found[index] = Outcome(index, item, error=as_tallow_error(error))
        if weigh is not None:
            ready.sort(key=lambda each: weigh(each[2]))
        for begin in range(0, len(ready), batch_size):
            for outcome in _batch(ready[begin : begin + batch_size], compute):
                found[outcome.index] = outcome
        for index in sorted(found):
            yield found[index]


def as_tallow_error(error: TallowError | MemoryError) -> TallowError:
    """The error as one of ours: an item for which there is no room costs no others."""
    if isinstance(error, TallowError):
        return error
    return OutOfMemoryError(str(error) or "expected room in memory, got none")


def _batch(
    batch: list[tuple[int, Item, Any]], compute: Callable[[Sequence[Any]], Sequence[Made]]
) -> Iterator[Outcome[Item, Made]]:
    try:
        results = compute([prepared for _, _, prepared in batch])
    except (TallowError, MemoryError) as error:
        if len(batch) == 1:
            index, item, _ = batch[0]
            yield Outcome(index, item, error=as_tallow_error(error))
            return
        for each in batch:
            yield from _batch([each], compute)
        return
    for (index, item, _), result in zip(batch, results, strict=True):
        yield Outcome(index, item, result)


def _called(outcome: Outcome[Any, Any]) -> str:
    named = isinstance(outcome.item, os.PathLike)
    return f"item {outcome.index}" + (f" ({os.fspath(outcome.item)})" if named else "")


def collect(
    outcomes: Iterable[Outcome[Item, Made]], finish: Callable[[Item, Made], Any]
) -> list[Any]:
    """What `finish` makes of each item and its result, in order.

    Raises:
        BatchError: items failed, told with their numbers; the others' results are kept in it. Of a
            single item its own error.
    """
    every = list(outcomes)
    failures = [each for each in every if each.error is not None]
    if failures and len(every) == 1 and failures[0].error is not None:
        raise failures[0].error
    results: list[Any] = [
        None if each.error is not None else finish(each.item, cast(Made, each.result))
        for each in every
    ]
    if failures:
        lines = [f"{_called(each)}: {each.error}" for each in failures[:20]]
        more = [f"… and {len(failures) - 20} more"] if len(failures) > 20 else []
        head = f"{len(failures)} of {len(every)} items failed:"
        raise BatchError("\n  ".join([head, *lines, *more]), results, failures)
    return results
