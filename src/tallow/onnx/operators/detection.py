"""Boxes and regions: NonMaxSuppression, RoiAlign, MaxRoiPool."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tallow import ops
from tallow.autograd.mode import MODE
from tallow.dtype import DType, f32, f64, i32, i64
from tallow.errors import ArgumentError, expect
from tallow.factories import tensor, zeros
from tallow.onnx.operators.moving import listed
from tallow.onnx.operators.table import operator
from tallow.ops.mask import best_boxes, mask_counts, positions_of
from tallow.ops.resample import check_longest
from tallow.ops.sample_points import gather_sum
from tallow.tensor import Tensor

_REGIONS = 64  # regions whose samples are in memory at once


# --- NonMaxSuppression ----------------------------------------------------------------------------


def _number(value: Any, default: float | None, what: str) -> Any:
    given = listed(value)
    expect(len(given) <= 1, "NonMaxSuppression", f"one {what}", given, ArgumentError)
    return given[0] if given else default


@operator(
    "NonMaxSuppression", since=10,
    reads=("max_output_boxes_per_class", "iou_threshold", "score_threshold"),
)  # fmt: skip
def non_max_suppression(
    boxes: Tensor, scores: Tensor, max_output_boxes_per_class: Any = None,
    iou_threshold: Any = None, score_threshold: Any = None, *, center_point_box: int = 0,
) -> Tensor:  # fmt: skip
    """(image, class, box) of the best boxes of each class, without those that they overlap."""
    where = "NonMaxSuppression"
    fits = boxes.ndim == scores.ndim == 3 and boxes.shape[2] == 4
    fits = fits and (boxes.shape[0], boxes.shape[1]) == (scores.shape[0], scores.shape[2])
    expect(fits, where, "boxes (n, b, 4), scores (n, c, b)", (boxes.shape, scores.shape))
    most = _number(max_output_boxes_per_class, 0, "max_output_boxes_per_class")
    overlap = _number(iou_threshold, 0.0, "iou_threshold")
    least = _number(score_threshold, None, "score_threshold")
    room = min(most, boxes.shape[1])
    if room <= 0:
        return zeros((0, 3), dtype=i64)
    found = best_boxes(_corners(boxes, center_point_box), scores, room, overlap, least)
    mask = found.ge(0)
    places = positions_of(mask, mask_counts(mask))
    return ops.stack([places[0], places[1], ops.masked_select(found, mask)], 1)


def _corners(boxes: Tensor, center: int) -> Tensor:
    """Boxes as their least and their largest coordinates."""
    first, second = boxes[..., :2], boxes[..., 2:]
    if center:
        return ops.cat([first - second / 2, first + second / 2], 2)
    return ops.cat([ops.minimum(first, second), ops.maximum(first, second)], 2)


# --- regions --------------------------------------------------------------------------------------


def _samples(
    x: Tensor, images: Tensor, start: Tensor, size: Tensor, grid: tuple[int, int],
    pooled: tuple[int, int], largest: bool,
) -> Tensor:  # fmt: skip
    """Regions of one number of samples a bin, (regions, channels, *pooled)."""
    n, c, *lengths = x.shape
    ends = []
    for axis, length in enumerate(lengths):
        inner = (ops.arange(grid[axis], dtype=start.dtype) + 0.5) / grid[axis]
        bins = ops.arange(pooled[axis], dtype=start.dtype).unsqueeze(1)
        steps = (bins + inner).reshape(-1) / pooled[axis]
        at = start[:, axis : axis + 1] + steps * size[:, axis : axis + 1]
        inside = at.ge(-1.0).logical_and(at.le(float(length)))
        at = at.clamp(0, length - 1)
        before = at.floor()
        part, first = at - before, before.to(i64)
        after = (first + 1).clamp(0, length - 1)
        good = inside.to(at.dtype)
        ends.append(((first, (1 - part) * good), (after, part * good)))
    if (
        not largest
        and x.dtype is f32
        and not (MODE.enabled and (x.requires_grad or start.requires_grad))
    ):
        return _means(x, images, ends, grid, pooled)
    rows = x.permute(0, 2, 3, 1).reshape(n * lengths[0] * lengths[1], c)
    first_row = ops.take_positions(ops.arange(n, dtype=i64) * lengths[0], images).unsqueeze(1)
    found: Any = None
    for y, tall in ends[0]:
        for z, wide in ends[1]:
            index = ((first_row + y) * lengths[1]).unsqueeze(2) + z.unsqueeze(1)
            weight = (tall.unsqueeze(2) * wide.unsqueeze(1)).reshape(-1, 1)
            part = ops.take_positions(rows, index.reshape(-1)) * weight
            if found is None:
                found = part
            else:
                found = ops.maximum(found, part) if largest else found + part
    shape = (images.shape[0], pooled[0], grid[0], pooled[1], grid[1], c)
    bins = found.reshape(shape)
    made: Tensor = bins.amax((2, 4)) if largest else bins.mean((2, 4))
    return made.permute(0, 3, 1, 2)


def _means(
    x: Tensor, images: Tensor, ends: Sequence[Any], grid: tuple[int, int], pooled: tuple[int, int]
) -> Tensor:  # fmt: skip
    """Means of samples between four pixels each, of neighbours along both axes and their weights.

    All samples of a bin are taps of one sum.
    """
    c, columns = x.shape[1], x.shape[3]
    count, factor = images.shape[0], 1 / (grid[0] * grid[1])

    def by_bin(pair: Any, axis: int) -> tuple[Tensor, Tensor]:  # (regions, pooled, taps)
        shape = (count, pooled[axis], grid[axis])
        parts = [[each[i].reshape(shape) for each in pair] for i in range(2)]
        places, weights = (ops.cat(part, 2) for part in parts)
        return places, weights

    (rows, tall), (places, wide) = by_bin(ends[0], 0), by_bin(ends[1], 1)
    index = (rows * columns)[:, :, None, :, None] + places[:, None, :, None, :]
    weight = (tall * factor)[:, :, None, :, None] * wide[:, None, :, None, :]

    def by_tap(x: Tensor) -> Tensor:
        return x.flatten(3).flatten(1, 2).permute(2, 0, 1).contiguous()

    found = gather_sum(x.flatten(2), images.to(i64), by_tap(index).to(i32), by_tap(weight))
    return found.reshape(count, c, *pooled)


def _grids(
    size: Tensor, pooled: tuple[int, int], ratio: int
) -> dict[tuple[int, int], list[int] | None]:
    """Regions by the samples a bin of theirs takes; None: all of them."""
    if ratio > 0:
        return {(ratio, ratio): None}
    spans = (size / tensor(pooled, dtype=size.dtype)).ceil().clamp(min=0).tolist()
    groups: dict[tuple[int, int], list[int] | None] = {}
    for i, (tall, wide) in enumerate(spans):
        groups.setdefault((int(tall), int(wide)), []).append(i)  # type: ignore[union-attr]
    return groups


@operator("RoiAlign", since=16)
def roi_align(
    x: Tensor, rois: Tensor, batch_indices: Tensor, *,
    coordinate_transformation_mode: str = "half_pixel", mode: str = "avg", output_height: int = 1,
    output_width: int = 1, sampling_ratio: int = 0, spatial_scale: float = 1.0,
) -> Tensor:  # fmt: skip
    """Regions (x1, y1, x2, y2), each cut in bins: the mean or the largest of samples of each."""
    where, half = "RoiAlign", coordinate_transformation_mode == "half_pixel"
    known = half or coordinate_transformation_mode == "output_half_pixel"
    wanted = "half_pixel or output_half_pixel"
    expect(known, where, wanted, repr(coordinate_transformation_mode), ArgumentError)
    expect(mode in ("avg", "max"), where, "mode avg or max", repr(mode), ArgumentError)
    pooled, count = (output_height, output_width), rois.shape[0] if rois.ndim else 0
    good = min(pooled) > 0 and sampling_ratio >= 0
    expect(good, where, "sizes above 0", (*pooled, sampling_ratio), ArgumentError)
    fits = x.ndim == 4 and rois.ndim == 2 and rois.shape[1] == 4 and batch_indices.shape == (count,)
    got = (x.shape, rois.shape, batch_indices.shape)
    expect(fits, where, "x (n, c, h, w), rois (k, 4), batch_indices (k,)", got)
    wide: DType = f64 if x.dtype is f64 else f32
    corners = rois.to(wide) * spatial_scale - (0.5 if half else 0.0)
    corners = ops.cat([corners[:, 1::-1], corners[:, 3:1:-1]], 1)
    start, size = corners[:, :2], corners[:, 2:] - corners[:, :2]
    size = size if half else size.clamp(min=1.0)
    if not count:
        return x.new_zeros((0, x.shape[1], *pooled))
    parts, order = [], list[int]()
    for grid, members in _grids(size, pooled, sampling_ratio).items():
        chosen = [*range(count)] if members is None else members
        for at in range(0, len(chosen), _REGIONS):
            few = chosen[at : at + _REGIONS]
            order += few
            if min(grid) == 0:
                parts.append(x.new_zeros((len(few), x.shape[1], *pooled), dtype=wide))
                continue
            index = tensor(few, dtype=i64)
            parts.append(_samples(x.to(wide), batch_indices[index], start[index], size[index], grid,
                                  pooled, mode == "max"))  # fmt: skip
    found = parts[0] if len(parts) == 1 else ops.cat(parts)
    if order != [*range(count)]:
        found = found[tensor(sorted(range(count), key=order.__getitem__), dtype=i64)]
    return found.to(x.dtype).contiguous()


@operator("RoiAlign", since=10, until=15)
def roi_align_10(
    x: Tensor, rois: Tensor, batch_indices: Tensor, *, mode: str = "avg", output_height: int = 1,
    output_width: int = 1, sampling_ratio: int = 0, spatial_scale: float = 1.0,
) -> Tensor:  # fmt: skip
    """RoiAlign whose regions begin at the pixels' edges."""
    return roi_align(
        x, rois, batch_indices, coordinate_transformation_mode="output_half_pixel", mode=mode,
        output_height=output_height, output_width=output_width, sampling_ratio=sampling_ratio,
        spatial_scale=spatial_scale,
    )  # fmt: skip


@operator("MaxRoiPool", since=1)
def max_roi_pool(
    x: Tensor, rois: Tensor, *, pooled_shape: list[int], spatial_scale: float = 1.0
) -> Tensor:
    """The largest element of each bin of regions (image, x1, y1, x2, y2); of empty ones 0."""
    fits = x.ndim == 4 and rois.ndim == 2 and rois.shape[1] == 5
    expect(fits, "MaxRoiPool", "x (n, c, h, w), rois (k, 5)", (x.shape, rois.shape))
    good = len(pooled_shape) == 2 and min(pooled_shape) > 0
    expect(good, "MaxRoiPool", "two lengths above 0", pooled_shape, ArgumentError)
    check_longest("MaxRoiPool", pooled_shape)
    made = []
    images, corners = rois[:, 0].tolist(), (rois[:, 1:] * spatial_scale).tolist()
    for image, (x1, y1, x2, y2) in zip(images, corners, strict=True):
        known = math.isfinite(image) and image == int(image) and 0 <= image < x.shape[0]
        expect(known, "MaxRoiPool", f"an image in [0, {x.shape[0] - 1}]", image, ArgumentError)
        rows = _bins(y1, y2, x.shape[2], pooled_shape[0])
        columns = _bins(x1, x2, x.shape[3], pooled_shape[1])
        made.append(_pooled(_pooled(x[int(image)], columns, 2), rows, 1))
    return ops.stack(made) if made else x.new_zeros((0, x.shape[1], *pooled_shape))


def _bins(first: float, last: float, length: int, count: int) -> list[tuple[int, int]]:
    """Where the bins of a region begin and end, inside the axis."""
    start, end = _half_up(first), _half_up(last)
    size = max(end - start + 1, 1) / count

    def inside(place: int) -> int:
        return min(max(place + start, 0), length)

    return [(inside(math.floor(i * size)), inside(math.ceil((i + 1) * size))) for i in range(count)]


def _half_up(value: float) -> int:
    """To the nearest integer, halves away from 0."""
    expect(math.isfinite(value), "MaxRoiPool", "finite regions", value, ArgumentError)
    return math.floor(abs(value) + 0.5) * (-1 if value < 0 else 1)


def _pooled(x: Tensor, bins: Sequence[tuple[int, int]], axis: int) -> Tensor:
    parts = [
        x.narrow(axis, first, last - first).amax(axis)
        if last > first
        else x.new_zeros([n for i, n in enumerate(x.shape) if i != axis])
        for first, last in bins
    ]
    return ops.stack(parts, axis)
