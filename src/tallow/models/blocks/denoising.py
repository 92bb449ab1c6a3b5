"""Contrastive denoising: noisy boxes of the labels as queries of their own (arXiv 2203.03605)."""

from __future__ import annotations

from typing import Any

from tallow.dtype import f32, i64
from tallow.factories import arange, tensor
from tallow.lazy_dataclasses import dataclass
from tallow.models.blocks.detr import inverse_sigmoid
from tallow.models.blocks.embedding import Embedding
from tallow.models.detection_losses import Labels, corners
from tallow.ops import cat, rand, randint, where
from tallow.tensor import Tensor


class Denoising(Embedding):
    """Labels of the noisy boxes that a training adds; files may lack them."""

    _optional = frozenset({"weight"})


@dataclass(frozen=True)
class Group:
    """Queries before those of the model, by groups of the labels and as many that are none.

    `classes` are `(batch, n)`, `boxes` `(batch, n, 4)` before the sigmoid; `mask` `(1, 1, m, m)` is
    true where a query sees another. `meta` has transformers' keys: `dn_positive_idx`, the queries
    of labels of each picture, by group; `dn_num_group`; `dn_num_split`, how many are noisy or not.
    """

    classes: Tensor
    boxes: Tensor
    mask: Tensor
    meta: dict[str, Any]


def denoising(
    labels: Labels, classes: int, queries: int, most: int, label_noise: float, box_noise: float
) -> Group | None:
    """About `most` queries; None where no picture has a label.

    Half of `label_noise` of them get another label, boxes move by up to half their size times
    `box_noise`, those that are none by up to twice that.
    """
    lengths = [len(label["class_labels"]) for label in labels]
    longest = max(lengths)
    if not longest:
        return None
    groups = max(most // longest, 1)
    times = 2 * groups
    rows = [
        label["class_labels"].tolist() + [classes] * (longest - n)
        for label, n in zip(labels, lengths, strict=True)
    ]
    places = [
        label["boxes"].tolist() + [[0.0] * 4] * (longest - n)
        for label, n in zip(labels, lengths, strict=True)
    ]
    ids, boxes = tensor(rows, dtype=i64).repeat(1, times), tensor(places).repeat(1, times, 1)
    if label_noise > 0:
        turned = rand(*ids.shape) < label_noise * 0.5
        other = randint(0, classes, ids.shape)
        ids = where(turned & ids.ne(classes), other, ids)
    if box_noise > 0:
        boxes = _moved(boxes, longest, box_noise)
    steps = range(0, longest * times, 2 * longest)
    meta = {
        "dn_positive_idx": [
            tensor([step + i for step in steps for i in range(n)], dtype=i64) for n in lengths
        ],
        "dn_num_group": groups,
        "dn_num_split": [longest * times, queries],
    }
    return Group(ids, boxes, _mask(longest, groups, queries), meta)


def _moved(boxes: Tensor, longest: int, noise: float) -> Tensor:
    """Boxes moved at random, before the sigmoid; without noise the reference leaves them behind it.

    Of `longest` and `longest` by turns, the second move further.
    """
    reach = boxes[..., 2:].repeat(1, 1, 2) * (0.5 * noise)
    sign = randint(0, 2, boxes.shape).to(f32) * 2 - 1
    turn = (arange(boxes.shape[1]) // longest % 2).to(f32).view(1, -1, 1)
    moved = (corners(boxes) + (rand(*boxes.shape) + turn) * sign * reach).clamp(0, 1)
    low, high = moved[..., :2], moved[..., 2:]
    return inverse_sigmoid(cat(((low + high) / 2, high - low), -1))


def _mask(longest: int, groups: int, queries: int) -> Tensor:
    """Each group sees itself and the model's queries, which see none of them."""
    number = arange(2 * longest * groups + queries) // (2 * longest)
    number = number.clamp(0, groups)
    seen = number.unsqueeze(0).eq(number.unsqueeze(1)) | number.unsqueeze(0).eq(groups)
    return seen[None, None]
