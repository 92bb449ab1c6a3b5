"""The prompt of a conversation: questions from standard input, and what Ctrl-C means when."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import Self

BURST = 0.02  # seconds within which lines that follow each other are one paste
WAIT = 0.05  # seconds that a signal may go unseen before it is sent again


class Interrupts:
    """What Ctrl-C does in a session: drop the line at a prompt, stop an answer, else nothing.

    A signal that comes just before `input` waits for a key sets Python's flag but interrupts
    nothing: it would be seen at the next key only. So a byte tells of each signal until its
    handler has run, and a thread sends the signal again while there is one.
    """

    def __init__(self) -> None:
        self._asking = False
        self._stop: threading.Event | None = None
        self._closed = False

    def __enter__(self) -> Self:
        self._out, self._in = os.pipe()
        for end in (self._out, self._in):
            os.set_blocking(end, False)
        self._before = signal.signal(signal.SIGINT, self._handle)
        self._fd_before = signal.set_wakeup_fd(self._in, warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._repeat, args=(threading.get_ident(),))
        self._thread.daemon = True
        self._thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        signal.set_wakeup_fd(self._fd_before)
        signal.signal(signal.SIGINT, self._before)
        self._closed = True
        os.write(self._in, b"\0")
        self._thread.join()
        os.close(self._out)
        os.close(self._in)

    @contextmanager
    def at_prompt(self) -> Iterator[None]:
        """While the body runs, Ctrl-C raises KeyboardInterrupt."""
        self._asking = True
        try:
            yield
        finally:
            self._asking = False

    @contextmanager
    def answering(self) -> Iterator[threading.Event]:
        """While the body runs, Ctrl-C sets the event; a second one raises KeyboardInterrupt."""
        event = self._stop = threading.Event()
        try:
            yield event
        finally:
            self._stop = None

    def _handle(self, number: int, frame: FrameType | None) -> None:
        with suppress(BlockingIOError):
            while os.read(self._out, 512):
                pass
        stop = self._stop
        if stop is not None and not stop.is_set():
            stop.set()
        elif self._asking or stop is not None:
            self._asking, self._stop = False, None  # once: what raises must not be raised into
            raise KeyboardInterrupt

    def _repeat(self, target: int) -> None:
        while True:
            select.select([self._out], [], [])
            if self._closed:
                return
            threading.Event().wait(WAIT)
            waiting = select.select([self._out], [], [], 0)[0]
            if waiting and self._asking and not self._closed:
                signal.pthread_kill(target, signal.SIGINT)


def read_line(prompt: str = "") -> str:
    """A line that is typed, or all lines of a paste; joined by line ends, without the last one.

    Lines that were typed ahead, before the prompt came, are questions of their own.
    """
    ahead = _is_waiting(0)
    text = input(prompt)
    while not ahead and _is_waiting(BURST):
        try:
            text += "\n" + input()
        except EOFError:
            break
    return text


def _is_waiting(seconds: float) -> bool:
    try:
        return bool(select.select([sys.stdin], [], [], seconds)[0])
    except (OSError, ValueError):  # nothing that can be waited for
        return False


def edit_lines() -> None:
    """Give `input` editing, the lines typed before, and pastes in one piece, where possible."""
    try:
        import readline
    except ImportError:
        return
    # Python turns it off, for its own prompt takes one line at a time.
    readline.parse_and_bind("set enable-bracketed-paste on")
