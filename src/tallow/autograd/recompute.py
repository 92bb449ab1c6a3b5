"""Memory for time: a part of the graph is computed again in the backward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from tallow.lazy_dataclasses import dataclass

from .._native import TensorSpec
from .._native import next_order as now
from ..errors import GradError, expect
from ..tensor import Tensor
from . import engine
from .mode import MODE, enable_grad
from .node import CallNode, Leaf, attach, spec_of


def checkpoint(
    fn: Callable[..., Any], *args: Any, preserve_rng_state: bool = True, **options: Any
) -> Any:
    """`fn(*args, **options)`, keeping only what it is given; backward runs `fn` again.

    Chen et al. 2016 (arXiv 1604.06174). Random numbers come out alike the second time, unless
    `preserve_rng_state` is off. Whatever `fn` reaches gets its gradient, be it an argument, in one,
    or a tensor or parameter that `fn` closes over.

    Raises:
        GradError: in backward, when `fn` gives another number of tensors, or works on others.
    """
    if not MODE.enabled:
        return fn(*args, **options)
    from ..random import get_rng_state

    state = get_rng_state() if preserve_rng_state else None
    casts, start = MODE.autocast, now()
    with _as_then(None, casts):
        out = fn(*args, **options)
    made = list(_tensors(out))
    places = [i for i, y in enumerate(made) if _is_inside(y._node, start)]
    if not places:
        return out
    sources = _sources([made[i]._node for i in places], start)
    node = CallNode([(n, i) for n, i, _ in sources], [m for _, _, m in sources], len(places))
    node.name, node.keeps = "checkpoint", True
    node.rule = _CheckpointRule(fn, args, options, state, casts, len(made), places, node.edges)
    node.outputs = tuple(spec_of(made[i]) for i in places)
    given = {id(y) for y in made}
    for index, i in enumerate(places):
        y = attach(made[i], node, index)
        base = y._base
        if base is not None and id(base) not in given and _is_inside(base._node, start):
            y._base = None  # it would keep what was recorded
    return out


@dataclass
class _CheckpointRule:
    """The rule of a checkpoint: runs the function, and sends gradients to where it began."""

    fn: Callable[..., Any]
    args: tuple[Any, ...]
    options: dict[str, Any]
    state: Tensor | None
    casts: Any
    count: int  # of tensors in the result
    places: list[int]  # of those that require a gradient
    sources: Sequence[Any]

    def __call__(self, *grads: Tensor | None) -> list[Tensor | None]:
        create_graph, start = MODE.enabled, now()
        with _as_then(self.state, self.casts), enable_grad():
            made = list(_tensors(self.fn(*self.args, **self.options)))
        same = len(made) == self.count
        expect(same, "checkpoint", f"{self.count} tensors again", len(made), GradError)
        pairs = [
            (made[i], g)
            for i, g in zip(self.places, grads, strict=True)
            if g is not None and _is_inside(made[i]._node, start)
        ]
        # Leaves in the place of the sources: these take what comes from here in the pass that
        # called this one, once, and run their hooks then.
        leaves = {(id(source[0]), source[1]): Leaf() for source in self.sources}
        _reconnect([y._node for y, _ in pairs], start, leaves)
        keys = [(leaf, 0) for leaf in leaves.values()]
        found = engine.run(pairs, retain_graph=False, create_graph=create_graph, captures=keys)
        return [found.get((id(leaf), 0)) for leaf in leaves.values()]


def _tensors(value: Any) -> Iterator[Tensor]:
    """The tensors in nested lists, tuples and mappings, in their order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _tensors(part)
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _tensors(part)


@contextmanager
def _as_then(state: Tensor | None, casts: Any) -> Iterator[None]:
    """As in the forward pass: its random numbers, its autocast with nothing cast before."""
    from ..random import get_rng_state, set_rng_state

    autocast, current = MODE.autocast, None
    if state is not None:
        current = get_rng_state()
        set_rng_state(state)
    MODE.autocast = None if casts is None else casts.anew()
    try:
        yield
    finally:
        MODE.autocast = autocast
        if current is not None:
            set_rng_state(current)


def _is_inside(node: Any, start: int) -> bool:
    """Whether a node was made after `start`; leaves are always outside."""
    return node is not None and node.order > start


def _inside(nodes: Sequence[Any], start: int) -> Iterator[Any]:
    """The nodes after `start` that these lead to, and they themselves."""
    seen, stack = {id(node) for node in nodes}, list(nodes)
    while stack:
        node = stack.pop()
        yield node
        for edge in node.edges:
            if edge is not None and edge[0].order > start and id(edge[0]) not in seen:
                seen.add(id(edge[0]))
                stack.append(edge[0])


def _sources(nodes: Sequence[Any], start: int) -> list[tuple[Any, int, TensorSpec]]:
    """Where the nodes after `start` begin: the outputs of others, with shape and dtype."""
    found: dict[tuple[int, int], tuple[Any, int, TensorSpec]] = {}
    for node in _inside(nodes, start):
        for edge, spec in zip(node.edges, node.specs, strict=True):
            if edge is not None and not edge[0].order > start:
                shape = spec if isinstance(spec, TensorSpec) else TensorSpec(spec)
                found[id(edge[0]), edge[1]] = (*edge, shape)
    return list(found.values())


def _reconnect(nodes: Sequence[Any], start: int, leaves: dict[tuple[int, int], Leaf]) -> None:
    """Let the nodes after `start` lead to the leaves instead of where they begin."""
    for node in _inside(nodes, start):
        edges: list[Any] = []
        for edge in node.edges:
            if edge is None or edge[0].order > start:
                edges.append(edge)
                continue
            leaf = leaves.get((id(edge[0]), edge[1]))
            known = leaf is not None or isinstance(edge[0], Leaf)  # `fn` may make leaves
            expect(known, "checkpoint", "the same tensors again", "others", GradError)
            edges.append(None if leaf is None else (leaf, 0))
        node.edges = edges
