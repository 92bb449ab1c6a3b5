"""torch.nn.utils.stateless: the older place of torch.func.functional_call."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__, places={"tallow.torch._functional_call": "functional_call"}
)
