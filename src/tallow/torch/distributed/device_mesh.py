"""torch.distributed.device_mesh: arrangements of devices, of which there is one."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    refuses={"meshes of devices are not supported": "DeviceMesh init_device_mesh"},
)
