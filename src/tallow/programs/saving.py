"""Saved programs: plans with their weights in one file, which runs without Python (docs/formats/tlw.md)."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tallow import _native
from tallow._native import xxh64
from tallow.dtype import BY_CODE
from tallow.errors import CaptureError
from tallow.plan.capturing import Recording
from tallow.programs.tables import Fit, Polynomial, Tables
from tallow.tensor import Tensor

MAGIC = b"TALLOWPL"
VERSION = 1
ALIGN = 64
_TARGETS = ("bytes", "offset", "shape", "stride", "integer")
_ROLES = ("input", "weight", "constant", "state", "output", "temporary")
_SHARED = ("weight", "constant", "state")


@dataclass(frozen=True)
class Traced:
    """A function at one choice of sizes: `function(*inputs.values())` gives `outputs` in order."""

    function: Callable[..., Any]
    inputs: dict[str, Tensor]
    outputs: Sequence[str]
    states: Sequence[Tensor] = ()


@dataclass(frozen=True)
class Size:
    """A number that shapes follow from: its range, and at which it is captured.

    There is one of `points` more than its highest power in a size of memory, and `check` beside
    them, at which everything must fit.
    """

    least: int
    most: int
    points: tuple[int, ...] = (5, 7)
    check: int = 11


@dataclass(frozen=True)
class Entry:
    """One plan of a program: `trace(sizes)` makes it for a choice of sizes."""

    name: str
    trace: Callable[[dict[str, int]], Traced]
    sizes: dict[str, Size] = field(default_factory=dict)


@dataclass
class _Captured:
    entry: Entry
    tables: Tables
    plan: _native.Plan
    traced: Traced


def _capture(entry: Entry, weights: Mapping[str, Tensor]) -> _Captured:
    fit = Fit(
        {name: size.points for name, size in entry.sizes.items()},
        {name: size.check for name, size in entry.sizes.items()},
    )
    seen: list[Tables] = []
    first: _native.Plan | None = None
    traced = None
    for point in fit.points:
        traced = entry.trace(point)
        inputs = list(traced.inputs.values())
        function = traced.function
        recording = Recording(
            lambda function=function, inputs=inputs: function(*inputs), inputs, weights,
            traced.states,
        )  # fmt: skip
        if len(recording.tensors) != len(traced.outputs):
            raise CaptureError(
                f"export: expected {len(traced.outputs)} results, got {len(recording.tensors)}"
            )
        if first is None:
            first = recording.plan
        _same_constants(first, recording.plan)
        seen.append(Tables.of(recording.plan))
    assert first is not None and traced is not None
    return _Captured(entry, fit.tables(seen), first, traced)


def _same_constants(first: _native.Plan, other: _native.Plan) -> None:
    """Refuse constants whose elements follow from a size."""
    if first is other or len(first.buffers) != len(other.buffers):
        return  # other calls, which Fit refuses
    for i, (role, *_) in enumerate(first.buffers):
        if role == "constant" and bytes(first.held(i)) != bytes(other.held(i)):
            raise CaptureError(
                "export: expected constants that do not depend on a size, got others for another "
                "one: compute them from tensors or by arange"
            )


# --- the file --------------------------------------------------------------------------------------


class _Writer:
    """Little-endian numbers and texts, one after the other."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def put(self, layout: str, *values: Any) -> None:
        self.parts.append(struct.pack("<" + layout, *values))

    def text(self, value: str) -> None:
        data = value.encode()
        self.put("H", len(data))
        self.parts.append(data)

    def bytes(self) -> bytes:
        return b"".join(self.parts)


@dataclass
class _Piece:
    """Bytes of the file: a weight, a constant or a section."""

    name: str
    data: Any  # what the buffer protocol takes
    size: int
    dtype: str = "U8"
    shape: tuple[int, ...] = ()
    offset: int = 0


class _Shared:
    """The buffers that plans share: weights by name, constants by their elements, states in order."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self.rows: list[tuple[str, str, int, _Piece | None]] = []
        self._places: dict[Any, int] = {}
        self._weights = weights

    def place(self, plan: _native.Plan, tables: Tables, number: int, state: int) -> int:
        """The row of a plan's buffer; `state`: how many states of the plan come before it."""
        role, size, name = tables.buffers[number]
        array = None if role == "state" else plan.held(number)
        key: Any = (role, state)
        if array is not None:
            key = (role, name) if name else (role, bytes(array))
        if key not in self._places:
            self._places[key] = len(self.rows)
            label = name or f"{role}.{len(self.rows)}"
            piece = None if array is None else self._piece(label, array)
            self.rows.append((role, label, size, piece))
        return self._places[key]

    def _piece(self, name: str, array: _native.Array) -> _Piece:
        made = _Piece(name, array, array.size, shape=(array.size,))
        weight = self._weights.get(name)
        if weight is not None and weight.dtype.name in _NAMES and weight.nbytes == array.size:
            if weight.is_contiguous():
                made.dtype, made.shape = _NAMES[weight.dtype.name], tuple(weight.shape)
        return made


_NAMES = {
    "f64": "F64", "f32": "F32", "f16": "F16", "bf16": "BF16", "i64": "I64", "i32": "I32",
    "i16": "I16", "i8": "I8", "u8": "U8", "bool": "BOOL",
}  # fmt: skip


def _terms(w: _Writer, varying: Mapping[tuple[str, int, int], Polynomial]) -> None:
    """The polynomials, each once, and the integers that they are."""
    terms, places, firsts = _Writer(), _Writer(), {}
    count = 0
    for (kind, row, axis), polynomial in varying.items():
        assert isinstance(polynomial, dict)
        key = tuple(sorted(polynomial.items()))
        if key not in firsts:
            firsts[key] = (count, len(key))
            count += len(key)
            for powers, factor in key:
                terms.put("q4B", factor, *powers, *([0] * (4 - len(powers))))
        places.put("BBIII", _TARGETS.index(kind), axis, row, *firsts[key])
    w.put("I", count)
    w.parts += terms.parts
    w.put("I", len(varying))
    w.parts += places.parts


class _Encoder:
    """The tables of all plans as bytes."""

    def __init__(self, captured: Sequence[_Captured], weights: Mapping[str, Tensor]) -> None:
        self.shared = _Shared(weights)
        self._captured = captured
        self._signatures = dict(_native.kernel_names())
        names = {name for each in captured for name, _ in each.tables.calls}
        codes = {value[2] for each in captured for value in each.tables.values}
        self._kernels = {name: i for i, name in enumerate(sorted(names))}
        self._dtypes = {code: i for i, code in enumerate(sorted(codes))}
        self._maps = [self._numbers(each) for each in captured]

    def _numbers(self, each: _Captured) -> dict[int, int]:
        """Where shared buffers of a plan stand."""
        found, states = {}, 0
        for i, (role, *_) in enumerate(each.tables.buffers):
            if role in _SHARED:
                found[i] = self.shared.place(each.plan, each.tables, i, states)
                states += role == "state"
        return found

    def encode(self, sections: Sequence[_Piece]) -> bytes:
        w = _Writer()
        w.put("I", len(self._dtypes))
        for code in self._dtypes:
            w.text(BY_CODE[code].name)
        w.put("I", len(self._kernels))
        for name in self._kernels:
            w.text(name)
            w.text(self._signatures[name])
        w.put("I", len(self.shared.rows))
        for role, label, size, piece in self.shared.rows:
            w.put("B", _ROLES.index(role))
            w.text(label)
            offset, checksum = (-1, 0) if piece is None else (piece.offset, xxh64(piece.data))
            w.put("qqQ", size if piece is None else piece.size, offset, checksum)
        w.put("I", len(sections))
        for piece in sections:
            w.text(piece.name)
            w.put("qqQ", piece.offset, piece.size, xxh64(piece.data))
        w.put("I", len(self._captured))
        for each, numbers in zip(self._captured, self._maps, strict=True):
            self._plan(w, each, numbers)
        return w.bytes()

    def _plan(self, w: _Writer, each: _Captured, shared: dict[int, int]) -> None:
        tables, entry = each.tables, each.entry
        w.text(entry.name)
        w.put("I", len(entry.sizes))
        for name, size in entry.sizes.items():
            w.text(name)
            w.put("qq", size.least, size.most)
        numbers = dict(shared)
        own = [i for i in range(len(tables.buffers)) if i not in shared]
        w.put("I", len(own))
        for i in own:
            numbers[i] = len(self.shared.rows) + len(numbers) - len(shared)
            role, size, _ = tables.buffers[i]
            w.put("Bq", _ROLES.index(role), size)
        w.put("I", len(tables.values))
        for buffer, offset, dtype, shape, strides in tables.values:
            w.put("IqBB", numbers[buffer], offset, self._dtypes[dtype], len(shape))
            w.put(f"{2 * len(shape)}q", *shape, *strides)
        self._calls(w, tables)
        for names, list_ in (
            (each.traced.inputs, tables.inputs),
            (each.traced.outputs, tables.outputs),
        ):
            w.put("I", len(list_))
            for name, value in zip(names, list_, strict=True):
                w.text(name)
                w.put("I", value)
        varying = {
            (kind, numbers[row] if kind == "bytes" else row, axis): polynomial
            for (kind, row, axis), polynomial in tables.varying.items()
        }
        _terms(w, varying)

    def _calls(self, w: _Writer, tables: Tables) -> None:
        w.put("I", len(tables.calls))
        for name, args in tables.calls:
            w.put("HB", self._kernels[name], len(args))
            for arg in args:
                if arg is None:
                    w.put("B", 0)
                elif isinstance(arg, tuple):
                    w.put("BI", 1, arg[1])
                elif isinstance(arg, float):
                    w.put("Bd", 3, arg)
                else:
                    w.put("Bq", 2, arg)


def _padded(size: int) -> int:
    return -(-size // ALIGN) * ALIGN


def save_program(
    path: str | os.PathLike[str],
    entries: Sequence[Entry],
    weights: Mapping[str, Tensor],
    sections: Mapping[str, bytes] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write plans of `entries`, which share `weights` and states, as one .tlw file.

    The file is a safetensors file, too, whose first tensor is the tables; `sections` are bytes for
    the runtime (a tokenizer), `metadata` is for people. It is written beside `path` and moved there
    when it is whole.

    Raises:
        CaptureError: a plan cannot hold what an entry does, or its integers do not follow from its
            sizes by sums of products.
    """
    from tallow.formats.atomic import replacing

    captured = [_capture(entry, weights) for entry in entries]
    encoder = _Encoder(captured, weights)
    pieces = [piece for *_, piece in encoder.shared.rows if piece is not None]
    extra = [
        _Piece(f"tallow.{name}", data, len(data), shape=(len(data),))
        for name, data in (sections or {}).items()
    ]
    named = [_Piece(p.name.removeprefix("tallow."), p.data, p.size) for p in extra]
    size = len(encoder.encode(named))
    at = _padded(size + 32)
    for piece, copy in [*((p, None) for p in pieces), *zip(extra, named, strict=True)]:
        piece.offset = at
        if copy is not None:
            copy.offset = at
        at = _padded(at + piece.size)
    body = encoder.encode(named)
    tables = MAGIC + struct.pack("<IIQQ", VERSION, 0, len(body), xxh64(body)) + body
    header: dict[str, Any] = {
        "__metadata__": {"format": "tallow.program", "version": str(VERSION), **(metadata or {})},
        "tallow.plan": {"dtype": "U8", "shape": [len(tables)], "data_offsets": [0, len(tables)]},
    }
    for piece in [*pieces, *extra]:
        header[piece.name] = {
            "dtype": piece.dtype, "shape": list(piece.shape),
            "data_offsets": [piece.offset, piece.offset + piece.size],
        }  # fmt: skip
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (_padded(8 + len(text)) - 8 - len(text))
    with replacing(path) as file:
        file.write(struct.pack("<Q", len(text)) + text + tables)
        at = len(tables)
        for piece in [*pieces, *extra]:
            file.write(b"\0" * (piece.offset - at))
            file.write(piece.data)
            at = piece.offset + piece.size
