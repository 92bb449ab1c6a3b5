"""Losses that push scores and distances apart by a margin."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import ArgumentError, IndexRangeError, NoKernelError, expect
from ..factories import zeros
from ..registry import op
from ..tensor import Tensor, unwrap_tensor
from .distance import pairwise_distance
from .elementwise_ternary import where
from .loss import log1p_exp, mode, reduced


@op
def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """`1 - cos` for targets of 1, `max(0, cos - margin)` for -1, of vectors (n, d) or (d,)."""
    name = cosine_embedding_loss
    reduction = mode(name, reduction, size_average, reduce)
    unwrap_tensor(input1, name), unwrap_tensor(input2, name)
    expect(input1.ndim in (1, 2), name, "inputs of shape (n, d) or (d,)", input1.shape)
    wanted = f"target of {input1.ndim - 1} axes"
    expect(target.ndim == input1.ndim - 1, name, wanted, target.shape)
    tiny = 1e-12
    lengths = (input1.square().sum(-1) + tiny) * (input2.square().sum(-1) + tiny)
    cos = (input1 * input2).sum(-1) / lengths.sqrt()
    apart = where(target.eq(-1), (cos - margin).clamp(min=0), 0)
    return reduced(where(target.eq(1), 1 - cos, apart), reduction)


@op
def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """`max(0, margin - target * (input1 - input2))`, for targets of 1 and -1."""
    name = margin_ranking_loss
    reduction = mode(name, reduction, size_average, reduce)
    unwrap_tensor(input1, name), unwrap_tensor(input2, name)
    same = input1.ndim == input2.ndim == target.ndim
    shapes = (input1.shape, input2.shape, target.shape)
    expect(same, name, "three tensors with one number of axes", shapes)
    return reduced((-target * (input1 - input2) + margin).clamp(min=0), reduction)


@op
def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """`input` for targets of 1, `max(0, margin - input)` for -1, both added for any other."""
    reduction = mode(hinge_embedding_loss, reduction, size_average, reduce)
    apart = where(target.ne(1), (margin - input).clamp(min=0), 0)
    return reduced(apart + where(target.ne(-1), input, 0), reduction)


def _triplet(near: Tensor, far: Tensor, margin: float, reduction: str) -> Tensor:
    return reduced((near - far + margin).clamp(min=0), reduction)


@op
def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """`max(0, d(anchor, positive) - d(anchor, negative) + margin)`, by `pairwise_distance`.

    `swap` takes the positive for the anchor where it is nearer to the negative.
    """
    name = triplet_margin_loss
    reduction = mode(name, reduction, size_average, reduce)
    expect(margin > 0, name, "a margin above 0", margin, ArgumentError)
    same = anchor.ndim == positive.ndim == negative.ndim
    shapes = (anchor.shape, positive.shape, negative.shape)
    expect(same, name, "three tensors with one number of axes", shapes)
    near = pairwise_distance(anchor, positive, p, eps)
    far = pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = far.minimum(pairwise_distance(positive, negative, p, eps))
    return _triplet(near, far, margin, reduction)


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """`triplet_margin_loss` by any distance; `pairwise_distance` when none is given."""
    name = "triplet_margin_with_distance_loss"
    reduction = mode(name, reduction)
    expect(margin > 0, name, "a margin above 0", margin, ArgumentError)
    distance = pairwise_distance if distance_function is None else distance_function
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = far.minimum(distance(positive, negative))
    return _triplet(near, far, margin, reduction)


def _labelled(name: object, input: Tensor, target: Tensor, axes: int) -> tuple[Tensor, Tensor]:
    """Scores (n, classes) and their labels, with a batch axis where there was none."""
    unwrap_tensor(input, name), unwrap_tensor(target, name)
    if input.ndim == 0:  # one class
        input, target = input.reshape(1), target.reshape(1) if axes else target
    expect(input.ndim in (1, 2), name, "input of shape (n, classes) or (classes,)", input.shape)
    wanted = input.shape if axes else input.shape[:-1]
    single = not axes and input.ndim == 1 and target.shape in ((), (1,))
    expect(single or target.shape == wanted, name, f"target of shape {wanted}", target.shape)
    expect(target.dtype.kind in "iu", name, "an integer target", target.dtype.name, NoKernelError)
    if input.ndim == 1:
        return input.unsqueeze(0), target.reshape(1, -1) if axes else target.reshape(1)
    return input, target


def _in_range(name: object, target: Tensor, classes: int, low: int) -> None:
    if target.numel() and not target.is_meta:
        first, last = target.amin().item(), target.amax().item()
        wrong = first if first < low else last
        good = first >= low and last < classes
        expect(good, name, f"labels in [{low}, {classes})", wrong, IndexRangeError)


@op
def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The sum of `max(0, margin - x[label] + x[i]) ** p` over the other classes, over their number.

    For scores (n, classes) and labels (n,); `p` is 1 or 2, `weight` (classes,) by label.
    """
    name = multi_margin_loss
    reduction = mode(name, reduction, size_average, reduce)
    expect(p in (1, 2), name, "p of 1 or 2", p, ArgumentError)
    x, labels = _labelled(name, input, target, 0)
    _in_range(name, labels, x.shape[1], 0)
    labels = labels.long().unsqueeze(1)
    loss = (x - x.gather(1, labels) + margin).clamp(min=0)
    loss = loss if p == 1 else loss.square()
    if weight is not None:
        loss = loss * weight[labels]
    own = zeros(x.shape, dtype="bool").scatter(1, labels, True)
    loss = where(own, 0, loss).sum(1) / max(x.shape[1], 1)
    return reduced(loss.squeeze(0) if input.ndim < 2 else loss, reduction)


@op
def multilabel_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The sum of `max(0, 1 - x[label] + x[i])` over labels and other classes, over the classes.

    For scores (n, classes) and targets of that shape: labels up to the first -1.
    """
    name = multilabel_margin_loss
    reduction = mode(name, reduction, size_average, reduce)
    x, labels = _labelled(name, input, target, 1)
    classes = x.shape[1]
    _in_range(name, labels, classes, -1)
    valid = labels.lt(0).long().cumsum(1).eq(0)
    safe = where(valid, labels.long(), 0)
    chosen = zeros(x.shape, dtype="i64").scatter_add(1, safe, valid.long()).gt(0)
    loss = (1 - x.gather(1, safe).unsqueeze(2) + x.unsqueeze(1)).clamp(min=0)
    counts = valid.unsqueeze(2).bitwise_and(chosen.logical_not().unsqueeze(1))
    loss = where(counts, loss, 0).sum((1, 2)) / max(classes, 1)
    return reduced(loss.squeeze(0) if input.ndim < 2 else loss, reduction)


@op
def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The mean over the last axis of `binary_cross_entropy_with_logits`; `weight` by class."""
    reduction = mode(multilabel_soft_margin_loss, reduction, size_average, reduce)
    loss = target * log1p_exp(-input) + (1 - target) * log1p_exp(input)
    loss = loss if weight is None else loss * weight
    return reduced(loss.mean(-1), reduction)
