"""torch.distributed.nn: modules in other processes, of which there are none."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    refuses={"modules in other processes are not supported": "RemoteModule"},
)
