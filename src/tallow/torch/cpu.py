"""torch.cpu: the one device there is, counted as PyTorch counts it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    places={"tallow.torch.amp": "autocast"},
    answers={
        "is_available": True,
        "is_initialized": True,
        "device_count": 1,
        "current_device": "cpu",
        "set_device": None,
        "synchronize": None,
    },
)


class Stream:
    """The one queue of work: everything is done when a call returns."""

    def wait_stream(self, stream: Any) -> None:
        """Nothing to wait for."""


def current_stream(device: Any = None) -> Stream:
    """The one stream."""
    return Stream()


def stream(stream: Stream) -> AbstractContextManager[None]:
    """A block that changes nothing."""
    return nullcontext()
