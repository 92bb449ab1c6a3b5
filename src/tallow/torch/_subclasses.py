"""torch._subclasses: fake tensors, of which there are none (see the device `meta`)."""

from __future__ import annotations

from typing import Any

from tallow.tensor import Tensor
from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    refuses={
        "fake tensors are not supported": (
            "FakeTensorMode CrossRefFakeMode FakeTensorConverter DynamicOutputShapeException "
            "UnsupportedFakeTensorException"
        )
    },
)


class FakeTensor(Tensor):
    """What no tensor is: one with a shape and no values."""

    def __new__(cls, *_: Any, **__: Any) -> FakeTensor:
        """Refused."""
        from tallow.torch._names import UnsupportedError

        raise UnsupportedError("torch._subclasses.FakeTensor: fake tensors are not supported")


def is_fake(x: Any) -> bool:
    """Whether it is a fake tensor: never."""
    return False
