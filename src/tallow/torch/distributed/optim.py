"""torch.distributed.optim: optimisers over processes, of which there is one."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    refuses={
        "optimisers over processes are not supported": (
            "DistributedOptimizer ZeroRedundancyOptimizer PostLocalSGDOptimizer"
        )
    },
)
