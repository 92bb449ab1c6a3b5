"""torch.ops.torchvision: what torchvision has compiled for PyTorch, in Tallow's ops.

Gradients come from the ops used. Sources: the descriptions in torchvision's documentation; He et
al. 2017 (arXiv 1703.06870) for `roi_align`, Zhu et al. 2018 (arXiv 1811.11168) for modulated
deformable convolution.
"""

from __future__ import annotations

import math
from typing import Any

from tallow import ops
from tallow.errors import expect
from tallow.factories import arange, empty, tensor, zeros
from tallow.tensor import Tensor
from tallow.torch._names import namespace

_BOXES = 64  # boxes whose samples are in memory at once

__getattr__, __dir__ = namespace(
    __name__,
    answers={"_cuda_version": -1},
    refuses={
        "this op of torchvision is not supported": (
            "qnms qroi_align box_iou_rotated _roi_align_backward "
            "_roi_pool_backward _ps_roi_align_backward _ps_roi_pool_backward "
            "_deform_conv2d_backward"
        )
    },
)


def nms(dets: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """The boxes `(n, 4)` (x1, y1, x2, y2) to keep, by falling score, as indices (i64).

    A box goes when it overlaps a kept one of higher score by more than `iou_threshold`.
    """
    expect(dets.ndim == 2 and dets.shape[1] == 4, nms, "boxes (n, 4)", dets.shape)
    expect(scores.shape == dets.shape[:1], nms, f"{dets.shape[0]} scores", scores.shape)
    boxes = dets.detach()
    order = scores.detach().sort(descending=True, stable=True).indices
    low, high = boxes[order, :2], boxes[order, 2:]
    areas = (high - low).prod(1)
    left = areas == areas  # candidates still there; comparing gives a bool tensor of ones
    kept: list[int] = []
    for i in range(order.numel()):
        if not bool(left[i]):
            continue
        kept.append(i)
        sides = (ops.minimum(high, high[i]) - ops.maximum(low, low[i])).clamp(min=0)
        both = sides.prod(1)
        overlap = both / (areas + areas[i] - both)
        left = left.logical_and((overlap > iou_threshold).logical_not())
    return order[tensor(kept, dtype="i64")]


def _bilinear(planes: Tensor, y: Tensor, x: Tensor, margin: float) -> Tensor:
    """Values of `planes` `(n, c, h, w)` at `(n, m)` positions: `(n, c, m)`; 0 beyond `margin`."""
    count, channels, height, width = planes.shape
    inside = (y >= -margin) & (y <= height - 1 + margin)
    inside = inside & (x >= -margin) & (x <= width - 1 + margin)
    y, x = y.clamp(0, height - 1), x.clamp(0, width - 1)
    top, left = y.detach().floor(), x.detach().floor()
    down, right = y - top, x - left
    flat = planes.reshape(count, channels, height * width)
    total: Any = 0.0
    for row, far in ((top, down), (top + 1, 1 - down)):
        for column, wide in ((left, right), (left + 1, 1 - right)):
            # The row below the last one has weight 0: its index only has to exist.
            at = row.clamp(0, height - 1) * width + column.clamp(0, width - 1)
            index = at.to("i64").unsqueeze(1).expand(count, channels, at.shape[1])
            weight = (1 - far) * (1 - wide) * inside.to(planes.dtype)
            total = total + flat.gather(2, index) * weight.unsqueeze(1)
    return total


def _aligned(input: Tensor, boxes: Tensor, grid: tuple[int, int], pooled: tuple[int, int],
             start: Tensor, size: Tensor) -> Tensor:  # fmt: skip
    """Boxes with one number of samples a bin, averaged: `(k, c, *pooled)`."""
    places = []
    for axis in (0, 1):
        count, bins = grid[axis], pooled[axis]
        inner = (arange(count, dtype=input.dtype) + 0.5) / count
        steps = (arange(bins, dtype=input.dtype).unsqueeze(1) + inner).reshape(-1) / bins
        places.append(start[:, axis : axis + 1] + steps * size[:, axis : axis + 1])
    rows, columns = places
    shape = (boxes.shape[0], rows.shape[1], columns.shape[1])
    y = rows.unsqueeze(2).expand(shape).reshape(shape[0], -1)
    x = columns.unsqueeze(1).expand(shape).reshape(shape[0], -1)
    planes = input.index_select(0, boxes[:, 0].to("i64"))
    values = _bilinear(planes, y, x, 1.0)
    cut = (shape[0], input.shape[1], pooled[0], grid[0], pooled[1], grid[1])
    return values.reshape(cut).mean((3, 5))


def roi_align(
    input: Tensor,
    rois: Tensor,
    spatial_scale: float,
    pooled_height: int,
    pooled_width: int,
    sampling_ratio: int,
    aligned: bool,
) -> Tensor:
    """Regions `rois` `(k, 5)` (image, x1, y1, x2, y2) of `(n, c, h, w)`, each as a small picture.

    Every bin averages `sampling_ratio`² samples taken bilinearly (as many as it spans, below 1).
    """
    expect(rois.ndim == 2 and rois.shape[1] == 5, roi_align, "rois (k, 5)", rois.shape)
    pooled = (int(pooled_height), int(pooled_width))
    if not rois.shape[0]:
        return zeros((0, input.shape[1], *pooled), dtype=input.dtype)
    boxes = rois.detach()
    corners = boxes[:, [2, 1, 4, 3]] * spatial_scale - (0.5 if aligned else 0.0)
    start, size = corners[:, :2], corners[:, 2:] - corners[:, :2]
    size = size if aligned else size.clamp(min=1.0)
    if sampling_ratio > 0:
        grids = [(sampling_ratio, sampling_ratio)] * rois.shape[0]
    else:
        spans = (size / tensor(pooled, dtype=size.dtype)).ceil().clamp(min=1).tolist()
        grids = [(int(h), int(w)) for h, w in spans]
    groups: dict[tuple[int, int], list[int]] = {}
    for i, grid in enumerate(grids):
        groups.setdefault(grid, []).append(i)
    parts, order = [], []
    for grid, members in groups.items():
        for at in range(0, len(members), _BOXES):
            chosen = tensor(members[at : at + _BOXES], dtype="i64")
            order += members[at : at + _BOXES]
            parts.append(_aligned(input, boxes[chosen], grid, pooled, start[chosen], size[chosen]))
    back = tensor(sorted(range(len(order)), key=order.__getitem__), dtype="i64")
    return ops.cat(parts, 0).index_select(0, back)


def roi_pool(
    input: Tensor, rois: Tensor, spatial_scale: float, pooled_height: int, pooled_width: int
) -> tuple[Tensor, Tensor]:
    """The largest value of each bin of each region, `(k, c, h, w)`; an empty bin is 0.

    The second result, which torchvision takes for its gradient, is empty here.
    """
    expect(rois.ndim == 2 and rois.shape[1] == 5, roi_pool, "rois (k, 5)", rois.shape)
    height, width = input.shape[2:]
    rows = []
    for image, *corners in rois.detach().tolist():
        x1, y1, x2, y2 = (int(c * spatial_scale + 0.5) for c in corners)
        cells = []
        for i in range(pooled_height):
            for j in range(pooled_width):
                tall = max(y2 - y1 + 1, 1) / pooled_height
                wide = max(x2 - x1 + 1, 1) / pooled_width
                top, end = _bin(y1, i, tall, height)
                left, right = _bin(x1, j, wide, width)
                part = input[int(image), :, top:end, left:right]
                empty_bin = top >= end or left >= right
                cells.append(part.new_zeros(part.shape[0]) if empty_bin else part.amax((1, 2)))
        rows.append(ops.stack(cells, 1).reshape(input.shape[1], pooled_height, pooled_width))
    if not rows:
        return zeros((0, input.shape[1], pooled_height, pooled_width), dtype=input.dtype), empty(0)
    return ops.stack(rows, 0), empty(0, dtype="i32")


def _bin(start: int, index: int, size: float, limit: int) -> tuple[int, int]:
    import math

    low, high = start + math.floor(index * size), start + math.ceil((index + 1) * size)
    return min(max(low, 0), limit), min(max(high, 0), limit)


def _own_channels(x: Tensor, ph: int, pw: int) -> Tensor:
    """Of (regions, out * ph * pw, ph, pw) each bin's own channel: (regions, out, ph, pw)."""
    whole = x.reshape(x.shape[0], -1, ph, pw, ph, pw)
    whole = whole.diagonal(dim1=2, dim2=4)  # (regions, out, pw, pw, ph)
    return whole.diagonal(dim1=2, dim2=3)


def ps_roi_align(
    input: Tensor, rois: Tensor, spatial_scale: float, pooled_height: int, pooled_width: int,
    sampling_ratio: int,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """`roi_align` with channels of their own for each bin."""
    whole = roi_align(input, rois, spatial_scale, pooled_height, pooled_width, sampling_ratio, True)
    return _own_channels(whole, pooled_height, pooled_width), tensor([], dtype="i32")


def ps_roi_pool(
    input: Tensor, rois: Tensor, spatial_scale: float, pooled_height: int, pooled_width: int
) -> tuple[Tensor, Tensor]:
    """Means over bins with channels of their own for each bin."""
    h, w = input.shape[-2:]
    out, size = [], input.shape[1] // (pooled_height * pooled_width)
    for row in rois.detach().float().tolist():
        x1, y1 = (round_half(v) * spatial_scale for v in row[1:3])
        x2, y2 = ((round_half(v) + 1.0) * spatial_scale for v in row[3:5])
        bin_h = max(y2 - y1, 0.1) / pooled_height
        bin_w = max(x2 - x1, 0.1) / pooled_width
        channels = input[int(row[0])].reshape(size, pooled_height, pooled_width, h, w)
        for i in range(pooled_height):
            top = min(max(math.floor(i * bin_h + y1), 0), h)
            bottom = min(max(math.ceil((i + 1) * bin_h + y1), 0), h)
            for j in range(pooled_width):
                left = min(max(math.floor(j * bin_w + x1), 0), w)
                right = min(max(math.ceil((j + 1) * bin_w + x1), 0), w)
                empty = bottom <= top or right <= left
                part = channels[:, i, j, top:bottom, left:right]
                out.append(input.new_zeros((size,)) if empty else part.mean((1, 2)))
    shape = (rois.shape[0], pooled_height, pooled_width, size)
    made = ops.stack(out).reshape(shape) if out else input.new_zeros(shape)
    return made.permute(0, 3, 1, 2), tensor([], dtype="i32")


def round_half(x: float) -> float:
    """Half away from zero, as C's round."""
    return math.floor(abs(x) + 0.5) * (1.0 if x >= 0 else -1.0)


def deform_conv2d(
    input: Tensor,
    weight: Tensor,
    offset: Tensor,
    mask: Tensor,
    bias: Tensor,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    groups: int,
    offset_groups: int,
    use_mask: bool,
) -> Tensor:
    """Convolution that reads where `offset` `(n, 2 g kh kw, h, w)` moves it, times `mask`."""
    count, channels = input.shape[:2]
    outs, _, tall, wide = weight.shape
    height, width = offset.shape[2:]
    taps, m = tall * wide, height * width
    moved = offset.reshape(count * offset_groups, taps, 2, height, width)
    kernel = arange(taps)
    steps_y = (kernel // wide * dilation_h).reshape(taps, 1, 1).to(input.dtype)
    steps_x = (kernel % wide * dilation_w).reshape(taps, 1, 1).to(input.dtype)
    rows = (arange(height) * stride_h - pad_h).reshape(1, height, 1).to(input.dtype)
    columns = (arange(width) * stride_w - pad_w).reshape(1, 1, width).to(input.dtype)
    y = (moved[:, :, 0] + steps_y + rows).reshape(count * offset_groups, taps * m)
    x = (moved[:, :, 1] + steps_x + columns).reshape(count * offset_groups, taps * m)
    each = channels // offset_groups
    planes = input.reshape(count * offset_groups, each, *input.shape[2:])
    values = _padded_bilinear(planes, y, x)
    if use_mask:
        values = values * mask.reshape(count * offset_groups, 1, taps * m)
    values = values.reshape(count, groups, channels // groups * taps, m)
    kernels = weight.reshape(1, groups, outs // groups, channels // groups * taps)
    out: Tensor = (kernels @ values).reshape(count, outs, height, width)
    return out + bias.reshape(1, outs, 1, 1)


def _padded_bilinear(planes: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """Bilinear values of a picture that is 0 outside."""
    from tallow.nn.functional import pad

    # One row of zeros around it; what lies farther out reads only zeros.
    height, width = planes.shape[2:]
    return _bilinear(
        pad(planes, (1, 1, 1, 1)), y.clamp(-1, height) + 1, x.clamp(-1, width) + 1, 0.0
    )
