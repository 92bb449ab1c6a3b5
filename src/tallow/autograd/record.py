"""Recording a row: run its kernel, keep what its gradient rule names, make the node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from ..dtype import bool_
from ..errors import GradError
from ..tensor import Tensor, wrap
from .mode import MODE
from .node import FLOATING, Edge, Meta, Node, Saved, attach, edge_of, meta_of

if TYPE_CHECKING:
    from ..registry import Row

TENSOR, TENSORS = 1, 2  # what a parameter takes: one tensor (or number, or None), a sequence


class Rule:
    """A row's gradient function and, from its parameters' names, what it needs kept."""

    __slots__ = ("function", "kept", "uses", "wants_out")

    def __init__(
        self,
        function: Callable[..., Any],
        names: Sequence[str],
        uses: dict[str, tuple[str, ...]] | None,
    ) -> None:
        code = function.__code__
        given = code.co_varnames[1 : code.co_argcount]
        self.function = function
        self.wants_out = len(given) == len(names) + 1 and given[-1] in ("out", "_out")
        if len(given) - self.wants_out != len(names):
            raise TypeError(
                f"gradient rule: expected parameters (g, {', '.join(names)}[, out]),"
                f" got {code.co_varnames[: code.co_argcount]}"
            )
        self.kept = [not name.startswith("_") for name in given[: len(names)]]
        self.uses = {
            names.index(name): tuple(names.index(user) for user in users)
            for name, users in (uses or {}).items()
        }


def run_recorded(row: Row[..., Any], args: tuple[Any, ...]) -> Any:
    """Call the row's kernel on `args` (all its parameters in order) and record the call."""
    run = row.positional
    mode = MODE
    plain = tuple([_plain(value) for value in args])
    mode.enabled = False  # what the kernel's binding does with its arguments is no operation
    try:
        out = run(plain)
    finally:
        mode.enabled = True
    single = isinstance(out, Tensor)
    outputs: Sequence[Any] = out if isinstance(out, (tuple, list)) else (out,)
    if out is None:
        raise GradError(
            f"{row.__name__}: expected arguments without gradient, since the op writes into them;"
            " got one that requires it (use no_grad())"
        )
    if not any(isinstance(o, Tensor) and o.dtype.kind in FLOATING for o in outputs):
        return out
    for value, given in zip(plain, args, strict=True):
        if out is value:
            return given  # the op had nothing to do
    rule = row.rule
    if rule is None:
        raise GradError(
            f"{row.__name__}: expected arguments without gradient, since the op has none;"
            " got one that requires it (use .detach())"
        )
    node = _node(row, rule, args, outputs)
    for i, o in enumerate(outputs):
        if isinstance(o, Tensor) and o.dtype.kind in FLOATING:
            attach(o, node, i)
    return out


def _plain(value: Any) -> Any:
    """An argument as the kernel sees it: without history, so that it may be lent to anyone."""
    if isinstance(value, Tensor):
        return value if value._node is None else wrap(value._array)
    if isinstance(value, (list, tuple)) and any(isinstance(x, Tensor) for x in value):
        return [_plain(x) for x in value]
    return value


def _node(row: Row[..., Any], rule: Rule, args: tuple[Any, ...], outputs: Sequence[Any]) -> Node:
    edges: list[Edge] = []
    metas: list[Meta | None] = []
    wanted: list[bool] = []  # per parameter: whether a tensor in it needs a gradient
    kinds = row.kinds
    for kind, value in zip(kinds, args, strict=True):
        need = False
        if kind == TENSOR:
            if isinstance(value, Tensor):
                edges.append(edge_of(value))
                metas.append(meta_of(value))
                need = value._node is not None
            else:
                edges.append(None)
                metas.append(None)
        elif kind == TENSORS:
            edges += [edge_of(x) for x in value]
            metas += [meta_of(x) for x in value]
            need = any(x._node is not None for x in value)
        wanted.append(need)
    kept: list[Any] = []
    for i, value in enumerate(args):
        keep = rule.kept[i]
        users = rule.uses.get(i)
        if users is not None:
            keep = keep and any(wanted[user] for user in users)
        if kinds[i] == TENSORS:
            kept.append([_keep(x, keep) for x in value])
        else:
            kept.append(_keep(value, keep))
    out: Any = None
    if rule.wants_out:
        made = [Saved(o._array, None, i) for i, o in enumerate(outputs)]
        out = made[0] if len(made) == 1 else tuple(made)
    many = len(outputs) > 1
    function = rule.function
    name = row.__name__
    sequences = [i for i, kind in enumerate(kinds) if kind == TENSORS]
    positions = [i for i, kind in enumerate(kinds) if kind]
    lengths = {i: len(args[i]) for i in sequences}

    # The node is an argument: one that its own rule held would live until the cycle collector runs.
    def run(node: Node, grads: list[Tensor | None], create_graph: bool) -> Sequence[Any]:
        values = [
            v.get(name, None)
            if type(v) is Saved
            else [x.get(name, None) if type(x) is Saved else x for x in v]
            if type(v) is list
            else v
            for v in kept
        ]
        if out is not None:
            self_ = node if create_graph else None
            values.append(
                out.get(name, self_)
                if type(out) is Saved
                else tuple(o.get(name, self_) for o in out)
            )
        if many:
            g: Any = tuple(
                _zeros(meta) if one is None else one
                for one, meta in zip(grads, node.outputs, strict=True)
            )
        else:
            g = grads[0]
        found = function(g, *values)
        if not isinstance(found, tuple):
            found = (found,)
        flat: list[Any] = []
        if not sequences:
            flat += found
            return flat
        for position, one in zip(positions, found, strict=True):
            if position in lengths:
                flat += one if one is not None else [None] * lengths[position]
            else:
                flat.append(one)
        return flat

    node = Node(name, edges, metas, run)
    node.outputs = tuple(
        meta_of(o) if isinstance(o, Tensor) else Meta((), bool_)
        for o in outputs
    )
    return node


def _keep(value: Any, keep: bool) -> Any:
    if not isinstance(value, Tensor):
        return value
    if not keep:
        return meta_of(value)
    node = value._node
    return Saved(value._array, node, 0 if node is None else value._index)


def _zeros(meta: Meta) -> Tensor | None:
    from ..tensor import zeros

    if meta.dtype.kind not in FLOATING:
        return None
    return zeros(meta.shape, dtype=meta.dtype)


def recomputed(
    fn: Callable[..., Tensor], tensors: Sequence[Tensor], g: Tensor
) -> tuple[Tensor, ...]:
    """`g` times the Jacobian of `fn` by each of `tensors`, by running `fn` again and recording it.

    In a backward pass that is itself recorded, the result can be differentiated again.
    """
    from .engine import grad
    from .mode import enable_grad

    again = MODE.enabled
    with enable_grad():
        if again:
            inputs = [x.view_as(x) if x.requires_grad else x.detach() for x in tensors]
            inputs = [x if x.requires_grad else x.requires_grad_() for x in inputs]
        else:
            inputs = [x.detach().requires_grad_() for x in tensors]
        out = fn(*inputs)
        found = grad(out, inputs, g, create_graph=again, materialize_grads=True)
    return cast("tuple[Tensor, ...]", found)
