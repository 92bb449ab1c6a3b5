"""The loss of detectors: queries matched to boxes at the least cost, then compared with them.

Source: arXiv 2005.12872, as transformers computes it; focal of arXiv 1708.02002.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tallow.autograd.mode import no_grad
from tallow.dtype import f32, i64
from tallow.errors import ArgumentError, ShapeError, expect
from tallow.factories import arange, tensor
from tallow.models.configs import Config
from tallow.nn import functional as F
from tallow.ops import cat, maximum, minimum
from tallow.tensor import Tensor

Labels = Sequence[Mapping[str, Tensor]]
Pair = tuple[int, int]
WORST = 1e300  # instead of what is no number, so that it is matched last


@dataclass(frozen=True, kw_only=True)
class MatchingConfig(Config):
    """What weighs how much in matching and loss."""

    class_cost: float = 1.0
    bbox_cost: float = 5.0
    giou_cost: float = 2.0
    bbox_loss_coefficient: float = 5.0
    giou_loss_coefficient: float = 2.0
    eos_coefficient: float = 0.1
    focal_alpha: float = 0.25


@dataclass(frozen=True)
class Kind:
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


def generalised_iou(first: Tensor, second: Tensor) -> Tensor:
    """Overlap of boxes given by corners `(..., 4)`, less the waste of their hull (1902.09630)."""

    def area(low: Tensor, high: Tensor) -> Tensor:
        return (high - low).clamp(0).prod(-1)

    one, two = (first[..., :2], first[..., 2:]), (second[..., :2], second[..., 2:])
    inner = area(maximum(one[0], two[0]), minimum(one[1], two[1]))
    hull = area(minimum(one[0], two[0]), maximum(one[1], two[1]))
    union = area(*one) + area(*two) - inner
    return inner / union - (hull - union) / hull


def match(
    logits: Tensor, boxes: Tensor, labels: Labels, cfg: MatchingConfig, kind: Kind
) -> list[list[Pair]]:
    """Pairs of query and label of each picture, at the least cost by class, place and overlap."""
    pairs: list[list[Pair]] = []
    with no_grad():
        for row, label in enumerate(labels):
            ids, wanted = label["class_labels"].to(i64), label["boxes"].to(f32)
            if not len(ids):
                pairs.append([])
                continue
            near = boxes[row].unsqueeze(1)
            cost = cfg.class_cost * kind.scores(logits[row]).index_select(1, ids)
            cost = cost + cfg.bbox_cost * (near - wanted).abs().sum(-1)
            cost = cost - cfg.giou_cost * generalised_iou(corners(near), corners(wanted))
            lines = [[x if math.isfinite(x) else WORST for x in line] for line in cost.tolist()]
            pairs.append(assignment(lines))
    return pairs


def _layer(
    logits: Tensor, boxes: Tensor, labels: Labels, cfg: MatchingConfig, kind: Kind
) -> dict[str, Tensor]:
    b, n, _ = logits.shape
    pairs = match(logits, boxes, labels, cfg, kind)
    count = max(sum(len(each["class_labels"]) for each in labels), 1)
    classes = [[cfg.num_labels] * n for _ in range(b)]
    chosen: list[int] = []
    wanted: list[Tensor] = []
    for row, (found, label) in enumerate(zip(pairs, labels, strict=True)):
        ids = label["class_labels"].tolist()
        for query, place in found:
            classes[row][query] = ids[place]
            chosen.append(row * n + query)
            wanted.append(label["boxes"][place].to(f32))
    losses = {"loss_ce": kind.loss(logits, tensor(classes, dtype=i64), count, cfg)}
    near = boxes.flatten(0, 1).index_select(0, tensor(chosen, dtype=i64))
    target = cat([each.unsqueeze(0) for each in wanted]) if wanted else near.detach()
    overlap = generalised_iou(corners(near), corners(target))
    losses["loss_bbox"] = (near - target).abs().sum() / count
    losses["loss_giou"] = (1 - overlap).sum() / count
    told = kind.found(logits.detach()).to(f32).sum(1)
    lengths = tensor([float(len(each["class_labels"])) for each in labels])
    losses["cardinality_error"] = (told - lengths).abs().mean()
    return losses


def detection(
    layers: Sequence[tuple[Tensor, Tensor]], labels: Labels, cfg: MatchingConfig, kind: Kind
) -> tuple[Tensor, dict[str, Tensor]]:
    """The weighted sum of losses and each of them; `layers` are logits and boxes, the last first.

    `labels` has a dict a picture: `class_labels` `(n,)`, `boxes` `(n, 4)` of centre and size.

    Raises:
        ArgumentError: labels are not of that kind.
    """
    _check(layers[0][0], labels, cfg)
    weights = {
        "loss_ce": 1.0,
        "loss_bbox": cfg.bbox_loss_coefficient,
        "loss_giou": cfg.giou_loss_coefficient,
    }
    every: dict[str, Tensor] = {}
    total: list[Tensor] = []
    for index, (logits, boxes) in enumerate(layers):
        found = _layer(logits, boxes, labels, cfg, kind)
        total += [found[name] * weight for name, weight in weights.items()]
        end = f"_{index - 1}" if index else ""
        every |= {f"{name}{end}": value for name, value in found.items()}
    return sum(total[1:], total[0]), every


def _check(logits: Tensor, labels: Labels, cfg: MatchingConfig) -> None:
    op = "labels"
    expect(len(labels) == len(logits), op, f"{len(logits)} dicts, one a picture", len(labels))
    for label in labels:
        good = {"class_labels", "boxes"} <= label.keys()
        expect(good, op, "dicts of class_labels and boxes", list(label), ArgumentError)
        ids, boxes = label["class_labels"], label["boxes"]
        good = ids.ndim == 1 and tuple(boxes.shape) == (len(ids), 4)
        shapes = (tuple(ids.shape), tuple(boxes.shape))
        expect(good, op, "class_labels (n,) and boxes (n, 4)", shapes, ShapeError)
        known = all(0 <= each < cfg.num_labels for each in ids.tolist())
        expect(known, op, f"classes below {cfg.num_labels}", ids.tolist(), ArgumentError)
        good = all(w >= 0 and h >= 0 for _, _, w, h in boxes.tolist())
        expect(good, op, "boxes of centre and size", boxes.tolist(), ArgumentError)


def _softmax_loss(logits: Tensor, classes: Tensor, count: int, cfg: MatchingConfig) -> Tensor:
    weight = tensor([1.0] * cfg.num_labels + [cfg.eos_coefficient])
    found: Tensor = F.cross_entropy(logits.flatten(0, 1), classes.flatten(), weight)
    return found


def _focal_cost(logits: Tensor) -> Tensor:
    p = logits.sigmoid()
    none = 0.75 * p.square() * -(1 - p + 1e-8).log()
    return 0.25 * (1 - p).square() * -(p + 1e-8).log() - none


def _focal_loss(logits: Tensor, classes: Tensor, count: int, cfg: MatchingConfig) -> Tensor:
    target = classes.unsqueeze(2).eq(arange(logits.shape[2])).to(logits.dtype)
    p, alpha = logits.sigmoid(), cfg.focal_alpha
    loss = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    loss = loss * (1 - (p * target + (1 - p) * (1 - target))).square()
    out: Tensor = (loss * (alpha * target + (1 - alpha) * (1 - target))).sum() / count
    return out


SOFTMAX = Kind(
    lambda logits: -logits.softmax(-1),
    _softmax_loss,
    lambda logits: logits.argmax(-1).ne(logits.shape[-1] - 1),
)
SIGMOID = Kind(_focal_cost, _focal_loss, lambda logits: logits.sigmoid().max(-1)[0].gt(0.5))
