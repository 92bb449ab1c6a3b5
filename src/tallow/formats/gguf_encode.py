"""The metadata of GGUF files as bytes: typed values as they are given, Python's by the usual type.

Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md; the types that llama.cpp's own
converter chooses for Python values (`gguf_writer.py` in its gguf package).
"""

from __future__ import annotations

import operator
import struct
from collections.abc import Sequence
from typing import Any, Final

from tallow.errors import ArgumentError
from tallow.formats.gguf_types import (
    ARRAY,
    BOOL,
    KIND_IDS,
    KINDS,
    MAX_NAME,
    MAX_NESTING,
    SCALARS,
    STRING,
    STRUCTS,
    Typed,
)
from tallow.formats.mapping import shown

_RANGES: Final = {
    "u32": (0, 2**32 - 1),
    "i32": (-(2**31), 2**31 - 1),
    "u64": (0, 2**64 - 1),
    "i64": (-(2**63), 2**63 - 1),
}


def encode_key(key: object) -> bytes:
    """A key with its length in front; `ArgumentError` when GGUF cannot hold it."""
    raw = encode_text(key, "save_gguf: metadata key", "strict")
    if not 8 < len(raw) <= 8 + MAX_NAME:
        wanted = f"a key of 1 to {MAX_NAME} bytes"
        raise ArgumentError(f"save_gguf: metadata: expected {wanted}, got {shown(key)}")
    return raw


def encode_text(text: object, where: str, errors: str = "surrogateescape") -> bytes:
    """A string with its length in front; surrogates of undecodable bytes become those bytes."""
    if isinstance(text, str):
        try:
            text = text.encode("utf-8", errors)
        except UnicodeEncodeError as error:
            raise ArgumentError(f"{where}: expected text, got {shown(text)}") from error
    elif not isinstance(text, bytes):
        raise ArgumentError(f"{where}: expected text, got {shown(text)}")
    return struct.pack("<Q", len(text)) + text


def encode_value(key: str, value: object) -> bytes:
    """The type id and the bytes of a value.

    Without a `Typed`, an int is the first of u32, i32, u64, i64 that holds it, a float f32, a list
    or tuple an array of one kind: ints of the first of i32, u32, i64, u64 that holds them all, as
    llama.cpp's converter writes them. An empty list needs a `Typed`.

    Raises:
        ArgumentError: a value that its type cannot hold, a list of mixed kinds, an unknown type.
    """
    where = f"save_gguf: metadata {shown(key)}"
    typed = value if isinstance(value, Typed) else infer(value, where)
    if not isinstance(typed.kind, str):
        raise ArgumentError(f"{where}: expected the name of a type, got {shown(typed.kind)}")
    item = _item(typed.kind)
    if item is not None:
        return struct.pack("<I", ARRAY) + _encode_array(item, typed.value, where, 1)
    if typed.kind not in KIND_IDS or KIND_IDS[typed.kind] == ARRAY:
        raise ArgumentError(f"{where}: expected {_NAMES}, got {shown(typed.kind)}")
    kind = KIND_IDS[typed.kind]
    return struct.pack("<I", kind) + _encode_items(kind, (typed.value,), where)


_NAMES: Final = "one of " + " ".join(name for name in KIND_IDS if name != "arr") + " arr[…] as type"


def _item(kind: str) -> str | None:
    """The `x` of `arr[x]`, None for any other kind."""
    return kind[4:-1] if kind.startswith("arr[") and kind.endswith("]") else None


def _encode_array(item: str, values: object, where: str, depth: int) -> bytes:
    if not isinstance(values, list | tuple):
        raise ArgumentError(f"{where}: expected a list or tuple, got {shown(values)}")
    if depth > MAX_NESTING:
        raise ArgumentError(f"{where}: expected at most {MAX_NESTING} arrays in each other")
    inner = _item(item)
    if inner is None and item not in KIND_IDS:
        raise ArgumentError(f"{where}: expected {_NAMES}, got {shown(item)}")
    kind = ARRAY if inner is not None else KIND_IDS[item]
    head = struct.pack("<IQ", kind, len(values))
    if inner is not None:
        return head + b"".join([_encode_array(inner, v, where, depth + 1) for v in values])
    if kind == ARRAY:
        return head + b"".join([_encode_mixed(value, where, depth + 1) for value in values])
    return head + _encode_items(kind, values, where)


def _encode_mixed(value: object, where: str, depth: int) -> bytes:
    item = _item(value.kind) if isinstance(value, Typed) else None
    if not isinstance(value, Typed) or item is None:
        raise ArgumentError(f"{where}: expected a Typed array inside arr[arr], got {shown(value)}")
    return _encode_array(item, value.value, where, depth)


def _encode_items(kind: int, values: Sequence[Any], where: str) -> bytes:
    if kind == STRING:
        return b"".join([encode_text(value, where) for value in values])
    try:
        if any(isinstance(value, bool) != (kind == BOOL) for value in values):
            raise TypeError
        return struct.pack(f"<{len(values)}{SCALARS[kind]}", *values)
    except (TypeError, OverflowError, struct.error):
        culprit = next(value for value in values if not _fits(kind, value))
        got = shown(culprit)
        raise ArgumentError(f"{where}: expected what {KINDS[kind]} can hold, got {got}") from None


def _fits(kind: int, value: object) -> bool:
    try:
        STRUCTS[kind].pack(value)
    except (TypeError, OverflowError, struct.error):
        return False
    return isinstance(value, bool) == (kind == BOOL)


def infer(value: object, where: str) -> Typed:
    """The type that a Python value has by default; `ArgumentError` when there is none."""
    if isinstance(value, bool):
        return Typed("bool", value)
    if isinstance(value, str | bytes):
        return Typed("str", value)
    if isinstance(value, float):
        return Typed("f32", value)
    if isinstance(value, list | tuple):
        return _infer_array(value, where)
    if hasattr(value, "__index__"):
        return Typed(_first_that_holds(("u32", "i32", "u64", "i64"), [value], where), value)
    raise ArgumentError(f"{where}: expected a number, flag, text or list, got {shown(value)}")


def _infer_array(values: Sequence[Any], where: str) -> Typed:
    if not values:
        wanted = 'the type of an empty list, as in Typed("arr[str]", [])'
        raise ArgumentError(f"{where}: expected {wanted}")
    whole = [hasattr(value, "__index__") and not isinstance(value, bool) for value in values]
    if all(whole):
        kind = _first_that_holds(("i32", "u32", "i64", "u64"), values, where)
        return Typed(f"arr[{kind}]", values)
    if all(one or isinstance(value, float) for one, value in zip(whole, values, strict=True)):
        return Typed("arr[f32]", values)
    items = [value if isinstance(value, Typed) else infer(value, where) for value in values]
    kinds = sorted({item.kind for item in items})
    if len(kinds) == 1:
        return Typed(f"arr[{kinds[0]}]", tuple([item.value for item in items]))
    if all(_item(kind) is not None for kind in kinds):
        return Typed("arr[arr]", tuple(items))
    raise ArgumentError(f"{where}: expected a list of one kind, got {', '.join(kinds)}")


def _first_that_holds(kinds: Sequence[str], values: Sequence[Any], where: str) -> str:
    numbers = [operator.index(value) for value in values]
    low, high = min(numbers), max(numbers)
    for kind in kinds:
        if _RANGES[kind][0] <= low and high <= _RANGES[kind][1]:
            return kind
    raise ArgumentError(f"{where}: expected integers of 64 bits, got {low} to {high}")
