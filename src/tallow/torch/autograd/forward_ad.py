"""torch.autograd.forward_ad: dual numbers; see tallow.autograd.jvp for products with Jacobians."""

from __future__ import annotations

from typing import NamedTuple

from tallow.tensor import Tensor
from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    refuses={
        "dual tensors are not supported (use torch.func.jvp)": (
            "dual_level make_dual enter_dual_level exit_dual_level"
        )
    },
)


class UnpackedDualTensor(NamedTuple):
    """A tensor and its tangent."""

    primal: Tensor
    tangent: Tensor | None


def unpack_dual(tensor: Tensor, *, level: int | None = None) -> UnpackedDualTensor:
    """The tensor itself, which has no tangent: no tensor is dual."""
    return UnpackedDualTensor(tensor, None)
