"""The order of nodes: files should have it and some do not; cycles are told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from heapq import heapify, heappop, heappush

from tallow.formats.onnx import Graph, Node


def graphs_of(node: Node) -> Iterator[Graph]:
    """The sub-graphs among the attributes of a node."""
    for value in node.attributes.values():
        if isinstance(value, Graph):
            yield value
        elif isinstance(value, list):
            yield from (each for each in value if isinstance(each, Graph))


class Uses:
    """What nodes use: their inputs, and what their sub-graphs take from around them."""

    def __init__(self) -> None:
        self._free: dict[int, frozenset[str]] = {}

    def of(self, node: Node) -> list[str]:
        """Names that a node uses, one as often as it does; '' is that of none."""
        found = node.inputs
        for graph in graphs_of(node):
            found = [*found, *self._free_of(graph)]
        return found

    def _free_of(self, graph: Graph) -> frozenset[str]:
        """Names that a graph uses and does not define."""
        known = self._free.get(id(graph))
        if known is None:
            used = {each.name for each in graph.outputs}
            made = {"", *graph.initializers, *(each.name for each in graph.inputs)}
            for node in graph.nodes:
                used.update(self.of(node))
                made.update(node.outputs)
            known = self._free[id(graph)] = frozenset(used - made)
        return known


def ordered(
    nodes: Sequence[Node], makers: Mapping[str, int], uses: Uses
) -> tuple[Sequence[Node], list[Node]]:
    """Nodes after those whose results they use, else as they stand; and the nodes of a cycle.

    `makers` has for each value of the graph the number of the node that makes it, -1 if none does.
    """
    if _in_order(nodes, makers, uses):
        return nodes, []
    needs = [{m for n in uses.of(node) if (m := makers.get(n, -1)) >= 0} for node in nodes]
    users: list[list[int]] = [[] for _ in nodes]
    for at, need in enumerate(needs):
        for maker in need:
            users[maker].append(at)
    left = [len(need) for need in needs]
    ready = [at for at, count in enumerate(left) if not count]
    heapify(ready)
    found = []
    while ready:
        at = heappop(ready)
        found.append(nodes[at])
        for user in users[at]:
            left[user] -= 1
            if not left[user]:
                heappush(ready, user)
    if len(found) == len(nodes):
        return found, []
    return found, _cycle(nodes, needs, left)


def _in_order(nodes: Sequence[Node], makers: Mapping[str, int], uses: Uses) -> bool:
    maker = makers.get
    for at, node in enumerate(nodes):
        for name in uses.of(node):
            if maker(name, -1) >= at:
                return False
    return True


def _cycle(nodes: Sequence[Node], needs: list[set[int]], left: list[int]) -> list[Node]:
    """Nodes each of which needs the one before it, the first one the last."""
    at = next(at for at, count in enumerate(left) if count)
    seen: dict[int, int] = {}
    path: list[int] = []
    while at not in seen:
        seen[at] = len(path)
        path.append(at)
        at = next(maker for maker in needs[at] if left[maker])
    return [nodes[each] for each in reversed(path[seen[at] :])]
