"""torch.overrides: functions are not overridden by types here."""

from __future__ import annotations

from typing import Any

from tallow.tensor import Tensor
from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    answers={"has_torch_function": False, "has_torch_function_unary": False,
             "has_torch_function_variadic": False, "get_ignored_functions": frozenset(),
             "get_overridable_functions": {}},
    refuses={"it is not supported": "TorchFunctionMode BaseTorchFunctionMode resolve_name"},
)  # fmt: skip


def is_tensor_like(inp: Any) -> bool:
    """Whether it is a Tensor."""
    return isinstance(inp, Tensor)


def handle_torch_function(public_api: Any, relevant_args: Any, *args: Any, **kwargs: Any) -> Any:
    """The function itself."""
    return public_api(*args, **kwargs)
