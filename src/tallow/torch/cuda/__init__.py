"""torch.cuda as a build for CPUs has it: there is no device, and what needs one says so."""

from __future__ import annotations

from typing import Any

from tallow.torch._absent import DEVICES as _DEVICES
from tallow.torch._absent import absent as _absent
from tallow.torch._names import NoDeviceError, refused

__getattr__, __dir__ = _absent(__name__, "amp nccl nvtx")

_CudaDeviceProperties = refused(
    __name__, "_CudaDeviceProperties", _DEVICES["cuda"][0], NoDeviceError
)
OutOfMemoryError = type("OutOfMemoryError", (RuntimeError,), {"__module__": __name__})


class device:  # noqa: N801  (PyTorch's name)
    """`with torch.cuda.device(0):` does nothing, for there is none."""

    def __init__(self, device: Any) -> None:
        self.idx = -1

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


class device_of(device):  # noqa: N801  (PyTorch's name)
    """`with torch.cuda.device_of(tensor):` does nothing either."""

    def __init__(self, obj: Any) -> None:
        super().__init__(obj)


class stream:  # noqa: N801  (PyTorch's name)
    """`with torch.cuda.stream(None):` does nothing, for there is none."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


StreamContext = stream
