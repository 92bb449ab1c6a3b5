"""Helpers of PyTorch's optimisers that users' own optimisers import."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

from tallow.autograd.mode import no_grad
from tallow.optim.optimizer import Params

ParamsT = _params_t = Params
required = type("_RequiredParameter", (), {"__repr__": lambda self: "<required parameter>"})()


def _use_grad_for_differentiable(func: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(func)
    def within(*args: Any, **kwargs: Any) -> Any:
        with no_grad():
            return func(*args, **kwargs)

    return within


def _default_to_fused_or_foreach(
    params: Any, differentiable: bool, use_fused: bool = False
) -> tuple[bool, bool]:
    return False, False


def _get_capturable_supported_devices(supports_xla: bool = True) -> list[str]:
    return []


def _get_value(x: Any) -> Any:
    return x.item() if hasattr(x, "item") else x


def _dispatch_sqrt(x: Any) -> Any:
    return x.sqrt() if hasattr(x, "sqrt") else math.sqrt(x)


def _stack_if_compiling(x: Any) -> Any:
    return x


def _view_as_real(params: Any, *state_and_grads: Any) -> None:
    """Complex parameters are not optimised here."""


def _disable_dynamo_if_unsupported(single_tensor_fn: Any = None) -> Any:
    return lambda function: function
