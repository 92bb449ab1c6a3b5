"""Functions of PyTorch's root that write over their argument: methods of Tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tallow.tensor import Tensor


def __getattr__(name: str) -> Callable[..., Any]:
    if name.startswith("_") or not name.endswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: Callable[..., Any] = getattr(Tensor, name)
    return found


def resize_as_(input: Tensor, other: Tensor) -> Tensor:
    """Give `input` the shape of `other`, which has as many elements."""
    input.data = input.detach().reshape(other.shape)
    return input


def rrelu_(
    input: Tensor, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False
) -> Any:
    """`rrelu`, written over `input`."""
    from tallow.nn import functional as F

    return F.rrelu(input, lower, upper, training, inplace=True)
