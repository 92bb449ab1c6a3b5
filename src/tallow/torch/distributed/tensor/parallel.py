"""torch.distributed.tensor.parallel: layers over devices, of which there is one."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    refuses={
        "layers over devices are not supported": (
            "ColwiseParallel RowwiseParallel SequenceParallel PrepareModuleInput "
            "PrepareModuleOutput parallelize_module loss_parallel"
        )
    },
)
