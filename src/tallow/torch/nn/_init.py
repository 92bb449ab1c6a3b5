"""torch.nn.init's older names without an underscore, which warn as PyTorch's do."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from tallow.nn import init
from tallow.tensor import Tensor


def _calculate_fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    """Inputs and outputs of each neuron of (out, in, kernel …)."""
    return init._fans(tensor, "_calculate_fan_in_and_fan_out")


def _calculate_correct_fan(tensor: Tensor, mode: str) -> int:
    """Inputs ("fan_in") or outputs ("fan_out") of each neuron."""
    return init._fan(tensor, mode.lower(), "_calculate_correct_fan")


def __getattr__(name: str) -> Callable[..., Any]:
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    rule: Callable[..., Any] = getattr(init, f"{name}_")

    def call(*args: Any, **options: Any) -> Any:
        text = f"nn.init.{name} is now nn.init.{name}_, which says that it writes"
        warnings.warn(text, FutureWarning, stacklevel=2)
        return rule(*args, **options)

    call.__name__ = name
    return call


def _no_grad_trunc_normal_(
    tensor: Tensor, mean: float, std: float, a: float, b: float, generator: Any = None
) -> Tensor:
    return init.trunc_normal_(tensor, mean, std, a, b, generator)


def _no_grad_fill_(tensor: Tensor, val: float) -> Tensor:
    return init.constant_(tensor, val)
