"""How elementwise rows are made: with a kernel alone, hidden behind options, as operators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._native import IN_PLACE, OPERATOR, SWAPPED
from ..errors import ArgumentError, expect
from ..older_orders import in_order
from ..registry import OPS, Op, op
from ..tensor import Tensor

Rule = Callable[..., Any] | None
Uses = dict[str, tuple[str, ...]] | None


def row(name: str) -> Callable[..., Tensor]:
    """The row of a name, for what is defined further down."""
    found: Callable[..., Tensor] = OPS[name]
    return found


def conj(x: Any) -> Tensor:
    """The complex conjugate, by which gradients of complex numbers go; real ones are themselves."""
    if isinstance(x, Tensor):
        return x.conj() if x.dtype.kind == "c" else x
    found: Any = x.conjugate() if isinstance(x, complex) else x
    number: Tensor = found
    return number


def _signature(name: str, arity: int, doc: str, module: str) -> Callable[..., Tensor]:
    if arity == 1:

        def row(x: Tensor) -> Tensor:
            """Nothing but a kernel."""
    else:

        def row(a: Tensor, b: Tensor | float) -> Tensor:  # type: ignore[misc]  # two arities
            """Nothing but a kernel."""

    row.__name__ = row.__qualname__ = name
    row.__doc__ = doc
    row.__module__ = module  # the room in which the row stands
    return row


def kernel_row(
    module: str, name: str, arity: int, doc: str, rule: Rule = None, uses: Uses = None,
    copied: tuple[str, ...] = (),
) -> None:  # fmt: skip
    """A row whose whole meaning is one line of the .def table, with its gradient rule."""
    row = op(_signature(name, arity, doc, module))
    row.is_primitive = True
    if rule is not None:
        row.grad(uses=uses, copied=copied)(rule)


_QUICK: dict[str, Op[..., Any]] = {}


def quick_row(
    name: str, arity: int, rule: Rule = None, uses: Uses = None, copied: tuple[str, ...] = (),
    kernel: str = "",
) -> Callable[..., Tensor]:  # fmt: skip
    """The caller of a kernel that stands behind a row with options, and is no row for users."""
    row: Op[..., Any] = Op(_signature(name, arity, "", __name__), is_primitive=False)
    row.elementwise = kernel or name
    row.is_primitive = True
    if rule is not None:
        row.grad(uses=uses, copied=copied)(rule)
    _QUICK[name] = row
    caller: Callable[..., Tensor] = row.caller()
    return caller


# `alpha * x` of `add` and its kin: as in torch the node keeps nothing, so it may serve twice.
_scale = quick_row("scale", 2, lambda g, _a, _b: (g * _b, None), kernel="mul")


def times(other: Any, alpha: Any) -> Any:
    """`other * alpha`, where `alpha` is no float for integers; only tensors are checked."""
    if not isinstance(other, Tensor) or not isinstance(alpha, (int, float)):
        return other * alpha
    if isinstance(alpha, float):
        kind = other.dtype.kind
        expect(kind in "fc", "alpha", "an integer for integer tensors", alpha, ArgumentError)
    return _scale(other, alpha)


# --- operators ------------------------------------------------------------------------------------

OPERATORS = {
    "add": ("__add__", "__radd__", "__iadd__"),
    "sub": ("__sub__", "__rsub__", "__isub__"),
    "mul": ("__mul__", "__rmul__", "__imul__"),
    "div": ("__truediv__", "__rtruediv__", "__itruediv__"),
    "floor_divide": ("__floordiv__", "__rfloordiv__", "__ifloordiv__"),
    "remainder": ("__mod__", "__rmod__", "__imod__"),
    "pow": ("__pow__", "__rpow__", "__ipow__"),
    "bitwise_and": ("__and__", "__rand__", "__iand__"),
    "bitwise_or": ("__or__", "__ror__", "__ior__"),
    "bitwise_xor": ("__xor__", "__rxor__", "__ixor__"),
    "bitwise_left_shift": ("__lshift__", "__rlshift__", "__ilshift__"),
    "bitwise_right_shift": ("__rshift__", "__rrshift__", "__irshift__"),
    "eq": ("__eq__",), "ne": ("__ne__",), "lt": ("__lt__",),
    "le": ("__le__",), "gt": ("__gt__",), "ge": ("__ge__",), "matmul": ("__matmul__",),
    "neg": ("__neg__",), "abs": ("__abs__",), "bitwise_not": ("__invert__",),
    "positive": ("__pos__",),
}  # fmt: skip


def install_operators() -> None:
    """Give Tensor Python's operators, and the in-place twins of ops with options."""
    for name, (forward, *others) in OPERATORS.items():
        row = _QUICK.get(name) or OPS[name]
        if row.elementwise is None or len(row.parameters) == 1:
            setattr(Tensor, forward, row.caller())
            continue
        setattr(Tensor, forward, row.caller(OPERATOR))
        if others:
            swapped = _QUICK.get(f"r{name}", row)
            setattr(Tensor, others[0], swapped.caller(OPERATOR | SWAPPED))
            setattr(Tensor, others[1], row.caller(OPERATOR | IN_PLACE))
    # Attributes, as in PyTorch.
    for name in ("real", "imag"):
        setattr(Tensor, name, property(OPS[name].caller()))
    Tensor.add_ = _scaled(_QUICK["add"], "add")  # type: ignore[method-assign]  # installed late
    Tensor.sub_ = Tensor.subtract_ = _scaled(_QUICK["sub"], "sub")  # type: ignore[method-assign]  # so too


def _scaled(row: Op[..., Any], name: str) -> Any:
    change: Any = None

    def call(x: Tensor, other: Any, *older: Any, alpha: float = 1) -> Tensor:
        nonlocal change
        if older:
            tensors, named = in_order(name, (x, other, *older))
            return call(*tensors, **named)
        change = change or row.inplace
        changed: Tensor = change(x, other if alpha == 1 else times(other, alpha))
        return changed

    call.__name__, call.__doc__ = f"{name}_", f"`{name}`, written into the tensor."
    return call
