"""torch.utils.hooks: what registering a hook gives."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(__name__, places={"tallow.nn.hooks": "RemovableHandle"})
