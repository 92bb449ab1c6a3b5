"""A process of its own for each piece of work: told what to do by pickle, it answers in JSON.

Nothing that the process sends is more than text to the server: should a hostile file take the
process over, it does not get further. It ends when its server does, as its input then ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pickle
import signal
import struct
import sys
from collections.abc import Callable
from typing import Any

from tallow.errors import TallowError

LENGTH = struct.Struct("<Q")
_LINE_BYTES = 1_000_000
_ENDING_BYTES = 2_000


class ProcessError(TallowError):
    """The process ended without having finished its work."""


async def run(work: Any, tell: Callable[[dict[str, Any]], None], seconds: float) -> None:
    """Do `work` (see `work`) in a new process; `tell` gets each line that it sends.

    The process and all that it started are gone when this returns, is cancelled or raises.

    Raises:
        TimeoutError: it took more than `seconds`.
        ProcessError: it died.
    """
    payload = pickle.dumps(work)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "tallow.serve.table.worker",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE, limit=_LINE_BYTES, start_new_session=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )  # fmt: skip
    assert process.stdin and process.stdout and process.stderr
    said = asyncio.create_task(_ending(process.stderr))
    try:
        async with asyncio.timeout(seconds):
            with contextlib.suppress(ConnectionError):  # that it died is told below
                process.stdin.write(LENGTH.pack(len(payload)) + payload)
                await process.stdin.drain()
            await _follow(process.stdout, tell)
            code = await process.wait()
    finally:
        await _end(process, said)
    if code != 0:
        raise ProcessError(_why(code, said.result()))


async def _follow(stream: asyncio.StreamReader, tell: Callable[[dict[str, Any]], None]) -> None:
    while True:
        try:
            line = await stream.readline()
        except ValueError:  # a line without end
            raise ProcessError("The process that reads the file sent nonsense.") from None
        if not line:
            return
        try:
            message = json.loads(line)
        except ValueError:
            continue
        if isinstance(message, dict):
            tell(message)


async def _ending(stream: asyncio.StreamReader) -> str:
    """The end of what a process says on standard error."""
    kept = b""
    while chunk := await stream.read(65536):
        kept = (kept + chunk)[-_ENDING_BYTES:]
    return kept.decode("utf-8", "replace")


async def _end(process: asyncio.subprocess.Process, said: asyncio.Task[str]) -> None:
    """Kill what still runs of a process and of those that it started, and wait until it is gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    if process.stdin is not None:
        process.stdin.close()
    await asyncio.shield(asyncio.gather(process.wait(), said, return_exceptions=True))


def _why(code: int, said: str) -> str:
    if code == -signal.SIGKILL or "MemoryError" in said:
        return "Reading this file took more memory than there is, and was ended."
    if said:
        print(said, file=sys.stderr)
    name = signal.Signals(-code).name if -code in {*signal.Signals} else f"code {code}"
    return f"The process that reads the file ended unexpectedly ({name})."
