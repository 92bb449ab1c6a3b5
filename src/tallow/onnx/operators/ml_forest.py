"""Decision trees as tables: a step of all rows down all trees is a few gathers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from tallow import ops
from tallow.dtype import f32, f64, i64
from tallow.errors import ModelError, expect
from tallow.factories import tensor
from tallow.lazy_dataclasses import dataclass
from tallow.onnx.operators.ml_common import ML
from tallow.tensor import Tensor

# In the order of TreeEnsemble's numbers.
_MODES: Final = (
    "BRANCH_LEQ",
    "BRANCH_LT",
    "BRANCH_GTE",
    "BRANCH_GT",
    "BRANCH_EQ",
    "BRANCH_NEQ",
    "BRANCH_MEMBER",
)
_COMPARE: Final = {
    "BRANCH_LEQ": ops.le,
    "BRANCH_LT": ops.lt,
    "BRANCH_GTE": ops.ge,
    "BRANCH_GT": ops.gt,
    "BRANCH_EQ": ops.eq,
    "BRANCH_NEQ": ops.ne,
}


@dataclass(frozen=True, eq=False)
class Forest:
    """Tables over all nodes of all trees; a leaf's children are itself.

    `weights` is what a leaf gives for each target, (nodes, classes), 0 for other nodes; `given`
    says for which targets it gives anything, where an aggregate asks.
    """

    roots: Tensor
    depth: int
    feature: Tensor
    split: Tensor
    branches: Tensor  # (2 * nodes): where a comparison that fails leads, and one that holds
    mode: Tensor  # index into `modes`
    modes: tuple[str, ...]
    members: Tensor | None  # (nodes, most members), padded with NaN
    missing: Tensor | None
    weights: Tensor
    given: Tensor
    targets: tuple[int, ...]  # that any leaf gives something for
    weights_are_positive: bool
    features: int

    @property
    def trees(self) -> int:
        """How many trees there are."""
        return len(self.roots)

    @property
    def classes(self) -> int:
        """How many targets there are."""
        return self.weights.shape[1]

    def leaves(self, x: Tensor) -> Tensor:
        """The leaf of each row in each tree, by its node; (rows, trees)."""
        count = len(x)
        at = self.roots.expand(count, self.trees)
        for _ in range(self.depth):
            flat = at.reshape(-1)
            features = self.feature[flat].reshape(count, self.trees)
            values = ops.gather(x, 1, features).reshape(-1)
            at = self.branches[flat * 2 + self._holds(values, flat).to(i64)]
            at = at.reshape(count, self.trees)
        return at

    def _holds(self, values: Tensor, nodes: Tensor) -> Tensor:
        split = self.split[nodes].to(values.dtype)
        found = self._compared(self.modes[0], values, split, nodes)
        for i, mode in enumerate(self.modes[1:], 1):
            other = self._compared(mode, values, split, nodes)
            found = ops.where(self.mode[nodes] == i, other, found)
        if self.missing is not None:
            found = found | (self.missing[nodes] & values.isnan())
        return found

    def _compared(self, mode: str, values: Tensor, split: Tensor, nodes: Tensor) -> Tensor:
        if mode == "BRANCH_MEMBER":
            assert self.members is not None
            return (self.members[nodes].to(values.dtype) == values.unsqueeze(1)).any(1)
        return _COMPARE[mode](values, split)

    def totals(self, x: Tensor, how: str) -> Tensor:
        """The sum, average, least or largest of what the trees give; (rows, classes)."""
        leaves = self.leaves(x)
        dtype = f64 if x.dtype is f64 or self.weights.dtype is f64 else f32
        found = self.weights[leaves].to(dtype)
        if how in ("SUM", "AVERAGE"):
            total = found.sum(1)
            return total / self.trees if how == "AVERAGE" else total
        given = self.given[leaves]
        if how == "MIN":
            ends = ops.where(given, found, float("inf")).amin(1)
        else:
            ends = ops.where(given, found, float("-inf")).amax(1)
        return ops.where(given.any(1), ends, 0.0)


def forest_of_nodes(
    trees: Sequence[int], ids: Sequence[int], features: Sequence[int], modes: Sequence[str],
    splits: Any, true_ids: Sequence[int], false_ids: Sequence[int], missing: Any,
    leaf_trees: Sequence[int], leaf_nodes: Sequence[int], targets: Sequence[int], weights: Any,
    classes: int,
) -> Forest:  # fmt: skip  # fmt: skip
    """Trees of TreeEnsembleClassifier and -Regressor: leaves are nodes, named by tree and id."""
    _expect_count(len(ids), trees, features, modes, splits, true_ids, false_ids)
    place = {key: i for i, key in enumerate(zip(trees, ids, strict=True))}
    expect(len(place) == len(ids), ML, "nodes with ids of their own", "one twice", ModelError)
    branches = []
    for i, (tree, mode) in enumerate(zip(trees, modes, strict=True)):
        ends = [place.get((tree, k), -1) for k in (false_ids[i], true_ids[i])]
        ends = [i, i] if mode == "LEAF" else ends
        what = f"children of node {ids[i]} of tree {tree}"
        expect(min(ends) >= 0, ML, what, "none", ModelError)
        branches.append(ends)
    children = {end for i, ends in enumerate(branches) for end in ends if end != i}
    first: dict[int, int] = {}
    for i, tree in enumerate(trees):
        first.setdefault(tree, i)
    roots = [*first.values()]
    expect(not children & {*roots}, ML, "trees whose first node is the root", "others", ModelError)
    numbers = weights.tolist() if isinstance(weights, Tensor) else weights
    _expect_count(len(numbers), leaf_trees, leaf_nodes, targets)
    leaves = [place.get(key, -1) for key in zip(leaf_trees, leaf_nodes, strict=True)]
    expect(min(leaves, default=0) >= 0, ML, "weights of nodes that are there", "others", ModelError)
    plain = [_COMPARE_FIRST if mode == "LEAF" else mode for mode in modes]
    table = _Table(roots, branches, [*features], plain, splits, None, missing, classes)
    return table.forest([*zip(leaves, targets, numbers, strict=True)], weights)


def _expect_count(count: int, *attributes: Any) -> None:
    lengths = [*map(len, attributes)]
    expect({*lengths} <= {count}, ML, f"{count} of each attribute", lengths, ModelError)


def forest_of_leaves(
    roots: Sequence[int], features: Sequence[int], modes: Tensor, splits: Tensor,
    true_ids: Sequence[int], true_leaves: Sequence[int], false_ids: Sequence[int],
    false_leaves: Sequence[int], missing: Any, members: Tensor | None, targets: Sequence[int],
    weights: Tensor, classes: int,
) -> Forest:  # fmt: skip
    """Trees of TreeEnsemble: leaves are in tables of their own; here they follow the nodes."""
    count, leaves = len(features), len(targets)
    kinds = modes.reshape(-1).tolist()
    expect(max(kinds, default=0) < len(_MODES), ML, "modes of the standard",
           max(kinds, default=0), ModelError)  # fmt: skip
    _expect_count(count, kinds, splits, true_ids, true_leaves, false_ids, false_leaves)
    ends = [
        [i + count * bool(leaf) for i, leaf in zip(*pair, strict=True)]
        for pair in ((false_ids, false_leaves), (true_ids, true_leaves))
    ]
    branches = [[*pair] for pair in zip(*ends, strict=True)]
    inside = all(0 <= end < count + leaves for pair in branches for end in pair)
    expect(inside and all(0 <= r < count for r in roots), ML,
           "children and roots that are there", "others", ModelError)  # fmt: skip
    branches += [[count + i] * 2 for i in range(leaves)]
    names = [_MODES[kind] for kind in kinds] + [_COMPARE_FIRST] * leaves
    sets = _member_sets(names, members) if members is not None else None
    expect(sets is not None or "BRANCH_MEMBER" not in names, ML, "membership_values",
           "none", ModelError)  # fmt: skip
    missing = [*missing, *[0] * leaves] if missing else None
    entries = [
        (count + i, *pair) for i, pair in enumerate(zip(targets, weights.tolist(), strict=True))
    ]
    padded = [*splits.tolist(), *[0.0] * leaves]
    table = _Table(
        [*roots],
        branches,
        [*features, *[0] * leaves],
        names,
        tensor(padded, dtype=splits.dtype),
        sets,
        missing,
        classes,
    )
    return table.forest(entries, weights)


_COMPARE_FIRST: Final = ""  # a leaf's mode: whatever the others have, as it leads to itself


def _member_sets(modes: Sequence[str], members: Tensor) -> list[list[float]]:
    """The members of each node's set, none where its mode is another; sets end in NaN."""
    found: list[list[float]] = [[]]
    for value in members.tolist():
        if value != value:
            found.append([])
        else:
            found[-1].append(value)
    sets = iter(found)
    return [next(sets, []) if mode == "BRANCH_MEMBER" else [] for mode in modes]


@dataclass(eq=False)
class _Table:
    """What both forms of trees come to, as lists."""

    roots: list[int]
    branches: list[list[int]]
    features: list[int]
    modes: list[str]
    splits: Any
    members: list[list[float]] | None
    missing: Any
    classes: int

    def forest(self, entries: list[tuple[int, int, float]], weights: Any) -> Forest:
        """The tables as tensors."""
        used = [*dict.fromkeys(mode for mode in self.modes if mode)] or ["BRANCH_LEQ"]
        unknown = {*used} - {*_MODES}
        expect(not unknown, ML, f"modes of {_MODES}", sorted(unknown), ModelError)
        expect(all(f >= 0 for f in self.features), ML, "features from 0 on", "others", ModelError)
        inner = [f for f, mode in zip(self.features, self.modes, strict=True) if mode]
        sums = [[0.0] * self.classes for _ in self.branches]
        given = [[False] * self.classes for _ in self.branches]
        for node, target, weight in entries:
            expect(
                0 <= target < self.classes, ML, f"targets below {self.classes}", target, ModelError
            )
            sums[node][target] += weight
            given[node][target] = True
        dtype = weights.dtype if isinstance(weights, Tensor) else f32
        splits = self.splits
        features = [f if mode else 0 for f, mode in zip(self.features, self.modes, strict=True)]
        return Forest(
            roots=tensor(self.roots, dtype=i64),
            depth=self._depth(),
            feature=tensor(features, dtype=i64),
            split=splits if isinstance(splits, Tensor) else tensor([*splits], dtype=f32),
            branches=tensor(self.branches, dtype=i64).reshape(-1),
            mode=tensor([used.index(m) if m else 0 for m in self.modes], dtype=i64),
            modes=tuple(used),
            members=self._padded(),
            missing=tensor([bool(m) for m in self.missing]) if any(self.missing or ()) else None,
            weights=tensor(sums, dtype=dtype),
            given=tensor(given),
            targets=tuple(sorted({target for _, target, _ in entries})),
            weights_are_positive=all(weight >= 0 for _, _, weight in entries),
            features=max(inner, default=-1) + 1,
        )

    def _depth(self) -> int:
        """Steps from a root to the farthest leaf; an error where a tree has a cycle."""
        level, depth = {*self.roots}, 0
        while True:
            below = {end for i in level for end in self.branches[i] if end != i}
            if not below:
                return depth
            level, depth = below, depth + 1
            expect(depth <= len(self.branches), ML, "trees", "a cycle", ModelError)

    def _padded(self) -> Tensor | None:
        if self.members is None:
            return None
        most = max(map(len, self.members))
        rows = [[*each, *[float("nan")] * (most - len(each))] for each in self.members]
        return tensor(rows, dtype=f32).reshape(len(rows), most)
