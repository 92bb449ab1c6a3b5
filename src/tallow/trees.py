"""Nested containers as a list of leaves and a description of the rest."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tallow.lazy_dataclasses import dataclass, field_names, is_dataclass

# type → (value → children and context, children and context → value)
KINDS: dict[type, tuple[Callable[[Any], tuple[list[Any], Any]], Callable[..., Any]]] = {
    list: (lambda x: (list(x), None), lambda children, _: list(children)),
    tuple: (lambda x: (list(x), None), lambda children, _: tuple(children)),
    dict: (
        lambda x: (list(x.values()), list(x)),
        lambda children, keys: dict(zip(keys, children, strict=True)),
    ),
    OrderedDict: (
        lambda x: (list(x.values()), list(x)),
        lambda children, keys: OrderedDict(zip(keys, children, strict=True)),
    ),
    defaultdict: (
        lambda x: (list(x.values()), (x.default_factory, list(x))),
        lambda children, context: defaultdict(context[0], zip(context[1], children, strict=True)),
    ),
    deque: (lambda x: (list(x), x.maxlen), lambda children, size: deque(children, size)),
}


@dataclass(frozen=True)
class TreeSpec:
    """The shape of a tree: the type of this node (None for a leaf), and what lies below."""

    type: Any
    context: Any
    children_specs: list[TreeSpec]

    @property
    def num_leaves(self) -> int:
        """The leaves below this node."""
        return 1 if self.type is None else sum(c.num_leaves for c in self.children_specs)

    def is_leaf(self) -> bool:
        """Whether this is a leaf."""
        return self.type is None

    def unflatten(self, leaves: Iterable[Any]) -> Any:
        """The tree with these leaves; there must be as many as it has."""
        return _build(self, iter(leaves))


def kind_of(x: Any, dataclasses: bool = False) -> Any:
    """The row of KINDS, "named" for a named tuple, "dataclass", or None: x is a leaf."""
    if type(x) in KINDS:
        return type(x)
    if isinstance(x, tuple) and hasattr(x, "_fields"):
        return "named"
    if dataclasses and is_dataclass(type(x)) and not isinstance(x, type):
        return "dataclass"
    return None


def flatten(
    tree: Any, is_leaf: Callable[[Any], bool] | None = None, *, dataclasses: bool = False
) -> tuple[list[Any], TreeSpec]:
    """The leaves in order, and the shape of the tree; dataclasses are leaves unless told."""
    leaves: list[Any] = []

    def walk(x: Any) -> TreeSpec:
        kind = None if is_leaf is not None and is_leaf(x) else kind_of(x, dataclasses)
        if kind is None:
            leaves.append(x)
            return TreeSpec(None, None, [])
        if kind == "named":
            children: list[Any] = list(x)
            context: Any = type(x)
        elif kind == "dataclass":
            names = list(field_names(x))
            children, context = [getattr(x, name) for name in names], (type(x), names)
        else:
            children, context = KINDS[kind][0](x)
        return TreeSpec(kind, context, [walk(child) for child in children])

    spec = walk(tree)
    return leaves, spec


def _build(spec: TreeSpec, each: Iterator[Any]) -> Any:
    if spec.type is None:
        return next(each)
    children = [_build(child, each) for child in spec.children_specs]
    if spec.type == "named":
        return spec.context(*children)
    if spec.type == "dataclass":
        made = object.__new__(spec.context[0])
        for name, value in zip(spec.context[1], children, strict=True):
            object.__setattr__(made, name, value)
        return made
    return KINDS[spec.type][1](children, spec.context)
