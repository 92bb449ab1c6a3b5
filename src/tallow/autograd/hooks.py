"""Hooks on gradients: seen, replaced or kept while backward passes through."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable
from typing import Any

from ..errors import GradError, expect
from ..tensor import Tensor
from .node import Leaf, Node

_number = itertools.count().__next__
_kept: weakref.WeakKeyDictionary[Node, dict[int, Tensor | None]] = weakref.WeakKeyDictionary()


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


def retain(x: Tensor) -> None:
    """Keep the gradient of the result `x` in `x.grad`."""
    if x._node is None:
        raise GradError("retain_grad: expected a tensor that requires a gradient")
    if x.is_leaf:
        return
    kept = _kept.setdefault(x._node, {})
    if x._index in kept:
        return
    kept[x._index] = None
    index = x._index

    def keep(g: Tensor) -> None:
        before = kept[index]
        kept[index] = g if before is None else before + g

    register(x, keep)


def retains(x: Tensor) -> bool:
    """Whether `retain` was called for `x`."""
    return x._index in _kept.get(x._node, {})


def retained(x: Tensor) -> Tensor | None:
    """What `retain` kept for `x` so far."""
    return _kept.get(x._node, {}).get(x._index)
