"""Which images of a plan are turned to channels-last order.

Each turned image saves time where it is made by a convolution; each that is needed in both orders
is copied. Starting with all that can be turned, images change their order while that makes the sum
less; then connected groups that save less than their copies take are left as they were.
"""

from __future__ import annotations

from typing import Any, Final

from tallow.plan.rewrites.channels_last.images import Images
from tallow.plan.rewrites.channels_last.kinds import Kind, Role
from tallow.plan.rewrites.graph import Graph, Uses, modes_of

_COPY: Final = 0.7  # nanoseconds for an element
_SWEEPS: Final = 4


def turned_images(graph: Graph, uses: Uses, images: Images, roles: list[Role]) -> set[int]:
    """Buffers whose images are made in channels-last order.

    Where plans of one function have the same calls, what was chosen for one of its shapes is taken
    for the others: what an order saves, and what a copy takes, grow alike with the images.
    """
    key = _key(graph, images, roles) if graph.choices is not None else None
    if graph.choices is not None and key in graph.choices:
        return {*graph.choices[key]}
    choice = _Choice(graph, uses, images, roles)
    choice.sweep()
    choice.leave_groups()
    if graph.choices is not None:
        graph.choices[key] = frozenset(choice.turned)
    return choice.turned


def _key(graph: Graph, images: Images, roles: list[Role]) -> Any:
    """All that says which buffers may be turned."""
    buffers = tuple([tuple([graph.buffer_of(v) for _, v in c.arrays()]) for c in graph.calls])
    kernels = tuple([call.kernel for call in graph.calls])
    kinds = tuple([(role.kind, role.images, role.free) for role in roles])
    return kernels, buffers, kinds, frozenset(images.movable), tuple(graph.outputs)


class _Choice:
    def __init__(self, graph: Graph, uses: Uses, images: Images, roles: list[Role]) -> None:
        self.graph, self.uses, self.roles = graph, uses, roles
        self.shapes = images.shapes
        makers = (Kind.ALIKE, Kind.CONV, Kind.DEPTHWISE)
        self.free = [
            b
            for b in sorted(images.movable, key=lambda b: uses.writers[b][0])
            if all(roles[at].kind in makers for at in uses.writers[b])
        ]
        self.turned = set(self.free)

    def sweep(self) -> None:
        """Turn single images back, or again, while that saves time."""
        for _ in range(_SWEEPS):
            changed = False
            for b in [*self.free, *reversed(self.free)]:
                was = b in self.turned
                costs = [self._cost(b, turned) for turned in (False, True)]
                if (wanted := costs[1] < costs[0]) != was:
                    changed = True
                    (self.turned.add if wanted else self.turned.discard)(b)
            if not changed:
                return

    def _cost(self, buffer: int, turned: bool) -> float:
        """What depends on the order of one buffer, as the others are."""
        kept = buffer in self.turned
        (self.turned.add if turned else self.turned.discard)(buffer)
        near = {buffer}
        cost = 0.0
        for at in dict.fromkeys(self.uses.writers[buffer]):
            cost -= self.roles[at].saved if turned else 0.0
            near.update(self._read_images(at))
        cost += sum(self._copies(b) for b in near)
        (self.turned.add if kept else self.turned.discard)(buffer)
        return cost

    def _copies(self, buffer: int) -> float:
        """What copying a buffer into the other order takes, 0 if nobody needs it."""
        turned = buffer in self.turned
        needed = turned and buffer in self.uses.results
        for at in dict.fromkeys(self.uses.readers[buffer]):
            needed = needed or (not turned) in self._wanted(at, buffer)
        size = 1
        for n in self.shapes[buffer]:
            size *= n
        return _COPY * size if needed else 0.0

    def _wanted(self, at: int, buffer: int) -> set[bool]:
        """The orders in which a call must have a buffer that it reads; True: channels-last."""
        role, call = self.roles[at], self.graph.calls[at]
        last = role.kind is not Kind.FIXED and self.graph.buffer_of(call.args[0][1]) in self.turned
        wanted: set[bool] = set()
        modes = modes_of(call.kernel)
        for i, arg in enumerate(call.args):
            if (
                type(arg) is not tuple
                or modes[i] == "out"
                or self.graph.buffer_of(arg[1]) != buffer
            ):
                continue
            if i not in role.images:
                wanted.add(False)
            elif i not in role.free or (role.kind is Kind.CONV and not last):
                wanted.add(last)
        return wanted

    def _read_images(self, at: int) -> set[int]:
        call = self.graph.calls[at]
        places = [i for i in self.roles[at].images if i != 0]
        return {self.graph.buffer_of(call.args[i][1]) for i in places}

    def leave_groups(self) -> None:
        """Turn groups back that save less than their copies take."""
        groups = self._groups()
        for group in groups:
            makers = {at for b in group for at in self.uses.writers[b]}
            around = group | {b for at in makers for b in self._read_images(at)}
            before = sum(self._copies(b) for b in around)
            self.turned -= group
            after = sum(self._copies(b) for b in around)
            if before - after < sum(self.roles[at].saved for at in makers):
                self.turned |= group

    def _groups(self) -> list[set[int]]:
        """Turned buffers, those together that one call reads and writes."""
        found: list[set[int]] = []
        for b in [b for b in self.free if b in self.turned]:
            joined = {b}
            for at in self.uses.writers[b]:
                joined |= self._read_images(at) & self.turned
            apart = [group for group in found if not group & joined]
            found = [*apart, joined.union(*[group for group in found if group & joined])]
        return found
