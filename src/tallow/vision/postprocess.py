"""What models say of pictures, as boxes, maps, masks and scores: transformers' `post_process_*`.

Results are lists with an entry a picture. `target_sizes` are pairs of height and width, a picture
each, as `Batch.original_sizes`; without them results keep the model's own scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tallow.dtype import i32
from tallow.errors import ArgumentError, ShapeError, expect
from tallow.factories import full, tensor, zeros
from tallow.ops import einsum, interpolate, stack, where
from tallow.tensor import Tensor

Sizes = Sequence[tuple[int, int]] | Tensor | None

SCORES = ("softmax", "sigmoid")


def object_detection(
    logits: Tensor,
    pred_boxes: Tensor,
    *,
    threshold: float = 0.5,
    target_sizes: Sizes = None,
    scores: str = "softmax",
    top_k: int | None = None,
) -> list[dict[str, Tensor]]:
    """Scores, labels and boxes (left, top, right, bottom) above the threshold, a dict a picture.

    `logits` are (batch, queries, classes), `pred_boxes` (batch, queries, 4) of centre and size in
    parts of the picture. With scores `softmax` the last class is none (DETR, Table Transformer,
    YOLOS); with `sigmoid` the best `top_k` pairs of query and class count, by falling score: 100
    for conditional and deformable DETR, the number of queries for RT-DETR (None).
    """
    op = object_detection
    expect(scores in SCORES, op, f"scores to be {' or '.join(SCORES)}", scores, ArgumentError)
    fits = logits.ndim == 3 and pred_boxes.shape == (*logits.shape[:2], 4)
    wanted = "logits (batch, queries, classes) and boxes (batch, queries, 4)"
    expect(fits, op, wanted, (tuple(logits.shape), tuple(pred_boxes.shape)))
    sizes = _sizes(target_sizes, len(logits), op)
    boxes = _corners(pred_boxes)
    if scores == "softmax":
        best, labels = logits.softmax(-1)[..., :-1].max(-1)
    else:
        flat = logits.sigmoid().flatten(1)
        best, index = flat.topk(min(top_k or logits.shape[1], flat.shape[1]), 1)
        labels = index % logits.shape[2]
        queries = (index // logits.shape[2])[..., None]
        boxes = boxes.gather(1, queries.expand(*index.shape, 4))
    if sizes is not None:
        edges = tensor([(w, h, w, h) for h, w in sizes], dtype=boxes.dtype)
        boxes = boxes * edges[:, None]
    found = []
    for each in range(len(logits)):
        keep = best[each] > threshold
        row = {"scores": best[each][keep], "labels": labels[each][keep], "boxes": boxes[each][keep]}
        found.append(row)
    return found


def semantic_segmentation(logits: Tensor, *, target_sizes: Sizes = None) -> list[Tensor]:
    """The class of each pixel, (height, width) of i64, from logits (batch, classes, height, width).

    Logits are resized bilinearly before the largest is taken.
    """
    expect(logits.ndim == 4, semantic_segmentation, "logits of 4 axes", tuple(logits.shape))
    sizes = _sizes(target_sizes, len(logits), semantic_segmentation)
    return [_largest(each, sizes and sizes[i]) for i, each in enumerate(logits)]


# Of 150 classes a photograph's logits take gigabytes: so many numbers are there at a time.
_AT_ONCE = 1 << 26


def _largest(logits: Tensor, size: Any) -> Tensor:
    """`_bilinear(logits, size).argmax(0)`, some classes at a time."""
    height, width = size or tuple(logits.shape[1:])
    count = max(1, _AT_ONCE // (height * width))
    top: Tensor
    found, top = _bilinear(logits[:count], size).max(0)
    for begin in range(count, logits.shape[0], count):
        values, places = _bilinear(logits[begin : begin + count], size).max(0)
        more = values > found
        found, top = where(more, values, found), where(more, places + begin, top)
    return top


def detr_semantic_segmentation(
    logits: Tensor, pred_masks: Tensor, *, target_sizes: Sizes = None, null_class: bool = True
) -> list[Tensor]:
    """As `semantic_segmentation`, from the classes and the masks of queries.

    `logits` are (batch, queries, classes), `pred_masks` (batch, queries, height, width);
    `null_class` says that the last class is none (DETR; not conditional DETR).
    """
    classes = logits.softmax(-1)
    classes = classes[..., :-1] if null_class else classes
    maps = einsum("bqc,bqhw->bchw", classes, pred_masks.sigmoid())
    return semantic_segmentation(maps, target_sizes=target_sizes)


def instance_segmentation(
    logits: Tensor,
    pred_masks: Tensor,
    *,
    threshold: float = 0.5,
    mask_threshold: float = 0.5,
    overlap_mask_area_threshold: float = 0.8,
    target_sizes: Sizes = None,
) -> list[dict[str, Any]]:
    """`segmentation` (height, width) of the numbers of instances, and `segments_info` of each.

    0 is no instance; the whole map is -1 where there is none. A query counts with a score above
    `threshold`; of its mask, what other queries cover is not its own, and it is dropped where no
    more than `overlap_mask_area_threshold` of it is.
    """
    return panoptic_segmentation(
        logits,
        pred_masks,
        threshold=threshold,
        mask_threshold=mask_threshold,
        overlap_mask_area_threshold=overlap_mask_area_threshold,
        target_sizes=target_sizes,
    )


def panoptic_segmentation(
    logits: Tensor,
    pred_masks: Tensor,
    *,
    threshold: float = 0.5,
    mask_threshold: float = 0.5,
    overlap_mask_area_threshold: float = 0.8,
    label_ids_to_fuse: Sequence[int] = (),
    target_sizes: Sizes = None,
) -> list[dict[str, Any]]:
    """As `instance_segmentation`; instances of the labels to fuse are one segment."""
    fits = logits.ndim == 3 and pred_masks.ndim == 4 and logits.shape[:2] == pred_masks.shape[:2]
    wanted = "logits (batch, queries, classes), masks (batch, queries, height, width)"
    expect(fits, "segmentation", wanted, (tuple(logits.shape), tuple(pred_masks.shape)))
    sizes = _sizes(target_sizes, len(logits), "segmentation")
    best, labels = logits.softmax(-1).max(-1)
    probabilities = pred_masks.sigmoid()
    found = []
    for i in range(len(logits)):
        keep = (labels[i] != logits.shape[-1] - 1) & (best[i] > threshold)
        size = sizes[i] if sizes is not None else tuple(pred_masks.shape[2:])
        if not bool(keep.any()):
            found.append({"segmentation": full(size, -1.0), "segments_info": []})
            continue
        masks = _bilinear(probabilities[i][keep], sizes and size)
        masks = masks * best[i][keep][:, None, None]
        segmentation, info = _segments(
            masks,
            best[i][keep].tolist(),
            labels[i][keep].tolist(),
            (mask_threshold, overlap_mask_area_threshold),
            label_ids_to_fuse,
        )
        found.append({"segmentation": segmentation, "segments_info": info})
    return found


def _segments(
    masks: Tensor,
    scores: list[float],
    labels: list[int],
    thresholds: tuple[float, float],
    fused: Sequence[int],
) -> tuple[Tensor, list[dict[str, Any]]]:
    owner = masks.argmax(0)
    segmentation = zeros(masks.shape[1:], dtype=i32)
    info: list[dict[str, Any]] = []
    known: dict[int, int] = {}
    number = 0
    for k, (score, label) in enumerate(zip(scores, labels, strict=True)):
        own = owner == k
        area, original = int(own.sum()), int((masks[k] >= thresholds[0]).sum())
        if not area or not original or not area / original > thresholds[1]:
            continue
        number = known[label] if label in known else number + 1
        segmentation = where(own, number, segmentation)
        joined = label in fused
        segment = {"id": number, "label_id": label, "was_fused": joined, "score": round(score, 6)}
        info.append(segment)
        if joined:
            known[label] = number
    return segmentation, info


def depth_estimation(predicted_depth: Tensor, *, target_sizes: Sizes = None) -> list[Tensor]:
    """Depths (height, width), resized by a cubic filter, from (batch, height, width)."""
    expect(predicted_depth.ndim == 3, depth_estimation, "3 axes", tuple(predicted_depth.shape))
    sizes = _sizes(target_sizes, len(predicted_depth), depth_estimation)
    if sizes is None:
        return list(predicted_depth)
    return [
        interpolate(depth[None, None], size, mode="bicubic", align_corners=False)[0, 0]
        for depth, size in zip(predicted_depth, sizes, strict=True)
    ]


def sam_masks(
    pred_masks: Tensor | Sequence[Tensor],
    original_sizes: Sizes,
    reshaped_input_sizes: Sizes,
    *,
    mask_threshold: float = 0.0,
    binarize: bool = True,
    pad_size: tuple[int, int] = (1024, 1024),
) -> list[Tensor]:
    """SAM's masks (prompts, masks, height, width) on the original pictures, padding cut off.

    They are bool, or the model's own numbers where not `binarize`.
    """
    count = len(pred_masks)
    originals = _sizes(original_sizes, count, sam_masks)
    reshaped = _sizes(reshaped_input_sizes, count, sam_masks)
    given = originals is not None and reshaped is not None
    expect(given, sam_masks, "the sizes of the pictures before and after resizing", None)
    found = []
    for masks, size, (height, width) in zip(
        pred_masks, originals or (), reshaped or (), strict=True
    ):
        whole = interpolate(masks, pad_size, mode="bilinear", align_corners=False)
        part = whole[..., :height, :width]
        part = interpolate(part, size, mode="bilinear", align_corners=False)
        found.append(part > mask_threshold if binarize else part)
    return found


def zero_shot_scores(logits_per_image: Tensor, *, sigmoid: bool = False) -> Tensor:
    """The probability of each text for each picture, (pictures, texts).

    CLIP's texts exclude one another (softmax); SigLIP's do not (sigmoid).
    """
    return logits_per_image.sigmoid() if sigmoid else logits_per_image.softmax(-1)


def _corners(boxes: Tensor) -> Tensor:
    x, y, width, height = boxes.unbind(-1)
    corners = [x - 0.5 * width, y - 0.5 * height, x + 0.5 * width, y + 0.5 * height]
    return stack(corners, -1)


def _bilinear(maps: Tensor, size: Any) -> Tensor:
    """Maps (n, height, width) at a size, or as they are where it is None."""
    if size is None:
        return maps
    return interpolate(maps[None], size, mode="bilinear", align_corners=False)[0]


def _sizes(sizes: Sizes, count: int, where: object) -> list[tuple[int, int]] | None:
    if sizes is None:
        return None
    pairs = sizes.tolist() if hasattr(sizes, "tolist") else [tuple(size) for size in sizes]
    good = len(pairs) == count and all(len(pair) == 2 and min(pair) > 0 for pair in pairs)
    expect(good, where, f"{count} pairs of height and width", pairs, ShapeError)
    return [(int(height), int(width)) for height, width in pairs]
