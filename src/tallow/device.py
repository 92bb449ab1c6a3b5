"""The devices that arrays can be on: one row each."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import ArgumentError


@dataclass(frozen=True, slots=True)
class Device:
    """A place where arrays live and kernels run."""

    type: str

    def __str__(self) -> str:
        return self.type


CPU = Device("cpu")
DEVICES = {"cpu": CPU}


def as_device(device: Device | str) -> Device:
    """`device` itself, or the one that the text names; ArgumentError for one that this build does not have."""
    if isinstance(device, Device):
        return device
    if device not in DEVICES:
        raise ArgumentError(f"device: expected one of {', '.join(DEVICES)}, got {device!r}")
    return DEVICES[device]
