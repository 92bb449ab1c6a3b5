"""Comparison, logic and bits, elementwise."""

from __future__ import annotations

from ..errors import NoKernelError, expect
from ..factories import full
from ..registry import op
from ..tensor import Tensor
from .elementwise_ops import define_elementwise

for _name, _doc in (
    ("logical_not", "Whether `x` is zero."),
    ("signbit", "Whether the sign bit is set: below 0, or -0.0."),
):
    define_elementwise(__name__, _name, 1, _doc)

for _name, _doc in (
    ("eq", "Whether `a == b`."),
    ("ne", "Whether `a != b`."),
    ("lt", "Whether `a < b`."),
    ("le", "Whether `a <= b`."),
    ("gt", "Whether `a > b`."),
    ("ge", "Whether `a >= b`."),
    ("logical_and", "Whether both are nonzero."),
    ("logical_or", "Whether one is nonzero, or both are."),
    ("logical_xor", "Whether exactly one is nonzero."),
    ("bitwise_and", "`a & b` of integers or bools."),
    ("bitwise_or", "`a | b` of integers or bools."),
    ("bitwise_xor", "`a ^ b` of integers or bools."),
    ("bitwise_left_shift", "`a << b` of integers; 0 when no bit is left."),
    ("bitwise_right_shift", "`a >> b` of integers; the sign when no bit is left."),
):
    define_elementwise(__name__, _name, 2, _doc)


@op(inplace=True)
def bitwise_not(x: Tensor) -> Tensor:
    """Every bit of an integer, or a bool, inverted."""
    expect(x.dtype.kind in "biu", bitwise_not, "integers or bool", x.dtype.name, NoKernelError)
    return (
        x.logical_not()
        if x.dtype.kind == "b"
        else x.bitwise_xor(
            ~0 if x.dtype.kind == "i" else full((), (1 << 8 * x.itemsize) - 1, x.dtype)
        )
    )
