"""ai.onnx.ml: linear classifiers and regressors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tallow import ops
from tallow.dtype import f32, i64
from tallow.errors import ArgumentError, expect
from tallow.onnx.operators.ml_common import ML, floats, kept, labels_of, rows_of, transformed
from tallow.onnx.operators.table import operator
from tallow.tensor import Tensor


@operator("LinearRegressor", domain=ML)
def linear_regressor(
    x: Tensor, *, coefficients: Sequence[float], intercepts: Sequence[float] = (),
    targets: int = 1, post_transform: str = "NONE",
) -> Tensor:  # fmt: skip
    """`x @ coefficients.T + intercepts`, transformed; (rows, targets)."""
    return transformed(_scores(x, coefficients, intercepts, targets), post_transform)


@operator("LinearClassifier", domain=ML, host=True)
def linear_classifier(
    x: Tensor, *, coefficients: Sequence[float], intercepts: Sequence[float] = (),
    classlabels_ints: Sequence[int] = (), classlabels_strings: Sequence[str] = (),
    multi_class: int = 0, post_transform: str = "NONE",
) -> tuple[Any, Tensor]:  # fmt: skip
    """The label of the largest score, and all scores; with one score, of its sign."""
    del multi_class
    count = len(classlabels_ints or classlabels_strings)
    features = max(rows_of(x).shape[1], 1)
    classes = len(intercepts) or len(coefficients) // features
    scores = _scores(x, coefficients, intercepts, classes)
    if classes > 1:
        chosen = scores.argmax(1)
    else:
        chosen = (scores[:, 0] > 0).to(i64)
    labels = labels_of(chosen, classlabels_ints, classlabels_strings)
    if classes == 1 and count == 2:
        if post_transform == "LOGISTIC":
            return labels, ops.cat([-scores, scores], 1).sigmoid()
        both = ops.cat([1 - scores, scores], 1)
        return labels, transformed(both, post_transform) if post_transform == "PROBIT" else both
    return labels, transformed(scores, post_transform)


def _scores(
    x: Tensor, coefficients: Sequence[float], intercepts: Sequence[float], classes: int
) -> Tensor:
    """(rows, classes), in f32."""
    rows = rows_of(x).to(f32)
    features = rows.shape[1]
    expect(classes > 0 and len(coefficients) == classes * features, ML,
           f"{classes} × {features} coefficients", len(coefficients), ArgumentError)  # fmt: skip
    expect(
        len(intercepts) in (0, classes), ML, f"{classes} intercepts", len(intercepts), ArgumentError
    )
    weight = kept(floats, coefficients).reshape(classes, features)
    return ops.linear(rows, weight, kept(floats, intercepts) if intercepts else None)
