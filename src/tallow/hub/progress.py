"""How a download tells what it does: a protocol of three calls, a terminal bar and plain lines."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TextIO

POLL_SECONDS = 0.1


class Progress(Protocol):
    """What a caller implements to show downloads its own way; no two calls at the same time."""

    def start(self, description: str, total_bytes: int | None) -> None:
        """Work of `total_bytes` (None: unknown) begins; it ends what was shown before."""

    def advance(self, n: int) -> None:
        """`n` more bytes are done."""

    def finish(self) -> None:
        """The work has ended, well or not; a second call does nothing."""


class Silent:
    """Shows nothing."""

    def start(self, description: str, total_bytes: int | None) -> None:
        """Nothing."""

    def advance(self, n: int) -> None:
        """Nothing."""

    def finish(self) -> None:
        """Nothing."""


class LineProgress:
    """A line of text at the start and about every 10% (or 32 MB where the size is unknown)."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._total: int | None = None
        self._done = self._next = 0
        self._description = ""

    def start(self, description: str, total_bytes: int | None) -> None:
        """Print what begins and how large it is."""
        self._description, self._total, self._done = description, total_bytes, 0
        self._next = self._step()
        self._print(f"{description}: {size_text(total_bytes)}" if total_bytes else description)

    def advance(self, n: int) -> None:
        """Print a line when the next tenth is reached."""
        self._done += n
        if self._done < self._next:
            return
        step = self._step()
        self._next = (self._done // step + 1) * step
        share = (
            f" of {size_text(self._total)} ({self._done * 100 // self._total}%)"
            if self._total
            else ""
        )
        self._print(f"{self._description}: {size_text(self._done)}{share}")

    def finish(self) -> None:
        """Nothing more to print."""

    def _step(self) -> int:
        return max(1, -(-self._total // 10)) if self._total else 32_000_000

    def _print(self, text: str) -> None:
        print(text, file=self._stream or sys.stderr, flush=True)


class Bar:
    """A rich progress bar on standard error, with size, speed and remaining time."""

    def __init__(self) -> None:
        import rich.progress  # raises ImportError where rich is missing

        self._rich: Any = rich.progress
        self._bar: Any = None
        self._task: Any = None

    def start(self, description: str, total_bytes: int | None) -> None:
        """Show a new bar."""
        from rich.console import Console

        self.finish()
        rich = self._rich
        self._bar = rich.Progress(
            rich.TextColumn("{task.description}", markup=False),
            rich.BarColumn(),
            rich.DownloadColumn(),
            rich.TransferSpeedColumn(),
            rich.TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._task = self._bar.add_task(description, total=total_bytes)
        self._bar.start()

    def advance(self, n: int) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.update(self._task, advance=n)

    def finish(self) -> None:
        """Leave the bar as it stands and give the terminal back."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def default_progress() -> Progress:
    """A `Bar` when standard error is a terminal and rich is installed, else `LineProgress`."""
    if sys.stderr is None:  # pythonw and some services have no standard streams
        return Silent()
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        try:
            return Bar()
        except ImportError:
            pass
    return LineProgress()


@contextmanager
def polled(progress: Progress, measure: Callable[[], int]) -> Iterator[Callable[[], None]]:
    """While the body runs, advance `progress` to what `measure()` returns, ten times a second.

    For work that another program does (pip) or another library. Yields a function that measures at
    once; it is called once more at the end.
    """
    shown = 0
    stop, turn = threading.Event(), threading.Lock()

    def look() -> None:
        nonlocal shown
        with turn:
            done = measure()
            if done > shown:
                progress.advance(done - shown)
                shown = done

    def watch() -> None:
        while not stop.wait(POLL_SECONDS):
            look()

    thread = threading.Thread(target=watch, name="tallow-hub-progress", daemon=True)
    thread.start()
    try:
        yield look
        look()
    finally:
        stop.set()
        thread.join()


def size_text(n: int | None) -> str:
    """A number of bytes for people: `98.4 MB`."""
    if n is None:
        return "unknown size"
    if n < 1000:
        return f"{n} bytes"
    value = float(n)
    for unit in ("kB", "MB", "GB", "TB"):
        value /= 1000
        if value < 999.95 or unit == "TB":
            break
    return f"{value:.1f} {unit}"
