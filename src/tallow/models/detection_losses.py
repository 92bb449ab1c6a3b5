"""The loss of detectors: queries matched to boxes at the least cost, then compared with them.

Source: arXiv 2005.12872, as transformers computes it; focal of arXiv 1708.02002.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tallow.autograd.mode import no_grad
from tallow.dtype import f32, i64
from tallow.errors import ArgumentError, ShapeError, expect
from tallow.factories import arange, tensor
from tallow.lazy_dataclasses import dataclass
from tallow.models.configs import Config
from tallow.nn import functional as F
from tallow.ops import cat, maximum, minimum, pad
from tallow.tensor import Tensor

Labels = Sequence[Mapping[str, Tensor]]
Pair = tuple[int, int]
Costs = tuple[float, float, float]  # how much class, place and overlap weigh
WORST = 1e300  # instead of what is no number, so that it is matched last


class MatchingConfig(Config):
    """What weighs how much in matching and loss."""

    class_cost: float = 1.0
    bbox_cost: float = 5.0
    giou_cost: float = 2.0
    bbox_loss_coefficient: float = 5.0
    giou_loss_coefficient: float = 2.0
    mask_loss_coefficient: float = 1.0
    dice_loss_coefficient: float = 1.0
    eos_coefficient: float = 0.1
    focal_alpha: float = 0.25


@dataclass(frozen=True)
class LossVariant:
    """How a family takes its logits.

    `scores` gives the cost of each class, `loss` compares logits `(batch, queries, classes)` with
    integers `(batch, queries)`, and `found` says which queries tell of something.
    """

    scores: Callable[[Tensor], Tensor]
    loss: Callable[[Tensor, Tensor, int, Any], Tensor]
    found: Callable[[Tensor], Tensor]


def assignment(costs: Sequence[Sequence[float]]) -> list[Pair]:
    """Rows matched to columns at the least sum of costs, by row; all of what there are fewer.

    By shortest augmenting paths (Jonker and Volgenant 1987), in `rows² * columns` steps.
    """
    rows, columns = len(costs), len(costs[0]) if costs else 0
    if rows > columns:
        turned = assignment(list(zip(*costs, strict=True)))
        return sorted((row, column) for column, row in turned)
    above, left = [0.0] * (rows + 1), [0.0] * (columns + 1)
    owner, before = [0] * (columns + 1), [0] * (columns + 1)  # rows from 1; 0 is none
    for row in range(1, rows + 1):
        owner[0], at = row, 0
        nearest, done = [math.inf] * (columns + 1), [False] * (columns + 1)
        while owner[at]:
            done[at] = True
            current, least, following = owner[at], math.inf, 0
            line, base = costs[current - 1], above[current]
            for column in range(1, columns + 1):
                if done[column]:
                    continue
                cost = line[column - 1] - base - left[column]
                if cost < nearest[column]:
                    nearest[column], before[column] = cost, at
                if nearest[column] < least:
                    least, following = nearest[column], column
            for column in range(columns + 1):
                if done[column]:
                    above[owner[column]] += least
                    left[column] -= least
                else:
                    nearest[column] -= least
            at = following
        while at:
            owner[at] = owner[before[at]]
            at = before[at]
    return sorted(
        (owner[column] - 1, column - 1) for column in range(1, columns + 1) if owner[column]
    )


def corners(boxes: Tensor) -> Tensor:
    """Centre and size `(..., 4)` → left, top, right, bottom."""
    half = boxes[..., 2:] / 2
    return cat((boxes[..., :2] - half, boxes[..., :2] + half), -1)


def _overlap(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of boxes given by corners `(..., 4)`: the ratio of overlap and union, union, and hull."""

    def area(low: Tensor, high: Tensor) -> Tensor:
        return (high - low).clamp(0).prod(-1)

    one, two = (first[..., :2], first[..., 2:]), (second[..., :2], second[..., 2:])
    inner = area(maximum(one[0], two[0]), minimum(one[1], two[1]))
    hull = area(minimum(one[0], two[0]), maximum(one[1], two[1]))
    union = area(*one) + area(*two) - inner
    return inner / union, union, hull


def iou(first: Tensor, second: Tensor) -> Tensor:
    """The ratio of overlap and union of boxes given by corners `(..., 4)`."""
    return _overlap(first, second)[0]


def generalised_iou(first: Tensor, second: Tensor) -> Tensor:
    """`iou`, less the waste of the boxes' hull (1902.09630)."""
    ratio, union, hull = _overlap(first, second)
    return ratio - (hull - union) / hull


def match(
    logits: Tensor, boxes: Tensor, labels: Labels, costs: Costs, scores: Callable[[Tensor], Tensor]
) -> list[list[Pair]]:
    """Pairs of query and label of each picture, at the least cost by class, place and overlap.

    `scores` gives the cost of each class of logits.
    """
    by_class, by_place, by_overlap = costs
    pairs: list[list[Pair]] = []
    with no_grad():
        for row, label in enumerate(labels):
            ids, wanted = label["class_labels"].to(i64), label["boxes"].to(f32)
            if not len(ids):
                pairs.append([])
                continue
            near = boxes[row].unsqueeze(1)
            cost = by_class * scores(logits[row]).index_select(1, ids)
            cost = cost + by_place * (near - wanted).abs().sum(-1)
            cost = cost - by_overlap * generalised_iou(corners(near), corners(wanted))
            lines = [[x if math.isfinite(x) else WORST for x in line] for line in cost.tolist()]
            pairs.append(assignment(lines))
    return pairs


@dataclass(frozen=True)
class MatchedQueries:
    """Queries that stand for labels, `(n,)` each, by their numbers in the batch.

    `classes` `(batch, queries)` are those of all queries, the number of labels for none; `count` is
    what the sums over boxes are divided by.
    """

    queries: Tensor
    labels: Tensor
    boxes: Tensor
    classes: Tensor
    count: int

    @classmethod
    def of(
        cls,
        pairs: Sequence[Sequence[Pair]],
        labels: Labels,
        shape: Sequence[int],
        groups: int = 1,
    ) -> MatchedQueries:
        """What pairs of each picture say of logits of a shape `(batch, queries, classes)`.

        Each label has `groups` queries.
        """
        b, n, none = shape
        classes = [[none] * n for _ in range(b)]
        queries: list[int] = []
        places: list[int] = []
        start = 0
        for row, (found, label) in enumerate(zip(pairs, labels, strict=True)):
            ids = label["class_labels"].tolist()
            for query, place in found:
                classes[row][query] = ids[place]
                queries.append(row * n + query)
                places.append(start + place)
            start += len(ids)
        chosen = tensor(places, dtype=i64)
        boxes = cat([label["boxes"].to(f32) for label in labels]).index_select(0, chosen)
        whole = tensor(classes, dtype=i64)
        return cls(tensor(queries, dtype=i64), chosen, boxes, whole, max(start, 1) * groups)

    def of_queries(self, x: Tensor) -> Tensor:
        """What `(batch, queries, …)` has for the matched queries, `(n, …)`."""
        return x.flatten(0, 1).index_select(0, self.queries)


def box_losses(boxes: Tensor, matched: MatchedQueries) -> dict[str, Tensor]:
    """How far matched boxes lie, and how little they overlap."""
    near, target = matched.of_queries(boxes), matched.boxes
    overlap = generalised_iou(corners(near), corners(target))
    return {
        "loss_bbox": (near - target).abs().sum() / matched.count,
        "loss_giou": (1 - overlap).sum() / matched.count,
    }


def _layer(
    logits: Tensor, boxes: Tensor, labels: Labels, cfg: MatchingConfig, kind: LossVariant
) -> tuple[dict[str, Tensor], MatchedQueries]:
    costs = cfg.class_cost, cfg.bbox_cost, cfg.giou_cost
    pairs = match(logits, boxes, labels, costs, kind.scores)
    b, n, _ = logits.shape
    matched = MatchedQueries.of(pairs, labels, (b, n, cfg.num_labels))
    losses = {"loss_ce": kind.loss(logits, matched.classes, matched.count, cfg)}
    losses |= box_losses(boxes, matched)
    told = kind.found(logits.detach()).to(f32).sum(1)
    lengths = tensor([float(len(each["class_labels"])) for each in labels])
    losses["cardinality_error"] = (told - lengths).abs().mean()
    return losses, matched


def detection(
    layers: Sequence[tuple[Tensor, Tensor]],
    labels: Labels,
    cfg: MatchingConfig,
    kind: LossVariant,
    masks: Tensor | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The weighted sum of losses and each of them; `layers` are logits and boxes, the last first.

    `labels` has a dict a picture: `class_labels` `(n,)`, `boxes` `(n, 4)` of centre and size, and
    `masks` `(n, height, width)` where `masks` `(batch, queries, …)` are what the last layer gives.

    Raises:
        ArgumentError: labels are not of that kind.
    """
    check_labels(layers[0][0], labels, cfg.num_labels, masks=masks is not None)
    weights = {
        "loss_ce": 1.0,
        "loss_bbox": cfg.bbox_loss_coefficient,
        "loss_giou": cfg.giou_loss_coefficient,
        "loss_mask": cfg.mask_loss_coefficient,
        "loss_dice": cfg.dice_loss_coefficient,
    }
    every: dict[str, Tensor] = {}
    total: list[Tensor] = []
    for index, (logits, boxes) in enumerate(layers):
        found, matched = _layer(logits, boxes, labels, cfg, kind)
        if masks is not None and not index:
            found |= mask_losses(masks, labels, matched)
        total += [found[name] * weight for name, weight in weights.items() if name in found]
        end = f"_{index - 1}" if index else ""
        every |= {f"{name}{end}": value for name, value in found.items()}
    return sum(total[1:], total[0]), every


def mask_losses(masks: Tensor, labels: Labels, matched: MatchedQueries) -> dict[str, Tensor]:
    """Focal and Dice losses of masks, brought to the size of the largest picture's.

    Smaller ones count as nothing beyond their ends.
    """
    every = [label["masks"].to(f32) for label in labels]
    height, width = (max(each.shape[axis] for each in every) for axis in (1, 2))
    every = [pad(x, (0, width - x.shape[2], 0, height - x.shape[1])) for x in every]
    target = cat(every).index_select(0, matched.labels).flatten(1)
    found = matched.of_queries(masks).unsqueeze(1)
    found = F.interpolate(found, (height, width), mode="bilinear", align_corners=False)
    found = found.flatten(1)
    p = found.sigmoid()
    dice = 1 - (2 * (p * target).sum(1) + 1) / (p.sum(1) + target.sum(1) + 1)
    focal = _focal(found, target, 0.25).mean(1)
    return {"loss_mask": focal.sum() / matched.count, "loss_dice": dice.sum() / matched.count}


def check_labels(logits: Tensor, labels: Any, count: int, *, masks: bool = False) -> None:
    """Refuse labels that are not a dict a picture, of classes below `count`, and boxes, and masks.

    Raises:
        ArgumentError: they are not.
    """
    op = "labels"
    good = isinstance(labels, Sequence) and len(labels) == len(logits)
    found: Any = len(labels) if isinstance(labels, Sequence) else type(labels).__name__
    expect(good, op, f"a list of {len(logits)} dicts, one a picture", found, ArgumentError)
    keys = ["class_labels", "boxes", *(["masks"] if masks else [])]
    for label in labels:
        found = list(label) if isinstance(label, Mapping) else type(label).__name__
        good = isinstance(label, Mapping) and all(isinstance(label.get(k), Tensor) for k in keys)
        expect(good, op, f"dicts of tensors {' and '.join(keys)}", found, ArgumentError)
        ids, boxes = label["class_labels"], label["boxes"]
        good = ids.ndim == 1 and tuple(boxes.shape) == (len(ids), 4)
        shapes = (tuple(ids.shape), tuple(boxes.shape))
        expect(good, op, "class_labels (n,) and boxes (n, 4)", shapes, ShapeError)
        if masks:
            shape = tuple(label["masks"].shape)
            good = len(shape) == 3 and shape[0] == len(ids) and min(shape[1:]) > 0
            expect(good, op, f"masks ({len(ids)}, height, width)", shape, ShapeError)
        known = all(0 <= each < count for each in ids.tolist())
        expect(known, op, f"classes below {count}", ids.tolist(), ArgumentError)
        good = all(w >= 0 and h >= 0 for _, _, w, h in boxes.tolist())
        expect(good, op, "boxes of centre and size", boxes.tolist(), ArgumentError)


def _softmax_loss(logits: Tensor, classes: Tensor, count: int, cfg: MatchingConfig) -> Tensor:
    weight = tensor([1.0] * cfg.num_labels + [cfg.eos_coefficient])
    return F.cross_entropy(logits.flatten(0, 1), classes.flatten(), weight)


def focal_cost(logits: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """The cost of each class, by sigmoids."""
    p = logits.sigmoid()
    none = (1 - alpha) * p.pow(gamma) * -(1 - p + 1e-8).log()
    return alpha * (1 - p).pow(gamma) * -(p + 1e-8).log() - none


def _focal(logits: Tensor, target: Tensor, alpha: float) -> Tensor:
    """The focal loss of each of logits; what is certain counts little."""
    p = logits.sigmoid()
    loss: Tensor = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    loss = loss * (1 - (p * target + (1 - p) * (1 - target))).square()
    return loss * (alpha * target + (1 - alpha) * (1 - target))


def one_hot(classes: Tensor, count: int) -> Tensor:
    """`(..., count)` of 0 and 1; only 0 for classes beyond."""
    return classes.unsqueeze(-1).eq(arange(count)).to(f32)


def _focal_loss(logits: Tensor, classes: Tensor, count: int, cfg: MatchingConfig) -> Tensor:
    target = one_hot(classes, logits.shape[2])
    return _focal(logits, target, cfg.focal_alpha).sum() / count


SOFTMAX = LossVariant(
    lambda logits: -logits.softmax(-1),
    _softmax_loss,
    lambda logits: logits.argmax(-1).ne(logits.shape[-1] - 1),
)
SIGMOID = LossVariant(focal_cost, _focal_loss, lambda logits: logits.sigmoid().max(-1)[0].gt(0.5))
