"""Calls of kernels, recorded: which, on what arguments, when, and what threads did meanwhile."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from time import perf_counter

from tallow import _native
from tallow.dtype import DTYPES, DType
from tallow.lazy_dataclasses import dataclass, field
from tallow.profiling.formulas import Work, work_of

_CALL, _WORK = 0, 1  # kinds of records, as in csrc/core/trace.h
_NONE, _ARRAY, _INTEGER = 0, 1, 2  # kinds of arguments, as in csrc/core/kernel.h


@dataclass(frozen=True)
class Operand:
    """An array that a call was given; `mode` is in, out or inout, `value` that of a position."""

    mode: str
    dtype: DType
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    value: int | None = None

    @property
    def elements(self) -> int:
        """Elements, each repeated one counted once."""
        count = 1
        for size, stride in zip(self.shape, self.strides, strict=True):
            count *= size if stride else min(size, 1)
        return count

    @property
    def bytes(self) -> int:
        """Bytes of these."""
        return self.elements // self.dtype.block * self.dtype.itemsize

    def __str__(self) -> str:
        return f"{self.dtype.name}[{','.join(map(str, self.shape))}]"


@dataclass(frozen=True)
class Invocation:
    """A kernel and the arguments of a call, by name, those left out missing."""

    kernel: str
    arguments: dict[str, Operand | int | float]

    @property
    def operands(self) -> dict[str, Operand]:
        """The arrays."""
        return {n: a for n, a in self.arguments.items() if isinstance(a, Operand)}

    @cached_property
    def work(self) -> Work:
        """Its floating-point operations, where a formula knows them, and bytes."""
        return work_of(self.kernel, self.arguments)

    def __str__(self) -> str:
        return "  ".join(f"{name} {operand}" for name, operand in self.operands.items())


@dataclass(frozen=True, slots=True)
class Call:
    """One call: `begin` and `end` in nanoseconds of one clock, on the caller's thread."""

    number: int
    thread: int
    begin: int
    end: int
    what: Invocation

    @property
    def seconds(self) -> float:
        """How long it took."""
        return (self.end - self.begin) * 1e-9


@dataclass(frozen=True, slots=True)
class Span:
    """What a thread of the pool did for a call: its share of the work, or a wait for the others.

    Worker 0 is the caller.
    """

    call: int
    worker: int
    waits: bool
    begin: int
    end: int


@dataclass
class Profile:
    """What was recorded between the beginning and the end of a `record`.

    `left_out` counts records that found no room (they take at most 512 MB).
    """

    name: str
    threads: int = 1
    seconds: float = 0.0
    calls: list[Call] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    left_out: int = 0

    @property
    def in_kernels(self) -> float:
        """Seconds in calls, those of several callers at once added."""
        return sum(call.seconds for call in self.calls)

    @cached_property
    def busy(self) -> dict[int, float]:
        """Seconds that threads worked for each call, all threads together, by its number."""
        found = {call.number: call.seconds for call in self.calls}
        for span in self.spans:
            if span.call not in found or (span.worker == 0 and not span.waits):
                continue
            seconds = (span.end - span.begin) * 1e-9
            found[span.call] += -seconds if span.waits else seconds
        return found

    def waiting(self, calls: list[Call]) -> float:
        """The share of their time that threads did not work in these calls."""
        whole = self.threads * sum(call.seconds for call in calls)
        worked = sum(self.busy[call.number] for call in calls)
        return max(1 - worked / whole, 0.0) if whole else 0.0


@contextmanager
def record(name: str = "") -> Iterator[Profile]:
    """Record each kernel call of any thread while the block runs: eager, in plans and programs.

    What kernels in Python do (LAPACK and Fourier transforms, by numpy) is not seen.

    Raises:
        ArgumentError: another profile is being recorded.
    """
    found = Profile(name)
    _native.start_trace()
    begin = perf_counter()
    try:
        yield found
    finally:
        found.seconds = perf_counter() - begin
        records, kernels, found.left_out = _native.stop_trace()
        found.threads = _native.num_threads()
        _read(found, records, kernels)


def _read(found: Profile, records: bytes, kernels: list[tuple[str, str]]) -> None:
    words = memoryview(records).cast("q")
    parsed = [(kernel, _parameters(signature)) for kernel, signature in kernels]
    known: dict[tuple[int, bytes], Invocation] = {}
    at = 0
    while at < len(words):
        kind, length = words[at] & 255, words[at] >> 8
        if kind == _CALL:
            number, thread, begin, end, place = words[at + 1 : at + 6]
            given = words[at + 6 : at + length]
            key = (place, given.tobytes())
            what = known.get(key)
            if what is None:
                what = known[key] = Invocation(
                    parsed[place][0], _arguments(given, parsed[place][1])
                )
            found.calls.append(Call(number, thread, begin, end, what))
        else:
            call, worker, begin, end = words[at + 1 : at + 5]
            found.spans.append(Span(call, worker, kind != _WORK, begin, end))
        at += length
    found.calls.sort(key=lambda call: call.begin)


def _parameters(signature: str) -> list[tuple[str, str]]:
    """Names and modes: `"out:out x:in mask:in? eps:f"`."""
    pairs = (word.split(":") for word in signature.split())
    return [(name, mode.rstrip("?")) for name, mode in pairs]


def _arguments(
    words: memoryview[int], parameters: list[tuple[str, str]]
) -> dict[str, Operand | int | float]:
    found: dict[str, Operand | int | float] = {}
    at = 0
    for name, mode in parameters:
        word = words[at]
        kind = word & 127
        at += 1
        if kind == _ARRAY:
            value = None
            if word & 128:
                value = words[at]
                at += 1
            axes = word >> 16
            shape, strides = tuple(words[at : at + axes]), tuple(words[at + axes : at + 2 * axes])
            at += 2 * axes
            found[name] = Operand(mode, DTYPES[word >> 8 & 255], shape, strides, value)
        elif kind != _NONE:
            found[name] = words[at] if kind == _INTEGER else _real(words[at])
            at += 1
    return found


def _real(bits: int) -> float:
    value: float = struct.unpack("=d", struct.pack("=q", bits))[0]
    return value
