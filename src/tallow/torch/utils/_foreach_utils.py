"""torch.utils._foreach_utils: tensors in groups of one device and dtype."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tallow.tensor import Tensor

Lists = list[list[Tensor | None]]


def _group_tensors_by_device_and_dtype(
    tensorlistlist: Sequence[Sequence[Tensor | None]], with_indices: bool = False
) -> dict[tuple[Any, Any], tuple[Lists, list[int] | None]]:
    """Lists of equal length, split by the device and dtype of the first list's tensors."""
    groups: dict[tuple[Any, Any], tuple[Lists, list[int] | None]] = {}
    for at, row in enumerate(zip(*tensorlistlist, strict=True)):
        first = row[0]
        key = (None, None) if first is None else (first.device, first.dtype)
        if key not in groups:
            groups[key] = ([[] for _ in row], [] if with_indices else None)
        lists, places = groups[key]
        for column, tensor in zip(lists, row, strict=True):
            column.append(tensor)
        if places is not None:
            places.append(at)
    return groups


def _get_foreach_kernels_supported_devices() -> list[str]:
    """Devices on which many tensors are one call: none."""
    return []


def _get_fused_kernels_supported_devices() -> list[str]:
    """Devices on which PyTorch's optimisers have fused kernels."""
    return ["cpu"]


def _device_has_foreach_support(device: Any) -> bool:
    """Whether many tensors are one call there."""
    return False


def _has_foreach_support(tensors: Sequence[Tensor], device: Any) -> bool:
    """Whether many tensors are one call there."""
    return False
