"""Recorded ops: what a gradient rule needs kept of a call, and the node that calls it.

The record itself is made by native code (csrc/bind/record.cpp), which fills the node.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

from ..dtype import DTYPES
from ..factories import zeros
from ..tensor import FLOATING, Tensor, wrap
from .mode import MODE
from .node import Node, changed

if TYPE_CHECKING:
    from ..registry import Op

TENSOR, TENSORS = 1, 2  # what a parameter takes: one tensor (or number, or None), a sequence
FLOAT_CODES = frozenset(dtype.code for dtype in DTYPES if dtype.kind in FLOATING)


class GradientRule:
    """An op's gradient function and, from its parameters' names, what it needs kept."""

    __slots__ = (
        "copied",
        "function",
        "indices_only",
        "kept",
        "kinds",
        "out_users",
        "sequences",
        "uses",
        "wants_out",
    )

    def __init__(
        self,
        function: Callable[..., Any],
        names: Sequence[str],
        kinds: Sequence[int],
        uses: dict[str, tuple[str, ...]] | None,
        copied: Sequence[str] = (),
    ) -> None:
        code = function.__code__
        given = code.co_varnames[1 : code.co_argcount]
        self.function = function
        self.kinds = tuple(kinds)
        self.wants_out = len(given) == len(names) + 1 and given[-1] in ("out", "_out", "indices")
        self.indices_only = self.wants_out and given[-1] == "indices"
        if len(given) - self.wants_out != len(names):
            raise TypeError(
                f"gradient rule: expected parameters (g, {', '.join(names)}[, out]),"
                f" got {code.co_varnames[: code.co_argcount]}"
            )
        self.kept = tuple(not name.startswith("_") for name in given[: len(names)])
        self.uses = {
            names.index(name): tuple(names.index(user) for user in users)
            for name, users in (uses or {}).items()
            if name != "out"
        }
        out_users = (uses or {}).get("out")
        self.out_users = None if out_users is None else tuple(map(names.index, out_users))
        # Places in (*parameters, out).
        self.copied = frozenset([*names, "out"].index(name) for name in copied)
        self.sequences = TENSORS in kinds


class OpNode(Node):
    """The node of a recorded op: its rule is called with what was kept of the arguments.

    A kept tensor stands in `saved` as (array, node, output, version), so that a later change of it
    in place is noticed; of what the rule calls `copied`, such a change makes a copy first.
    """

    __slots__ = ()

    op: Op[..., Any]
    saved: list[Any] | None
    out: list[tuple[Any, None, int, int]] | None

    @property
    def name(self) -> str:
        """The op's name."""
        return self.op.__name__

    def release(self) -> None:
        """Forget what was kept, if that is anything."""
        if not self.keeps:
            return
        self.saved = self.out = None
        self.specs = ()

    def apply(self, grads: list[Tensor | None], create_graph: bool) -> Sequence[Any] | None:
        """The gradients of the arguments; None once released."""
        saved = self.saved
        if saved is None:
            return None
        rule, restore = self.op.rule, self._restore
        assert rule is not None
        values = [
            restore(value) if kind == TENSOR else list(map(restore, value)) if kind else value
            for kind, value in zip(rule.kinds, saved, strict=True)
        ]
        if self.out is not None:
            own = self if create_graph else None
            outs = [restore((a, own, i, version)) for a, _, i, version in self.out]
            # A rule that wants `indices` gets the one result that holds them.
            single = self.count == 1 or rule.indices_only
            values.append(outs[0] if single else tuple(outs))
        elif rule.wants_out:
            values.append(None)  # what no gradient that is wanted needs
        if self.count == 1:
            found = rule.function(grads[0], *values)
        else:
            filled = zip(grads, self.outputs, strict=True)
            found = rule.function(tuple(_zeros(m) if g is None else g for g, m in filled), *values)
        if not rule.sequences:
            return found if isinstance(found, tuple) else (found,)
        flat: list[Any] = []
        entries = iter(found if isinstance(found, tuple) else (found,))
        for kind, value in zip(rule.kinds, saved, strict=True):
            if kind == TENSOR:
                flat.append(next(entries))
            elif kind == TENSORS:
                one = next(entries)
                flat += [None] * len(value) if one is None else one
        return flat

    def watch(self) -> None:
        """Let `keep_copies` be called before what the rule calls `copied` is changed."""
        for _, _, value in self._copied():
            value[0].watch()
        _watching.add(self)

    def keep_copies(self, storage: int) -> None:
        """Replace what is kept of a storage that is about to change, where the rule says so."""
        for values, i, (array, node, index, _) in list(self._copied()):
            if array.storage_id == storage:
                copy = array.clone()
                values[i] = (copy, node, index, copy.version)

    def _copied(self) -> Iterator[tuple[list[Any], int, Any]]:
        """What the rule calls `copied` and this call kept: a list, the place in it, the entry."""
        rule, saved = self.op.rule, self.saved
        if rule is None or saved is None:
            return
        for place in rule.copied:
            values, places = saved, [place]
            if place == len(saved) or rule.kinds[place] == TENSORS:
                values = (self.out or []) if place == len(saved) else saved[place]
                places = list(range(len(values)))
            for i in places:
                if type(values[i]) is tuple:
                    yield values, i, values[i]

    def _restore(self, value: Any) -> Any:
        if type(value) is not tuple:
            return value
        array, node, index, version = value
        if array.version != version:
            raise changed(self.name, array, version)
        out = wrap(array)
        if node is not None:
            out._node, out._index = node, index
        return out


# The nodes whose kept tensors are copied before they change, while they live.
_watching: weakref.WeakSet[OpNode] = weakref.WeakSet()


def before_write(storage: int) -> None:
    """Called by the native core before a watched storage is written."""
    for node in list(_watching):
        node.keep_copies(storage)


def _zeros(meta: Any) -> Tensor | None:
    if meta is None or meta.code not in FLOAT_CODES:
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
