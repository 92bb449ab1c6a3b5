"""torch.overrides: classes that take functions over by `__torch_function__`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from tallow.function_modes import FunctionMode
from tallow.overrides import ask, modes, overloaded
from tallow.tensor import Tensor
from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    answers={"get_ignored_functions": frozenset(), "get_overridable_functions": {}},
    places={"tallow.function_modes": "TorchFunctionMode=FunctionMode"},
    refuses={"it is not supported": "resolve_name"},
)  # fmt: skip


class BaseTorchFunctionMode(FunctionMode):
    """A mode that changes nothing."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """The function's own result."""
        return func(*args, **(kwargs or {}))


def _get_current_function_mode() -> Any:
    """The innermost mode, or None."""
    return modes()[-1] if modes() else None


def _get_current_function_mode_stack() -> list[Any]:
    """The modes that are on, the innermost last."""
    return list(modes())


def _len_torch_function_stack() -> int:
    """How many modes are on."""
    return len(modes())


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
