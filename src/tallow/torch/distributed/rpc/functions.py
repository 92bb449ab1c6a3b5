"""torch.distributed.rpc.functions: marks of functions that answer later."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    decorators="async_execution",
)
