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
# Questions are told instead of answered; a signal may go to another thread than the one that waits.
TOLD = """
import os, signal, sys, threading, time
import tallow.cli.conversation as conversation
def ask(self, question, cancel=None):
    print("asked", repr(question), flush=True)
    time.sleep(0.5)
conversation.Conversation.ask = ask
def interrupt_aside():
    while not os.path.exists(sys.argv[0]):
        time.sleep(0.01)
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)
sys.argv[0] = os.environ.get("TRIGGER", "/nowhere")
threading.Thread(target=interrupt_aside, daemon=True).start()
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

    def expect(self, pattern: str, timeout: float = 300) -> str:
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
        code = self.process.wait(300)
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


def test_a_signal_that_interrupts_no_call_is_obeyed(terminal, tiny, tmp_path, monkeypatch):
    """As one that comes when a key was handled and the wait for the next has not begun."""
    monkeypatch.setenv("TRIGGER", str(tmp_path / "now"))
    shell = terminal(sys.executable, "-c", TOLD, "chat", tiny)
    shell.expect(PROMPT)
    shell.send("half a que")
    shell.expect("half a que")
    (tmp_path / "now").touch()
    shell.expect("Ctrl-D leaves")
    shell.expect(PROMPT)
    shell.send("whole\n")
    shell.expect("asked 'whole'")
    shell.expect(PROMPT)
    shell.send("\x04")
    assert shell.close() == 0


def test_ctrl_c_again_and_again_only_drops_lines(terminal, tiny):
    shell = terminal(sys.executable, "-c", TOLD, "chat", tiny)
    shell.expect(PROMPT)
    for _ in range(20):
        shell.interrupt()
        time.sleep(0.01)
    shell.expect("Ctrl-D leaves")
    shell.expect(PROMPT)
    shell.send("\x15/exit\n")
    assert shell.close() == 0


@pytest.mark.parametrize("sent", ["one\ntwo\n\nthree\n", "\x1b[200~one\ntwo\n\nthree\x1b[201~\n"])
def test_a_paste_is_one_question(terminal, tiny, sent):
    shell = terminal(sys.executable, "-c", TOLD, "chat", tiny)
    for _ in range(2):
        shell.expect(PROMPT)
        shell.send(sent)
        shell.expect(r"asked 'one\\ntwo\\n\\nthree'")
    shell.expect(PROMPT)
    shell.send("/exit\n")
    assert shell.close() == 0


def test_lines_typed_during_an_answer_are_questions_of_their_own(terminal, tiny):
    shell = terminal(sys.executable, "-c", TOLD, "chat", tiny)
    shell.expect(PROMPT)
    shell.send("one\n")
    shell.expect("asked 'one'")
    shell.send("two\nthree\n")
    shell.expect("asked 'two'")
    shell.expect("asked 'three'")
    shell.expect(PROMPT)
    shell.send("/exit\n")
    assert shell.close() == 0


@pytest.mark.parametrize(
    "line", ["/restart", "/set temperature 1", "/foo-bar", "/exit now", "/Reset"]
)
def test_unknown_commands_are_no_questions(terminal, tiny, line):
    shell = terminal(sys.executable, "-c", TOLD, "chat", tiny)
    shell.expect(PROMPT)
    shell.send(line + "\n")
    assert "asked" not in shell.expect("unknown command /.*/reset forgets")
    shell.expect(PROMPT)
    shell.send("/usr/bin is what?\n")
    shell.expect("asked '/usr/bin is what")
    shell.expect(PROMPT)
    shell.send("\x04")
    assert shell.close() == 0


def test_a_full_conversation_says_how_to_go_on(terminal, tiny):
    shell = terminal(*PROGRAM, "chat", tiny, "--max-tokens", "3")
    shell.expect(PROMPT)
    shell.send("Hi\n")
    shell.expect(PROMPT)
    shell.send("And then, what came after it?\n")
    shell.expect("error: prompt: expected fewer than 64")
    shell.expect("the conversation is full; /reset forgets")
    shell.expect(PROMPT)
    shell.send("/reset\n")
    shell.expect(PROMPT)
    shell.send("Hi\n")
    shell.expect("first after")
    shell.expect(PROMPT)
    shell.send("/exit\n")
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
