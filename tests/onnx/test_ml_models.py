"""The models of ai.onnx.ml against onnxruntime, or by what the standard says."""

import numpy as np
import pytest

from onnx_graphs import by_runtime, check_ml, ml_node, ours, same
from tallow.errors import ModelError, TallowError

pytestmark = pytest.mark.needs_formats

f, d = np.float32, np.float64
RNG = np.random.default_rng(3)
TRANSFORMS = ["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"]


X = RNG.standard_normal((5, 3)).astype(f)


# --- linear and support vectors -------------------------------------------------------------------

PROBIT = {"rtol": 1e-2, "atol": 1e-3}  # onnxruntime approximates the inverse of erf


@pytest.mark.parametrize("post", TRANSFORMS)
@pytest.mark.parametrize("targets", [1, 3])
def test_linear_regressor(post, targets):
    if targets == 1 and post not in ("NONE", "PROBIT"):
        return  # which onnxruntime leaves out
    weights = RNG.uniform(0, 0.1, targets * 3).tolist()
    check_ml(
        "LinearRegressor",
        np.abs(X),
        targets=targets,
        coefficients=weights,
        post_transform=post,
        intercepts=[0.3, 0.4, 0.2][:targets],
        tolerances=PROBIT if post == "PROBIT" else None,
    )


@pytest.mark.parametrize(
    "labels",
    [{"classlabels_ints": [5, 7, 9]}, {"classlabels_strings": ["a", "b", "c"]}],
    ids=["ints", "texts"],
)
@pytest.mark.parametrize("post", TRANSFORMS)
@pytest.mark.parametrize("classes", [1, 2, 3])
@pytest.mark.parametrize("dtype", [f, d, np.int64, np.int32])
def test_linear_classifier(classes, post, labels, dtype):
    if classes == 1 and post == "PROBIT":
        return  # onnxruntime transforms the first element alone
    count = max(classes, 2)
    kept = {name: values[:count] for name, values in labels.items()}
    weights = np.random.default_rng(1).uniform(0, 0.1, classes * 3).tolist()
    if classes == 1:
        weights = [0.3, 0.1, -0.2]
    x = (np.abs(X) if classes > 1 else X * 5).astype(dtype)
    outs = ("int64" if "classlabels_ints" in labels else "str", f)
    check_ml(
        "LinearClassifier",
        x,
        outs=outs,
        coefficients=weights,
        post_transform=post,
        intercepts=[0.3, 0.31, 0.29][:classes] if classes > 1 else [0.1],
        tolerances=PROBIT if post == "PROBIT" else None,
        **kept,
    )


KERNELS = {
    "LINEAR": [0.0, 0.0, 0.0],
    "POLY": [0.5, 0.25, 3.0],
    "RBF": [0.4, 0.0, 0.0],
    "SIGMOID": [0.3, -0.1, 0.0],
}


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("one_class", [0, 1])
def test_svm_regressor(kernel, one_class):
    options = {"kernel_params": KERNELS[kernel]}
    check_ml(
        "SVMRegressor",
        X,
        kernel_type=kernel,
        coefficients=[0.5, -0.25, 0.75, -1.0],
        n_supports=4,
        support_vectors=RNG.standard_normal(12).tolist(),
        rho=[0.1],
        one_class=one_class,
        **options,
    )


def test_svm_regressor_without_vectors():
    check_ml(
        "SVMRegressor",
        X,
        coefficients=[0.5, -0.25, 0.75],
        rho=[0.1],
        kernel_type="LINEAR",
        kernel_params=KERNELS["LINEAR"],
    )


@pytest.mark.parametrize("labels", ["ints", "strings"])
@pytest.mark.parametrize("proba", [False, True])
@pytest.mark.parametrize("classes", [2, 3, 4])
@pytest.mark.parametrize("kernel", KERNELS)
def test_svm_classifier(kernel, classes, proba, labels):
    rng = np.random.default_rng(classes)
    counts = [2, 3, 1, 2][:classes]
    pairs = classes * (classes - 1) // 2
    options = {"kernel_params": KERNELS[kernel]}
    if proba:
        options |= {
            "prob_a": rng.uniform(-2, -1, pairs).tolist(),
            "prob_b": rng.uniform(-1, 1, pairs).tolist(),
        }
    names = [10, 20, 30, 40] if labels == "ints" else ["a", "b", "c", "d"]
    check_ml(
        "SVMClassifier",
        RNG.standard_normal((9, 3)).astype(f),
        outs=("int64" if labels == "ints" else "str", f),
        kernel_type=kernel,
        vectors_per_class=counts,
        rho=rng.standard_normal(pairs).tolist(),
        support_vectors=rng.standard_normal(sum(counts) * 3).tolist(),
        coefficients=rng.standard_normal((classes - 1) * sum(counts)).tolist(),
        tolerances={"rtol": 1e-4, "atol": 1e-5},
        **{f"classlabels_{labels}": names[:classes]},
        **options,
    )


@pytest.mark.parametrize("post", ["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"])
@pytest.mark.parametrize("classes", [2, 3])
def test_svm_classifier_of_scores(classes, post):
    rng = np.random.default_rng(classes)
    counts = [2, 3, 1][:classes]
    pairs = classes * (classes - 1) // 2
    check_ml(
        "SVMClassifier",
        RNG.standard_normal((9, 3)).astype(f),
        outs=("int64", f),
        kernel_type="LINEAR",
        kernel_params=KERNELS["LINEAR"],
        vectors_per_class=counts,
        rho=rng.standard_normal(pairs).tolist(),
        post_transform=post,
        support_vectors=rng.standard_normal(sum(counts) * 3).tolist(),
        coefficients=rng.standard_normal((classes - 1) * sum(counts)).tolist(),
        classlabels_ints=[4, 5, 6][:classes],
    )


@pytest.mark.parametrize("classes", [3, 4])
def test_svm_classifier_without_vectors(classes):
    weights = np.random.default_rng(0).standard_normal(classes * 3).tolist()
    check_ml(
        "SVMClassifier",
        X,
        outs=("int64", f),
        coefficients=weights,
        rho=[0.2],
        kernel_type="LINEAR",
        kernel_params=KERNELS["LINEAR"],
        classlabels_ints=[4, 5, 6, 7][:classes],
    )


# --- trees ----------------------------------------------------------------------------------------

MODES = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"]


NODE = ("treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids")
VOTE = ("treeids", "nodeids", "ids", "weights")


def grown(rng, trees, depth, modes, targets, votes=1, missing=False, features=3):
    """Attributes of random trees; leaves at various depths vote for targets."""
    rows, leaves = [], []
    for tree in range(trees):
        queue, count = [(0, 0)], 1
        while queue:
            node, level = queue.pop(0)
            value = float(rng.integers(-2, 3)) / 2
            if level == depth or (level > 0 and rng.random() < 0.2):
                rows.append((tree, node, 0, "LEAF", 0.0, 0, 0))
                chosen = rng.choice(targets, votes, replace=False)
                leaves += [(tree, node, int(t), float(rng.standard_normal())) for t in chosen]
            else:
                feature, mode = int(rng.integers(features)), str(rng.choice(modes))
                rows.append((tree, node, feature, mode, value, count, count + 1))
                queue += [(count, level + 1), (count + 1, level + 1)]
                count += 2
    columns = zip(*rows, strict=True)
    found = {f"nodes_{name}": [*values] for name, values in zip(NODE, columns, strict=True)}
    if missing:
        found["nodes_missing_value_tracks_true"] = rng.integers(0, 2, len(rows)).tolist()
    return found, dict(zip(VOTE, map(list, zip(*leaves, strict=True)), strict=True))


def halves(rng, rows, features=3, dtype=f):
    return (rng.integers(-3, 4, (rows, features)) / 2).astype(dtype)


@pytest.mark.parametrize("dtype", [f, d, np.int64, np.int32])
@pytest.mark.parametrize("modes", [["BRANCH_LEQ"], MODES], ids=["leq", "all"])
@pytest.mark.parametrize("how", ["SUM", "AVERAGE", "MIN", "MAX"])
@pytest.mark.parametrize("targets", [1, 3])
def test_tree_ensemble_regressor(targets, how, modes, dtype):
    rng = np.random.default_rng(targets)
    nodes, leaves = grown(rng, 7, 4, modes, targets, votes=min(targets, 2))
    options = {
        "aggregate_function": how,
        "n_targets": targets,
        "base_values": [0.5, -0.25, 1.0][:targets],
        **nodes,
        **{f"target_{name}": values for name, values in leaves.items()},
    }
    x = halves(rng, 50, dtype=dtype)
    if x.dtype.kind == "f":
        check_ml("TreeEnsembleRegressor", x, **options)
    else:  # onnxruntime has no such
        same(
            ours(*ml_node("TreeEnsembleRegressor", [x], **options)),
            ours(*ml_node("TreeEnsembleRegressor", [x.astype(f)], **options)),
        )


@pytest.mark.parametrize("missing", [False, True])
def test_missing_values_go_where_the_tree_says(missing):
    rng = np.random.default_rng(8)
    nodes, leaves = grown(rng, 5, 4, MODES, 1, missing=missing)
    x = halves(rng, 60)
    x[rng.random(x.shape) < 0.3] = np.nan
    check_ml(
        "TreeEnsembleRegressor",
        x,
        n_targets=1,
        **nodes,
        **{f"target_{n}": v for n, v in leaves.items()},
    )


@pytest.mark.parametrize("post", TRANSFORMS)
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("labels", ["int64s", "strings"])
@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("base", [False, True])
def test_tree_ensemble_classifier(base, positive, labels, classes, post):
    rng = np.random.default_rng(classes)
    nodes, leaves = grown(rng, 6, 3, MODES, classes)
    if positive or post == "PROBIT":
        leaves["weights"] = (np.abs(leaves["weights"]) / 18).tolist()
    names = [7, 5, 3] if labels == "int64s" else ["a", "b", "c"]
    given, call = ml_node(
        "TreeEnsembleClassifier",
        [halves(rng, 40)],
        ("int64" if labels == "int64s" else "str", f),
        post_transform=post,
        **({"base_values": [0.2, 0.1, 0.3][:classes]} if base else {}),
        **{f"classlabels_{labels}": names[:classes]},
        **nodes,
        **{f"class_{name}": values for name, values in leaves.items()},
    )
    [(found, scores)] = ours(given, call)
    if positive or base or classes == 2:  # else a class that no leaf votes for is not the largest
        assert found.tolist() == [names[i] for i in scores.argmax(1)]
    if classes == 2 and base:
        return  # onnxruntime takes scores of two classes with base values for one
    [(want, of_runtime)] = by_runtime(given, call)
    same(scores, of_runtime, **(PROBIT if post == "PROBIT" else {}))
    if classes > 2:
        same(found, want)  # of two classes it gives whether the score of the second is positive


@pytest.mark.parametrize("post", TRANSFORMS)
@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("base", [False, True])
def test_tree_ensemble_classifier_of_one_class_of_two(base, positive, post):
    rng = np.random.default_rng(4)
    nodes, leaves = grown(rng, 6, 3, ["BRANCH_LEQ"], 1)
    if positive:
        leaves["weights"] = (np.abs(leaves["weights"]) / 8).tolist()
    if post == "PROBIT":
        return  # which gives one column in two of onnxruntime's
    check_ml(
        "TreeEnsembleClassifier",
        halves(rng, 40),
        outs=("int64", f),
        post_transform=post,
        **({"base_values": [0.2]} if base else {}),
        classlabels_int64s=[7, 5],
        **nodes,
        **{f"class_{n}": v for n, v in leaves.items()},
    )


def test_tree_ensembles_with_numbers_in_tensors():
    from onnx import numpy_helper

    rng = np.random.default_rng(4)
    nodes, leaves = grown(rng, 6, 3, ["BRANCH_LEQ"], 2)
    nodes["nodes_values_as_tensor"] = numpy_helper.from_array(
        np.array(nodes.pop("nodes_values"), d)
    )
    leaves["weights_as_tensor"] = numpy_helper.from_array(np.array(leaves.pop("weights"), d))
    check_ml(
        "TreeEnsembleRegressor",
        halves(rng, 40, dtype=d),
        opset=3,
        n_targets=2,
        **nodes,
        **{f"target_{n}": v for n, v in leaves.items()},
    )


@pytest.mark.parametrize("how", [0, 1, 2, 3])
@pytest.mark.parametrize("dtype", [f, d])
def test_tree_ensemble(how, dtype):
    from onnx import numpy_helper

    # Sets of onnxruntime are bits of positive integers, those of the reference end at a 0.
    members = numpy_helper.from_array(np.array([1, 2, np.nan, 3, 1, np.nan], dtype))
    check_ml(
        "TreeEnsemble",
        halves(np.random.default_rng(1), 40, dtype=dtype) * 2,
        opset=5,
        outs=(dtype,),
        aggregate_function=how,
        n_targets=2,
        tree_roots=[0, 3],
        membership_values=members,
        nodes_featureids=[0, 1, 2, 1],
        nodes_modes=numpy_helper.from_array(np.array([0, 6, 3, 6], "uint8")),
        nodes_splits=numpy_helper.from_array(np.array([0.5, 0, -0.5, 0], dtype)),
        nodes_truenodeids=[1, 0, 2, 4],
        nodes_trueleafs=[0, 1, 1, 1],
        nodes_falsenodeids=[2, 1, 3, 5],
        nodes_falseleafs=[0, 1, 1, 1],
        leaf_targetids=[0, 1, 0, 1, 0, 1],
        leaf_weights=numpy_helper.from_array(np.array([5.5, -1, 2, 3, 0.25, 4], dtype)),
    )


def test_trees_that_are_none_are_refused():
    rng = np.random.default_rng(4)
    nodes, leaves = grown(rng, 2, 3, ["BRANCH_LEQ"], 1)
    votes = {f"target_{n}": v for n, v in leaves.items()}
    for name, at, value, what in (
        ("nodes_truenodeids", 0, 99, "children of node"),
        ("nodes_modes", 0, "BRANCH", "modes of"),
        ("nodes_featureids", 0, -1, "features from 0"),
        ("nodes_truenodeids", 1, 0, "first node is the root"),
        ("nodes_nodeids", 0, 1, "ids of their own"),
    ):
        bad = {key: [*values] for key, values in nodes.items()}
        bad[name][at] = value
        with pytest.raises(ModelError, match=what):
            ours(*ml_node("TreeEnsembleRegressor", [X], **bad, **votes))
    with pytest.raises(TallowError, match="features or more"):
        ours(*ml_node("TreeEnsembleRegressor", [X[:, :1]], **nodes, **votes))
