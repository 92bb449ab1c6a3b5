"""Values that are no tensors: numpy arrays of strings, complex128, 4 and 2 bits, some 8-bit floats.

A row with `host=True` may be given such arrays, beside tensors. It begins with one question:

    @operator("Transpose", host=True)
    def transpose(x: Any, *, perm: Sequence[int] | None = None) -> Any:
        if on_host(x):
            return as_value(x.transpose(perm))
        return x.permute(...)

`on_host(*values)` tells whether one of them is a numpy array; `arrays(*values)` gives all of them
as numpy arrays (None stays None); `as_value` makes a value of a result again: a Tensor if tensors
have its dtype. Strings are arrays of objects. numpy's own functions take ml_dtypes' 4-bit numbers
where they only move elements; for arithmetic convert them (`astype`) to a wider dtype first.
`element_type` is the code (of `formats/onnx/types.py`) of a value's dtype, and `numpy_dtype` the
numpy dtype for a code.
"""

from __future__ import annotations

from typing import Any

from tallow.errors import ArgumentError, expect
from tallow.formats.onnx.types import OF_DTYPE, OF_NUMPY, TYPES
from tallow.onnx.values import as_numpy, as_value
from tallow.tensor import Tensor

__all__ = ["arrays", "as_numpy", "as_value", "element_type", "numpy_dtype", "on_host"]


def on_host(*values: Any) -> bool:
    """Whether one of the values is a numpy array."""
    return any(type(value).__module__ == "numpy" for value in values)


def arrays(*values: Any) -> list[Any]:
    """Values as numpy arrays; None stays None."""
    return [as_numpy(value) for value in values]


def element_type(value: Any) -> int:
    """ONNX's code for the elements of a Tensor or a numpy array."""
    if isinstance(value, Tensor):
        return OF_DTYPE[value.dtype.name]
    return OF_NUMPY[value.dtype.name]


def numpy_dtype(code: int) -> Any:
    """The numpy dtype for an element type: numpy's own, or one of ml_dtypes."""
    import numpy as np

    expect(code in TYPES, "element type", "a code of ONNX", code, ArgumentError)
    name = TYPES[code].numpy
    if not hasattr(np, name):
        import ml_dtypes

        return np.dtype(getattr(ml_dtypes, name))
    return np.dtype(name)
