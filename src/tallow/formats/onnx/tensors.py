"""Tensors of an ONNX file, as views of it where their bytes lie there as elements."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
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


class SparseTensor(StoredTensor):
    """A tensor of which a file has some elements, the others being zero; `data` is made of them."""

    def __init__(self, values: StoredTensor, shape: tuple[int, ...], places: Sequence[int]) -> None:
        """`places` are those of the values in the flat tensor."""
        for name, value in (
            ("name", values.name), ("elem_type", values.elem_type), ("shape", shape),
            ("_values", values), ("_places", places),
        ):  # fmt: skip
            object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        if name != "data":
            raise AttributeError(name)
        given = self._values.data
        if self.type.name == "string":
            texts = [b""] * prod(self.shape)
            for place, text in zip(self._places, given, strict=True):
                texts[place] = text
            return texts
        size = self.type.bits // 8
        raw = bytearray(prod(self.shape) * size)
        for at, place in enumerate(self._places):
            raw[place * size : (place + 1) * size] = given[at * size : (at + 1) * size]
        return raw


def packed_6(codes: Any) -> Any:
    """Bytes of codes of 6 bits, of which the low 6 bits count: one stream, low bits first."""
    import numpy as np

    return np.packbits(np.unpackbits(codes[:, None], 1, 6, "little"), bitorder="little")


def unpacked_6(packed: Any) -> Any:
    """The codes of 6 bits that stand in bytes, and what there is behind them."""
    import numpy as np

    bits = np.unpackbits(packed, bitorder="little")
    return np.packbits(bits[: len(bits) // 6 * 6].reshape(-1, 6), 1, "little").reshape(-1)


def host_array(data: Any, row: ElementType, shape: tuple[int, ...]) -> Any:
    """A numpy array of elements that no Tensor holds."""
    import numpy as np

    if row.name == "string":
        made = np.empty(len(data), object)
        made[:] = [bytes(each).decode("utf-8", "surrogateescape") for each in data]
        return made.reshape(shape)
    if row.name == "complex128":
        return np.frombuffer(data, row.numpy).reshape(shape)
    import ml_dtypes

    kind = np.dtype(getattr(ml_dtypes, row.numpy))
    raw = np.frombuffer(data, "uint8")
    if row.bits == 6:
        raw = unpacked_6(raw)[: prod(shape)]
    elif row.bits < 8:
        shifts = np.arange(8 // row.bits, dtype="uint8") * row.bits
        raw = ((raw[:, None] >> shifts) & ((1 << row.bits) - 1)).astype("uint8").reshape(-1)
        raw = raw[: prod(shape)]
        if row.name in ("int4", "int2"):
            half = 1 << (row.bits - 1)
            return ((raw.astype("int8") ^ half) - half).astype(kind).reshape(shape)
    return raw.view(kind).reshape(shape)
