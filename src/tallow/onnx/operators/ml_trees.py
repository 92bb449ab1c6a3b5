"""ai.onnx.ml: ensembles of decision trees; all rows go down all trees a level at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from tallow import ops
from tallow.dtype import f32, i64
from tallow.errors import ArgumentError, ModelError, expect
from tallow.onnx.operators.ml_common import ML, floats, kept, labels_of, rows_of, transformed
from tallow.onnx.operators.ml_forest import Forest, forest_of_leaves, forest_of_nodes
from tallow.onnx.operators.table import operator
from tallow.tensor import Tensor

_AGGREGATES: Final = ("AVERAGE", "SUM", "MIN", "MAX")
_TRANSFORMS: Final = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")
_MOST_AT_ONCE: Final = 1 << 22  # elements of what all trees give for some rows


@operator("TreeEnsembleRegressor", domain=ML)
def tree_ensemble_regressor(
    x: Tensor, *, aggregate_function: str = "SUM", base_values: Any = None,
    base_values_as_tensor: Any = None, n_targets: int = 1, nodes_falsenodeids: Sequence[int],
    nodes_featureids: Sequence[int], nodes_hitrates: Any = None,
    nodes_hitrates_as_tensor: Any = None, nodes_missing_value_tracks_true: Any = None,
    nodes_modes: Sequence[str], nodes_nodeids: Sequence[int], nodes_treeids: Sequence[int],
    nodes_truenodeids: Sequence[int], nodes_values: Any = None,
    nodes_values_as_tensor: Any = None, post_transform: str = "NONE", target_ids: Sequence[int],
    target_nodeids: Sequence[int], target_treeids: Sequence[int], target_weights: Any = None,
    target_weights_as_tensor: Any = None,
) -> Tensor:  # fmt: skip
    """What the trees give for each target, aggregated; (rows, targets)."""
    del nodes_hitrates, nodes_hitrates_as_tensor
    forest = kept(
        forest_of_nodes,
        nodes_treeids,
        nodes_nodeids,
        nodes_featureids,
        nodes_modes,
        nodes_values if nodes_values_as_tensor is None else nodes_values_as_tensor,
        nodes_truenodeids,
        nodes_falsenodeids,
        nodes_missing_value_tracks_true,
        target_treeids,
        target_nodeids,
        target_ids,
        target_weights if target_weights_as_tensor is None else target_weights_as_tensor,
        n_targets,
    )
    base = base_values if base_values_as_tensor is None else base_values_as_tensor
    found = _aggregated(forest, rows_of(x), aggregate_function, base)
    return transformed(found, post_transform).to(f32)


@operator("TreeEnsemble", 5, domain=ML)
def tree_ensemble(
    x: Tensor, *, aggregate_function: int = 1, leaf_targetids: Sequence[int],
    leaf_weights: Tensor, membership_values: Any = None, n_targets: int = 1,
    nodes_falseleafs: Sequence[int], nodes_falsenodeids: Sequence[int],
    nodes_featureids: Sequence[int], nodes_hitrates: Any = None,
    nodes_missing_value_tracks_true: Any = None, nodes_modes: Tensor, nodes_splits: Tensor,
    nodes_trueleafs: Sequence[int], nodes_truenodeids: Sequence[int], post_transform: int = 0,
    tree_roots: Sequence[int],
) -> Tensor:  # fmt: skip
    """What the trees give for each target, aggregated; (rows, targets)."""
    del nodes_hitrates
    expect(0 <= aggregate_function < len(_AGGREGATES), "TreeEnsemble",
           "an aggregate_function of 0 to 3", aggregate_function, ArgumentError)  # fmt: skip
    expect(0 <= post_transform < len(_TRANSFORMS), "TreeEnsemble",
           "a post_transform of 0 to 4", post_transform, ArgumentError)  # fmt: skip
    forest = kept(
        forest_of_leaves,
        tree_roots,
        nodes_featureids,
        nodes_modes,
        nodes_splits,
        nodes_truenodeids,
        nodes_trueleafs,
        nodes_falsenodeids,
        nodes_falseleafs,
        nodes_missing_value_tracks_true,
        membership_values,
        leaf_targetids,
        leaf_weights,
        n_targets,
    )
    found = _aggregated(forest, rows_of(x), _AGGREGATES[aggregate_function], None)
    return transformed(found, _TRANSFORMS[post_transform]).to(x.dtype)


@operator("TreeEnsembleClassifier", domain=ML, host=True)
def tree_ensemble_classifier(
    x: Tensor, *, base_values: Any = None, base_values_as_tensor: Any = None,
    class_ids: Sequence[int], class_nodeids: Sequence[int], class_treeids: Sequence[int],
    class_weights: Any = None, class_weights_as_tensor: Any = None,
    classlabels_int64s: Sequence[int] = (), classlabels_strings: Sequence[str] = (),
    nodes_falsenodeids: Sequence[int], nodes_featureids: Sequence[int],
    nodes_hitrates: Any = None, nodes_hitrates_as_tensor: Any = None,
    nodes_missing_value_tracks_true: Any = None, nodes_modes: Sequence[str],
    nodes_nodeids: Sequence[int], nodes_treeids: Sequence[int], nodes_truenodeids: Sequence[int],
    nodes_values: Any = None, nodes_values_as_tensor: Any = None, post_transform: str = "NONE",
) -> tuple[Any, Tensor]:  # fmt: skip
    """The label of the class with the largest score, and the scores; (rows,), (rows, classes)."""
    del nodes_hitrates, nodes_hitrates_as_tensor
    classes = len(classlabels_int64s or classlabels_strings)
    expect(classes > 0, "TreeEnsembleClassifier", "labels of the classes", "none", ArgumentError)
    weights = class_weights if class_weights_as_tensor is None else class_weights_as_tensor
    forest = kept(
        forest_of_nodes,
        nodes_treeids,
        nodes_nodeids,
        nodes_featureids,
        nodes_modes,
        nodes_values if nodes_values_as_tensor is None else nodes_values_as_tensor,
        nodes_truenodeids,
        nodes_falsenodeids,
        nodes_missing_value_tracks_true,
        class_treeids,
        class_nodeids,
        class_ids,
        weights,
        max(classes, 1),
    )
    base = base_values if base_values_as_tensor is None else base_values_as_tensor
    if len(forest.targets) == 1 and classes <= 2:
        scores, chosen = _of_one_score(forest, rows_of(x), base, classes, post_transform)
    else:
        scores = _aggregated(forest, rows_of(x), "SUM", base)
        chosen = _voted(forest, rows_of(x), scores, base).argmax(1)
        scores = transformed(scores, post_transform)
    return labels_of(chosen, classlabels_int64s, classlabels_strings), scores.to(f32)


def _voted(forest: Forest, x: Tensor, scores: Tensor, base: Any) -> Tensor:
    """Scores among which the label is the largest: of several classes, those that got a vote."""
    if forest.classes <= 2 or forest.weights_are_positive or len(_numbers(base)):
        return scores
    votes = forest.given[forest.leaves(x)].any(1)
    return ops.where(votes, scores, float("-inf"))


def _of_one_score(
    forest: Forest, x: Tensor, base: Any, classes: int, post_transform: str
) -> tuple[Tensor, Tensor]:
    """Scores and classes where all leaves vote for one class of two, as onnxruntime has them.

    The other score is the rest to 1, or the negative where votes may be negative; of transforms
    only LOGISTIC and PROBIT are done.
    """
    [target] = forest.targets
    score = _aggregated(forest, x, "SUM", None)[:, target : target + 1]
    values = [*_numbers(base)]
    if values:
        score = score + values[-1]
    positive = forest.weights_are_positive
    if classes == 1:
        return transformed(score, post_transform), score[:, 0].to(i64) * 0
    chosen = (score[:, 0] > (0.5 if positive else 0)).to(i64)
    if post_transform == "PROBIT":
        return transformed(ops.cat([1 - score, score], 1), post_transform), chosen
    if post_transform == "LOGISTIC":
        return ops.cat([-score, score], 1).sigmoid(), chosen
    return ops.cat([1 - score if positive else -score, score], 1), chosen


def _aggregated(forest: Forest, x: Tensor, how: str, base: Any) -> Tensor:
    """What all trees give for each row and target: one number of all, and the base values."""
    expect(how in _AGGREGATES, ML, f"one of {_AGGREGATES}", how, ArgumentError)
    expect(forest.features <= x.shape[1], ML, f"{forest.features} features or more", x.shape[1])
    step = max(_MOST_AT_ONCE // max(forest.trees * forest.classes, 1), 1)
    parts = [forest.totals(x[at : at + step], how) for at in range(0, max(len(x), 1), step)]
    found = parts[0] if len(parts) == 1 else ops.cat(parts)
    values = [*_numbers(base)]
    if values:
        expect(len(values) in (1, forest.classes), ML, f"{forest.classes} base values",
               len(values), ModelError)  # fmt: skip
        found = found + floats(values).to(found.dtype)
    return found


def _numbers(values: Any) -> Sequence[float]:
    if values is None:
        return ()
    found: Sequence[float] = values.reshape(-1).tolist() if isinstance(values, Tensor) else values
    return found
