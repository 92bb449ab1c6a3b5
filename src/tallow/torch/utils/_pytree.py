"""torch.utils._pytree: nested containers as a list of leaves and a description of the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from tallow.errors import ArgumentError, expect
from tallow.trees import KINDS, TreeSpec, flatten, kind_of

Leaf = Any


def register_pytree_node(
    cls: type, flatten_fn: Callable[[Any], Any], unflatten_fn: Callable[..., Any], **_: Any
) -> None:
    """Let instances of `cls` be nodes: `flatten_fn(x)` gives children and a context."""

    def flatten(x: Any) -> tuple[list[Any], Any]:
        children, context = flatten_fn(x)
        return list(children), context

    KINDS[cls] = (flatten, unflatten_fn)


_register_pytree_node = register_pytree_node


def tree_flatten(
    tree: Any, is_leaf: Callable[[Any], bool] | None = None
) -> tuple[list[Any], TreeSpec]:
    """The leaves in order, and the shape of the tree."""
    return flatten(tree, is_leaf)


def tree_unflatten(leaves: Iterable[Any], treespec: TreeSpec) -> Any:
    """The tree of a shape, with these leaves."""
    given = list(leaves)
    expect(len(given) == treespec.num_leaves, tree_unflatten, f"{treespec.num_leaves} leaves",
           len(given), ArgumentError)  # fmt: skip
    return treespec.unflatten(given)


def tree_map(
    func: Callable[..., Any], tree: Any, *rests: Any,
    is_leaf: Callable[[Any], bool] | None = None,
) -> Any:  # fmt: skip
    """The tree with `func` of each leaf (and of the leaves at the same place of other trees)."""
    leaves, spec = tree_flatten(tree, is_leaf)
    others = [tree_flatten(rest, is_leaf)[0] for rest in rests]
    return tree_unflatten((func(*each) for each in zip(leaves, *others, strict=True)), spec)


def tree_map_(func: Callable[..., Any], tree: Any, *rests: Any, is_leaf: Any = None) -> Any:
    """Call `func` with each leaf; the tree itself."""
    tree_map(func, tree, *rests, is_leaf=is_leaf)
    return tree


def tree_map_only(kinds: Any, func: Callable[[Any], Any], tree: Any, is_leaf: Any = None) -> Any:
    """As `tree_map`, for leaves of these types."""
    return tree_map(lambda x: func(x) if isinstance(x, kinds) else x, tree, is_leaf=is_leaf)


def tree_leaves(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> list[Any]:
    """The leaves."""
    return tree_flatten(tree, is_leaf)[0]


def tree_iter(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> Iterable[Any]:
    """The leaves, one after the other."""
    return iter(tree_leaves(tree, is_leaf))


def tree_structure(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> TreeSpec:
    """The shape."""
    return tree_flatten(tree, is_leaf)[1]


def tree_any(pred: Callable[[Any], bool], tree: Any, is_leaf: Any = None) -> bool:
    """Whether `pred` holds for a leaf."""
    return any(map(pred, tree_leaves(tree, is_leaf)))


def tree_all(pred: Callable[[Any], bool], tree: Any, is_leaf: Any = None) -> bool:
    """Whether `pred` holds for all leaves."""
    return all(map(pred, tree_leaves(tree, is_leaf)))


def _broadcast_to_and_flatten(tree: Any, treespec: TreeSpec, is_leaf: Any = None) -> Any:
    """`tree`, a prefix of the shape, as one value per leaf of it; None when it does not fit."""

    def broadcast(x: Any, spec: TreeSpec) -> list[Any] | None:
        kind = None if is_leaf is not None and is_leaf(x) else kind_of(x)
        if kind is None or spec.type is None:
            return [x] * spec.num_leaves if kind is None else None
        if kind != spec.type:
            return None
        children, _ = (list(x), None) if kind == "named" else KINDS[kind][0](x)
        if len(children) != len(spec.children_specs):
            return None
        parts = [broadcast(c, s) for c, s in zip(children, spec.children_specs, strict=True)]
        if any(part is None for part in parts):
            return None
        return [leaf for part in parts for leaf in part or ()]

    return broadcast(tree, treespec)
