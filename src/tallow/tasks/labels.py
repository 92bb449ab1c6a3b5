"""Scores of labels: what classifiers give, and how logits become it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from tallow.errors import ArgumentError, expect
from tallow.lazy_dataclasses import dataclass
from tallow.models.base import Model
from tallow.ops import sigmoid, softmax
from tallow.tensor import Tensor

FUNCTIONS = ("softmax", "sigmoid", "none")


@dataclass(frozen=True)
class Label:
    """A label and its score, a probability unless the classifier was asked for raw scores."""

    label: str
    score: float


def function_of(model: Model) -> str:
    """Which function makes scores of a model's logits, as transformers' pipelines choose it."""
    asked = model.config_values.get("function_to_apply")
    if isinstance(asked, str):
        return asked
    kind, count = model.config.problem_type, model.config.num_labels
    if kind == "regression":
        return "none"
    return "sigmoid" if kind == "multi_label_classification" or count == 1 else "softmax"


def apply(function: str, logits: Tensor) -> Tensor:
    """Scores of logits along the last axis.

    Raises:
        ArgumentError: an unknown function.
    """
    check_function(function)
    if function == "softmax":
        return softmax(logits, -1)
    return sigmoid(logits) if function == "sigmoid" else logits


def check_function(function: str | None) -> None:
    """Raise ArgumentError for an unknown function."""
    good = function is None or function in FUNCTIONS
    expect(good, "function_to_apply", ", ".join(FUNCTIONS), function, ArgumentError)


def best(scores: Sequence[float], names: Sequence[str], top_k: int | None) -> list[Label]:
    """The `top_k` labels of highest score (None: all), the best first."""
    check_top_k(top_k)
    order = sorted(range(len(scores)), key=lambda index: -scores[index])
    return [Label(names[index], scores[index]) for index in order[:top_k]]


def check_top_k(top_k: int | None) -> None:
    """Raise ArgumentError for what is no number of best ones."""
    good = top_k is None or (type(top_k) is int and top_k >= 1)
    expect(good, "top_k", "a number of at least 1, or None", top_k, ArgumentError)


class Labels(Protocol):
    """A task whose results are logits of labels."""

    def labels(self, logits: Tensor, top_k: int | None, function: str | None) -> list[Label]:
        """The best labels of one item's logits."""


def labels_of(
    task: Labels, top_k: int | None, function: str | None
) -> Callable[[Any, Tensor], Label | list[Label]]:
    """What a classifier's call makes of each item's logits: the best label, or a list of labels.

    Raises:
        ArgumentError: no number of best ones, or an unknown function.
    """
    check_top_k(top_k)
    check_function(function)

    def finish(_: Any, logits: Tensor) -> Label | list[Label]:
        made = task.labels(logits, top_k, function)
        return made[0] if top_k == 1 else made

    return finish
