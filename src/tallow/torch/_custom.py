"""Custom ops with a gradient of their own, in the manner of torch.library."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tallow.autograd.function import Function


def with_gradient(
    function: Callable[..., Any], setup: Callable[..., Any] | None, backward: Callable[..., Any],
    args: tuple[Any, ...], kwargs: dict[str, Any],
) -> Any:  # fmt: skip
    """`function(*args, **kwargs)`, recorded with `backward` as its gradient."""

    class Op(Function):
        @staticmethod
        def forward(ctx: Any, *given: Any) -> Any:
            out = function(*given, **kwargs)
            if setup is not None:
                setup(ctx, given, out)
            return out

        @staticmethod
        def backward(ctx: Any, *grads: Any) -> Any:
            return backward(ctx, *grads)

    return Op.apply(*args)
