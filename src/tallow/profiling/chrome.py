"""Profiles as Chrome's trace events, which Perfetto and chrome://tracing show.

Format: "Trace Event Format", as the Catapult project describes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tallow.profiling.limits import Limits
from tallow.profiling.recording import Call, Operand, Profile, Span

Event = dict[str, Any]
WORKERS = 1000  # their tracks stand below those of the threads that call


def trace(profiles: Sequence[Profile], limits: Limits | None = None) -> dict[str, Any]:
    """A document of all calls, and what each thread of the pool did in them.

    A track for each thread that calls, with the profiles' names above their calls, and one for
    each worker, with its work and its waits.
    """
    start = min((call.begin for each in profiles for call in each.calls), default=0)
    events: list[Event] = [_named(0, "process_name", "tallow")]
    threads: dict[int, str] = {}
    for profile in profiles:
        events += _phase(profile, start)
        for call in profile.calls:
            threads.setdefault(call.thread, f"thread {call.thread}")
            events.append(_call(call, profile.name, start))
        events += _spans(profile, start)
        threads |= {WORKERS + s.worker: f"worker {s.worker}" for s in profile.spans if s.worker}
    events += [_named(number, "thread_name", name) for number, name in sorted(threads.items())]
    about = {} if limits is None else vars(limits)
    return {"traceEvents": events, "displayTimeUnit": "ns", "otherData": about}


def _event(name: str, kind: str, thread: int, begin: int, end: int, start: int) -> Event:
    return {
        "name": name,
        "cat": kind,
        "ph": "X",
        "ts": (begin - start) / 1000,
        "dur": (end - begin) / 1000,
        "pid": 1,
        "tid": thread,
    }


def _named(thread: int, kind: str, name: str) -> Event:
    return {"name": kind, "ph": "M", "pid": 1, "tid": thread, "args": {"name": name}}


def _phase(profile: Profile, start: int) -> Iterator[Event]:
    if profile.name and profile.calls:
        first, last = profile.calls[0], max(profile.calls, key=lambda call: call.end)
        yield _event(profile.name, "phase", first.thread, first.begin, last.end, start)


def _call(call: Call, phase: str, start: int) -> Event:
    made = _event(call.what.kernel, "call", call.thread, call.begin, call.end, start)
    given = call.what.arguments
    args: dict[str, Any] = {
        name: str(value) if isinstance(value, Operand) else value for name, value in given.items()
    }
    work, nanoseconds = call.what.work, max(call.end - call.begin, 1)
    if work.flops is not None:
        args["GFLOP/s"] = round(work.flops / nanoseconds, 3)
    args["GB/s"] = round(work.bytes / nanoseconds, 3)
    return {**made, "args": {**({"phase": phase} if phase else {}), **args}}


def _spans(profile: Profile, start: int) -> Iterator[Event]:
    calls = {call.number: call for call in profile.calls}
    shares: dict[tuple[int, int], list[Span]] = {}
    for span in profile.spans:
        call = calls.get(span.call)
        if call is None:
            continue
        thread = WORKERS + span.worker if span.worker else call.thread
        name = "wait for threads" if span.waits else f"{call.what.kernel}: work"
        kind = "wait" if span.waits else "work"
        yield _event(name, kind, thread, span.begin, span.end, start)
        if span.worker:
            shares.setdefault((span.call, span.worker), []).append(span)
    for (number, worker), spans in shares.items():
        yield from _idle(calls[number], WORKERS + worker, spans, start)


def _idle(call: Call, thread: int, spans: list[Span], start: int) -> Iterator[Event]:
    """What a worker waited for in a call: before, between and after its shares of the work."""
    since = call.begin
    for span in sorted(spans, key=lambda span: span.begin):
        if span.begin > since:
            yield _event("wait", "wait", thread, since, span.begin, start)
        since = max(since, span.end)
    if call.end > since:
        yield _event("wait", "wait", thread, since, call.end, start)
