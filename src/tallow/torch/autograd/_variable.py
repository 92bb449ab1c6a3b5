"""Variable, which is a Tensor since PyTorch 0.4, anomaly mode, and marks of Functions."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Self

from tallow.autograd.function import Context as FunctionCtx
from tallow.autograd.function import Function
from tallow.autograd.mode import MODE, no_grad
from tallow.tensor import Tensor

__all__ = ["FunctionCtx"]
InplaceFunction = NestedIOFunction = Function


class _VariableType(type):
    """Makes every tensor an instance of `Variable`."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, Tensor)


class Variable(metaclass=_VariableType):
    """`Variable(x)` is `x` as a leaf that may ask for a gradient: a Tensor."""

    def __new__(
        cls, data: Tensor, requires_grad: bool = False, volatile: bool | None = None
    ) -> Any:
        """A tensor on the same storage."""
        return data.detach().requires_grad_(requires_grad)


class set_detect_anomaly:  # noqa: N801  (PyTorch's name)
    """Let the backward pass refuse NaN gradients: from now on, or in a block."""

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self._before = MODE.anomaly
        MODE.anomaly = bool(mode and check_nan)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        MODE.anomaly = self._before


class detect_anomaly(set_detect_anomaly):  # noqa: N801  (PyTorch's name)
    """A block in which the backward pass refuses NaN gradients, and names the op."""

    def __init__(self, check_nan: bool = True) -> None:
        super().__init__(True, check_nan)


def once_differentiable(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a `backward` that cannot be differentiated again."""

    @functools.wraps(fn)
    def within(*args: Any) -> Any:
        with no_grad():
            return fn(*args)

    return within
