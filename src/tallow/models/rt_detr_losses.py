"""The loss of RT-DETR: labels weighed by overlap, at every layer, the encoder, and noisy boxes.

Source: arXiv 2304.08069 and 2008.13367, as transformers computes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tallow.factories import zeros
from tallow.models.configs import Config
from tallow.models.detection_losses import (
    Labels,
    MatchedQueries,
    box_losses,
    corners,
    focal_cost,
    iou,
    match,
    one_hot,
)
from tallow.nn import functional as F
from tallow.tensor import Tensor

Layer = tuple[Tensor, Tensor]  # logits and boxes


class RTDetrLossConfig(Config):
    """What weighs how much in matching, loss and noise."""

    num_denoising: int = 100
    label_noise_ratio: float = 0.5
    box_noise_scale: float = 1.0
    auxiliary_loss: bool = True
    use_focal_loss: bool = True
    matcher_alpha: float = 0.25
    matcher_gamma: float = 2.0
    matcher_class_cost: float = 2.0
    matcher_bbox_cost: float = 5.0
    matcher_giou_cost: float = 2.0
    focal_loss_alpha: float = 0.75
    focal_loss_gamma: float = 2.0
    weight_loss_vfl: float = 1.0
    weight_loss_bbox: float = 5.0
    weight_loss_giou: float = 2.0

    def weighted(self, layer: Layer, matched: MatchedQueries, end: str = "") -> dict[str, Tensor]:
        """The losses of a layer, by names with an `end`."""
        logits, boxes = layer
        found = {"loss_vfl": vari_focal(logits, boxes, matched, self)} | box_losses(boxes, matched)
        weights = {
            "loss_vfl": self.weight_loss_vfl,
            "loss_bbox": self.weight_loss_bbox,
            "loss_giou": self.weight_loss_giou,
        }
        return {f"{name}{end}": found[name] * weight for name, weight in weights.items()}


def vari_focal(
    logits: Tensor, boxes: Tensor, matched: MatchedQueries, cfg: RTDetrLossConfig
) -> Tensor:
    """Scores of labels against the overlap of boxes with theirs, of others against 0."""
    b, n, classes = logits.shape
    near = matched.of_queries(boxes.detach())
    overlap = iou(corners(near), corners(matched.boxes))
    score = zeros(b * n).scatter(0, matched.queries, overlap).view(b, n, 1)
    target = one_hot(matched.classes, classes)
    wanted = target * score
    surprise = cfg.focal_loss_alpha * logits.detach().sigmoid().pow(cfg.focal_loss_gamma)
    weight = surprise * (1 - target) + wanted
    loss: Tensor = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    return (loss * weight).sum() / matched.count


def rt_detection(
    layers: Sequence[Layer],
    noisy: Sequence[Layer],
    meta: Mapping[str, Any] | None,
    labels: Labels,
    cfg: RTDetrLossConfig,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The sum of losses and each of them.

    `layers` are the last one, those before it, and the encoder's; `noisy` those of the denoising
    queries, of which `meta` tells.
    """
    costs = cfg.matcher_class_cost, cfg.matcher_bbox_cost, cfg.matcher_giou_cost

    def scores(logits: Tensor) -> Tensor:
        if cfg.use_focal_loss:
            return focal_cost(logits, cfg.matcher_alpha, cfg.matcher_gamma)
        return -logits.softmax(-1)

    every: dict[str, Tensor] = {}
    for index, (logits, boxes) in enumerate(layers):
        found = match(logits, boxes, labels, costs, scores)
        matched = MatchedQueries.of(found, labels, logits.shape)
        every |= cfg.weighted((logits, boxes), matched, f"_aux_{index - 1}" if index else "")
    for index, (logits, boxes) in enumerate(noisy):
        assert meta is not None, "it comes with them"
        groups = meta["dn_num_group"]
        pairs = [
            list(zip(queries.tolist(), [*range(len(label["class_labels"]))] * groups, strict=True))
            for queries, label in zip(meta["dn_positive_idx"], labels, strict=True)
        ]
        matched = MatchedQueries.of(pairs, labels, logits.shape, groups)
        every |= cfg.weighted((logits, boxes), matched, f"_dn_{index}")
    total = list(every.values())
    return sum(total[1:], total[0]), every
