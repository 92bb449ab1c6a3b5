"""The devices that arrays can be on: one row each."""

from __future__ import annotations

from .errors import ArgumentError

_NAMES = ("cpu",)


class Device:
    """A place where arrays live and kernels run; `type` is its name ("cpu").

    Not a dataclass: importing those costs a third of `import tallow`.
    """

    __slots__ = ("type",)

    def __init__(self, type: str) -> None:
        name = type.partition(":")[0]
        if name not in _NAMES:
            raise ArgumentError(f"device: expected one of {', '.join(_NAMES)}, got {type!r}")
        self.type = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and self.type == other.type

    def __hash__(self) -> int:
        return hash(self.type)

    def __repr__(self) -> str:
        return f"tl.Device({self.type!r})"

    def __str__(self) -> str:
        return self.type


CPU = Device("cpu")
DEVICES = {"cpu": CPU}


def as_device(device: Device | str) -> Device:
    """`device` itself, or the one that the text names; ArgumentError for an unknown one."""
    if isinstance(device, Device):
        return device
    return DEVICES.get(device) or Device(device)
