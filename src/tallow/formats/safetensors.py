"""safetensors, the format of Hugging Face: a JSON header of names, dtypes, shapes, then the bytes.

Source: https://github.com/huggingface/safetensors (README, `safetensors/src/tensor.rs`).
"""

from __future__ import annotations

import json
import math
import os
import re
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self

from tallow.errors import ArgumentError, DTypeError, FormatError
from tallow.formats.mapping import (
    MAX_INT64,
    FileMap,
    TensorFile,
    TensorInfo,
    element_count,
    replace_file,
    shown,
    unknown_name,
)

if TYPE_CHECKING:
    from tallow.tensor import Tensor

MAX_HEADER: Final = 100_000_000  # bytes, as in the official package
_MAX_ENTRY = 65_536  # characters in an entry of the header that is not written in the usual way

# The file's dtype name → ours and its bytes per element.
DTYPES: Final[dict[str, tuple[str, int]]] = {
    "BOOL": ("bool", 1),
    "U8": ("u8", 1),
    "I8": ("i8", 1),
    "F8_E4M3": ("f8e4m3", 1),
    "F8_E5M2": ("f8e5m2", 1),
    "I16": ("i16", 2),
    "U16": ("u16", 2),
    "F16": ("f16", 2),
    "BF16": ("bf16", 2),
    "I32": ("i32", 4),
    "U32": ("u32", 4),
    "F32": ("f32", 4),
    "I64": ("i64", 8),
    "U64": ("u64", 8),
    "F64": ("f64", 8),
}
_DTYPES_BACK = {ours: (theirs, size) for theirs, (ours, size) in DTYPES.items()}

_SPACES = (" ", "\t", "\n", "\r")
_S = r"[ \t\n\r]*"
_SPACE = re.compile(_S)
_STRING = re.compile(rf'{_S}"([^"\\\x00-\x1f]*)"')  # without escapes
_NUMBER = "(?:0|[1-9][0-9]{0,19})"
# The value of one tensor as every writer writes it; anything else takes the slower way.
_ENTRY = re.compile(
    rf'\{{{_S}"dtype"{_S}:{_S}"([A-Z0-9_]+)"{_S},{_S}"shape"{_S}:{_S}\[([0-9, \t\n\r]{{0,4096}})\]'
    rf'{_S},{_S}"data_offsets"{_S}:{_S}\[{_S}({_NUMBER}){_S},{_S}({_NUMBER}){_S}\]{_S}\}}'
)
_SHAPE = re.compile(rf"{_S}(?:{_NUMBER}{_S}(?:,{_S}{_NUMBER}{_S})*)?")


class _Json:
    """Reads a JSON object entry by entry: `json.loads` of a hostile one takes 25 times its size."""

    def __init__(self, path: str, field: str, text: str) -> None:
        self.path, self.field, self.text, self.at = path, field, text, 0

    def fail(self, expected: str, got: object) -> NoReturn:
        raise FormatError(self.path, self.field, expected, got)

    def peek(self) -> str:
        """Step over white space and return the next character, "" at the end."""
        character = self.text[self.at : self.at + 1]
        if character in _SPACES:
            match = _SPACE.match(self.text, self.at)
            assert match is not None
            self.at = match.end()
            character = self.text[self.at : self.at + 1]
        return character

    def token(self, wanted: str) -> str:
        """Step over one of the characters `wanted` and return it."""
        found = self.peek()
        if not found or found not in wanted:
            names = " or ".join(map(repr, wanted))
            self.fail(f"{names} at character {self.at}", shown(found) if found else "the end")
        self.at += 1
        return found

    def string(self) -> str:
        plain = _STRING.match(self.text, self.at)
        if plain:
            self.at = plain.end()
            return plain[1]
        if self.peek() != '"':
            self.fail(f"a string at character {self.at}", shown(self.text[self.at : self.at + 20]))
        try:
            value, self.at = _DECODER.raw_decode(self.text, self.at)
            value.encode()
        except UnicodeEncodeError:
            self.fail("text without lone surrogates", shown(value))
        except ValueError as error:
            self.fail("valid JSON", error)
        return str(value)

    def value(self) -> Any:
        """Parse any value of at most 64 Ki characters, trying short pieces first."""
        self.peek()
        size, reason = 512, ""
        while size <= _MAX_ENTRY:
            piece = self.text[self.at : self.at + size]
            try:
                value, end = _DECODER.raw_decode(piece)
            except (ValueError, RecursionError) as error:
                reason = str(error)
            else:
                if end < size or piece[-1] in ']}"':  # not a number cut in two
                    self.at += end
                    return value
            size *= 8
        return self.fail(f"a JSON value of at most {_MAX_ENTRY} characters", reason)

    def entries(self) -> Iterator[str]:
        """Each key of the object that begins here; the caller reads the value before the next."""
        self.token("{")
        seen: set[str] = set()
        if self.peek() == "}":
            self.at += 1
            return
        while True:
            key = self.string()
            if key in seen:
                self.fail("a key that was not used before", f"{shown(key)} twice")
            seen.add(key)
            self.token(":")
            self.peek()
            yield key
            if self.token(",}") == "}":
                return

    def end(self) -> None:
        if self.peek():
            self.fail("nothing after the object", shown(self.text[self.at : self.at + 20]))


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice in an object")
    return found


def _integer(digits: str) -> int:
    return -1 if digits[0] == "-" else int(digits)  # -0 is no count either


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_pairs, parse_int=_integer, parse_constant=_constant)


class SafetensorsFile(TensorFile):
    """An open safetensors file: `.metadata` (text by key), `.tensors`, `.tensor(name)`."""

    def __init__(
        self, file: FileMap, tensors: dict[str, TensorInfo], metadata: dict[str, str]
    ) -> None:
        super().__init__(file, tensors)
        self.metadata = metadata


def open_safetensors(path: str | os.PathLike[str]) -> SafetensorsFile:
    """Open a safetensors file by mapping it; only the header is read.

    What the official package refuses is refused: tensors that overlap, leave holes, leave bytes at
    the end or do not fit their shape. Beyond it, refused are a key that stands twice, a dtype that
    Tallow lacks and an entry that is a list instead of an object.

    Raises:
        FormatError: not a safetensors file, or damaged.
    """
    file = FileMap(path)
    try:
        return _parse(file)
    except BaseException:
        file.close()
        raise


def _parse(file: FileMap) -> SafetensorsFile:
    path, buffer = file.path, file.buffer
    if file.size < 8:
        raise FormatError(path, "header length", "8 bytes", f"a file of {file.size}")
    (length,) = struct.unpack_from("<Q", buffer)
    if length > min(MAX_HEADER, file.size - 8):
        most = f"at most {MAX_HEADER} and the {file.size - 8} bytes that follow"
        raise FormatError(path, "header length", most, length)
    try:
        text = buffer[8 : 8 + length].decode()
    except UnicodeDecodeError as error:
        got = f"{error.reason} at byte {error.start}"
        raise FormatError(path, "header", "UTF-8", got) from error
    json_text = _Json(path, "header", text)
    metadata: dict[str, str] = {}
    tensors: dict[str, TensorInfo] = {}
    for key in json_text.entries():
        if key == "__metadata__":
            metadata = _read_metadata(json_text)
        else:
            tensors[key] = _read_entry(json_text, key, 8 + length)
    json_text.end()
    _check_layout(path, tensors, 8 + length, file.size)
    return SafetensorsFile(file, tensors, metadata)


def _read_metadata(header: _Json) -> dict[str, str]:
    if header.peek() == "n" and header.value() is None:
        return {}
    header.field = "header __metadata__"
    metadata = {key: header.string() for key in header.entries()}
    header.field = "header"
    return metadata


def _read_entry(header: _Json, name: str, base: int) -> TensorInfo:
    usual = _ENTRY.match(header.text, header.at)
    shape: Any
    if usual and _SHAPE.fullmatch(usual[2]):
        header.at = usual.end()
        dtype, begin, end = usual[1], int(usual[3]), int(usual[4])
        shape = [int(length) for length in usual[2].split(",")] if usual[2].strip() else []
    else:
        dtype, shape, begin, end = _read_unusual_entry(header, name)

    def fail(field: str, expected: object, got: object) -> NoReturn:
        raise FormatError(header.path, f"tensor {shown(name)} {field}", expected, got)

    if dtype not in DTYPES:
        fail("dtype", f"one of {' '.join(DTYPES)}", shown(dtype))
    ours, size = DTYPES[dtype]
    count = element_count(shape, 2**64 - 1)
    if count is None or max(shape, default=0) > MAX_INT64:
        fail("shape", "fewer than 2^64 elements, 2^63 along an axis", shown(shape))
    if end - begin != count * size:
        wanted = f"{count * size} bytes for {ours} of shape {shown(shape)}"
        fail("data_offsets", wanted, f"{end - begin} ({begin} to {end})")
    return TensorInfo(name, ours, tuple(shape), base + begin, end - begin)


def _read_unusual_entry(header: _Json, name: str) -> tuple[str, list[int], int, int]:
    """An entry with its keys in another order, with further keys, or a wrong one."""
    header.field = f"tensor {shown(name)}"
    entry = header.value()
    if not isinstance(entry, dict):
        header.fail("an object", shown(entry))
    for key in ("dtype", "shape", "data_offsets"):
        if key not in entry:
            header.fail(f"the key {key}", shown(list(entry)))
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str):
        header.fail("a name as dtype", shown(dtype))
    for key, numbers in (("shape", shape), ("data_offsets", offsets)):
        if not isinstance(numbers, list) or not all(
            type(number) is int and 0 <= number < 2**64 for number in numbers
        ):
            header.fail(f"a list of counts as {key}", shown(numbers))
    if len(offsets) != 2:
        header.fail("two data_offsets", shown(offsets))
    header.field = "header"
    return dtype, shape, offsets[0], offsets[1]


def _check_layout(path: str, tensors: dict[str, TensorInfo], base: int, size: int) -> None:
    """The tensors must follow each other with neither holes nor overlaps, up to the last byte."""
    end = base
    for info in sorted(tensors.values(), key=lambda info: (info.offset, info.nbytes)):
        if info.offset != end:
            field = f"tensor {shown(info.name)} data_offsets"
            raise FormatError(path, field, f"a begin at {end - base}", info.offset - base)
        end += info.nbytes
    if end != size:
        raise FormatError(path, "data", f"{end - base} bytes, as the header says", size - base)


class SafetensorsIndex:
    """A folder of safetensors shards behind one index; the same interface as a single file.

    `.metadata` is what the index says of itself, `.shards` the open files by name.
    """

    def __init__(
        self,
        path: str,
        metadata: dict[str, Any],
        shards: dict[str, SafetensorsFile],
        places: dict[str, str],
    ) -> None:
        self.path, self.metadata, self.shards = path, metadata, shards
        self._places = places
        self.tensors = {name: shards[place].tensors[name] for name, place in places.items()}

    def shard(self, name: str) -> SafetensorsFile:
        """The file that holds a tensor; `FormatError` when there is none of that name."""
        if name not in self._places:
            raise unknown_name(self.path, name, self._places)
        return self.shards[self._places[name]]

    def data(self, name: str) -> memoryview:
        """The bytes of a tensor as they stand in its shard, without a copy."""
        return self.shard(name).data(name)

    def tensor(self, name: str) -> Tensor:
        """A tensor that borrows its bytes from the map of its shard, without a copy."""
        return self.shard(name).tensor(name)

    def close(self) -> None:
        """Let go of the shards; tensors that borrow from them stay valid."""
        for shard in self.shards.values():
            shard.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        counts = f"{len(self.tensors)} tensors, {len(self.shards)} shards"
        return f"SafetensorsIndex({self.path!r}, {counts})"


def open_safetensors_index(path: str | os.PathLike[str]) -> SafetensorsIndex:
    """Open the shards that a `model.safetensors.index.json` names, from the folder it is in.

    Raises:
        FormatError: the index or a shard is damaged, a shard is missing or its name leads out of
            the folder, or a tensor is not in the shard that the index names.
    """
    file = FileMap(path)
    try:
        if file.size > MAX_HEADER:
            raise FormatError(file.path, "file", f"at most {MAX_HEADER} bytes", file.size)
        metadata, places = _read_index(file.path, file.buffer[:])
    finally:
        file.close()
    shards: dict[str, SafetensorsFile] = {}
    try:
        for name, shard in places.items():
            if shard not in shards:
                shards[shard] = open_safetensors(_beside(file.path, shard))
            if name not in shards[shard].tensors:
                got = f"none in {shown(shard)}"
                raise FormatError(file.path, f"weight_map {shown(name)}", "a tensor there", got)
        return SafetensorsIndex(file.path, metadata, shards, places)
    except BaseException:
        for opened in shards.values():
            opened.close()
        raise


def _read_index(path: str, raw: bytes) -> tuple[dict[str, Any], dict[str, str]]:
    try:
        index = _Json(path, "index", raw.decode())
    except UnicodeDecodeError as error:
        raise FormatError(path, "index", "UTF-8", error.reason) from error
    metadata: dict[str, Any] = {}
    places: dict[str, str] | None = None
    for key in index.entries():
        if key == "weight_map":
            places = {name: index.string() for name in index.entries()}
        elif key == "metadata":
            found = index.value()
            metadata = found if isinstance(found, dict) else {}
        else:
            index.value()
    index.end()
    if places is None:
        index.fail("a weight_map", "none")
    return metadata, places


def _beside(path: str, shard: str) -> str:
    """The path of a shard beside its index; a link there may lead out, as in hub caches."""
    if shard in ("", ".", "..") or any(mark in shard for mark in "/\\:\0"):
        raise FormatError(path, "weight_map shard", "a plain file name", shown(shard))
    return os.path.join(os.path.dirname(path), shard)


def save_safetensors(
    tensors: Mapping[str, Tensor],
    path: str | os.PathLike[str],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write tensors to a safetensors file, whole or not at all (a temporary file, then a rename).

    Wide dtypes come first, as in the official package, so that every tensor is aligned.

    Raises:
        ArgumentError: a name or metadata value is not text, or the header exceeds 100 MB.
        DTypeError: a dtype that the format lacks, such as a block-quantised one.
        FormatError: the file cannot be written.
    """
    from tallow.tensor import tobytes

    header: dict[str, Any] = {}
    if metadata:
        header["__metadata__"] = {_plain(key): _plain(text) for key, text in metadata.items()}
    for name, tensor in tensors.items():
        if _plain(name) == "__metadata__":
            raise ArgumentError("save_safetensors: expected a tensor name, got '__metadata__'")
        if tensor.dtype.name not in _DTYPES_BACK:
            known = " ".join(_DTYPES_BACK)
            got = tensor.dtype.name
            raise DTypeError(f"save_safetensors: {name}: expected one of {known}, got {got}")
    ordered = sorted(tensors, key=lambda name: (-_DTYPES_BACK[tensors[name].dtype.name][1], name))
    end = 0
    for name in ordered:
        theirs, size = _DTYPES_BACK[tensors[name].dtype.name]
        shape = tuple(tensors[name].shape)
        begin, end = end, end + math.prod(shape) * size
        header[name] = {"dtype": theirs, "shape": shape, "data_offsets": (begin, end)}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > MAX_HEADER:
        wanted = f"a header of at most {MAX_HEADER} bytes"
        raise ArgumentError(f"save_safetensors: expected {wanted}, got {len(text)}")
    body = (tobytes(tensors[name]) for name in ordered)
    replace_file(path, chain((struct.pack("<Q", len(text)), text), body))


def _plain(text: object) -> str:
    if isinstance(text, str):
        with suppress(UnicodeEncodeError):
            text.encode()
            return text
    raise ArgumentError(f"save_safetensors: expected text that UTF-8 can hold, got {shown(text)}")
