"""Messages of tensors become stored tensors: raw, typed, external and sparse elements, checked."""

from __future__ import annotations

from array import array
from itertools import pairwise
from typing import Any, Final

from tallow.errors import FormatError
from tallow.formats.mapping import MAX_INT64, element_count, shown
from tallow.formats.onnx.external import ExternalData
from tallow.formats.onnx.tensors import SparseTensor, StoredTensor, packed_6
from tallow.formats.onnx.types import CODES, TYPES
from tallow.formats.protobuf import Record

# Bytes that sparse tensors may take as dense ones: so many, and a multiple of the file's.
_DENSE_BYTES: Final = 16 << 20
_DENSE_MULTIPLE: Final = 256
_MOST_AXES: Final = 12  # that tensors may have


class TensorReader:
    """Reads the tensors of one file."""

    def __init__(self, path: str, size: int, external: ExternalData) -> None:
        self._path, self._external = path, external
        self._dense_left = _DENSE_BYTES + _DENSE_MULTIPLE * size

    def tensor(self, record: Record, owner: str) -> StoredTensor:
        """The tensor of a TensorProto; `owner` is what errors call it."""
        code, shape = record.get("data_type", 0), tuple(record.get("dims", ()))
        row = TYPES.get(code)
        if row is None:
            raise FormatError(self._path, f"{owner} data_type", "a type of ONNX", code)
        count = self._count(shape, owner)
        if row.name == "string":
            if record.get("data_location", 0) == 1:
                raise FormatError(self._path, owner, "strings in the model", "external data")
            data: Any = record.get("string_data", [])
            self._expect(len(data), count, "strings", shape, owner)
            return StoredTensor(record.get("name", ""), code, shape, data)
        nbytes = (count * row.bits + 7) // 8
        if record.get("data_location", 0) == 1:
            entries = {
                e.get("key", ""): e.get("value", "") for e in record.get("external_data", [])
            }
            data = self._external.read(entries, nbytes, owner)
        else:
            data = record.get("raw_data")
            if data is None:
                data = _typed(record.get(row.field), code)
            if len(data) != nbytes:
                self._expect(len(data), nbytes, "bytes", shape, owner)
        return StoredTensor(record.get("name", ""), code, shape, data)

    def sparse(self, record: Record, owner: str) -> StoredTensor:
        """The tensor of a SparseTensorProto, under the name of its values."""
        values = self.tensor(record.get("values", {}), owner)
        indices = self.tensor(record.get("indices", {}), f"{owner} indices")
        shape = tuple(record.get("dims", ()))
        count, row = self._count(shape, owner), values.type
        if row.bits % 8:
            raise FormatError(self._path, owner, "elements of whole bytes", f"sparse {row.name}")
        self._dense_left -= count * max(row.bits // 8, 8 if row.name == "string" else 1)
        if self._dense_left < 0:
            wanted = "a sparse tensor that is small enough to be read as a dense one"
            raise FormatError(self._path, owner, wanted, f"the shape {shown(shape)}")
        places = self._places(indices, values.shape, shape, owner)
        if any(a >= b for a, b in pairwise(places)):
            raise FormatError(self._path, f"{owner} indices", "ascending ones", "others")
        if places and not (places[0] >= 0 and places[-1] < count):
            at = places[-1] if places[0] >= 0 else places[0]
            raise FormatError(self._path, f"{owner} indices", f"places of {shown(shape)}", at)
        return SparseTensor(values, shape, places)

    def _places(
        self, indices: StoredTensor, values: tuple[int, ...], shape: tuple[int, ...], owner: str
    ) -> Any:
        """Places in the flat tensor, from places or from an index for each axis."""
        if indices.elem_type != CODES["int64"]:
            raise FormatError(self._path, f"{owner} indices", "int64", indices.type.name)
        found = array("q", bytes(indices.data))
        if len(values) == 1 and indices.shape == values:
            return found
        rank = len(shape)
        if len(values) != 1 or indices.shape != (values[0], rank):
            wanted = f"indices of shape {(*values,)} or {(*values, rank)} for values {values}"
            raise FormatError(self._path, f"{owner} indices", wanted, shown(indices.shape))
        flat = [0] * values[0]
        for axis, length in enumerate(shape):
            along = found[axis::rank]
            if any(not 0 <= each < length for each in along):
                raise FormatError(
                    self._path, f"{owner} indices", f"below {length} on axis {axis}", "others"
                )
            flat = [place * length + each for place, each in zip(flat, along, strict=True)]
        return array("q", flat)

    def _count(self, shape: tuple[int, ...], owner: str) -> int:
        lengths = tuple(filter(None, shape))  # an empty tensor may have long axes, too
        count = element_count(lengths, MAX_INT64 // 16) if min(lengths, default=0) >= 0 else None
        if len(shape) > _MOST_AXES:
            raise FormatError(self._path, f"{owner} dims", f"at most {_MOST_AXES}", len(shape))
        if count is None:
            raise FormatError(self._path, f"{owner} dims", "lengths of a tensor", shown(shape))
        return count if len(lengths) == len(shape) else 0

    def _expect(self, got: int, wanted: int, what: str, shape: tuple[int, ...], owner: str) -> None:
        if got != wanted:
            raise FormatError(self._path, owner, f"{wanted} {what} for {shown(shape)}", got)


def _typed(values: Any, code: int) -> memoryview:
    """Bytes of elements that stand as numbers in a field that may be wider than they are.

    Elements of 2 and 4 bits are packed: each number of the field is a byte of several. Of those of
    6 bits each is a number, and they are packed here.
    """
    if values is None:
        return memoryview(b"")
    row, view = TYPES[code], memoryview(values)
    size = max(row.bits // 8, 1)
    raw = view.cast("B")
    if row.field in ("float_data", "double_data") or size == view.itemsize:
        return raw
    # The low bytes of each number, which come first.
    if row.bits == 6:
        import numpy as np

        return memoryview(packed_6(np.frombuffer(raw, np.uint8)[:: view.itemsize])).cast("B")
    narrow = raw if size == 1 else raw.cast("H" if size == 2 else "I")
    return memoryview(narrow[:: view.itemsize // size].tobytes())
