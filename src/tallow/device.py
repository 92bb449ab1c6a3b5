"""The devices that arrays can be on: others can be named, and are refused when used."""

from __future__ import annotations

from typing import Any, TypeGuard

from .errors import ArgumentError, DeviceError

_HERE = ("cpu",)
# What PyTorch calls devices: programs name them before they ask whether there is one.
_NAMES = (
    "cpu", "cuda", "mps", "xpu", "meta", "hip", "xla", "mtia", "hpu", "ipu", "npu", "vulkan",
    "mkldnn", "opengl", "opencl", "ideep", "ve", "fpga", "maia", "lazy", "privateuseone",
)  # fmt: skip


class Device:
    """A place where arrays live and kernels run: `type` ("cpu") and `index` (a number or None).

    `Device("cuda:0")`, `Device("cuda", 0)` and `Device(0)` can be named; using one that is not
    there is an error. Not a dataclass: importing those costs a third of `import tallow`.
    """

    __slots__ = ("index", "type")

    def __init__(self, type: str | int | Device, index: int | None = None) -> None:
        given = f"cuda:{type}" if isinstance(type, int) else str(type)
        name, colon, number = given.partition(":")
        good = name in _NAMES and (not colon or (number.isdecimal() and index is None))
        if not good:
            raise ArgumentError(f"device: expected one of {', '.join(_NAMES)}, got {type!r}")
        self.type = name
        self.index = int(number) if colon else index

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __repr__(self) -> str:
        number = "" if self.index is None else f", index={self.index}"
        return f"device(type={self.type!r}{number})"

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __reduce__(self) -> tuple[Any, ...]:
        return (Device, (str(self),))

    def __enter__(self) -> Device:
        return as_device(self)

    def __exit__(self, *_: object) -> None:
        return None


CPU = Device("cpu")
DEVICES = {"cpu": CPU}


def is_device_name(text: object) -> TypeGuard[str]:
    """Whether a text names a device, there or not: "cpu", "cuda:1"."""
    return isinstance(text, str) and text.partition(":")[0] in _NAMES


def as_device(device: Device | str | int) -> Device:
    """The device to use; DeviceError for one that is not there."""
    found = device if isinstance(device, Device) else Device(device)
    if found.type not in _HERE:
        raise DeviceError(
            f"device: expected cpu, got {found}: there is no {found.type} device here"
        )
    return found
