"""Facts about numbers: limits of dtypes, promotion, what a tensor holds."""

from __future__ import annotations

import math
from typing import Any

from . import _native
from .borrowing import unwrap
from .dtype import DTYPES, Default, DType, as_dtype, f32
from .errors import DTypeError, expect
from .tensor import Tensor, unwrap_tensor

# Bits of the fraction, exponent of the largest and of the smallest normal number, the largest.
_FLOATS = {
    "f16": (10, -14, 65504.0),
    "bf16": (7, -126, (2 - 2.0**-7) * 2.0**127),
    "f32": (23, -126, (2 - 2.0**-23) * 2.0**127),
    "f64": (52, -1022, (2 - 2.0**-52) * 2.0**1023),
    "f8e4m3": (3, -6, 448.0),
    "f8e5m2": (2, -14, 57344.0),
    "complex64": (23, -126, (2 - 2.0**-23) * 2.0**127),
}


class finfo:  # noqa: N801  (PyTorch's name)
    """Limits of a float dtype: bits, eps, max, min, tiny, smallest_normal, resolution."""

    def __init__(self, dtype: DType | str = f32) -> None:
        row = as_dtype(dtype)
        expect(row.name in _FLOATS, "finfo", "a float dtype", row.name, DTypeError)
        fraction, low, self.max = _FLOATS[row.name]
        self.dtype = row.name
        self.bits = row.itemsize * (4 if row.kind == "c" else 8)
        self.eps = 2.0**-fraction
        self.min = -self.max
        self.tiny = self.smallest_normal = 2.0**low
        self.resolution = 10.0 ** -int(fraction * math.log10(2))

    def __repr__(self) -> str:
        return f"finfo({self.dtype}: max={self.max:.6g}, eps={self.eps:.6g}, tiny={self.tiny:.6g})"


class iinfo:  # noqa: N801
    """Limits of an integer dtype: bits, max, min."""

    def __init__(self, dtype: DType | str) -> None:
        row = as_dtype(dtype)
        expect(row.kind in "iu", "iinfo", "an integer dtype", row.name, DTypeError)
        self.dtype = row.name
        self.bits = row.itemsize * 8
        signed = row.kind == "i"
        self.min = -(1 << (self.bits - 1)) if signed else 0
        self.max = (1 << (self.bits - signed)) - 1

    def __repr__(self) -> str:
        return f"iinfo({self.dtype}: min={self.min}, max={self.max})"


def is_tensor(value: Any) -> bool:
    """Whether `value` is a Tensor."""
    return isinstance(value, Tensor)


def is_floating_point(x: Tensor) -> bool:
    """Whether `x` holds plain floats."""
    return x.dtype.is_floating_point


def is_complex(x: Tensor) -> bool:
    """Whether `x` holds complex numbers."""
    return x.dtype.kind == "c"


def numel(x: Tensor) -> int:
    """The number of elements of `x`."""
    return unwrap_tensor(x, "numel").size


def promote_types(a: DType | str, b: DType | str) -> DType:
    """The dtype in which elements of `a` and `b` meet."""
    return DTYPES[_native.promote_types(as_dtype(a).code, as_dtype(b).code)]


def result_type(a: Tensor | float, b: Tensor | float) -> DType:
    """The dtype of `a + b`: 0-d tensors and numbers count only by their category."""
    where = "result_type"
    return DTYPES[_native.result_type(unwrap(a, where), unwrap(b, where), where)]


def can_cast(source: DType | str, target: DType | str) -> bool:
    """Whether a conversion keeps the category: bool < integer < float < complex."""
    order = {"b": 0, "u": 1, "i": 1, "f": 2, "c": 3}
    a, b = as_dtype(source), as_dtype(target)
    if a.kind == "i" and b.kind == "u":
        return False
    return order.get(a.kind, 9) <= order.get(b.kind, -1)


def get_default_dtype() -> DType:
    """The dtype of floats made without one: f32, or what `set_default_dtype` says."""
    return Default.float
