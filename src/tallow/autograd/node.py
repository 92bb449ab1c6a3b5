"""The tape: nodes made by recorded operations, and what they keep for backward.

A Tensor that requires a gradient holds its node: a `Leaf`, which collects the gradient, or the
`Node` of the operation that made it. A node's edges lead to the nodes of its arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .._native import NodeBase, TensorSpec
from ..errors import GradError
from ..tensor import FLOATING, Tensor, wrap

# In `vars(tensor)`: the leaf of a tensor that requires no gradient now, or is a result; it holds
# the gradient that was collected before, retained, or set by hand.
HOLDER = "_leaf"


class Leaf:
    """Where the gradient of a tensor that the user made is collected."""

    __slots__ = ("after", "grad", "hooks", "live")
    order = 0
    count = 1
    edges: tuple[None, ...] = ()

    def __init__(self) -> None:
        self.live = True  # False: its tensor takes no gradient (any more), only holds one
        self.grad: Tensor | None = None
        self.hooks: dict[int, Callable[[Tensor], Tensor | None]] | None = None
        self.after: dict[int, Callable[[], None]] | None = None


Edge = tuple[Any, int] | None  # (Node or Leaf, which of its outputs)


class Node(NodeBase):
    """One recorded operation: edges to the nodes of its arguments; `apply` gives their gradients.

    `specs` has shape and dtype of the arguments that have an edge, as a TensorSpec or as their
    array; `keeps` tells whether tensors are kept: a node without may serve in several backward
    passes, as in torch. `order` grows from node to node; `count` is the number of outputs, which
    `outputs` describes when there are several.
    """

    __slots__ = ("__weakref__",)

    name: Any

    def __init__(self, edges: Sequence[Edge], specs: Sequence[Any], count: int) -> None:
        self.edges = edges
        self.specs = specs
        self.count = count

    def apply(self, grads: list[Tensor | None], create_graph: bool) -> Sequence[Any] | None:
        """The gradients of the arguments, from those of the outputs; None once released."""
        raise NotImplementedError

    def release(self) -> None:
        """Forget what backward needed."""

    @property
    def next_functions(self) -> tuple[Any, ...]:
        """The nodes that the gradient goes on to, with the output's number."""
        return tuple((None, 0) if edge is None else edge for edge in self.edges)

    def __repr__(self) -> str:
        return f"<{self.name} backward>"


class CallNode(Node):
    """A node whose rule is a function that closed over what it needs."""

    __slots__ = ("name", "rule")

    rule: Callable[..., Any] | None

    def apply(self, grads: list[Tensor | None], create_graph: bool) -> Sequence[Any] | None:
        """Call the rule with the gradients."""
        if self.rule is None:
            return None
        found = self.rule(*grads)
        return found if isinstance(found, (tuple, list)) else (found,)

    def release(self) -> None:
        """Forget the function, if it keeps tensors."""
        if self.keeps:
            self.rule = None


def changed(name: str, array: Any, version: int) -> GradError:
    """The error for a kept tensor that was changed in place."""
    return GradError(
        f"{name}: expected the tensor of shape {array.shape} that backward needs as it was (version"
        f" {version}), got one changed in place (version {array.version})"
    )


def tracked(values: Any) -> bool:
    """Whether any Tensor in a sequence requires a gradient."""
    return any(isinstance(x, Tensor) and x._node is not None for x in values)


def attach(out: Tensor, node: Node, index: int = 0) -> Tensor:
    """Make `out` the `index`-th output of `node`."""
    out._node = node
    out._index = index
    return out


def alias(x: Tensor) -> Tensor:
    """Another tensor on the same array, with the same history: what `x` is now."""
    out = wrap(x._array)
    if x._node is not None:
        out._node, out._index = x._node, x._index
    return out


def bare(x: Tensor) -> Tensor:
    """Another tensor on the same array, without history."""
    return wrap(x._array)


def edge_of(x: Any) -> Edge:
    """The edge to the node of `x`, None when it needs no gradient."""
    return None if x._node is None else (x._node, x._index)


def spec_of(x: Tensor) -> TensorSpec:
    """Shape and dtype of `x`."""
    return TensorSpec(x._array)


def record_call(
    name: str,
    tensors: Sequence[Tensor],
    outputs: Sequence[Tensor],
    rule: Callable[..., Any],
    *,
    keeps: bool = True,
    kind: type[CallNode] = CallNode,
) -> CallNode:
    """Attach `outputs` to a new node; `rule(*gradients)` gives one per tensor in `tensors`.

    The rule runs in the grad mode of the backward pass, so what it computes from recorded tensors
    that it closed over can be differentiated again. `keeps=False`: it closed over none, and may
    be called again in a second backward pass, as in torch.
    """
    node = kind([edge_of(x) for x in tensors], [spec_of(x) for x in tensors], len(outputs))
    node.name, node.rule, node.keeps = name, rule, keeps
    node.outputs = tuple(spec_of(x) for x in outputs)
    for i, out in enumerate(outputs):
        if out.dtype.kind in FLOATING:
            attach(out, node, i)
    return node
