"""The devices that arrays can be on: one row each."""

from __future__ import annotations

from .errors import ArgumentError


class Device:
    """A place where arrays live and kernels run; `type` is its name ("cpu").

    Not a dataclass: importing those costs a third of `import tallow`.
    """

    __slots__ = ("type",)

    def __init__(self, type: str) -> None:
        self.type = type

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
    if device not in DEVICES:
        raise ArgumentError(f"device: expected one of {', '.join(DEVICES)}, got {device!r}")
    return DEVICES[device]
