"""What torchvision has compiled against torch, for a torch that this is not linked to."""

from __future__ import annotations

from typing import Any


def define_nms(torch: Any) -> None:
    """Register `torchvision::nms`, without which torchvision cannot be imported, as plain Python.

    torchvision's own Python covers roi_align when its compiled part is absent.
    """
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

    def nms(dets: Any, scores: Any, iou_threshold: float) -> Any:
        order = scores.sort(descending=True, stable=True).indices
        areas = (dets[:, 2] - dets[:, 0]) * (dets[:, 3] - dets[:, 1])
        kept = []
        while order.numel():
            first, rest = order[0], order[1:]
            kept.append(first)
            low = torch.maximum(dets[first, :2], dets[rest, :2])
            high = torch.minimum(dets[first, 2:], dets[rest, 2:])
            both = (high - low).clamp(min=0).prod(1)
            order = rest[both / (areas[first] + areas[rest] - both) <= iou_threshold]
        return torch.stack(kept) if kept else torch.empty(0, dtype=torch.int64)

    library.impl("nms", nms, "CPU")
    torch._torchvision_stand_in = library  # a library is forgotten when its object is
