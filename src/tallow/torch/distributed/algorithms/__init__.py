"""torch.distributed.algorithms: checkpoints of modules, what joins uneven inputs."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    modules="_checkpoint join",
)
