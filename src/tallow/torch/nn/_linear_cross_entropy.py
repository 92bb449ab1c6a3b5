"""Cross entropy of a linear map, whose logits need not all be there at once."""

from __future__ import annotations

from math import prod
from typing import Any

from tallow import nn, ops
from tallow.autograd.recompute import checkpoint
from tallow.errors import ArgumentError, expect
from tallow.lazy_dataclasses import dataclass
from tallow.nn import functional as F
from tallow.tensor import Tensor


@dataclass(frozen=True)
class LinearCrossEntropyOptions:
    """Asks for logits of `batch_chunk_size` rows at a time, made again in backward.

    Sums are taken in the dtype of the loss; the choices of how PyTorch accumulates change nothing.
    """

    allow_retain_graph: bool = False
    batch_chunk_size: int | None = None
    chunking_method: str | None = "auto"
    acc_policy: str = "auto"
    acc_dtype: Any = None


def _check(
    input: Tensor, linear_weight: Tensor, target: Tensor, linear_bias: Tensor | None,
    ignore_index: int | None,
) -> tuple[int, ...]:  # fmt: skip
    """Refuse what does not fit; the shape of all logits."""
    where = "linear_cross_entropy"
    expect(input.ndim in (1, 2), where, "input of 1 or 2 axes", input.ndim)
    expect(linear_weight.ndim >= 2, where, "linear_weight of at least 2 axes", linear_weight.ndim)
    last, width = linear_weight.shape[-1], input.shape[-1]
    expect(last == width, where, f"linear_weight of {width} columns, as the input", last)
    classes = tuple(linear_weight.shape[:-1])
    if linear_bias is not None:
        expect(linear_bias.shape == classes, where, f"linear_bias of shape {classes}",
               tuple(linear_bias.shape))  # fmt: skip
    if len(classes) > 1:
        expect(input.ndim == 2, where, "a batch for a loss of several axes", f"{input.ndim} axis")
    shape = (*input.shape[:-1], *classes)
    if ignore_index is not None:
        probabilities = tuple(target.shape) == shape
        expect(not probabilities, where, "no ignore_index beside probabilities", ignore_index,
               ArgumentError)  # fmt: skip
    return shape


def linear_cross_entropy(
    input: Tensor, linear_weight: Tensor, target: Tensor, *, linear_bias: Tensor | None = None,
    weight: Tensor | None = None, reduction: str = "mean", ignore_index: int | None = None,
    label_smoothing: float = 0.0, options: LinearCrossEntropyOptions | None = None,
) -> Tensor:  # fmt: skip
    """`cross_entropy` of `linear(input, linear_weight, linear_bias)`."""
    shape = _check(input, linear_weight, target, linear_bias, ignore_index)
    flat = linear_weight.reshape(prod(linear_weight.shape[:-1]), linear_weight.shape[-1])
    bias = None if linear_bias is None else linear_bias.reshape(flat.shape[0])
    ignored = -100 if ignore_index is None else ignore_index

    def loss(
        rows: Tensor, labels: Tensor, reduction: str, flat: Tensor, bias: Tensor | None
    ) -> Tensor:
        logits = F.linear(rows, flat, bias).reshape(*rows.shape[:-1], *linear_weight.shape[:-1])
        out: Tensor = F.cross_entropy(
            logits, labels, weight, ignore_index=ignored, reduction=reduction,
            label_smoothing=label_smoothing,
        )  # fmt: skip
        return out

    whole = options is None or input.ndim == 1 or len(shape) > 2 or target.ndim != 1
    if whole or options is None or label_smoothing or reduction not in ("mean", "sum", "none"):
        return loss(input, target, reduction, flat, bias)
    size = options.batch_chunk_size or max(1, input.shape[-1])
    each = "none" if reduction == "none" else "sum"
    parts = [
        checkpoint(loss, rows, labels, each, flat, bias)
        for rows, labels in zip(input.split(size), target.split(size), strict=True)
    ]
    if reduction == "none" or not parts:
        return ops.cat(parts) if parts else loss(input, target, reduction, flat, bias)
    total: Tensor = ops.stack(parts).sum()
    if reduction == "sum":
        return total
    counted = target != ignored
    if weight is None:
        return total / counted.sum()
    return total / ops.where(counted, weight[ops.where(counted, target, 0)], 0).sum()


class LinearCrossEntropyLoss(nn.Module):
    """A linear layer and the cross entropy of what it gives."""

    def __init__(
        self, in_features: int, num_classes: int, *, out_features: tuple[int, ...] = (),
        bias: bool = False, device: Any = None, dtype: Any = None, reduction: str = "mean",
        weight: Tensor | None = None, ignore_index: int | None = None,
        label_smoothing: float = 0.0, options: LinearCrossEntropyOptions | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.in_features, self.num_classes, self.bias = in_features, num_classes, bias
        self.out_features, self.reduction = tuple(out_features), reduction
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing
        self.options = options
        rows = num_classes * prod(self.out_features)
        self.linear = nn.Linear(in_features, rows, bias=bias, device=device, dtype=dtype)
        self.register_buffer("weight", weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        classes = (self.num_classes, *self.out_features)
        bias = self.linear.bias
        return linear_cross_entropy(
            input, self.linear.weight.reshape(*classes, self.in_features), target,
            linear_bias=None if bias is None else bias.reshape(classes), weight=self.weight,
            reduction=self.reduction, ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing, options=self.options,
        )  # fmt: skip

    def extra_repr(self) -> str:
        """The options."""
        names = "in_features num_classes out_features bias reduction ignore_index label_smoothing"
        shown = [f"{name}={getattr(self, name)}" for name in (*names.split(), "options")]
        return ", ".join(shown)
