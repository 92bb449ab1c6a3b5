"""Conversion of element types."""

from __future__ import annotations

import math
from typing import Any, Final

from tallow import ops
from tallow.dtype import as_dtype
from tallow.errors import ArgumentError, expect
from tallow.formats.onnx.types import TYPES
from tallow.onnx.operators.host import element_type
from tallow.onnx.operators.table import operator
from tallow.tensor import Tensor

_LARGEST: Final = {"f8e4m3": 448.0, "f8e5m2": 57344.0}


@operator("Cast", since=6, host=True)
def cast(x: Any, *, to: int, saturate: int = 1, round_mode: str = "up") -> Any:
    """`x` as another element type; 8-bit floats saturate unless told otherwise."""
    expect(to in TYPES, "Cast", "an element type of ONNX", to, ArgumentError)
    name = TYPES[to].dtype
    if name is not None and isinstance(x, Tensor):
        if name in _LARGEST and x.dtype.name != name:
            x = _in_range(x, _LARGEST[name], bool(saturate))
        return x.to(as_dtype(name))
    from tallow.onnx.operators.casting_host import converted

    return converted(x, to, bool(saturate), round_mode)


def _in_range(x: Tensor, largest: float, saturate: bool) -> Tensor:
    """Floats that 8 bits hold: larger ones are `largest`, or else infinite or NaN."""
    wide = x if x.dtype.kind == "f" and x.dtype.itemsize > 1 else x.to("f32")
    if saturate:
        return ops.clamp(wide, -largest, largest)
    if largest == _LARGEST["f8e5m2"]:
        return wide
    # Half a step above 448, which is even, would be rounded to it; there is no infinity.
    return ops.where(ops.abs(wide) > 464.0, math.nan, wide)


@operator("CastLike", since=15, host=True)
def cast_like(x: Any, target: Any, *, saturate: int = 1, round_mode: str = "up") -> Any:
    """`x` in the element type of another value."""
    return cast(x, to=element_type(target), saturate=saturate, round_mode=round_mode)


@operator("BitCast", since=26, host=True)
def bit_cast(x: Any, *, to: int) -> Any:
    """The bits of `x` as another element type of the same width."""
    expect(to in TYPES, "BitCast", "an element type of ONNX", to, ArgumentError)
    here, there = TYPES[element_type(x)], TYPES[to]
    same = here.bits == there.bits != 0
    expect(same, "BitCast", f"a type of {here.bits} bits", there.name, ArgumentError)
    if isinstance(x, Tensor) and there.dtype is not None:
        return ops.view(x, as_dtype(there.dtype))
    from tallow.onnx.operators.casting_host import recoded

    return recoded(x, to)
