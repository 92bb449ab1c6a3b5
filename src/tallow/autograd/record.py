"""Recording a op: run its kernel, keep what its gradient rule names, make the node.

A small op must not cost much more for being recorded, so what can be known of a op is worked out
once (`Rule`), and a call makes few objects: the node, a tuple per argument.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

from ..dtype import DTYPES
from ..errors import GradError
from ..factories import zeros
from ..tensor import FLOATING, Tensor, wrap
from .mode import MODE
from .node import Meta, Node, changed, meta_of

if TYPE_CHECKING:
    from ..registry import Op

TENSOR, TENSORS = 1, 2  # what a parameter takes: one tensor (or number, or None), a sequence
_FREE = (int, float, bool, complex, type(None))
FLOAT_CODES = frozenset(dtype.code for dtype in DTYPES if dtype.kind in FLOATING)


class Rule:
    """A op's gradient function and, from its parameters' names, what it needs kept."""

    __slots__ = (
        "copied",
        "function",
        "indices_only",
        "kept",
        "kinds",
        "out_users",
        "plain",
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
        self.plain = not self.sequences and not self.uses

    def keeps(self, args: Sequence[Any]) -> Sequence[bool]:
        """Per parameter: whether its tensors are kept for this call."""
        if not self.uses:
            return self.kept
        kept = list(self.kept)
        for i, users in self.uses.items():
            kept[i] = kept[i] and any(_wanted(args[user]) for user in users)
        return kept

    def keeps_out(self, args: Sequence[Any]) -> bool:
        """Whether the results are kept for this call."""
        users = self.out_users
        return self.wants_out and (users is None or any(_wanted(args[i]) for i in users))


def _wanted(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value._node is not None
    return isinstance(value, (list, tuple)) and any(_wanted(x) for x in value)


class OpNode(Node):
    """The node of a recorded op: its rule is called with what was kept of the arguments.

    A kept tensor stands in `saved` as (array, node, output, version), so that a later change of it
    in place is noticed; of what the rule calls `copied`, such a change makes a copy first.
    """

    __slots__ = ("keeps", "op", "out", "saved")

    keeps: bool  # else a second backward pass may use the node, as in torch

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
        self.metas = ()

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


def run_recorded(op: Op[..., Any], args: tuple[Any, ...]) -> Any:
    """Call the op's kernel on `args` (all its parameters in order) and record the call."""
    plain = tuple([_plain(value) for value in args])
    mode = MODE
    mode.enabled = False  # what the kernel's binding does with its arguments is no operation
    try:
        out = op.positional(plain)
    finally:
        mode.enabled = True
    if isinstance(out, Tensor):
        for value, given in zip(plain, args, strict=True):
            if out is value:
                return given  # the op had nothing to do
        if out._array.dtype in FLOAT_CODES:
            record(op, args, (out,))
        return out
    if out is None:
        raise GradError(
            f"{op.__name__}: expected arguments without gradient, since the op writes into them;"
            " got one that requires it (use no_grad())"
        )
    if isinstance(out, (tuple, list)) and any(
        isinstance(o, Tensor) and o._array.dtype in FLOAT_CODES for o in out
    ):
        record(op, args, out)
    return out


def record(op: Op[..., Any], args: tuple[Any, ...], outputs: Sequence[Any]) -> None:
    """Make the node of a call whose results are `outputs`, and attach them to it."""
    rule = op.rule
    if rule is None:
        raise GradError(
            f"{op.__name__}: expected arguments without gradient, since the op has none;"
            " got one that requires it (use .detach())"
        )
    edges: list[Any] = []
    metas: list[Any] = []
    saved: list[Any] = []
    keeps = False
    for kind, keep, value in zip(rule.kinds, rule.keeps(args), args, strict=True):
        if keep and kind:  # a number that multiplies or divides is a tensor in torch's records
            keeps = keeps or type(value) not in _FREE or len(args) == 2
        if kind == TENSOR:
            saved.append(_note(value, keep, edges, metas))
        elif kind == TENSORS:
            saved.append([_note(x, keep, edges, metas) for x in value])
        else:
            saved.append(value)
    node = OpNode(edges, metas, len(outputs))
    node.op, node.saved, node.out = op, saved, None
    if rule.keeps_out(args):
        node.out = [
            (o._array, None, i, o._array.version)
            for i, o in enumerate(outputs)
            if not (rule.indices_only and o._array.dtype in FLOAT_CODES)
        ]
    if node.count > 1:
        node.outputs = tuple(meta_of(o) if isinstance(o, Tensor) else None for o in outputs)
    node.keeps = keeps or node.out is not None
    if rule.copied:
        node.watch()
    for i, o in enumerate(outputs):
        if isinstance(o, Tensor) and o._array.dtype in FLOAT_CODES:
            o._node, o._index = node, i


def _note(value: Any, keep: bool, edges: list[Any], metas: list[Any]) -> Any:
    """Add the edge of an argument; returns what is kept of it."""
    if not isinstance(value, Tensor):
        edges.append(None)
        metas.append(None)
        return value
    array, node = value._array, value._node
    if node is None:
        edges.append(None)
        metas.append(None)
        return (array, None, 0, array.version) if keep else Meta(array)
    index = value._index
    edges.append((node, index))
    if keep:
        metas.append(array)
        return (array, node, index, array.version)
    meta = Meta(array)
    metas.append(meta)
    return meta


def _plain(value: Any) -> Any:
    """An argument as the kernel sees it: without history, so that it may be lent to anyone."""
    if isinstance(value, Tensor):
        return value if value._node is None else wrap(value._array)
    if isinstance(value, (list, tuple)) and any(isinstance(x, Tensor) for x in value):
        return [_plain(x) for x in value]
    return value


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
