"""The interactive chat on a pseudo-terminal: editing, commands, Ctrl-C, Ctrl-D."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time

import pytest

from cli.conftest import PROGRAM

PROMPT = "> "
# An answer that never ends by itself: the tiny model repeats, the context is its only limit.
SLOW = """
import sys, time
import tallow.tasks.llm as llm
from tallow.generate import Piece, Result
def endless(self, prompt, params=None, *, cancel=None, **options):
    text = ""
    while not (cancel and cancel.is_set()):
        time.sleep(0.02)
        text += "tick "
        yield Piece("tick ", 7)
    yield Result(text, (7,), 5, 0, "cancelled", 0.1, 0.1)
llm.LLM.events = endless
from tallow.cli import main
sys.exit(main())
"""


class Terminal:
    """A program on a pseudo-terminal of its own."""

    def __init__(self, *command: str) -> None:
        self.master, slave = pty.openpty()
        env = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "INPUTRC": "/dev/null"}
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=env, start_new_session=True
        )
        os.close(slave)
        self.text = ""

    def expect(self, pattern: str, timeout: float = 30) -> str:
        """Read until `pattern` comes; what was read since the last call."""
        end = time.monotonic() + timeout
        while (match := re.search(pattern, self.text)) is None:
            left = end - time.monotonic()
            assert left > 0, f"{pattern!r} did not come: {self.text!r}"
            if select.select([self.master], [], [], left)[0]:
                try:
                    data = os.read(self.master, 65536)
                except OSError:  # the other end is closed
                    data = b""
                assert data, f"{pattern!r} did not come before the end: {self.text!r}"
                self.text += data.decode(errors="replace").replace("\r\n", "\n")
        found, self.text = self.text[: match.end()], self.text[match.end() :]
        return found

    def send(self, text: str) -> None:
        os.write(self.master, text.encode())

    def interrupt(self) -> None:
        os.killpg(self.process.pid, signal.SIGINT)

    def close(self) -> int:
        code = self.process.wait(30)
        os.close(self.master)
        return code


@pytest.fixture
def terminal():
    opened = []

    def start(*command: str) -> Terminal:
        opened.append(Terminal(*command))
        return opened[-1]

    yield start
    for each in opened:
        if each.process.poll() is None:
            each.process.kill()
            each.process.wait()
            os.close(each.master)


def test_conversation(terminal, tiny):
    shell = terminal(*PROGRAM, "chat", tiny, "--max-tokens", "3")
    assert "/reset" in shell.expect(PROMPT)
    shell.send("Hi\n")
    assert re.search(r"\x1b\[2m\d tokens · .*first after", shell.expect(PROMPT))
    shell.send("/nonsense\n")
    shell.expect("unknown command /nonsense")
    shell.expect(PROMPT)
    shell.send("/reset\n")
    shell.expect(PROMPT)
    shell.send("x" * 70 + "\n")  # more than the context of 64: an error, and the session goes on
    shell.expect("error: prompt: expected fewer than 64")
    shell.expect(PROMPT)
    shell.send("Hi\n")
    shell.expect("first after")
    shell.expect(PROMPT)
    shell.send("/exit\n")
    assert shell.close() == 0


def test_ctrl_d_leaves(terminal, tiny):
    shell = terminal(*PROGRAM, "chat", tiny)
    shell.expect(PROMPT)
    shell.send("\x04")
    assert shell.close() == 0


def test_ctrl_c_at_the_prompt_drops_the_line(terminal, tiny):
    shell = terminal(*PROGRAM, "chat", tiny)
    shell.expect(PROMPT)
    shell.send("half a que")
    shell.expect("half a que")
    shell.interrupt()
    shell.expect("Ctrl-D leaves")
    shell.expect(PROMPT)
    shell.send("\x04")
    assert shell.close() == 0


def test_ctrl_c_stops_the_answer_only(terminal, tiny):
    shell = terminal(sys.executable, "-c", SLOW, "chat", tiny)
    for _ in range(2):
        shell.expect(PROMPT)
        shell.send("Hi\n")
        shell.expect("tick tick")
        shell.interrupt()
        shell.expect("stopped")
    shell.expect(PROMPT)
    shell.send("/exit\n")
    assert shell.close() == 0


def test_ctrl_c_ends_a_single_answer(terminal, tiny):
    shell = terminal(sys.executable, "-c", SLOW, "chat", tiny, "--prompt", "Hi")
    shell.expect("tick tick")
    shell.interrupt()
    assert shell.close() == 130
    assert "Traceback" not in shell.text


def test_tables_fold_on_a_terminal(terminal, tiny):
    shell = terminal(*PROGRAM, "inspect", tiny)
    shown = shell.expect("in 20 tensors")
    assert "━" in shown or "─" in shown
    assert shell.close() == 0
