"""How elementwise ops are made that are a kernel and no more, and what their gradients share."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

from ..registry import OPS, Op, op
from ..tensor import Tensor

Gradient = Callable[..., Any] | None
Uses = dict[str, tuple[str, ...]] | None


def op_named(name: str) -> Callable[..., Tensor]:
    """The op of a name, for what is defined further down."""
    found: Callable[..., Tensor] = OPS[name]
    return found


def conj(x: Any) -> Tensor:
    """The complex conjugate, by which gradients of complex numbers go; real ones are themselves."""
    if isinstance(x, Tensor):
        return x.conj() if x.dtype.kind == "c" else x
    found: Any = x.conjugate() if isinstance(x, complex) else x
    number: Tensor = found
    return number


def _unary(x: Tensor) -> Tensor:
    """A primitive."""
    ...


def _binary(a: Tensor, b: Tensor | float) -> Tensor:
    """A primitive."""
    ...


def _ternary(a: Tensor, b: Tensor | float, c: Tensor | float) -> Tensor:
    """A primitive."""
    ...


def _signature(name: str, arity: int, doc: str, module: str) -> Callable[..., Tensor]:
    like: Any = (_unary, _binary, _ternary)[arity - 1]
    made = FunctionType(like.__code__, {}, name)
    made.__annotations__ = like.__annotations__
    made.__doc__ = doc
    made.__module__ = module  # the op module in which the op stands
    return made


def define_elementwise(
    module: str, name: str, arity: int, doc: str, gradient: Gradient = None, uses: Uses = None,
    copied: tuple[str, ...] = (),
) -> None:  # fmt: skip
    """An op that is one line of csrc/ops/elementwise.def, with its gradient."""
    made = op(_signature(name, arity, doc, module))
    if gradient is not None:
        made.grad(uses=uses, copied=copied)(gradient)


def internal_op(
    name: str, arity: int, gradient: Gradient = None, uses: Uses = None,
    copied: tuple[str, ...] = (), kernel: str = "",
) -> Op[..., Tensor]:  # fmt: skip
    """An op of an elementwise kernel that other ops are made of, and that users cannot name."""
    made: Op[..., Tensor] = Op(_signature(name, arity, "", __name__))
    made.kernel(kernel or name)
    if gradient is not None:
        made.grad(uses=uses, copied=copied)(gradient)
    return made
