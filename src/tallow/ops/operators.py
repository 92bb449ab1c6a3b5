"""What ops are called besides their names: PyTorch's other names, Python's operators."""

from __future__ import annotations

from ..registry import OPS
from ..tensor import Tensor
from . import elementwise_compare, elementwise_ternary, elementwise_unary  # noqa: F401  (named below)
from .elementwise_binary import reversed_div

ALIASES = {
    "absolute": "abs", "negative": "neg", "arcsin": "asin", "arccos": "acos", "arctan": "atan",
    "arcsinh": "asinh", "arccosh": "acosh", "arctanh": "atanh", "arctan2": "atan2", "fix": "trunc",
    "multiply": "mul", "subtract": "sub", "divide": "div", "clip": "clamp", "greater": "gt",
    "greater_equal": "ge", "less": "lt", "less_equal": "le", "not_equal": "ne",
}  # fmt: skip
OPS.update({alias: OPS[name] for alias, name in ALIASES.items()})

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
    """Give Tensor Python's operators."""
    for name, (forward, *others) in OPERATORS.items():
        op = OPS[name]
        if op.elementwise is None or len(op.parameters) == 1:
            setattr(Tensor, forward, op.caller())
            continue
        setattr(Tensor, forward, op.operator())
        if others:
            swapped = reversed_div if name == "div" else op
            setattr(Tensor, others[0], swapped.operator(swapped=True))
            setattr(Tensor, others[1], op.operator(inplace=True))
    # Attributes, as in PyTorch.
    for name in ("real", "imag"):
        setattr(Tensor, name, property(OPS[name].caller()))
