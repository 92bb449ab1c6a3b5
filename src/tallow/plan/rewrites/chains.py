"""Elementwise calls that feed each other run as one, chunk by chunk in the cache.

The kernel runs the loops of the single kernels on some hundred elements at a time, so no bit
changes. It is for f32: halves would be rounded after each step, which takes as long as calls do.
"""

from __future__ import annotations

import functools
from typing import Any

from tallow import _native
from tallow.dtype import f32
from tallow.plan.rewrites.graph import Call, Graph, Uses
from tallow.plan.rewrites.once import fixed_buffers

# As core/chain.h has them.
_INPUTS, _STEPS, _CONSTANTS = 7, 8, 8
_SMALL = 4096  # elements, of which two calls take no longer than one with two steps


@functools.cache
def _ops() -> dict[str, tuple[int, int, int]]:
    return _native.chain_ops()


def elementwise_chains(graph: Graph) -> int:
    """A call takes in those that make its operands, where nobody else reads what they make.

    All are of one shape; nothing may write what they read before the last of them.
    """
    uses = graph.uses()
    fixed = fixed_buffers(graph)
    taken: set[int] = set()
    joined = 0
    for at in range(len(graph.calls) - 1, -1, -1):
        if at in taken or not _is_step(graph, graph.calls[at]):
            continue
        found = _Chain(graph, uses, fixed, at)
        if found.pays():
            taken.update(found.calls)
            graph.calls[at] = found.joined()
            taken.discard(at)
            joined += len(found.calls) - 1
    graph.calls = [call for at, call in enumerate(graph.calls) if at not in taken]
    return joined


def _is_step(graph: Graph, call: Call) -> bool:
    if call.kernel not in _ops():
        return False
    out = graph.values[call.args[0][1]]
    return bool(out.dtype == f32.code and out.size > 0)


class _Chain:
    """The calls that end in one of them, taken in as far as the kernel has room."""

    def __init__(self, graph: Graph, uses: Uses, fixed: set[int], last: int) -> None:
        self.graph, self.uses, self.last = graph, uses, last
        self.calls = {last}
        target = graph.calls[last].args[0][1]
        self._to = graph.values[target]
        self._once = self._to.buffer in fixed
        self._fixed = fixed
        while (found := self._next()) is not None:
            self.calls.add(found)

    def _next(self) -> int | None:
        """A call that can be taken in."""
        reads = {v for at in self.calls for v in self.graph.calls[at].reads()}
        for value in sorted(reads, reverse=True):
            at = self.uses.made_by(self.graph.buffer_of(value))
            if at >= 0 and at not in self.calls and self._fits(at, value):
                return at
        return None

    def _fits(self, at: int, value: int) -> bool:
        graph, uses = self.graph, self.uses
        call = graph.calls[at]
        out = graph.values[value]
        if (
            not uses.is_private(out.buffer)
            or not self.calls.issuperset(uses.readers[out.buffer])
            or not _is_step(graph, call)
            or call.args[0][1] != value
            or out.shape != self._to.shape
            or (out.buffer in self._fixed and not self._once)
        ):
            return False
        if any(  # seen by another view
            graph.buffer_of(v) == out.buffer and v != value
            for reader in uses.readers[out.buffer]
            for v in graph.calls[reader].reads()
        ):
            return False
        for v in call.reads():
            b = graph.buffer_of(v)
            if uses.may_share(b, self._to.buffer) or uses.written(b, at + 1, self.last):
                return False
        return self._has_room({*self.calls, at})

    def _has_room(self, calls: set[int]) -> bool:
        numbers = sum(_ops()[self.graph.calls[at].kernel][2] for at in calls)
        inputs = self._inputs(calls)
        return len(calls) <= _STEPS and len(inputs) <= _INPUTS and numbers <= _CONSTANTS

    def _inputs(self, calls: set[int]) -> list[int]:
        """The arrays that they read and do not make, each once."""
        made = {self.graph.calls[at].args[0][1] for at in calls if at != self.last}
        reads = [v for at in sorted(calls) for v in self.graph.calls[at].reads()]
        return list(dict.fromkeys([v for v in reads if v not in made]))

    def pays(self) -> bool:
        """Whether one call is less work."""
        return len(self.calls) > (2 if self._to.size < _SMALL else 1)

    def joined(self) -> Call:
        """One call of the kernel."""
        inputs = self._inputs(self.calls)
        places = {value: i for i, value in enumerate(inputs)}
        steps: list[int] = []
        numbers: list[float] = []
        for at in sorted(self.calls):
            call = self.graph.calls[at]
            code, operands, constants = _ops()[call.kernel]
            word = code | len(numbers) << 32 if constants else code
            for i in range(operands):
                word |= places[call.args[1 + i][1]] << 8 * (i + 1)
            numbers += call.args[1 + operands :]
            if at != self.last:
                places[call.args[0][1]] = _INPUTS + len(steps)
            steps.append(word)
        arrays: list[Any] = [("value", v) for v in inputs]
        arrays += [None] * (_INPUTS - len(arrays))
        steps += [0] * (_STEPS - len(steps))
        numbers += [0.0] * (_CONSTANTS - len(numbers))
        target = self.graph.calls[self.last].args[0]
        return Call("elementwise_chain", [target, *arrays, *steps, *numbers])
