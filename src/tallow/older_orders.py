"""PyTorch's older orders of arguments: numbers before tensors, as in `x.add_(alpha, other)`.

PyTorch still takes them (and warns); optimisers of many packages are written so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .tensor import Tensor

if TYPE_CHECKING:
    from .registry import Op

# Op -> the keywords that may stand as numbers among the tensors, in their order.
OLDER: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("add", "sub"), ("alpha",)),
    **dict.fromkeys(("addcmul", "addcdiv"), ("value",)),
    **dict.fromkeys(("addmm", "addmv", "addr", "addbmm", "baddbmm"), ("beta", "alpha")),
}


def in_order(name: str, args: tuple[Any, ...]) -> tuple[list[Any], dict[str, Any]]:
    """The tensors and the keywords of a call in the older order; a TypeError when it is none."""
    tensors = [one for one in args if isinstance(one, Tensor)]
    numbers = [one for one in args if isinstance(one, (int, float, complex))]
    names = OLDER[name]
    wanted = 2 if names == ("alpha",) else 3
    fits = len(tensors) == wanted and 0 < len(numbers) <= len(names)
    if not fits or len(args) != wanted + len(numbers) or args[-1] is not tensors[-1]:
        raise TypeError(
            f"{name}() takes from 0 to {wanted} positional arguments but {len(args)} were given"
        )
    return tensors, dict(zip(names, numbers, strict=False))


def call_older(op: Op[..., Any], args: tuple[Any, ...], keyword: dict[str, Any]) -> Any:
    """The op's result for more positional arguments than it has."""
    tensors, named = in_order(op.__name__, args)
    defaults = {name: default for name, only, default in op.parameters if only}
    given = {name: value for name, value in keyword.items() if value is not defaults.get(name)}
    return op.caller()(*tensors, **given, **named)
