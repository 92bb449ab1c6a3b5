"""A plan's tables while passes change them, and who reads and writes which memory.

Memory is judged by whole buffers: a call that writes a part of one writes the buffer. Inputs,
weights and states may lie on one piece of memory that the tables do not know of (two arrays that
borrow it), so a write of one counts as a write of all.
"""

from __future__ import annotations

import functools
from bisect import bisect_left
from typing import Any, NamedTuple

from tallow import _native
from tallow.dtype import DTYPES

_OUTSIDE = ("input", "weight", "state")
OUTSIDE = -1


class Value(NamedTuple):
    """A view of a buffer; `offset` counts bytes, strides count elements."""

    buffer: int
    offset: int
    dtype: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def size(self) -> int:
        """How many elements."""
        count = 1
        for length in self.shape:
            count *= length
        return count

    @property
    def steps(self) -> tuple[int, ...]:
        """Strides of the axes along which there is a step."""
        return tuple([s for s, n in zip(self.strides, self.shape, strict=True) if n > 1])

    @property
    def contiguous(self) -> bool:
        """Whether the elements follow each other in row-major order."""
        step = 1
        for length, stride in zip(reversed(self.shape), reversed(self.strides), strict=True):
            if length > 1 and stride != step:
                return False
            step *= length
        return True


class Buffer(NamedTuple):
    """`given`: as `Plan.rewritten` takes it."""

    role: str
    bytes: int
    given: Any


class Call:
    """A kernel and its arguments: None, numbers, ("value", number)."""

    __slots__ = ("args", "kernel")

    def __init__(self, kernel: str, args: list[Any]) -> None:
        self.kernel = kernel
        self.args = args

    def arrays(self) -> list[tuple[str, int]]:
        """Mode and value of each argument that is an array."""
        args = self.args
        return [
            (mode, arg[1])
            for place, mode in _arrays_of(self.kernel)
            if type(arg := args[place]) is tuple
        ]

    def reads(self) -> list[int]:
        """The values that are read."""
        args = self.args
        return [arg[1] for i in _read_by(self.kernel) if type(arg := args[i]) is tuple]

    def writes(self) -> list[int]:
        """The values that are written."""
        args = self.args
        return [arg[1] for i in _written_by(self.kernel) if type(arg := args[i]) is tuple]


@functools.cache
def _signatures() -> dict[str, str]:
    return dict(_native.kernel_names())


def is_kernel(name: str) -> bool:
    """Whether this machine has a kernel: some are for long vectors alone."""
    return name in _signatures()


@functools.cache
def modes_of(kernel: str) -> tuple[str, ...]:
    """`in`, `out`, `inout`, `i` or `f` of each argument."""
    return tuple([part.split(":")[1].rstrip("?") for part in _signatures()[kernel].split()])


@functools.cache
def _arrays_of(kernel: str) -> tuple[tuple[int, str], ...]:
    """Places of arguments that may be arrays, with their modes."""
    return tuple([(i, mode) for i, mode in enumerate(modes_of(kernel)) if mode not in ("i", "f")])


@functools.cache
def _read_by(kernel: str) -> tuple[int, ...]:
    return tuple([i for i, mode in _arrays_of(kernel) if mode != "out"])


@functools.cache
def _written_by(kernel: str) -> tuple[int, ...]:
    return tuple([i for i, mode in _arrays_of(kernel) if mode != "in"])


def bytes_of(dtype: int) -> int:
    """Bytes of an element; 0 of formats that keep blocks of them."""
    found = DTYPES[dtype]
    return 0 if found.kind == "q" else found.itemsize


class Graph:
    """Tables that passes change in place; `native()` makes a plan of them."""

    def __init__(self, plan: _native.Plan) -> None:
        self._plan = plan
        self.buffers = [Buffer(row[0], row[1], i) for i, row in enumerate(plan.buffers)]
        self.values = [*map(Value._make, plan.values)]
        self.calls = [Call(kernel, args) for kernel, args in plan.calls]
        self.inputs, self.outputs = plan.inputs, plan.outputs
        self.once = 0  # so many calls at the start run only when weights have changed
        self.there: list[int] = []  # of these: whose results another plan has written
        # Constants that no call reads any more; that they were written still makes the plan stale.
        self.watched: set[int] = set()
        self._numbers = {value: i for i, value in enumerate(self.values)}
        self._uses: Uses | None = None
        self._kernels: set[str] | None = None
        self.fixed: set[int] | None = None  # as `fixed_buffers` has found them
        # What passes have chosen for plans of the same calls on other shapes; None: not kept.
        self.choices: dict[Any, frozenset[int]] | None = None

    def uses(self) -> Uses:
        """Who reads and writes what, found once until the calls change."""
        if self._uses is None:
            self._uses = Uses(self)
        return self._uses

    def kernels(self) -> set[str]:
        """The kernels of all calls."""
        if self._kernels is None:
            self._kernels = {call.kernel for call in self.calls}
        return self._kernels

    def changed(self) -> None:
        """Forget what was found of the calls: they are others now."""
        self._uses = self._kernels = self.fixed = None

    def buffer_of(self, value: int) -> int:
        """The buffer that a value lies on."""
        return self.values[value].buffer

    def value(self, value: Value) -> int:
        """Its number."""
        found = self._numbers.get(value)
        if found is None:
            found = self._numbers[value] = len(self.values)
            self.values.append(value)
        return found

    def temporary(self, dtype: int, shape: tuple[int, ...]) -> int:
        """A new buffer's elements in row-major order, of a plain dtype."""
        strides: list[int] = []
        step = 1
        for length in reversed(shape):
            strides.insert(0, step)
            step *= length
        size = step * bytes_of(dtype)
        self.buffers.append(Buffer("temporary", size, ("temporary", size)))
        return self.value(Value(len(self.buffers) - 1, 0, dtype, shape, tuple(strides)))

    def content(self, buffer: int) -> bytes:
        """The bytes of a constant of the plan."""
        return self.memory(buffer).raw_bytes()

    def memory(self, buffer: int) -> _native.Array:
        """The memory of a weight, constant or state of the plan."""
        return self._plan.held(self.buffers[buffer].given)

    def whole(self, value: int) -> bool:
        """Whether the view shows every byte of its buffer, each once."""
        v = self.values[value]
        full = v.size * bytes_of(v.dtype) == self.buffers[v.buffer].bytes
        steps = sorted(zip(v.steps, [n for n in v.shape if n > 1], strict=True))
        step = 1
        for stride, length in steps:
            if stride != step:
                return False
            step *= length
        return full and v.offset == 0 and v.size > 0

    def native(self) -> _native.Plan:
        """The plan of these tables, on the memory of the first.

        Raises:
            ArgumentError: a view lies outside its buffer, or a call has other arguments than its
                kernel takes.
        """
        used = sorted(
            {v for call in self.calls for _, v in call.arrays()} | {*self.inputs, *self.outputs}
        )
        values = {old: new for new, old in enumerate(used)}
        on = {self.buffer_of(v) for v in used}
        # What is gone must not need memory; all that is outside stays, it may be looked at.
        on |= self.watched | {i for i, b in enumerate(self.buffers) if b.role in _OUTSIDE}
        kept = sorted(on)
        buffers = {old: new for new, old in enumerate(kept)}
        rows = [(buffers[b], *rest) for b, *rest in (self.values[v] for v in used)]
        calls = [
            (c.kernel, [("value", values[a[1]]) if type(a) is tuple else a for a in c.args])
            for c in self.calls
        ]
        return self._plan.rewritten(
            [self.buffers[i].given for i in kept], rows, calls,
            [values[v] for v in self.inputs], [values[v] for v in self.outputs], self.once,
            self.there,
        )  # fmt: skip


class Uses:
    """Who reads and writes which memory, by the places of calls as they are now."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.readers: list[list[int]] = [[] for _ in graph.buffers]  # calls, in order
        self.writers: list[list[int]] = [[] for _ in graph.buffers]
        self.parts: set[int] = set()  # buffers that a call writes in part, or reads before
        self.results = {graph.buffer_of(v) for v in graph.outputs}
        self._outside: list[int] = []
        values = graph.values
        for at, call in enumerate(graph.calls):
            for mode, value in call.arrays():
                b = values[value].buffer
                if mode != "out":
                    self.readers[b].append(at)
                if mode != "in":
                    self.writers[b].append(at)
                    if mode == "inout":
                        self.parts.add(b)
                    if graph.buffers[b].role in _OUTSIDE:
                        self._outside.append(at)

    def group(self, buffer: int) -> int:
        """What stands for all memory that the buffer may share."""
        return OUTSIDE if self.graph.buffers[buffer].role in _OUTSIDE else buffer

    def may_share(self, a: int, b: int) -> bool:
        """Whether two buffers may lie on one memory."""
        return self.group(a) == self.group(b)

    def made_by(self, buffer: int) -> int:
        """The one call that writes a temporary, before all that read it; -1: there is none."""
        writers, readers = self.writers[buffer], self.readers[buffer]
        if len(writers) != 1 or buffer in self.parts:
            return -1
        if self.graph.buffers[buffer].role not in ("temporary", "output"):
            return -1
        return writers[0] if not readers or readers[0] > writers[0] else -1

    def is_private(self, buffer: int) -> bool:
        """Whether only calls see it: it is no result and nothing outside."""
        return self.graph.buffers[buffer].role == "temporary" and buffer not in self.results

    def written(self, buffer: int, begin: int, end: int) -> bool:
        """Whether a call at begin … end - 1 may write what the buffer shows."""
        group = self.group(buffer)
        writers = self._outside if group == OUTSIDE else self.writers[buffer]
        at = bisect_left(writers, begin)
        return at < len(writers) and writers[at] < end

    @property
    def writes_outside(self) -> bool:
        """Whether a call writes an input, a weight or a state."""
        return bool(self._outside)
