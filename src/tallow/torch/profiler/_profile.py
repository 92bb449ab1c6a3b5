"""A profiler of blocks named by `record_function`: how often they ran and how long."""

from __future__ import annotations

import functools
import json
import os
import time
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any, Self


class ProfilerActivity(Enum):
    """What PyTorch's profiler can watch; here the CPU's time."""

    CPU = 0
    XPU = 1
    MTIA = 2
    CUDA = 3
    HPU = 4
    PrivateUse1 = 5


class ProfilerAction(Enum):
    """What a schedule says of a step."""

    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3


def supported_activities() -> set[ProfilerActivity]:
    """The CPU's."""
    return {ProfilerActivity.CPU}


def schedule(
    *, wait: int, warmup: int, active: int, repeat: int = 0, skip_first: int = 0, **_: Any
) -> Callable[[int], ProfilerAction]:
    """What to do at each step: wait, warm up, record, over and over."""
    cycle = wait + warmup + active

    def plan(step: int) -> ProfilerAction:
        step -= skip_first
        if step < 0 or (repeat and step // cycle >= repeat):
            return ProfilerAction.NONE
        at = step % cycle
        if at < wait:
            return ProfilerAction.NONE
        if at < wait + warmup:
            return ProfilerAction.WARMUP
        last = at == cycle - 1
        return ProfilerAction.RECORD_AND_SAVE if last else ProfilerAction.RECORD

    return plan


_running: list[profile] = []


class record_function:  # noqa: N801  (PyTorch's name)
    """`with record_function("name"):` counts the block and its time in the profiles that run."""

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name, self._start = name, 0.0

    def __enter__(self) -> Self:
        self._start = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        took = time.perf_counter() - self._start
        for watching in _running:
            watching.note(self.name, self._start, took)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Record each call of a function."""

        @functools.wraps(function)
        def within(*args: Any, **options: Any) -> Any:
            with record_function(self.name):
                return function(*args, **options)

        return within


class EventAverage:
    """A named block over all its runs; times in microseconds."""

    def __init__(self, key: str, times: list[float]) -> None:
        self.key, self.count = key, len(times)
        self.cpu_time_total = self.self_cpu_time_total = sum(times) * 1e6
        self.cpu_time = self.cpu_time_total / max(self.count, 1)
        self.device_time_total = self.cuda_time_total = 0.0


class EventAverages(list[EventAverage]):
    """The named blocks of a profile."""

    def table(self, sort_by: str | None = None, row_limit: int = 100, **_: Any) -> str:
        """One line per name."""
        rows = sorted(self, key=lambda e: -e.cpu_time_total)[:row_limit]
        lines = [f"{'Name':40} {'CPU total':>12} {'CPU avg':>12} {'# of Calls':>10}"]
        lines += [
            f"{e.key[:40]:40} {e.cpu_time_total:10.1f}us {e.cpu_time:10.1f}us {e.count:10}"
            for e in rows
        ]
        return "\n".join(lines)

    def total_average(self) -> EventAverage:
        """All blocks as one."""
        return EventAverage("Total", [e.cpu_time_total / 1e6 for e in self])


class profile:  # noqa: N801  (PyTorch's name)
    """`with profile(...) as prof:` times the blocks of `record_function`; `prof.step()` goes on."""

    def __init__(
        self,
        *,
        activities: Iterable[ProfilerActivity] | None = None,
        schedule: Callable[[int], ProfilerAction] | None = None,
        on_trace_ready: Callable[[Any], Any] | None = None,
        enabled: bool = True,
        **_: Any,
    ) -> None:
        self._schedule, self._ready, self.enabled = schedule, on_trace_ready, enabled
        self.step_num = 0
        self.notes: list[tuple[str, float, float]] = []

    def note(self, name: str, start: float, took: float) -> None:
        """Take a block in, when this step is recorded."""
        action = ProfilerAction.RECORD if self._schedule is None else self._schedule(self.step_num)
        if action in (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE):
            self.notes.append((name, start, took))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin."""
        if self.enabled:
            _running.append(self)

    def stop(self) -> None:
        """End, and hand the profile to `on_trace_ready`."""
        if self in _running:
            _running.remove(self)
            if self._ready is not None and self._schedule is None:
                self._ready(self)

    def step(self) -> None:
        """The next step of the schedule."""
        plan = self._schedule
        done = plan is not None and plan(self.step_num) is ProfilerAction.RECORD_AND_SAVE
        self.step_num += 1
        if done and self._ready is not None:
            self._ready(self)

    def key_averages(self, *_: Any, **__: Any) -> EventAverages:
        """The blocks by name."""
        times: dict[str, list[float]] = {}
        for name, _start, took in self.notes:
            times.setdefault(name, []).append(took)
        return EventAverages(EventAverage(name, each) for name, each in times.items())

    def events(self) -> list[tuple[str, float, float]]:
        """(name, start, seconds) of each block."""
        return list(self.notes)

    def export_chrome_trace(self, path: str) -> None:
        """Write the blocks as a trace that Chrome shows."""
        events = [
            {"name": name, "ph": "X", "ts": start * 1e6, "dur": took * 1e6, "pid": 0, "tid": 0}
            for name, start, took in self.notes
        ]
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"traceEvents": events}, file)


def tensorboard_trace_handler(
    dir_name: str, worker_name: str | None = None, use_gzip: bool = False
) -> Callable[[profile], None]:
    """A handler that writes each trace into a folder."""

    def save(prof: profile) -> None:
        os.makedirs(dir_name, exist_ok=True)
        name = f"{worker_name or 'worker'}.{prof.step_num}.pt.trace.json"
        prof.export_chrome_trace(os.path.join(dir_name, name))

    return save


def emit_nvtx(*_: Any, **__: Any) -> Any:
    """A block that changes nothing: NVIDIA's profiler sees nothing here."""
    from contextlib import nullcontext

    return nullcontext()


emit_itt = emit_nvtx
