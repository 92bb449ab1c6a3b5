"""torch._ops: the types of torch.ops."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    places={
        "tallow.torch.ops": "OpOverloadPacket=OpPacket OpOverload=OpPacket _OpNamespace=OpNamespace"
    },
)
