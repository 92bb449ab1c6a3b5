"""torch.distributed.autograd: gradients over processes, of which there is one."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    refuses={"gradients over processes are not supported": "backward context get_gradients"},
)
