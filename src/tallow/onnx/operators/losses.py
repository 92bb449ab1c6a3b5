"""Losses of class scores and log-probabilities."""

from __future__ import annotations

from typing import Any, Final

from tallow import ops
from tallow.dtype import i64
from tallow.onnx.operators.table import operator
from tallow.tensor import Tensor

_NEVER: Final = -(1 << 31)  # a label that no class and no usual mark has


@operator("NegativeLogLikelihoodLoss", since=12)
def negative_log_likelihood_loss(
    x: Tensor, target: Tensor, weight: Tensor | None = None, *, ignore_index: int | None = None,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """`-x[target]`; labels of `ignore_index` do not count."""
    ignored = _NEVER if ignore_index is None else ignore_index
    return ops.nll_loss(x, target.to(i64), weight, ignore_index=ignored, reduction=reduction)


@operator("SoftmaxCrossEntropyLoss", since=12)
def softmax_cross_entropy_loss(
    scores: Tensor, labels: Tensor, weights: Tensor | None = None, *,
    ignore_index: int | None = None, reduction: str = "mean", wanted: tuple[bool, ...] = (True,),
) -> Any:  # fmt: skip
    """The negative logarithm of the softmax at each label, and if asked for all logarithms."""
    ignored = _NEVER if ignore_index is None else ignore_index
    options: dict[str, Any] = {"ignore_index": ignored, "reduction": reduction}
    if not any(wanted[1:]):
        return ops.cross_entropy(scores, labels.to(i64), weights, **options)
    log_prob = ops.log_softmax(scores, 1)
    return ops.nll_loss(log_prob, labels.to(i64), weights, **options), log_prob
