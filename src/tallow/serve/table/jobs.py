"""Jobs: a queue, one process for each, and what is kept of them until nobody asks any more."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from pathlib import Path
from typing import Any

from tallow.lazy_dataclasses import dataclass, field
from tallow.serve.table.folders import PrivateFolder, remove
from tallow.serve.table.limits import Limits
from tallow.serve.table.options import Factory, Options
from tallow.serve.table.process import ProcessError, run
from tallow.serve.table.refusals import RefusalError
from tallow.serve.table.results import File, take_result
from tallow.serve.table.work import Input, Reading

UPLOADING, WAITING, RUNNING = "uploading", "waiting", "running"
DONE, FAILED, CANCELLED = "done", "failed", "cancelled"
_OPEN = (UPLOADING, WAITING, RUNNING)
_EVENTS = 50_000  # of a job; beyond, progress is no longer told


@dataclass(eq=False)
class Job:
    """One upload: its files, what was read of them, and the events that tell of it."""

    id: str
    folder: Path
    options: Options = field(default_factory=Options)
    files: list[File] = field(default_factory=list)
    state: str = UPLOADING
    error: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)
    touched: float = field(default_factory=time.monotonic)
    listeners: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    @property
    def open(self) -> bool:
        """Whether something is still to come of it."""
        return self.state in _OPEN

    def publish(self, kind: str, **details: Any) -> None:
        """Tell all who listen."""
        if len(self.events) < _EVENTS or kind == "state":
            self.events.append({"kind": kind, **details})
        self.changed.set()
        self.changed = asyncio.Event()

    def become(self, state: str, error: str = "") -> None:
        """Change the state, and say so."""
        self.state, self.error = state, error
        self.publish("state", state=state, error=error)

    def touch(self) -> None:
        """Somebody asked for it."""
        self.touched = time.monotonic()

    def as_dict(self) -> dict[str, Any]:
        """What the page gets of it."""
        return {
            "id": self.id,
            "state": self.state,
            "error": self.error,
            "events": len(self.events),
            "files": [file.as_dict() for file in self.files],
        }


class Jobs:
    """All jobs of a server. Every method is called from its event loop."""

    def __init__(self, factory: Factory, limits: Limits, under: Path | None = None) -> None:
        self.factory, self.limits, self.under = factory, limits, under
        self.jobs: dict[str, Job] = {}
        self.closed = False
        self._folder: PrivateFolder | None = None
        self._slots = asyncio.Semaphore(limits.running)
        self._sweeper: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Make the folder of temporary files, and begin to look for jobs that were left."""
        self._folder = PrivateFolder(self.under)
        self._sweeper = asyncio.create_task(self._sweep())

    async def close(self) -> None:
        """End every job, and remove everything."""
        self.closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        for job in list(self.jobs.values()):
            await self.remove(job)
        if self._folder is not None:
            self._folder.close()

    def find(self, id: str) -> Job:
        """The job of an id, which counts as a request for it."""
        job = self.jobs.get(id)
        if job is None:
            raise RefusalError(404, "There is no such job: it was cancelled, or has expired.")
        job.touch()
        return job

    def reserve(self) -> Job:
        """A place in the queue for an upload that begins.

        Raises:
            RefusalError: 429 where too many wait, 503 where too many are kept.
        """
        if self.closed:
            raise RefusalError(503, "The server is being shut down.")
        waiting = sum(job.state in (UPLOADING, WAITING) for job in self.jobs.values())
        # Those that could run at once do not wait.
        idle = max(0, self.limits.running - sum(j.state == RUNNING for j in self.jobs.values()))
        if waiting >= self.limits.waiting + idle:
            raise RefusalError(429, "Too many files are waiting to be read; try again soon.", 10)
        if len(self.jobs) >= self.limits.kept:
            self._drop_oldest()
        assert self._folder is not None
        id = secrets.token_urlsafe(24)
        job = Job(id, self._folder.folder(secrets.token_hex(8)))
        self.jobs[id] = job
        return job

    def submit(self, job: Job) -> None:
        """Let a job whose files have come wait for its turn."""
        job.touch()
        job.become(WAITING)
        job.task = asyncio.create_task(self._work(job))

    async def remove(self, job: Job, why: str = "") -> None:
        """End a job, and remove all that is kept of it."""
        self.jobs.pop(job.id, None)
        if job.task is not None:
            job.task.cancel()
            await asyncio.wait([job.task])
        if job.open:
            job.become(CANCELLED, why or "The job was cancelled.")
        job.publish("gone")
        self._tell_positions()
        await asyncio.to_thread(remove, job.folder)

    def position(self, job: Job) -> int:
        """How many jobs are to be read before this one."""
        order = [each for each in self.jobs.values() if each.open]
        return order.index(job) if job in order else 0

    def _tell_positions(self) -> None:
        """Tell those who wait how many are before them."""
        waiting = [job for job in self.jobs.values() if job.state == WAITING]
        for job in waiting:
            job.publish("position", position=self.position(job))

    async def _work(self, job: Job) -> None:
        async with self._slots:
            job.become(RUNNING)
            chosen = [file for file in job.files if file.state == "waiting"]
            inputs = [Input(f.number, f.path, f.name, f.password) for f in chosen]
            for file in chosen:
                file.password = None  # kept no longer than it is needed
            work = Reading(self.factory, job.options, self.limits, job.folder, inputs)
            try:
                await run(work, lambda message: self._told(job, message), self.limits.seconds)
                state, error = DONE, ""
            except TimeoutError:
                limit = self.limits.seconds
                state, error = FAILED, f"Reading took more than {limit:g} seconds and was ended."
            except ProcessError as problem:
                state, error = FAILED, str(problem)
            except OSError as problem:
                state, error = FAILED, f"The reader could not be started: {problem.strerror}."
            self._finish(job, chosen, state, error)

    def _finish(self, job: Job, chosen: list[File], state: str, error: str) -> None:
        for file in chosen:
            if file.state in ("waiting", "reading"):
                file.state, file.error = "error", error or "The file was not read."
                job.publish("file", file=file.number, state="error", error=file.error)
        read = any(file.state == "done" for file in job.files)
        job.touch()
        job.become(DONE if read else state, error)
        self._tell_positions()

    def _told(self, job: Job, message: dict[str, Any]) -> None:
        """Take what the process says; it is believed no more than a file is."""
        number = message.get("file")
        if not isinstance(number, int) or not 0 <= number < len(job.files):
            return
        file = job.files[number]
        kind = message.get("kind")
        if kind == "progress":
            file.state = "reading"
            step = {key: message.get(key) for key in ("page", "done", "pages", "step")}
            job.publish("progress", file=number, **step)
        elif kind == "error":
            file.state = "password" if message.get("password") is True else "error"
            file.error = str(message.get("error"))[:1000]
            job.publish("file", file=number, state=file.state, error=file.error)
        elif kind == "result":
            self._take(job, file)

    def _take(self, job: Job, file: File) -> None:
        try:
            take_result(file, job.folder, self.limits)
            failed = [page["error"] for page in file.pages if page["error"]]
            whole = not file.tables and failed and len(failed) == len(file.pages)
            file.state, file.error = ("error", failed[0]) if whole else ("done", "")
        except (OSError, ValueError, TypeError, KeyError) as problem:
            file.state = "error"
            file.error = f"The result of the file cannot be used: {problem}."
        job.publish("file", file=file.number, state=file.state, error=file.error)

    async def _sweep(self) -> None:
        """Remove jobs that nobody asks for."""
        limits = self.limits
        while True:
            await asyncio.sleep(min(limits.unattended_seconds, limits.kept_seconds, 10) / 4)
            now = time.monotonic()
            for job in list(self.jobs.values()):
                kept = limits.unattended_seconds if job.open else limits.kept_seconds
                uploading = job.state == UPLOADING  # has a limit of its own
                if not job.listeners and not uploading and now - job.touched > kept:
                    await self.remove(job, "Nobody waited for the job any more.")

    def _drop_oldest(self) -> None:
        """Make room by the job that is finished and was not asked for longest."""
        finished = [job for job in self.jobs.values() if not job.open and not job.listeners]
        idle = min(finished, key=lambda job: job.touched, default=None)
        if idle is None or time.monotonic() - idle.touched < self.limits.unattended_seconds:
            raise RefusalError(503, "The server holds too many results; try again later.", 60)
        self.jobs.pop(idle.id)
        idle.publish("gone")
        remove(idle.folder)


def events_after(job: Job, last: int) -> list[str]:
    """The events of a job after the first `last`, as lines of server-sent events."""
    found = enumerate(job.events[last:], last + 1)
    return [f"id: {number}\ndata: {json.dumps(event)}\n\n" for number, event in found]
