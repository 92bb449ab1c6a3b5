"""The losses of heads, as transformers computes them where labels are given."""

from __future__ import annotations

from typing import Protocol

from tallow.errors import expect
from tallow.nn import functional as F
from tallow.tensor import Tensor


class ClassifierConfig(Protocol):
    """What the config of a classifier says."""

    @property
    def problem_type(self) -> str | None:
        """Regression, one label, or several; None goes by the labels."""

    @property
    def num_labels(self) -> int:
        """The number of labels."""


def classes(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of `(..., classes)` against integers `(...)`, -100 left out."""
    return F.cross_entropy(logits.reshape(-1, logits.shape[-1]), labels.reshape(-1))


def next_token(logits: Tensor, labels: Tensor) -> Tensor:
    """Of logits `(batch, length, vocabulary)` against the labels `(batch, length)` behind them."""
    fits = logits.shape[:2] == labels.shape
    expect(fits, "labels", f"the shape {logits.shape[:2]}", labels.shape)
    return classes(logits[:, :-1], labels[:, 1:])


def sequence(logits: Tensor, labels: Tensor, cfg: ClassifierConfig) -> Tensor:
    """Of one vector of logits a row: regression, one label, or several, as the config says.

    Where it says nothing, one output is a regression, integer labels are classes, floats several.
    """
    kind = cfg.problem_type
    if kind is None:
        kind = "single_label_classification" if labels.dtype.kind in "iu" else "multi"
        kind = "regression" if cfg.num_labels == 1 else kind
    if kind == "regression" and cfg.num_labels == 1:
        logits, labels = logits.reshape(-1), labels.reshape(-1)
    if kind == "single_label_classification":
        return classes(logits, labels)
    several = kind != "regression"
    rule = F.binary_cross_entropy_with_logits if several else F.mse_loss
    return rule(logits, labels)


def answer(starts: Tensor, ends: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """Of scores `(batch, length)` against positions `(batch,)`; those beyond are left out."""
    n = starts.shape[1]
    both: list[Tensor] = [
        F.cross_entropy(scores, place.reshape(-1).clamp(0, n), ignore_index=n)
        for scores, place in ((starts, start), (ends, end))
    ]
    return (both[0] + both[1]) / 2


def pixels(logits: Tensor, labels: Tensor, ignored: int) -> Tensor:
    """Of scores `(batch, labels, rows, columns)`, brought to the size of labels `(batch, …)`.

    One label alone is there or not; labels of `ignored` are left out.
    """
    size = labels.shape[-2:]
    full: Tensor = F.interpolate(logits, size, mode="bilinear", align_corners=False)
    if logits.shape[1] > 1:
        return F.cross_entropy(full, labels, ignore_index=ignored)
    kept = labels.ge(0).bitwise_and(labels.ne(ignored)).to(full.dtype)
    each = F.binary_cross_entropy_with_logits(
        full.squeeze(1), labels.to(full.dtype), reduction="none"
    )
    return (each * kept).mean()
