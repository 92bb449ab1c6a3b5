"""ai.onnx.ml: support vector machines, as libsvm computes them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from tallow import ops
from tallow.borrowing import from_numpy
from tallow.dtype import f32
from tallow.errors import ArgumentError, expect
from tallow.factories import tensor
from tallow.onnx.operators.ml_common import ML, floats, kept, labels_of, rows_of, transformed
from tallow.onnx.operators.table import operator
from tallow.tensor import Tensor


@operator("SVMRegressor", domain=ML)
def svm_regressor(
    x: Tensor, *, coefficients: Sequence[float], support_vectors: Sequence[float] = (),
    rho: Sequence[float] = (), n_supports: int = 0, one_class: int = 0,
    kernel_type: str = "LINEAR", kernel_params: Sequence[float] = (),
    post_transform: str = "NONE",
) -> Tensor:  # fmt: skip
    """A weighted sum of kernels with the support vectors; (rows, 1)."""
    rows = rows_of(x).to(f32)
    weights = kept(floats, coefficients)
    if n_supports:
        vectors = kept(floats, support_vectors).reshape(n_supports, -1)
        kernels = _kernels(rows, vectors, kernel_type, kernel_params)
    else:
        kernels = rows
    found = (kernels @ weights.unsqueeze(1)) + (rho[0] if rho else 0.0)
    if one_class:
        return ops.where(found > 0, 1.0, -1.0).to(f32)
    return transformed(found, post_transform)


@operator("SVMClassifier", domain=ML, host=True)
def svm_classifier(
    x: Tensor, *, coefficients: Sequence[float], support_vectors: Sequence[float] = (),
    vectors_per_class: Sequence[int] = (), rho: Sequence[float] = (),
    prob_a: Sequence[float] = (), prob_b: Sequence[float] = (),
    classlabels_ints: Sequence[int] = (), classlabels_strings: Sequence[str] = (),
    kernel_type: str = "LINEAR", kernel_params: Sequence[float] = (),
    post_transform: str = "NONE",
) -> tuple[Any, Tensor]:  # fmt: skip
    """The label with the most votes of pairs of classes (or the largest score), and scores."""
    rows = rows_of(x).to(f32)
    classes = max(len(classlabels_ints or classlabels_strings), 1)
    if sum(vectors_per_class):
        expect(classes == len(vectors_per_class) > 1, "SVMClassifier",
               "two classes or more with vectors", classes, ArgumentError)  # fmt: skip
        vectors = kept(floats, support_vectors).reshape(sum(vectors_per_class), -1)
        kernels = _kernels(rows, vectors, kernel_type, kernel_params)
        weights, first, second = kept(_pair_tables, coefficients, vectors_per_class)
        scores = ops.linear(kernels, weights, kept(floats, rho))
        wins = (scores > 0).to(f32)
        chosen_by = wins @ first + (1 - wins) @ second
    else:
        weights = kept(floats, coefficients).reshape(classes, -1)
        scores = chosen_by = ops.linear(rows, weights) + rho[0]
    labels = labels_of(chosen_by.argmax(1), classlabels_ints, classlabels_strings)
    if prob_a and vectors_per_class:
        return labels, transformed(_probabilities(scores, prob_a, prob_b, classes), post_transform)
    if scores.shape[1] > 1:
        return labels, transformed(scores, post_transform)
    # One score for two classes, as onnxruntime has it.
    if post_transform in ("NONE", "LOGISTIC"):
        return labels, transformed(ops.cat([-scores, scores], 1), post_transform)
    return labels, ops.cat([1 - scores, scores], 1)


def _kernels(x: Tensor, vectors: Tensor, kind: str, params: Sequence[float]) -> Tensor:
    """The kernel of each row with each vector; (rows, vectors)."""
    gamma, start, degree = (*params, 0.0, 0.0, 0.0)[:3]
    expect(vectors.shape[1] == x.shape[1], ML, f"{vectors.shape[1]} features", x.shape[1])
    if kind == "RBF":
        apart = (x.unsqueeze(1) - vectors).square().sum(-1)
        return (apart * -gamma).exp()
    products = ops.linear(x, vectors)
    if kind == "LINEAR":
        return products
    products = products * gamma + start
    if kind == "POLY":
        return products**degree
    expect(kind == "SIGMOID", ML, "LINEAR, POLY, RBF or SIGMOID", kind, ArgumentError)
    return products.tanh()


def _pair_tables(
    coefficients: Sequence[float], counts: Sequence[int]
) -> tuple[Tensor, Tensor, Tensor]:
    """For each pair of classes the weights of all vectors, and for whom a win and a loss count."""
    classes, total = len(counts), sum(counts)
    starts = [0, *itertools.accumulate(counts)]
    pairs = [*itertools.combinations(range(classes), 2)]
    weights = [[0.0] * total for _ in pairs]
    for row, (i, j) in zip(weights, pairs, strict=True):
        for of, other in ((i, j - 1), (j, i)):
            span = slice(starts[of], starts[of] + counts[of])
            row[span] = coefficients[other * total :][span]
    first = [[float(c == i) for c in range(classes)] for i, _ in pairs]
    second = [[float(c == j) for c in range(classes)] for _, j in pairs]
    return tensor(weights, dtype=f32), tensor(first), tensor(second)


def _probabilities(scores: Tensor, a: Sequence[float], b: Sequence[float], classes: int) -> Tensor:
    """Probabilities of the classes from those of pairs (Wu, Lin, Weng 2004, method 2)."""
    import numpy as np

    rows = scores.numpy()
    of_pairs = 1 / (1 + np.exp(rows * np.array(a, "float32") + np.array(b, "float32")))
    of_pairs = np.clip(of_pairs.astype("float32"), 1e-7, 1 - 1e-7)
    against = np.zeros((len(rows), classes, classes), "float32")
    for at, (i, j) in enumerate(itertools.combinations(range(classes), 2)):
        against[:, i, j] = of_pairs[:, at]
        against[:, j, i] = 1 - of_pairs[:, at]
    return from_numpy(_coupled(against))


def _coupled(against: Any) -> Any:
    """The coupling of (rows, classes, classes) probabilities of pairs, by libsvm's iterations."""
    import numpy as np

    count, k = against.shape[:2]
    q = -np.swapaxes(against, 1, 2) * against
    diagonal = np.arange(k)
    q[:, diagonal, diagonal] = (against**2).sum(1)
    p = np.full((count, k), 1 / k, "float32")
    active = np.arange(count)
    for _ in range(max(100, k)):
        qp = np.einsum("rij,rj->ri", q[active], p[active])
        pqp = (p[active] * qp).sum(1)
        going = np.abs(qp - pqp[:, None]).max(1) >= 0.005 / k
        active, qp, pqp = active[going], qp[going], pqp[going]
        if not len(active):
            break
        for t in range(k):
            own = q[active, t, t]
            diff = (pqp - qp[:, t]) / own
            p[active, t] += diff
            pqp = (pqp + diff * (diff * own + 2 * qp[:, t])) / (1 + diff) ** 2
            qp = (qp + diff[:, None] * q[active, t]) / (1 + diff)[:, None]
            p[active] /= (1 + diff)[:, None]
    return p
