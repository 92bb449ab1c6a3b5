"""Hooks on gradients: seen, replaced or kept while backward passes through."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable
from typing import Any

from ..errors import GradError, expect
from ..tensor import Tensor
from .node import HOLDER, Leaf

_number = itertools.count().__next__
_RETAINED = -1  # the number of the hook that keeps a gradient, which runs last


class Handle:
    """Takes the hook away again."""

    def __init__(self, table: dict[int, Any], key: int) -> None:
        self._table, self._key = table, key

    def remove(self) -> None:
        """Take the hook away; a second time does nothing."""
        self._table.pop(self._key, None)

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


def _table(x: Tensor) -> dict[int, Any]:
    node = x._node
    expect(node is not None, "register_hook", "a tensor that requires a gradient", "one without",
           GradError)  # fmt: skip
    if isinstance(node, Leaf):
        node.hooks = {} if node.hooks is None else node.hooks
        return node.hooks
    node.hooks = {} if node.hooks is None else node.hooks
    table: dict[int, Any] = node.hooks.setdefault(x._index, {})
    return table


def register(x: Tensor, hook: Callable[[Tensor], Tensor | None]) -> Handle:
    """Let backward call `hook` with the gradient of `x`."""
    table, key = _table(x), _number()
    table[key] = hook
    if _RETAINED in table:  # it keeps what the others made of the gradient
        table[_RETAINED] = table.pop(_RETAINED)
    return Handle(table, key)


def register_after(x: Tensor, hook: Callable[[Tensor], None]) -> Handle:
    """Let backward call `hook(x)` when the gradient of the leaf `x` has grown."""
    node = x._node
    if not isinstance(node, Leaf):
        raise GradError(
            "register_post_accumulate_grad_hook: expected a leaf that requires a gradient"
        )
    node.after = {} if node.after is None else node.after
    key, seen = _number(), weakref.ref(x)

    def call() -> None:
        there = seen()
        if there is not None:
            hook(there)

    node.after[key] = call
    return Handle(node.after, key)


def holder(x: Tensor) -> Leaf:
    """Where a tensor that is no leaf with gradients has its `.grad`."""
    found: Leaf | None = vars(x).get(HOLDER)
    if found is None:
        found = vars(x)[HOLDER] = Leaf()
        found.live = False
    return found


def retain(x: Tensor) -> None:
    """Keep the gradient of the result `x` in `x.grad`."""
    if x._node is None:
        raise GradError("retain_grad: expected a tensor that requires a gradient")
    if x.is_leaf or retains(x):
        return
    held = holder(x)

    def keep(g: Tensor) -> None:
        held.grad = g if held.grad is None else held.grad + g

    table = _table(x)
    table[_RETAINED] = keep
    held.hooks = {_RETAINED: (table, keep)}  # type: ignore[dict-item]  # it has no other use for it


def retains(x: Tensor) -> bool:
    """Whether `retain` was called for `x`."""
    held = vars(x).get(HOLDER)
    return held is not None and held.hooks is not None and _RETAINED in held.hooks


def follow(x: Tensor) -> None:
    """`x` was changed in place: what retains its gradient goes over to its new node."""
    if not retains(x):
        return
    held = vars(x)[HOLDER]
    table, keep = held.hooks[_RETAINED]
    if table.get(_RETAINED) is keep:
        del table[_RETAINED]
    if x._node is None or isinstance(x._node, Leaf):
        held.hooks = None
        return
    table = _table(x)
    table[_RETAINED] = keep
    held.hooks = {_RETAINED: (table, keep)}
