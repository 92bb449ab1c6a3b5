"""The tape: nodes made by recorded operations, what they keep for backward, views and their base.

A Tensor that requires a gradient holds its node: a `Leaf`, which collects the gradient, or the
`Node` of the operation that made it. A node's edges lead to the nodes of its arguments.
"""

from __future__ import annotations

import itertools
import math
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from ..dtype import DTYPES, DType
from ..errors import GradError
from ..tensor import Tensor, wrap

_order = itertools.count(1).__next__
# In `vars(tensor)`: the leaf of a tensor that requires no gradient now, or is a result; it holds
# the gradient that was collected before, retained, or set by hand.
HOLDER = "_leaf"
FLOATING = "fc"  # the dtype kinds that can carry a gradient


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


class Meta:
    """Shape and dtype of an argument whose elements backward does not need."""

    __slots__ = ("code", "shape")

    def __init__(self, array: Any) -> None:
        self.shape: tuple[int, ...] = array.shape
        self.code: int = array.dtype

    @property
    def dtype(self) -> DType:
        """The dtype."""
        return DTYPES[self.code]

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    def numel(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)


Edge = tuple[Any, int] | None  # (Node or Leaf, which of its outputs)


class Node:
    """One recorded operation: edges to the nodes of its arguments; `apply` gives their gradients.

    `metas` has shape and dtype of the arguments that have an edge, as a Meta or as their array;
    `count` is the number of outputs, which `outputs` describes when there are several.
    """

    __slots__ = ("__weakref__", "count", "edges", "hooks", "metas", "order", "outputs")

    name: Any

    def __init__(self, edges: Sequence[Edge], metas: Sequence[Any], count: int) -> None:
        self.edges = edges
        self.metas = metas
        self.count = count
        self.order = _order()
        self.outputs: tuple[Any, ...] = ()
        self.hooks: dict[int, dict[int, Any]] | None = None

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
    """A node whose rule is a function that closed over what it needs.

    `keeps` tells whether that is tensors: a rule without may serve in several backward passes.
    """

    __slots__ = ("keeps", "name", "rule")

    keeps: bool
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


def edge_of(x: Any) -> Edge:
    """The edge to the node of `x`, None when it needs no gradient."""
    return None if x._node is None else (x._node, x._index)


def meta_of(x: Tensor) -> Meta:
    """Shape and dtype of `x`."""
    return Meta(x._array)


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
    node = kind([edge_of(x) for x in tensors], [meta_of(x) for x in tensors], len(outputs))
    node.name, node.rule, node.keeps = name, rule, keeps
    node.outputs = tuple(meta_of(x) for x in outputs)
    for i, out in enumerate(outputs):
        if out.dtype.kind in FLOATING:
            attach(out, node, i)
    return node


# --- views ----------------------------------------------------------------------------------------


# `_views` of a view that is one of several results of an op, or a view of such a one: as in torch,
# a change of it in place is refused where it would be recorded.
SEVERAL: Any = ()


def link(view: Tensor, x: Tensor) -> None:
    """Note that `view` shares the memory of `x`: a change of one in place concerns the other."""
    base = x._base
    if base is None:
        base = x
    else:
        view._views = x._views
    view._base = base
    views = base._views
    if views is None:
        base._views = [weakref.ref(view)]
        return
    views.append(weakref.ref(view))
    n = len(views)
    if n >= 32 and n & (n - 1) == 0:  # at powers of two: amortised over the appends
        base._views = [r for r in views if r() is not None]


def as_part(view: Tensor) -> Tensor:
    """The view, as one of several results of an op."""
    if view._base is not None:
        view._views = SEVERAL
    return view


def link_part(view: Tensor, x: Tensor) -> None:
    """`link` a view that is one of several results of an op."""
    link(view, x)
    view._views = SEVERAL


def as_slices(views: tuple[Tensor, ...], x: Tensor) -> tuple[Tensor, ...]:
    """The parts of `x` as if each had been taken alone."""
    for view in views:
        view._views = None if x._base is None else x._views
    return views


def is_hidden(x: Tensor) -> bool:
    """Whether `x` is a view without history of a tensor with one: made in `no_grad`."""
    base = x._base
    if base is None or base._node is None or x._node is not None:
        return False
    return x.dtype.kind in FLOATING


def rebase(x: Tensor, node: Node | None, index: int) -> None:
    """`x` was changed in place by the operation `node`: bring its history, and its views', along.

    A view passes the change on to its base: the base's gradient is cut at the view's place, and
    the views of the base begin anew from it.
    """
    base = x._base
    if base is None:
        x._node, x._index = node, index
        base = x
        if HOLDER in vars(x):
            _follow(x)
        if x._views is None:
            return
    else:
        _paste(base, x, node, index)
    for ref in base._views or ():
        view = ref()
        if view is not None:
            _review(view, base)


def _place(view: Tensor, base: Tensor) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """Shape, strides and offset of `view` inside a contiguous copy of `base`."""
    a, b = view._array, base._array
    if not b.is_contiguous or a.dtype != b.dtype:
        raise GradError(
            "in-place change of a view: expected a base that is contiguous and of the same dtype,"
            f" got strides {b.strides} (use .contiguous() before taking views)"
        )
    return a.shape, a.strides, a.offset - b.offset


def _paste(base: Tensor, view: Tensor, node: Node | None, index: int) -> None:
    place = _place(view, base)
    kept = alias(base)
    part = wrap(view._array)
    part._node, part._index = node, index

    def rule(g: Tensor) -> tuple[Any, Any]:
        from ..ops.convert import clear_strided, take_strided

        return (
            lambda: clear_strided(g.contiguous(), *place),
            lambda: take_strided(g.contiguous(), *place),
        )

    record_call("view_change", [kept, part], [base], rule, keeps=False)
    if HOLDER in vars(base):
        _follow(base)


def _review(view: Tensor, base: Tensor) -> None:
    place = _place(view, base)
    shape = base.shape
    source = alias(base)
    if source._node is None:
        view._node = None
        if HOLDER in vars(view):
            _follow(view)
        return

    def rule(g: Tensor) -> Tensor:
        from ..ops.convert import put_strided

        return put_strided(g, shape, *place)

    record_call("view", [source], [view], rule, keeps=False)
    if HOLDER in vars(view):
        _follow(view)


def _follow(x: Tensor) -> None:
    from .hooks import follow

    follow(x)
