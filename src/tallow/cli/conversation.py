"""A conversation on a terminal: turns, streamed answers, and Ctrl-C that ends only the answer."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, TextIO

from tallow.cli.errors import report
from tallow.cli.options import tokens_per_second
from tallow.cli.output import dimmed
from tallow.errors import TallowError

if TYPE_CHECKING:
    from tallow.generate import Result, SamplingParams
    from tallow.tasks import LLM

HELP = "/reset forgets the conversation · /exit or Ctrl-D leaves · Ctrl-C stops an answer"


class Conversation:
    """The messages so far; `ask` adds a question and its answer, written to `out` as it comes."""

    def __init__(self, llm: LLM, params: SamplingParams, system: str | None, out: TextIO) -> None:
        self._llm, self._params, self._out = llm, params, out
        self._begin = [{"role": "system", "content": system}] if system is not None else []
        self.messages: list[dict[str, str]] = list(self._begin)

    def reset(self) -> None:
        """Forget everything but the system message."""
        self.messages = list(self._begin)

    def ask(self, question: str, cancel: threading.Event | None = None) -> Result:
        """Write the answer to `question`, whole or up to where `cancel` was set, and remember both.

        Raises:
            ContextError, ModelError: as `LLM.chat`; the question is then not part of the messages.
        """
        asked = [*self.messages, {"role": "user", "content": _unicode(question)}]
        out = self._out
        with self._llm.chat(asked, self._params, stream=True, cancel=cancel) as stream:
            for piece in stream:
                out.write(piece)
                out.flush()
            result = stream.result
        out.write("\n")
        if out.isatty():
            out.write(dimmed(_summary(result)) + "\n")
        out.flush()
        self.messages = [*asked, {"role": "assistant", "content": result.text}]
        return result


def converse(conversation: Conversation, name: str) -> None:
    """Read questions from standard input until its end or /exit; errors do not end the session."""
    interactive = sys.stdin is not None and sys.stdin.isatty()
    if interactive:
        with suppress(ImportError):
            import readline  # noqa: F401  (gives `input` editing and the lines typed before)
        print(dimmed(f"{name}: {HELP}"), flush=True)
    for question in _questions(interactive):
        if question in ("/exit", "/quit"):
            return
        if question == "/reset":
            conversation.reset()
        elif question == "/help":
            print(HELP, flush=True)
        elif question.startswith("/") and question[1:].isalpha():
            print(f"unknown command {question}; {HELP}", file=sys.stderr, flush=True)
        elif question:
            try:
                _answer(conversation, question, interactive)
            except TallowError as error:
                if not interactive:
                    raise
                report(error)


def _answer(conversation: Conversation, question: str, interactive: bool) -> None:
    if not interactive:
        conversation.ask(question)
        return
    try:
        with _ctrl_c_sets() as stopped:
            conversation.ask(question, stopped)
    except KeyboardInterrupt:  # the second Ctrl-C, when the first is not obeyed fast enough
        print(flush=True)


def _questions(interactive: bool) -> Iterator[str]:
    """Lines of standard input, without their ends; Ctrl-C at the prompt drops the line."""
    if sys.stdin is None:
        return
    sys.stdin.reconfigure(errors="replace")  # type: ignore[union-attr]
    prompt = "> " if interactive and sys.stdout.isatty() else ""
    while True:
        try:
            yield input(prompt).strip()
        except EOFError:
            if interactive:
                print(flush=True)
            return
        except KeyboardInterrupt:
            if not interactive:
                raise
            print(f"\n{dimmed(HELP)}", flush=True)


@contextmanager
def _ctrl_c_sets() -> Iterator[threading.Event]:
    """While the body runs, Ctrl-C sets the event; a second one interrupts as usual."""
    event = threading.Event()

    def handle(number: int, frame: FrameType | None) -> None:
        if event.is_set():
            raise KeyboardInterrupt
        event.set()

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, before)


def _summary(result: Result) -> str:
    rate = tokens_per_second(result)
    parts = [f"{len(result.tokens)} tokens"]
    parts += [f"{rate:.1f} tok/s"] if rate is not None else []
    parts.append(f"first after {result.prefill_s:.2f} s")
    if result.finish_reason != "stop":
        parts.append({"length": "cut at the limit", "cancelled": "stopped"}[result.finish_reason])
    return " · ".join(parts)


def _unicode(text: str) -> str:
    """`text` without the lone surrogates that stand for undecodable bytes of a command line."""
    return text.encode("utf-8", "replace").decode()
