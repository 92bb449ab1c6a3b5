"""Scores of labels: what classifiers give, and how logits become it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tallow.errors import ArgumentError, expect
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
    wanted = ", ".join(FUNCTIONS)
    expect(function in FUNCTIONS, "function_to_apply", wanted, function, ArgumentError)
    if function == "softmax":
        return softmax(logits, -1)
    return sigmoid(logits) if function == "sigmoid" else logits


def best(scores: Sequence[float], names: Sequence[str], top_k: int | None) -> list[Label]:
    """The `top_k` labels of highest score (None: all), the best first."""
    good = top_k is None or (type(top_k) is int and top_k >= 1)
    expect(good, "top_k", "a number of at least 1, or None", top_k, ArgumentError)
    order = sorted(range(len(scores)), key=lambda index: -scores[index])
    return [Label(names[index], scores[index]) for index in order[:top_k]]
