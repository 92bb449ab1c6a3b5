"""The devices that arrays can be on: `cpu`, `meta`, and those of back-ends that add themselves."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, TypeGuard

from . import _native
from .errors import ArgumentError, DeviceError

_CODES = {"cpu": 0, "meta": 1}  # as the native core has them
# What PyTorch calls devices: programs name them before they ask whether there is one.
_NAMES = (
    "cpu", "cuda", "mps", "xpu", "meta", "hip", "xla", "mtia", "hpu", "ipu", "npu", "vulkan",
    "mkldnn", "opengl", "opencl", "ideep", "ve", "fpga", "maia", "lazy", "privateuseone",
)  # fmt: skip


class Device:
    """A place where arrays live and kernels run: `type` ("cpu") and `index` (a number or None).

    Tensors on `Device("meta")` have shapes, dtypes and strides, but no memory: ops on them compute
    those alone. In a `with Device(…):` block, factories that are not told a device make tensors
    there. `Device("cuda:0")`, `Device("cuda", 0)` and `Device(0)` can be named; using one that is
    not there is an error. Not a dataclass: importing those costs a third of `import tallow`.
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
        _BLOCKS.outer = (*_BLOCKS.outer, _native.chosen_device())
        _native.choose_device(code_of(self))
        return self

    def __exit__(self, *_: object) -> None:
        *outer, code = _BLOCKS.outer
        _BLOCKS.outer = tuple(outer)
        _native.choose_device(code)


class _Blocks(threading.local):
    """What was chosen before each `with` block that this thread is in."""

    outer: tuple[int, ...] = ()


class _Seen:
    """Whether any device but the CPU was asked for: before that, nobody looks where tensors are."""

    several = False
    watchers: ClassVar[list[Callable[[], object]]] = []

    def on_several(self, watcher: Callable[[], object]) -> None:
        """Call `watcher` when that happens, or now."""
        if self.several:
            watcher()
        else:
            self.watchers.append(watcher)

    def note(self) -> None:
        """Another device was asked for."""
        self.several = True
        while self.watchers:
            self.watchers.pop()()


_BLOCKS = _Blocks()
SEEN = _Seen()
CPU, META = Device("cpu"), Device("meta")
BY_CODE = [CPU, META]


def is_device_name(text: object) -> TypeGuard[str]:
    """Whether a text names a device, there or not: "cpu", "cuda:1"."""
    return isinstance(text, str) and text.partition(":")[0] in _NAMES


def as_device(device: Device | str | int) -> Device:
    """The device to use; DeviceError for one that is not there."""
    found = device if isinstance(device, Device) else Device(device)
    if found.type not in _CODES:
        raise DeviceError(
            f"device: expected {' or '.join(_CODES)}, got {found}: there is no {found.type} device"
            " here"
        )
    return found


def code_of(device: Device | str | int | None, usual: int = 0) -> int:
    """The native core's code of the device to use.

    Without one: that of the `with` block or `set_default_device`, else `usual`.
    """
    if device is None:
        chosen = _native.chosen_device()
        return usual if chosen < 0 else chosen
    code = _CODES[as_device(device).type]
    if code and not SEEN.several:
        SEEN.note()
    return code


def register(name: str, code: int) -> Device:
    """Let the device that a back-end added to the native core under `code` be used by its name."""
    if name not in _NAMES or code != len(BY_CODE):
        raise ArgumentError(f"device: expected a free code and one of {_NAMES}, got {code}, {name}")
    _CODES[name] = code
    BY_CODE.append(Device(name))
    return BY_CODE[code]


def get_default_device() -> Device:
    """Where factories make tensors when they are not told."""
    return BY_CODE[_native.default_device()]


def set_default_device(device: Device | str | int | None) -> None:
    """Let this thread's factories make tensors on `device` when they are not told; None: `cpu`.

    Inside a `with device:` block it holds until the end of that.
    """
    _native.choose_device(-1 if device is None else code_of(device))


def elsewhere(device: Device | str | int | None, operands: Iterable[Any]) -> Device | None:
    """Where a call is to run: on `device`, else where its tensors are; None: where it is now.

    What a call makes on its way is made there too.
    """
    code = -1 if device is None else code_of(device)
    if device is None:
        for operand in operands:
            for each in operand if isinstance(operand, (list, tuple)) else (operand,):
                array = getattr(each, "_array", None)
                if array is not None and code < 1:
                    code = array.device
    return None if code in (-1, _native.default_device()) else BY_CODE[code]
