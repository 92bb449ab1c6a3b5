"""A conversation on a terminal: turns, streamed answers, and Ctrl-C that ends only the answer."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TextIO, Unpack

from tallow.cli.errors import report
from tallow.cli.options import TemplateOptions, tokens_per_second
from tallow.cli.output import dimmed, printable
from tallow.errors import ContextError, TallowError

if TYPE_CHECKING:
    import threading

    from tallow.cli.prompt import Interrupts
    from tallow.generate import Result, SamplingParams
    from tallow.tasks import LLM

HELP = "/reset forgets the conversation · /exit or Ctrl-D leaves · Ctrl-C stops an answer"
COMMANDS = ("/exit", "/quit", "/reset", "/help")
_COMMAND = re.compile(r"/[^\W\d][\w-]*")  # one slash and a word: no path, no comment, no fraction


class Conversation:
    """The messages so far; `ask` adds a question and its answer, written to `out` as it comes.

    `images` are shown with the first question. With `shift`, the oldest turns are forgotten where a
    question finds no room for its answer.
    """

    def __init__(
        self,
        llm: LLM,
        params: SamplingParams,
        system: str | None,
        out: TextIO,
        *,
        images: Sequence[str] = (),
        shift: bool = False,
        **template: Unpack[TemplateOptions],
    ) -> None:
        self._llm, self._params, self._out, self._shift = llm, params, out, shift
        self._template, self._images = template, images
        self._begin = [{"role": "system", "content": system}] if system is not None else []
        self.messages: list[dict[str, Any]] = list(self._begin)

    def reset(self) -> None:
        """Forget everything but the system message."""
        self.messages = list(self._begin)

    def ask(self, question: str, cancel: threading.Event | None = None) -> Result:
        """Write the answer to `question`, whole or up to where `cancel` was set, and remember both.

        Raises:
            ContextError, ModelError: as `LLM.chat`; the question is then not part of the messages.
        """
        asked = [*self.messages, {"role": "user", "content": self._content(_unicode(question))}]
        if self._shift:
            asked = self._shifted(asked)
        out = self._out
        options = self._template
        with self._llm.chat(asked, self._params, stream=True, cancel=cancel, **options) as stream:
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

    def _content(self, question: str) -> Any:
        """The question, the first one behind its pictures."""
        if not self._images or len(self.messages) > len(self._begin):
            return question
        shown = [{"type": "image", "image": path} for path in self._images]
        return [*shown, {"type": "text", "text": question}]

    def _shifted(self, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """`messages` without as many of the oldest turns as leave a quarter of the context free."""
        context, first = self._llm.model.context, len(self._begin)
        room = min(self._params.max_tokens or context, context // 4)
        while (
            len(messages) > first + 2
            and len(self._llm.chat_ids(messages, **self._template)) + room > context
        ):
            messages = [*messages[:first], *messages[first + 2 :]]
        return messages


def converse(conversation: Conversation, name: str) -> None:
    """Read questions from standard input until its end or /exit; errors do not end the session."""
    if sys.stdin is None:
        return
    sys.stdin.reconfigure(errors="replace")  # type: ignore[union-attr]  # a text stream
    if not sys.stdin.isatty():
        for line in sys.stdin:
            if not _run_command(conversation, line.strip(), None):
                return
        return
    from tallow.cli.prompt import Interrupts, edit_lines

    edit_lines()
    print(dimmed(f"{name}: {HELP}"), flush=True)
    with Interrupts() as interrupts:
        for question in _questions(interrupts):
            if not _run_command(conversation, question, interrupts):
                return


def _run_command(conversation: Conversation, question: str, interrupts: Interrupts | None) -> bool:
    """Do what a line says; whether the session goes on."""
    word = question.split(maxsplit=1)[0] if question else ""
    if question in ("/exit", "/quit"):
        return False
    if question == "/reset":
        conversation.reset()
    elif question == "/help":
        print(HELP, flush=True)
    elif _COMMAND.fullmatch(word):
        said = question if word in COMMANDS else word
        print(f"unknown command {printable(said)}; {HELP}", file=sys.stderr, flush=True)
    elif question:
        _answer(conversation, question, interrupts)
    return True


def _answer(conversation: Conversation, question: str, interrupts: Interrupts | None) -> None:
    if interrupts is None:
        conversation.ask(question)
        return
    try:
        with interrupts.answering() as stopped:
            conversation.ask(question, stopped)
    except KeyboardInterrupt:  # the second Ctrl-C, when the first is not obeyed fast enough
        print(flush=True)
    except ContextError as error:
        report(error)
        if len(conversation.messages) > 1:
            print(f"the conversation is full; {HELP}", file=sys.stderr, flush=True)
    except TallowError as error:
        report(error)


def _questions(interrupts: Interrupts) -> Iterator[str]:
    """What is typed or pasted at the prompt; Ctrl-C there drops it."""
    from tallow.cli.prompt import read_line

    prompt = "> " if sys.stdout.isatty() else ""
    while True:
        try:
            with interrupts.at_prompt():
                question = read_line(prompt)
        except EOFError:
            print(flush=True)
            return
        except KeyboardInterrupt:
            print(f"\n{dimmed(HELP)}", flush=True)
        else:
            yield question.strip()


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
