"""torch.futures: results that come later, by Python's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future as _Future
from typing import Any


class Future:
    """A result that is set later; `then` and `wait` as in PyTorch."""

    def __init__(self, *, devices: Any = None) -> None:
        self._future: _Future[Any] = _Future()

    def done(self) -> bool:
        """Whether it is set."""
        return self._future.done()

    def wait(self) -> Any:
        """The result, or what `set_exception` gave, raised."""
        return self._future.result()

    value = wait

    def set_result(self, result: Any) -> None:
        """Set it, once."""
        self._future.set_result(result)

    def set_exception(self, result: Exception) -> None:
        """Let `wait` raise."""
        self._future.set_exception(result)

    def add_done_callback(self, callback: Callable[[Future], Any]) -> None:
        """Call `callback(self)` when it is set."""
        self._future.add_done_callback(lambda _: callback(self))

    def then(self, callback: Callable[[Future], Any]) -> Future:
        """What `callback(self)` gives once it is set."""
        after = Future()

        def run(_: Any) -> None:
            try:
                after.set_result(callback(self))
            except Exception as error:  # handed to whoever waits
                after.set_exception(error)

        self._future.add_done_callback(run)
        return after


def wait_all(futures: Iterable[Future]) -> list[Any]:
    """All results."""
    return [f.wait() for f in futures]


def collect_all(futures: Iterable[Future]) -> Future:
    """A future of all futures, set when all are."""
    given = list(futures)
    for f in given:
        f._future.exception()
    out = Future()
    out.set_result(given)
    return out
