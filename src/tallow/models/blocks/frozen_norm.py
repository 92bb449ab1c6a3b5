"""Batch norm whose statistics and scales do not learn, as detectors have it in their backbones."""

from __future__ import annotations

from tallow.factories import ones, zeros
from tallow.nn import BatchNorm2d, Module
from tallow.nn import functional as F
from tallow.tensor import Tensor


class FrozenBatchNorm2d(Module):
    """Each channel by buffers `running_mean`, `running_var`, `weight` and `bias`, in any mode."""

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, size: int, eps: float = 1e-5) -> None:
        self.eps = eps
        for name, fill in (("weight", ones), ("bias", zeros)):
            self.register_buffer(name, fill(size))
        for name, fill in (("running_mean", zeros), ("running_var", ones)):
            self.register_buffer(name, fill(size))

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, height, width)` → the same shape."""
        return F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
        )


def freeze_norms(model: Module) -> None:
    """Put a frozen batch norm in the place of every one within `model`."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, BatchNorm2d):
                setattr(parent, name, FrozenBatchNorm2d(child.num_features, child.eps))
