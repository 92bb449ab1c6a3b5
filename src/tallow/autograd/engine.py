"""The backward pass: nodes from the newest to the oldest, each once, without recursion."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from .._native import TensorSpec
from ..device import SEEN, elsewhere
from ..dtype import DTYPES
from ..errors import ArgumentError, DTypeError, GradError, ShapeError, expect
from ..factories import ones_like, zeros
from ..tensor import Tensor, wrap
from .mode import MODE, set_mode
from .node import Leaf, Node

Key = tuple[Any, int]  # (node or leaf, which of its outputs)


def unbroadcast(g: Tensor, spec: Any) -> Tensor:
    """A gradient of a broadcast and promoted argument, summed and converted back to it."""
    shape, wanted = g._array.shape, spec.shape
    if shape != wanted:
        ahead = len(shape) - len(wanted)
        axes = list(range(ahead)) + [
            i + ahead for i, n in enumerate(wanted) if n == 1 and shape[i + ahead] != 1
        ]
        g = g.sum(axes, keepdim=True) if axes else g
        g = g.reshape(wanted)
    code = spec.code if type(spec) is TensorSpec else spec.dtype
    if g._array.dtype != code:
        if g.dtype.kind == "c" and DTYPES[code].kind == "f":
            g = g.real
        g = g.to(DTYPES[code])
    return g


def _reachable(roots: Sequence[Any]) -> tuple[list[Any], dict[int, list[Leaf]]]:
    """All nodes below the roots, the newest first, and by whose end a leaf's gradient is complete.

    The oldest node that leads to a leaf is the last one to add to it.
    """
    seen: dict[int, Any] = {}
    last: dict[int, tuple[int, Any, Leaf]] = {}
    stack = list(roots)
    while stack:
        node = stack.pop()
        if id(node) in seen:
            continue
        seen[id(node)] = node
        for edge in node.edges:
            if edge is None:
                continue
            below = edge[0]
            if type(below) is Leaf:
                before = last.get(id(below))
                if before is None or node.order < before[0]:
                    last[id(below)] = (node.order, node, below)
            elif id(below) not in seen:
                stack.append(below)
    complete: dict[int, list[Leaf]] = {}
    for _, node, leaf in last.values():
        complete.setdefault(id(node), []).append(leaf)
    return sorted(seen.values(), key=lambda node: -node.order), complete


def _leading_to(nodes: Sequence[Any], targets: set[int]) -> set[int]:
    """Ids of the nodes from which a target can be reached; `nodes` stand newest first."""
    useful = set(targets)
    for node in reversed(nodes):
        if any(edge is not None and id(edge[0]) in useful for edge in node.edges):
            useful.add(id(node))
    return useful


def run(
    roots: Sequence[tuple[Tensor, Tensor]],
    *,
    retain_graph: bool,
    create_graph: bool,
    captures: Sequence[Key] | None = None,
) -> dict[tuple[int, int], Tensor]:
    """Send the gradients of the roots down the tape.

    Without `captures` every leaf collects its gradient in `.grad`; with it, only what leads to
    the captured (node, output) pairs is computed, and their gradients are returned by
    (id, output).
    """
    place = elsewhere(None, [g for _, g in roots]) if SEEN.several else None
    if place is not None:  # what the rules make on their way is made beside the gradients
        with place:
            return run(
                roots, retain_graph=retain_graph, create_graph=create_graph, captures=captures
            )
    nodes, complete = _reachable([x._node for x, _ in roots])
    useful = None
    wanted: set[tuple[int, int]] = set()
    if captures is not None:
        wanted = {(id(node), index) for node, index in captures}
        useful = _leading_to(nodes, {id(node) for node, _ in captures})
    pending: dict[int, list[Tensor | None]] = {}
    own: set[tuple[int, int]] = set()  # sums made here, which may be added to in place
    found: dict[tuple[int, int], Tensor] = {}

    def add(node: Any, index: int, g: Tensor) -> None:
        slots = pending.get(id(node))
        if slots is None:
            slots = pending[id(node)] = [None] * node.count
        before = slots[index]
        if before is None:
            slots[index] = g
        elif (id(node), index) in own and not create_graph:
            before.add_(g)
        else:
            slots[index] = before + g
            own.add((id(node), index))

    def finish(leaf: Leaf) -> None:
        grads = pending.pop(id(leaf), None)
        if grads is None or not leaf.live:
            return
        total = grads.pop()
        assert total is not None
        g = _hooked(leaf.hooks, total)
        del total
        if captures is None:
            _collect(leaf, g, create_graph)
        elif (id(leaf), 0) in wanted:
            found[id(leaf), 0] = g

    enabled, inference, autocast = MODE.enabled, MODE.inference, MODE.autocast
    MODE.autocast = None  # dtypes were settled by the forward pass
    set_mode(create_graph, False)
    try:
        for x, g in roots:
            add(x._node, x._index, g)
        for node in nodes:
            if type(node) is Leaf:  # a root
                finish(node)
                continue
            grads = pending.pop(id(node), None)
            if grads is not None and (useful is None or id(node) in useful):
                used = _through(node, grads, useful, wanted, found, add, create_graph)
                if used and not retain_graph:
                    node.release()
            for leaf in complete.get(id(node), ()):  # as soon as may be: a hook may free it
                finish(leaf)
    finally:
        set_mode(enabled, inference)
        MODE.autocast = autocast
    return found


def _through(
    node: Node,
    grads: list[Tensor | None],
    useful: set[int] | None,
    wanted: set[tuple[int, int]],
    found: dict[tuple[int, int], Tensor],
    add: Any,
    create_graph: bool,
) -> bool:
    """One node: its hooks, its rule (if anything wants it), what each wanted edge receives."""
    for index, g in enumerate(grads):
        if g is None:
            continue
        if node.hooks and index in node.hooks:
            g = grads[index] = _hooked(node.hooks[index], g)
        if (id(node), index) in wanted:
            found[id(node), index] = g
    if useful is not None and not any(
        edge is not None and id(edge[0]) in useful for edge in node.edges
    ):
        return False
    entries = node.apply(grads, create_graph)
    if entries is None:
        raise GradError(
            f"backward: expected a graph that was not used yet, got {node.name} for the second"
            " time (use retain_graph=True the first time)"
        )
    assert len(entries) == len(node.edges), (node.name, len(entries), len(node.edges))
    for entry, edge, spec in zip(entries, node.edges, node.specs, strict=True):
        if edge is None or entry is None or (useful is not None and id(edge[0]) not in useful):
            continue
        g = entry() if callable(entry) else entry
        if g is not None and spec is not None:
            if MODE.anomaly and bool(g.isnan().any()):
                raise GradError(f"backward: expected no NaN, got some from the rule of {node.name}")
            add(edge[0], edge[1], unbroadcast(g, spec))
    return True


def _hooked(hooks: Any, g: Tensor) -> Tensor:
    for hook in list(hooks.values()) if hooks else ():
        changed = hook(g)
        if not (changed is None or isinstance(changed, Tensor)):
            got = type(changed).__name__
            expect(False, "backward", "a Tensor or None of a hook", got, DTypeError)
        g = g if changed is None else changed
    return g


def _collect(leaf: Leaf, g: Tensor, create_graph: bool) -> None:
    """Add to the leaf's gradient: in place, unless the sum is itself to be differentiated."""
    if leaf.grad is None:
        # Taken over when nothing else can see it, for else a later addition in place would show.
        # References: the caller's local, this parameter, getrefcount's own.
        alone = sys.getrefcount(g) <= 3 and g._array.storage_refs == 1 and g._array.is_contiguous
        if create_graph:
            leaf.grad = g.clone()
        else:
            leaf.grad = g if alone else wrap(g._array.clone())
    elif create_graph:
        leaf.grad = leaf.grad + g
    else:
        leaf.grad.add_(g)
    if leaf.after:
        for hook in list(leaf.after.values()):
            hook()


def start(outputs: Sequence[Tensor], gradients: Sequence[Any], where: str) -> list[Any]:
    """Pairs of root and its gradient; scalars begin with 1."""
    pairs = []
    expect(len(outputs) == len(gradients), where, f"{len(outputs)} gradients", len(gradients))
    for x, g in zip(outputs, gradients, strict=True):
        if not isinstance(x, Tensor):
            raise DTypeError(f"{where}: expected a Tensor, got {type(x).__name__}")
        if x._node is None:
            raise GradError(
                f"{where}: expected a result of recorded operations, got a tensor that does not"
                " require a gradient"
            )
        if g is None:
            expect(
                x.numel() == 1, where, "a gradient for a result of more than one element", "none"
            )
            g = ones_like(x)
        else:
            expect(isinstance(g, Tensor), where, "a Tensor as gradient", type(g).__name__)
            expect(g.shape == x.shape, where, f"a gradient of shape {x.shape}", g.shape, ShapeError)
        pairs.append((x, g))
    return pairs


def _listed(tensors: Any, where: str) -> list[Tensor]:
    """The tensors as a list; DTypeError for anything that is none."""
    found = [tensors] if isinstance(tensors, Tensor) else tensors
    if not isinstance(found, (list, tuple)) or not all(isinstance(x, Tensor) for x in found):
        raise DTypeError(f"{where}: expected Tensors, got {type(tensors).__name__}")
    return list(found)


def backward(
    tensors: Tensor | Sequence[Tensor],
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Sequence[Tensor] | Tensor | None = None,
) -> None:
    """Collect the gradients of `tensors` in the leaves' `.grad` (only of `inputs` when given)."""
    outputs = _listed(tensors, "backward")
    given = [grad_tensors] if isinstance(grad_tensors, Tensor) else grad_tensors
    given = [None] * len(outputs) if given is None else list(given)
    expect(len(given) == len(outputs), "backward", f"{len(outputs)} gradients", len(given))
    pairs = start(outputs, given, "backward")
    keep = create_graph if retain_graph is None else retain_graph
    if inputs is None:
        run(pairs, retain_graph=keep, create_graph=create_graph)
        return
    from .hooks import retain

    into = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    for x in into:
        expect(x._node is not None, "backward", "inputs that require a gradient", "one that not")
        if not isinstance(x._node, Leaf):
            retain(x)  # as torch does: from now on
    keys = [(x._node, x._index) for x in into]
    found = run(pairs, retain_graph=keep, create_graph=create_graph, captures=keys)
    for x in into:
        g = found.get((id(x._node), x._index))
        if g is not None and isinstance(x._node, Leaf):
            _collect(x._node, g, create_graph)


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    is_grads_batched: bool = False,
    allow_unused: bool | None = None,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of `outputs` (weighted by `grad_outputs`) by `inputs`; `.grad` stays as is.

    GradError for an input that the outputs do not depend on, unless `allow_unused` (then None) or
    `materialize_grads` (then zeros). `only_inputs` is PyTorch's and must be True, as there.
    With `is_grads_batched` the first axis of `grad_outputs` numbers independent weights, and that
    of the gradients with it.
    """
    expect(only_inputs, grad, "only_inputs=True", only_inputs, ArgumentError)
    if is_grads_batched:
        from .transforms import batched_grad

        return batched_grad(outputs, inputs, grad_outputs, retain_graph, create_graph,
                            allow_unused, materialize_grads)  # fmt: skip
    ys, xs = _listed(outputs, "grad"), _listed(inputs, "grad")
    given = [grad_outputs] if isinstance(grad_outputs, Tensor) else grad_outputs
    given = [None] * len(ys) if given is None else list(given)
    pairs = start(ys, given, "grad")
    for x in xs:
        if x._node is None:
            raise GradError("grad: expected inputs that require a gradient, got one that does not")
    keep = create_graph if retain_graph is None else retain_graph
    keys = [(x._node, x._index) for x in xs]
    found = run(pairs, retain_graph=keep, create_graph=create_graph, captures=keys)
    out: list[Tensor | None] = []
    for x in xs:
        g = found.get((id(x._node), x._index))
        if g is None and materialize_grads:
            g = zeros(x.shape, dtype=x.dtype)
        if g is None and not allow_unused:
            raise GradError(
                "grad: expected inputs that the outputs depend on, got one they do not"
                " (allow_unused=True gives None for it)"
            )
        out.append(g)
    return tuple(out)
