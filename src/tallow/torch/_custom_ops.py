"""torch._custom_ops: the older place of torch.library's."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__, places={"tallow.torch.library": "custom_op impl get_ctx impl_abstract"}
)
