"""torch.distributed.checkpoint.default_planner: plans of what is read."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    refuses={"checkpoints of shards are not supported": "DefaultLoadPlanner DefaultSavePlanner"},
)
