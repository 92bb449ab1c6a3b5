"""Numbers that are known while a graph is computed or captured, and follow from no input."""

from __future__ import annotations

from typing import Any

from tallow import _native
from tallow.dtype import DType, as_dtype
from tallow.errors import ArgumentError, expect
from tallow.formats.onnx.types import TYPES
from tallow.tensor import Tensor


def number_of(x: Tensor) -> Any:
    """The number that a tensor of one element is; None where an input decides it.

    Kernels with numbers (`clamp`) are faster than those with tensors, and constants of a graph are
    tensors: a row asks for each whether it may use the former.
    """
    if x.numel() != 1 or x.is_meta or x.requires_grad:
        return None
    if _native.capturing() and _native.depends_on_input(x._array):
        return None
    return x.item()


def dtype_of(code: int, where: str) -> DType:
    """Our dtype for an element type of ONNX, where an attribute must name one that tensors have."""
    row = TYPES.get(code)
    if row is None or row.dtype is None:
        expect(False, where, "an element type of tensors", row.name if row else code, ArgumentError)
    assert row is not None
    assert row.dtype is not None
    return as_dtype(row.dtype)
