"""torch.distributed.tensor: tensors over devices, of which there is one."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    modules="parallel",
    places={"tallow.torch.distributed.device_mesh": "DeviceMesh init_device_mesh"},
    refuses={
        "tensors over devices are not supported": (
            "DTensor distribute_tensor distribute_module Shard Replicate Partial Placement zeros "
            "ones empty full rand randn"
        )
    },
    attributes={"DTensor": "from_local"},
)
