"""Elementwise ops: a line in `csrc/ops/elementwise.def` is the kernel, the body the meaning."""

from __future__ import annotations

import math
from collections.abc import Callable

from .. import _native
from ..errors import DTypeError, expect
from ..registry import ROWS, op, primitive
from ..tensor import Tensor, broadcast_shapes, ones_like, unwrap, unwrap_tensor, wrap


def _kernel_only(name: str, arity: int, doc: str) -> None:
    """A row whose whole meaning is one line of the .def table."""
    if arity == 1:

        def row(x: Tensor) -> Tensor:
            raise AssertionError(name)
    else:

        def row(a: Tensor, b: Tensor | float) -> Tensor:  # type: ignore[misc]
            raise AssertionError(name)

    row.__name__, row.__doc__ = name, doc
    op(row).is_primitive = True


for _name, _arity, _doc in (
    ("neg", 1, "`-x`."),
    ("abs", 1, "The absolute value."),
    ("sign", 1, "-1, 0 or 1; NaN stays NaN."),
    ("reciprocal", 1, "`1 / x`, as a float."),
    ("exp", 1, "e to the power `x`."),
    ("expm1", 1, "`exp(x) - 1`, exact near 0."),
    ("log", 1, "The natural logarithm; NaN below 0."),
    ("log1p", 1, "`log(1 + x)`, exact near 0."),
    ("sqrt", 1, "The square root; NaN below 0."),
    ("sin", 1, "The sine of radians."),
    ("cos", 1, "The cosine of radians."),
    ("tanh", 1, "The hyperbolic tangent."),
    ("erf", 1, "The error function."),
    ("add", 2, "`a + b`, broadcast and promoted as in PyTorch."),
    ("sub", 2, "`a - b`, broadcast and promoted as in PyTorch."),
    ("mul", 2, "`a * b`, broadcast and promoted as in PyTorch."),
    ("div", 2, "`a / b` as a float, broadcast."),
    ("pow", 2, "`a` to the power `b`, as a float."),
    ("maximum", 2, "The larger of `a` and `b`; NaN in either wins."),
    ("minimum", 2, "The smaller of `a` and `b`; NaN in either wins."),
    ("eq", 2, "Whether `a == b`."),
    ("ne", 2, "Whether `a != b`."),
    ("lt", 2, "Whether `a < b`."),
    ("le", 2, "Whether `a <= b`."),
    ("gt", 2, "Whether `a > b`."),
    ("ge", 2, "Whether `a >= b`."),
    ("bitwise_and", 2, "`a & b` of integers or bools."),
    ("bitwise_or", 2, "`a | b` of integers or bools."),
    ("bitwise_xor", 2, "`a ^ b` of integers or bools."),
):
    _kernel_only(_name, _arity, _doc)


@op
def square(x: Tensor) -> Tensor:
    """`x * x`."""
    return x * x


@op
def rsqrt(x: Tensor) -> Tensor:
    """`1 / sqrt(x)`."""
    return x.sqrt().reciprocal()


@op
def relu(x: Tensor) -> Tensor:
    """`x` where it is positive, else 0."""
    return x.maximum(0)


@op
def sigmoid(x: Tensor) -> Tensor:
    """`1 / (1 + exp(-x))`."""
    return ((-x).exp() + 1).reciprocal()


@op
def silu(x: Tensor) -> Tensor:
    """`x * sigmoid(x)`."""
    return x * x.sigmoid()


@op
def gelu(x: Tensor) -> Tensor:
    """`x * Phi(x)` with the Gaussian distribution function, exactly (by erf)."""
    return x * 0.5 * ((x * math.sqrt(0.5)).erf() + 1)


@op
def gelu_tanh(x: Tensor) -> Tensor:
    """GELU by its tanh approximation (Hendrycks & Gimpel 2016)."""
    return x * 0.5 * ((x + x * x * x * 0.044715).__mul__((2 / 3.141592653589793) ** 0.5).tanh() + 1)


@op
def silu_mul(gate: Tensor, up: Tensor) -> Tensor:
    """`silu(gate) * up` in one pass: the middle of a gated MLP."""
    return gate.silu() * up


@op
def clamp(x: Tensor, min: float | None = None, max: float | None = None) -> Tensor:
    """`x` limited to [min, max]; either bound may be left out."""
    out = x if min is None else x.maximum(min)
    return out if max is None else out.minimum(max)


@op
def logical_not(x: Tensor) -> Tensor:
    """Whether `x` is zero."""
    return x.eq(0)


@op
def bitwise_not(x: Tensor) -> Tensor:
    """Every bit of an integer, or a bool, inverted."""
    expect(x.dtype.kind in "biu", bitwise_not, "integers or bool", x.dtype.name, DTypeError)
    return x.eq(0) if x.dtype.kind == "b" else x.neg() - ones_like(x)


@op
def isnan(x: Tensor) -> Tensor:
    """Whether `x` is not a number."""
    return x.ne(x)


_where = _native.kernel("where")


@primitive
def where(condition: Tensor, a: Tensor | float, b: Tensor | float) -> Tensor:
    """`a` where `condition` is true, else `b`; broadcast and promoted."""
    mask = unwrap_tensor(condition, where)
    expect(condition.dtype.kind == "b", where, "a bool condition", condition.dtype.name, DTypeError)
    pair = [x._array if isinstance(x, Tensor) else unwrap(x, "where") for x in (a, b)]
    code = _native.result_type(pair[0], pair[1], "where")
    sources = [
        x.cast(code) if isinstance(x, _native.Array) else _native.Array.full((), x, code)
        for x in pair
    ]
    shape = mask.shape
    for source in sources:
        shape = broadcast_shapes(shape, source.shape, where)
    out = _native.Array.empty(shape, code)
    _where(out, mask.expand(shape), *(source.expand(shape) for source in sources))
    return wrap(out)


OPERATORS = {
    "add": ("__add__", "__radd__", "__iadd__"),
    "sub": ("__sub__", "__rsub__", "__isub__"),
    "mul": ("__mul__", "__rmul__", "__imul__"),
    "div": ("__truediv__", "__rtruediv__", "__itruediv__"),
    "pow": ("__pow__", "__rpow__", "__ipow__"),
    "bitwise_and": ("__and__", "__rand__", "__iand__"),
    "bitwise_or": ("__or__", "__ror__", "__ior__"),
    "bitwise_xor": ("__xor__", "__rxor__", "__ixor__"),
    "eq": ("__eq__",), "ne": ("__ne__",), "lt": ("__lt__",),
    "le": ("__le__",), "gt": ("__gt__",), "ge": ("__ge__",), "matmul": ("__matmul__",),
    "neg": ("__neg__",), "abs": ("__abs__",), "bitwise_not": ("__invert__",),
}  # fmt: skip


def install_operators() -> None:
    """Give Tensor Python's operators."""
    for name, (forward, *others) in OPERATORS.items():
        row = ROWS[name]
        call = row.caller()
        setattr(Tensor, forward, call)
        if others:
            setattr(Tensor, others[0], _swapped(call))
            setattr(Tensor, others[1], row.inplace)


def _swapped(call: Callable[..., Tensor]) -> Callable[[Tensor, Tensor | float], Tensor]:
    def swapped(b: Tensor, a: Tensor | float) -> Tensor:
        return call(a, b)

    return swapped
