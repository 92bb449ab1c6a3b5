"""torch.distributed._tensor: the older place of torch.distributed.tensor."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    modules="device_mesh",
    behind=("tallow.torch.distributed.tensor",),
    places={"tallow.torch.distributed.device_mesh": "DeviceMesh init_device_mesh"},
)
