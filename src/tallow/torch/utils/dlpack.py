"""torch.utils.dlpack: tensors lent to and borrowed from other libraries."""

from __future__ import annotations

from typing import Any

from tallow.borrowing import from_dlpack as from_dlpack
from tallow.tensor import Tensor

__all__ = ["from_dlpack", "to_dlpack"]


def to_dlpack(tensor: Tensor) -> Any:
    """A capsule on the tensor's memory."""
    return tensor.__dlpack__()
