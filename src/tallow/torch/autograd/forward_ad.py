"""torch.autograd.forward_ad: dual numbers; see tallow.autograd.jvp for products with Jacobians."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    refuses={
        "dual tensors are not supported (use torch.func.jvp)": (
            "dual_level make_dual unpack_dual enter_dual_level exit_dual_level UnpackedDualTensor"
        )
    },
)
