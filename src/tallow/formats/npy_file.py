"""numpy's `.npy` files without numpy: one array each; `.npz`, an archive of them, is in `npz`.

Source: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html. Nothing in a file is
evaluated or unpickled: arrays of objects are refused by name.
"""

from __future__ import annotations

import math
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from tallow.dtype import by_name
from tallow.errors import ArgumentError, FormatError, expect
from tallow.formats.arrays import alignment_of, borrow, swapped
from tallow.formats.lazy import LazyTensor, described, written
from tallow.formats.mapping import FileMap, TensorFile, TensorInfo, opening
from tallow.formats.npy_header import (
    FIRST,
    VOIDS,
    NpyHeader,
    encode_header,
    head_length,
    parse_header,
)
from tallow.formats.writing import write_to
from tallow.lazy_dataclasses import dataclass

if TYPE_CHECKING:
    from tallow.formats.mapping import Source
    from tallow.formats.writing import Target
    from tallow.tensor import Tensor

NAME: Final = "arr_0"  # what numpy calls an array without a name


@dataclass(frozen=True, slots=True)
class NpyInfo(TensorInfo):
    """A `TensorInfo` of an array that may be stored in another order than row-major, little-endian.

    `fortran`: its first axis runs fastest; `swapped`: its numbers are big-endian. `offset` is where
    its bytes lie in the file, or its compressed bytes if it is compressed.
    """

    fortran: bool = False
    swapped: bool = False

    @staticmethod
    def of(name: str, header: NpyHeader, offset: int) -> NpyInfo:
        """The info of an array whose bytes begin at `offset`."""
        return NpyInfo(
            name,
            header.dtype,
            header.shape,
            offset,
            header.nbytes,
            fortran=header.fortran,
            swapped=header.swapped,
        )


def array_of(info: NpyInfo, buffer: Any, offset: int) -> Tensor:
    """The tensor that `info` describes, on the bytes of `buffer` from `offset` on.

    They are borrowed if they lie at an address that suits the dtype and are little-endian; one in
    Fortran order is a transposed view. Others are copied.
    """
    if info.swapped:
        raw = memoryview(buffer)[offset : offset + info.nbytes]
        buffer, offset = swapped(raw, alignment_of(info.dtype)), 0
    if not info.fortran:
        return borrow(buffer, info.dtype, info.shape, offset)
    axes = tuple(range(len(info.shape)))[::-1]
    return borrow(buffer, info.dtype, info.shape[::-1], offset).permute(axes)


def row_major(info: NpyInfo, tensor: Tensor, stored: memoryview) -> memoryview:
    """The bytes of an array in row-major order, little-endian: those in the file where they are."""
    from tallow.tensor import tobytes

    plain = not info.swapped and (not info.fortran or len(info.shape) < 2)
    return stored if plain else memoryview(tobytes(tensor))


class NpyFile(TensorFile):
    """An open `.npy` file: one tensor, called `arr_0`; `.metadata` is empty."""

    def __init__(self, file: FileMap, info: NpyInfo) -> None:
        super().__init__(file, {NAME: info})
        self._info = info
        self.metadata: dict[str, str] = {}

    def tensor(self, name: str = NAME) -> Tensor:
        """The array; without a copy unless it is big-endian or lies at an odd address.

        Raises:
            ArgumentError: the file was closed.
            FormatError: another name, or the file has been shortened since it was opened.
        """
        buffer, _ = self._locate(name)
        return array_of(self._info, buffer, self._info.offset)

    def data(self, name: str = NAME) -> memoryview:
        """The bytes of the array in row-major order, little-endian; errors as of `tensor`."""
        return row_major(self._info, self.tensor(name), super().data(name))


def check_void(where: str, void: str | None) -> None:
    """Refuse a `void` that is none of the dtypes that numpy keeps as raw bytes."""
    wanted = f"void as one of {', '.join(VOIDS)}"
    expect(void is None or void in VOIDS, where, wanted, repr(void), ArgumentError)


def open_npy(source: Source, *, void: str | None = None) -> NpyFile:
    """Open an `.npy` file of version 1, 2 or 3 by mapping it; only the head is read.

    bool, integers, f16, f32, f64 and complex64 are understood, in either byte order, in C or
    Fortran order. numpy keeps bf16 and the f8 types of ml_dtypes as bytes without a name (`|V2`,
    `|V1`): `void` says which of "bf16", "f8e4m3", "f8e5m2" they are.

    Raises:
        ArgumentError: another `void`.
        FormatError: not such a file, damaged, with bytes after the array, or an array of objects,
            text, dates, structures or other numbers.
    """
    check_void("open_npy", void)
    with opening(source) as file:
        length = head_length(file.path, "", bytes(file.buffer[:FIRST]))
        if length > file.size:
            raise FormatError(file.path, "header", f"{length} bytes", file.size)
        header = parse_header(file.path, "", bytes(file.buffer[:length]), void)
        end = header.length + header.nbytes
        if end != file.size:
            wanted = f"{header.nbytes} bytes after the header, for {header.dtype} {header.shape}"
            raise FormatError(file.path, "data", wanted, file.size - header.length)
        return NpyFile(file, NpyInfo.of(NAME, header, header.length))


def save_npy(tensor: Tensor | LazyTensor, path: Target, *, void: bool = False) -> None:
    """Write one array as `.npy`, byte for byte as `numpy.save` does; whole or not at all.

    `path` may be an open binary file.

    `void` permits bf16 and f8 tensors: as numpy has no name for them, they are written as raw
    bytes (`<V2`, `<V1`) and come back by `numpy.load(…).view(ml_dtypes.bfloat16)`.

    Raises:
        DTypeError: a dtype that `.npy` lacks.
        FormatError: the file cannot be written.
    """
    dtype, shape = described(tensor)
    head = encode_header("save_npy", dtype, shape, void=void)
    nbytes = math.prod(shape) * by_name(dtype).itemsize
    write_to(path, chain((head,), written("save_npy", tensor, nbytes)))
