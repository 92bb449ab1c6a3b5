"""Losses of classes: a label of each row, or the probabilities of all."""

from __future__ import annotations

from typing import Any

from ..autograd.mode import capturing
from ..dtype import f32, i64
from ..errors import ArgumentError, IndexRangeError, NoKernelError, expect
from ..factories import full
from ..registry import op
from ..tensor import Tensor, unwrap_tensor
from .elementwise_ternary import where
from .loss import mode, reduced
from .norm import in_rows


@op(name="nn.label_nll", cached=True)
def label_nll(input: Tensor, target: Tensor) -> Tensor:
    """`-log_softmax(input)[target]` of each row: (n,) for logits (n, classes), labels (n,) i64.

    Backward keeps the logits alone: half of what log_softmax and a gather would.
    """
    return -input.log_softmax(1).gather(1, target.unsqueeze(1)).squeeze(1)


@label_nll.out
def _(input: Tensor, target: Tensor) -> Any:
    return target.shape, input.dtype


@label_nll.kernel("label_nll", dtypes=(f32,))
def _(input: Tensor, target: Tensor) -> tuple[Any, ...]:
    return in_rows(input), target, True


@label_nll.grad(copied=("input", "target"))
def _(g: Tensor, input: Tensor, target: Tensor) -> Any:
    g = g.unsqueeze(1)
    return (input.softmax(1) * g).scatter_add(1, target.unsqueeze(1), -g), None


@op(name="nn.picked_nll", cached=True)
def picked_nll(input: Tensor, target: Tensor) -> Tensor:
    """`-input[target]` of each row: (n,) for log-probabilities (n, classes), labels (n,) i64."""
    return -input.gather(1, target.unsqueeze(1)).squeeze(1)


@picked_nll.out
def _(input: Tensor, target: Tensor) -> Any:
    return target.shape, input.dtype


@picked_nll.kernel("label_nll", dtypes=(f32,))
def _(input: Tensor, target: Tensor) -> tuple[Any, ...]:
    return in_rows(input), target, False


def _by_kernel(
    op: Any, input: Tensor, target: Tensor, weight: Tensor | None, ignore: int
) -> Tensor | None:
    """The losses of rows of floats whose labels all count; None: look closer."""
    plain = (
        type(input) is type(target) is Tensor
        and weight is None
        and input.dtype is f32
        and target.dtype is i64
        and len(shape := input.shape) == 2
        and target.shape == shape[:1]
        and not 0 <= ignore < shape[1]
        and 0 not in shape
        and not input.is_meta
        # A plan would refuse other labels than those: which of them count is read, so that it is
        # told when it is captured.
        and not capturing()
    )
    try:
        return op(input, target) if plain else None
    except ArgumentError:  # of labels that are ignored, or wrong
        return None


def _labels(name: str, input: Tensor, target: Tensor, ignore: int) -> tuple[Tensor, Tensor | None]:
    """Labels that are in range, and where they count (None: everywhere)."""
    unwrap_tensor(input, name), unwrap_tensor(target, name)
    expect(input.ndim > 0, name, "input of shape (batch, classes, ...) or (classes,)", input.shape)
    axis = 1 if input.ndim > 1 else 0
    wanted = input.shape[:axis] + input.shape[axis + 1 :]
    expect(target.shape == wanted, name, f"target of shape {wanted}", target.shape)
    expect(target.dtype.kind in "iu", name, "an integer target", target.dtype.name, NoKernelError)
    classes = input.shape[axis]
    if not target.numel() or target.is_meta:
        return target.long(), None
    keep = None
    low, high = target.amin().item(), target.amax().item()
    if low <= ignore <= high:
        keep = target.ne(ignore)
        target = where(keep, target, 0)
        low, high = target.amin().item(), target.amax().item()
    wrong = low if low < 0 else high
    wanted_text = f"labels in [0, {classes})"
    expect(low >= 0 and high < classes, name, wanted_text, wrong, IndexRangeError)
    return target.long(), keep


def _class_weight(name: str, input: Tensor, weight: Tensor | None) -> Tensor | None:
    if weight is not None:
        classes = input.shape[1 if input.ndim > 1 else 0]
        expect(weight.shape == (classes,), name, f"weight of shape ({classes},)", weight.shape)
    return weight


def _weighted(
    loss: Tensor, target: Tensor, keep: Tensor | None, weight: Tensor | None, reduction: str
) -> Tensor:
    """Losses by label, weighed by class; their mean is over the weights that count."""
    each = None
    if weight is not None:
        each = weight.to(loss.dtype)[target]
        loss = loss * each
    if keep is not None:
        loss = where(keep, loss, 0)
        each = keep.to(loss.dtype) if each is None else where(keep, each, 0)
    if reduction != "mean" or each is None:
        return reduced(loss, reduction)
    total = each.to(f32).sum().to(loss.dtype) if each.dtype.itemsize < 4 else each.sum()
    return loss.sum() / total


@op(cached=True)
def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """`-input[target]`, for log-probabilities (batch, classes, ...) and labels (batch, ...).

    Labels equal to `ignore_index` do not count; `weight` (classes,) weighs the others, also in the
    mean. Without a batch: (classes,) and a 0-d label. IndexRangeError for other labels.
    """
    reduction = mode(nll_loss, reduction, size_average, reduce)
    found = _by_kernel(picked_nll, input, target, weight, ignore_index)
    if found is not None:
        return reduced(found, reduction)
    weight = _class_weight("nll_loss", input, weight)
    labels, keep = _labels("nll_loss", input, target, ignore_index)
    axis = 1 if input.ndim > 1 else 0
    loss = -input.gather(axis, labels.unsqueeze(axis)).squeeze(axis)
    return _weighted(loss, labels, keep, weight, reduction)


@op(cached=True)
def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """`-log_softmax(input)[target]`, for logits (batch, classes, ...) and labels (batch, ...).

    A float `target` of the shape of `input` holds probabilities instead. `label_smoothing` mixes
    the target with the uniform distribution; the rest is as in `nll_loss`.
    """
    name = "cross_entropy"
    reduction = mode(cross_entropy, reduction, size_average, reduce)
    if not 0.0 <= label_smoothing <= 1.0:
        expect(False, name, "label_smoothing in [0, 1]", label_smoothing, ArgumentError)
    found = _plain_rows(input, target, weight, ignore_index, reduction, label_smoothing)
    if found is not None:
        return found
    weight = _class_weight(name, input, weight)
    axis = 1 if input.ndim > 1 else 0
    if target.shape == input.shape and target.dtype.kind == "f":
        return _soft_cross_entropy(input, target, weight, axis, reduction, label_smoothing)
    labels, keep = _labels(name, input, target, ignore_index)
    if not label_smoothing:
        loss = _rows_nll(input, labels, axis)
        return _weighted(loss, labels, keep, weight, reduction)
    logp = input.log_softmax(axis)
    loss = -logp.gather(axis, labels.unsqueeze(axis)).squeeze(axis)
    loss = _weighted(loss, labels, keep, weight, reduction)
    smoothing = -(logp if weight is None else logp * _along(weight, logp, axis)).sum(axis)
    if keep is not None:
        smoothing = where(keep, smoothing, 0)
    if reduction == "mean" and (keep is not None or weight is not None):
        if weight is None:
            each = full(labels.shape, 1.0, input.dtype)
        else:
            each = weight.to(input.dtype)[labels]
        smoothing = smoothing.sum() / (each if keep is None else where(keep, each, 0)).sum()
    else:
        smoothing = reduced(smoothing, reduction)
    return _smoothed(loss, smoothing, label_smoothing, input.shape[axis])


def _plain_rows(
    input: Tensor, target: Tensor, weight: Tensor | None, ignore: int, reduction: str, share: float
) -> Tensor | None:
    """The loss of rows whose labels all count; None: look closer."""
    if not share:
        found = _by_kernel(label_nll, input, target, weight, ignore)
        return None if found is None else reduced(found, reduction)
    if type(input) is not Tensor or input.ndim != 2 or weight is not None:
        return None
    logp = input.log_softmax(1)
    found = _by_kernel(picked_nll, logp, target, weight, ignore)
    if found is None:
        return None
    uniform = reduced(-logp.sum(1), reduction)
    return _smoothed(reduced(found, reduction), uniform, share, input.shape[1])


def _smoothed(loss: Tensor, uniform: Tensor, share: float, classes: int) -> Tensor:
    return loss * (1 - share) + uniform * (share / max(classes, 1))


def _rows_nll(input: Tensor, labels: Tensor, axis: int) -> Tensor:
    """`label_nll` with the classes on any axis."""
    if input.ndim == 2:
        return label_nll(input, labels)
    if input.ndim == 1:
        return label_nll(input.unsqueeze(0), labels.unsqueeze(0)).squeeze(0)
    return -input.log_softmax(axis).gather(axis, labels.unsqueeze(axis)).squeeze(axis)


def _along(weight: Tensor, x: Tensor, axis: int) -> Tensor:
    return weight.to(x.dtype).reshape(-1, *(1,) * (x.ndim - axis - 1))


def _soft_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    axis: int,
    reduction: str,
    label_smoothing: float,
) -> Tensor:
    classes = input.shape[axis]
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / max(classes, 1)
    logp = input.log_softmax(axis)
    each = logp * target
    if weight is not None:
        each = each * _along(weight, each, axis)
    if reduction == "none":
        return -each.sum(axis)
    total = -each.sum()
    return total / (input.numel() / max(classes, 1)) if reduction == "mean" else total
