"""torch.distributed._tensor.device_mesh: the older place of the mesh."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    places={"tallow.torch.distributed.device_mesh": "DeviceMesh init_device_mesh"},
)
