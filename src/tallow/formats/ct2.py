"""CTranslate2's `model.bin`: named arrays and scalars one after the other, then names of aliases.

Source: https://github.com/OpenNMT/CTranslate2: `python/ctranslate2/specs/model_spec.py` writes it,
`src/models/model.cc` reads it, in all versions so far (1 to 6).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

from tallow import _native
from tallow.dtype import by_name
from tallow.formats.cursor import Cursor
from tallow.formats.mapping import (
    MAX_INT64,
    FileMap,
    TensorFile,
    TensorInfo,
    element_count,
    opening,
    shown,
)

if TYPE_CHECKING:
    from tallow.formats.mapping import Source

VERSIONS: Final = range(1, 7)
_DTYPES: Final = ("f32", "i8", "i16", "i32", "f16", "bf16")  # by their number, from version 4 on
_BY_SIZE: Final = {4: "f32", 2: "i16", 1: "i8"}  # before it, the size of an element had to do
_SCALE: Final = "_scale"


class CT2File(TensorFile):
    """An open CTranslate2 model: `.tensors`, `.tensor(name)`, also under the names of aliases.

    `.metadata` has `spec` (such as "WhisperSpec"; absent in version 1), `revision` of the spec and
    `binary_version`. `.aliases` maps the further names of a variable to the name that it is stored
    by. Scalars, settings of the model among them, are tensors without axes.
    The format aligns nothing, so that about half of the f16 tensors are copied when they are taken.
    """

    def __init__(
        self,
        file: FileMap,
        tensors: dict[str, TensorInfo],
        metadata: dict[str, Any],
        aliases: dict[str, str],
    ) -> None:
        super().__init__(file, tensors)
        self.metadata, self.aliases = metadata, aliases


def open_ct2(source: Source) -> CT2File:
    """Open a CTranslate2 `model.bin` of version 1 to 6 by mapping it; no byte of a tensor is read.

    Raises:
        FormatError: not such a file, of a newer version, damaged, with bytes after its end, with a
            variable that stands twice or an alias of none.
    """
    with opening(source) as file:
        return _parse(file)


def _parse(file: FileMap) -> CT2File:
    cursor = Cursor(file)
    version = cursor.u32("version")
    if version not in VERSIONS:
        wanted = f"{VERSIONS[0]} to {VERSIONS[-1]}, of a CTranslate2 model"
        raise cursor.fail("version", wanted, version)
    metadata: dict[str, Any] = {"binary_version": version, "revision": 1}
    if version >= 2:
        metadata["spec"] = _name(cursor, "spec")
        metadata["revision"] = cursor.u32("revision")
    count = cursor.u32("variable count")
    smallest = 2 + 1 + 1 + 1 + 4  # an empty name, no axes, the dtype, the size
    cursor.need(count * smallest, f"variable count {count}")
    tensors: dict[str, TensorInfo] = {}
    for number in range(count):
        cursor.where = f"variable {number}"
        name = _name(cursor, "name")
        cursor.where = f"variable {shown(name)}"
        if name in tensors:
            raise cursor.fail("name", "a name not used before", "the same name twice")
        tensors[name] = _variable(cursor, name, version)
    cursor.where = ""
    aliases = _aliases(cursor, tensors) if version >= 3 else {}
    if cursor.at != cursor.size:
        raise cursor.fail("end", f"the end at byte {cursor.at}", f"{cursor.size} bytes")
    return CT2File(file, tensors, metadata, aliases)


def _name(cursor: Cursor, field: str) -> str:
    """A string with its length, the NUL at its end included, in front."""
    length = cursor.u16(f"{field} length")
    if length == 0:
        raise cursor.fail(f"{field} length", "1 or more, with the NUL at the end", length)
    raw = cursor.text(length, field)
    if raw.find("\0") != len(raw) - 1:
        raise cursor.fail(field, "text with one NUL, at its end", shown(raw))
    return raw[:-1]


def _variable(cursor: Cursor, name: str, version: int) -> TensorInfo:
    rank = cursor.u8("rank")
    start = cursor.take(4 * rank, "shape")
    shape: tuple[int, ...] = struct.unpack_from(f"<{rank}I", cursor.buffer, start)
    number = cursor.u8("dtype")
    count = cursor.u32("size")
    if version >= 4:
        dtype = _DTYPES[number] if number < len(_DTYPES) else None
        nbytes = count
    else:
        dtype = _BY_SIZE.get(number)
        nbytes = count * number
    if dtype is None:
        known = f"0 to {len(_DTYPES) - 1}" if version >= 4 else "1, 2 or 4 bytes an element"
        raise cursor.fail("dtype", known, number)
    elements = element_count(shape, MAX_INT64 // 8)
    if elements is None or rank > _native.MAX_DIMS:
        wanted = f"at most {_native.MAX_DIMS} axes and fewer than 2^60 elements"
        raise cursor.fail("shape", wanted, shown(shape))
    if nbytes != elements * by_name(dtype).itemsize:
        wanted = f"{elements * by_name(dtype).itemsize} bytes for {dtype} of shape {shown(shape)}"
        raise cursor.fail("size", wanted, nbytes)
    return TensorInfo(name, dtype, shape, cursor.take(nbytes, "data"), nbytes)


def _aliases(cursor: Cursor, tensors: dict[str, TensorInfo]) -> dict[str, str]:
    """Read the aliases and enter them among the tensors."""
    count = cursor.u32("alias count")
    cursor.need(count * 4, f"alias count {count}")
    aliases: dict[str, str] = {}
    for number in range(count):
        cursor.where = f"alias {number}"
        alias, name = _name(cursor, "name"), _name(cursor, "variable")
        cursor.where = f"alias {shown(alias)}"
        if alias in tensors:
            raise cursor.fail("name", "a name not used before", "the same name twice")
        if name not in tensors:
            raise cursor.fail("variable", "the name of a variable", shown(name))
        _add_tensor(tensors, aliases, alias, name)
    cursor.where = ""
    # CTranslate2 lets the scale of a quantised variable go with it.
    for alias, name in list(aliases.items()):
        if name + _SCALE in tensors and alias + _SCALE not in tensors:
            _add_tensor(tensors, aliases, alias + _SCALE, name + _SCALE)
    return aliases


def _add_tensor(
    tensors: dict[str, TensorInfo], aliases: dict[str, str], alias: str, name: str
) -> None:
    info = tensors[name]
    aliases[alias] = info.name
    tensors[alias] = info
