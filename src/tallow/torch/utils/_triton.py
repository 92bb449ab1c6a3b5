"""torch.utils._triton: there is none."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__, answers={"has_triton": False, "has_triton_package": False}
)
