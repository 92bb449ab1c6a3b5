"""Tensors of an ONNX file, as views of it where their bytes lie there as elements."""

from __future__ import annotations

from typing import Any

from tallow.formats.onnx.types import TYPES, ElementType
from tallow.lazy_dataclasses import dataclass


@dataclass(frozen=True, eq=False)
class StoredTensor:
    """A tensor in a file: its elements are read by `value`.

    `data` holds little-endian elements (packed, if they are smaller than a byte), of strings a list
    of bytes.
    """

    name: str
    elem_type: int
    shape: tuple[int, ...]
    data: Any

    @property
    def type(self) -> ElementType:
        """The row of its element type."""
        return TYPES[self.elem_type]

    def value(self) -> Any:
        """A Tensor on the file's memory, or a numpy array where there is no such dtype."""
        row = self.type
        if row.dtype is not None:
            from tallow.formats import arrays

            return arrays.borrow(self.data, row.dtype, self.shape, 0)
        return host_array(self.data, row, self.shape)


def host_array(data: Any, row: ElementType, shape: tuple[int, ...]) -> Any:
    """A numpy array of elements that no Tensor holds."""
    import ml_dtypes
    import numpy as np

    if row.name == "string":
        texts = [bytes(each).decode("utf-8") for each in data]
        made = np.empty(len(texts), object)
        made[:] = texts
        return made.reshape(shape)
    kind = np.dtype(getattr(ml_dtypes, row.numpy, row.numpy))
    raw = np.frombuffer(data, "uint8")
    if row.bits < 8:
        parts = 8 // row.bits
        shifts = np.arange(parts, dtype="uint8") * row.bits
        raw = ((raw[:, None] >> shifts) & ((1 << row.bits) - 1)).astype("uint8").reshape(-1)
        count = 1
        for length in shape:
            count *= length
        raw = raw[:count]
        if row.name in ("int4", "int2"):
            half = 1 << (row.bits - 1)
            return ((raw.astype("int8") ^ half) - half).astype(kind).reshape(shape)
    return raw.view(kind).reshape(shape)
