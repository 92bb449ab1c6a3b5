"""torch.overrides: classes that take functions over by `__torch_function__`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from tallow.overrides import ask, overloaded
from tallow.tensor import Tensor
from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    answers={"get_ignored_functions": frozenset(), "get_overridable_functions": {}},
    refuses={"it is not supported": "TorchFunctionMode BaseTorchFunctionMode resolve_name"},
)  # fmt: skip


def is_tensor_like(inp: Any) -> bool:
    """Whether it is a Tensor, or of a class that takes functions over."""
    return isinstance(inp, Tensor) or hasattr(type(inp), "__torch_function__")


def has_torch_function(relevant_args: Iterable[Any]) -> bool:
    """Whether a class among the arguments takes functions over."""
    return bool(overloaded(relevant_args))


def has_torch_function_unary(argument: Any) -> bool:
    """`has_torch_function` of one argument."""
    return bool(overloaded((argument,)))


def has_torch_function_variadic(*arguments: Any) -> bool:
    """`has_torch_function` of these arguments."""
    return bool(overloaded(arguments))


def handle_torch_function(
    public_api: Callable[..., Any], relevant_args: Iterable[Any], *args: Any, **kwargs: Any
) -> Any:
    """What the classes among the arguments make of the function; itself when there is none."""
    found = overloaded(relevant_args)
    return ask(public_api, found, args, kwargs) if found else public_api(*args, **kwargs)
