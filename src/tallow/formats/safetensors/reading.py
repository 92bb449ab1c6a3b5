"""Open a safetensors file: the header is read, the tensors are mapped."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from tallow.errors import FormatError
from tallow.formats.mapping import FileMap, TensorFile, TensorInfo, opening
from tallow.formats.safetensors.header import check_length, read_header

if TYPE_CHECKING:
    from tallow.formats.mapping import Source


class SafetensorsFile(TensorFile):
    """An open safetensors file: `.metadata` (text by key), `.tensors`, `.tensor(name)`."""

    def __init__(
        self, file: FileMap, tensors: dict[str, TensorInfo], metadata: dict[str, str]
    ) -> None:
        super().__init__(file, tensors)
        self.metadata = metadata


def open_safetensors(source: Source) -> SafetensorsFile:
    """Open a safetensors file by mapping it; only the header is read.

    `source` is a path or the content as a bytes-like object, which is borrowed. Dtypes that Tallow
    computes nothing with (F4, F6_E2M3, F6_E3M2, F8_E8M0, F8_E4M3FNUZ, F8_E5M2FNUZ) come as `u8`
    with the bytes as they stand; `tensors[name].stored` tells the dtype and shape of the file.

    What the official package refuses is refused: tensors that overlap, leave holes, leave bytes at
    the end, do not fit their shape or end within a byte. Refused beyond it are: a key that stands
    twice, where the official package takes the last one; a tensor described by a list instead of an
    object; a length of 2^63 or more along an axis of an empty tensor; an entry with unknown keys
    that is longer than 64 Ki characters.

    Raises:
        FormatError: not a safetensors file, or damaged.
    """
    with opening(source) as file:
        if file.size < 8:
            raise FormatError(file.path, "header length", "8 bytes", f"a file of {file.size}")
        (stated,) = struct.unpack_from("<Q", file.buffer)
        length = check_length(file.path, stated, file.size)
        raw = bytes(file.buffer[8 : 8 + length])
        tensors, metadata = read_header(file.path, raw, file.size)
        return SafetensorsFile(file, tensors, metadata)
