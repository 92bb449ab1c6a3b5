"""Saved programs: plans and their weights in one file, which runs without Python."""

from __future__ import annotations

import functools
import json
import os
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tallow import _native
from tallow._native import xxh64
from tallow.dtype import DTYPES
from tallow.errors import ArgumentError, CaptureError
from tallow.formats.replacing import replacing
from tallow.lazy_dataclasses import dataclass, field
from tallow.plan.capturing import Recording
from tallow.plan.tables import Polynomial, Tables
from tallow.programs.tables import Fit
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
    """One plan of a program: `trace(sizes)` makes it for a choice of sizes.

    `rewrites` are names of `tallow.plan.rewrites`, which must come to the same calls at every size.
    """

    name: str
    trace: Callable[[dict[str, int]], Traced]
    sizes: dict[str, Size] = field(default_factory=dict)
    rewrites: tuple[str, ...] = ()


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
    plans: list[_native.Plan] = []
    traced = None
    for point in fit.points:
        traced = entry.trace(point)
        inputs = list(traced.inputs.values())
        run = functools.partial(traced.function, *inputs)
        passes = (*entry.rewrites, "linear_several")
        recording = Recording(run, inputs, weights, traced.states, rewrites=passes)
        if len(recording.tensors) != len(traced.outputs):
            raise CaptureError(
                f"export: expected {len(traced.outputs)} results, got {len(recording.tensors)}"
            )
        plans.append(recording.plan)
        seen.append(Tables.of(recording.plan))
    tables = fit.tables(seen)
    for other in plans[1:]:
        _same_constants(plans[0], other)
    assert traced is not None
    return _Captured(entry, tables, plans[0], traced)


def _same_constants(first: _native.Plan, other: _native.Plan) -> None:
    """Refuse constants whose elements follow from a size."""
    for i, (role, *_) in enumerate(first.buffers):
        if role == "constant" and bytes(first.held(i)) != bytes(other.held(i)):
            raise CaptureError(
                "export: expected constants that do not depend on a size, got others for another "
                "one: compute them from tensors or by arange"
            )


# --- the file -------------------------------------------------------------------------------------


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
    """What plans share: weights by name, constants by their elements, states in order."""

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
        whole = weight is not None and weight.is_contiguous() and weight.nbytes == array.size
        if weight is not None and whole and weight.dtype.name in _NAMES:
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
            w.text(DTYPES[code].name)
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
        for name, limits in entry.sizes.items():
            w.text(name)
            w.put("qq", limits.least, limits.most)
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


_NOTHING: Mapping[str, Any] = {}


def _padded(size: int) -> int:
    return -(-size // ALIGN) * ALIGN


def save_program(
    path: str | os.PathLike[str],
    entries: Sequence[Entry],
    weights: Mapping[str, Tensor],
    sections: Mapping[str, bytes] = _NOTHING,
    metadata: Mapping[str, str] = _NOTHING,
) -> None:
    """Write plans of `entries`, which share `weights` and states, as one .tlw file.

    The file is a safetensors file, too, whose first tensor is the tables; `sections` are bytes for
    the runtime (a tokenizer), `metadata` is for people. It is written beside `path` and moved there
    when it is whole.

    Raises:
        CaptureError: a plan cannot hold what an entry does, or its integers do not follow from its
            sizes by sums of products.
    """
    captured = [_capture(entry, weights) for entry in entries]
    encoder = _Encoder(captured, weights)
    extra = [_Piece(name, data, len(data), shape=(len(data),)) for name, data in sections.items()]
    pieces = [piece for *_, piece in encoder.shared.rows if piece is not None] + extra
    at = _padded(32 + len(encoder.encode(extra)))
    for piece in pieces:
        piece.offset = at
        at = _padded(at + piece.size)
    body = encoder.encode(extra)
    tables = MAGIC + struct.pack("<IIQQ", VERSION, 0, len(body), xxh64(body)) + body
    tables += bytes(_padded(len(tables)) - len(tables))
    header = _header(tables, pieces, [f"tallow.{piece.name}" for piece in extra], metadata)
    with replacing(os.fspath(path)) as file:
        file.write(struct.pack("<Q", len(header)) + header + tables)
        for piece in pieces:
            file.write(memoryview(piece.data).cast("B"))
            file.write(bytes(_padded(piece.size) - piece.size))


def _header(
    tables: bytes, pieces: Sequence[_Piece], extra: Sequence[str], metadata: Mapping[str, str]
) -> bytes:
    """That of a safetensors file, which leaves no byte out: what fills up is a tensor, too."""
    said = {"format": "tallow.program", "version": str(VERSION), **metadata}
    rows: dict[str, Any] = {"__metadata__": said}

    def add(name: str, dtype: str, shape: Sequence[int], begin: int, size: int) -> None:
        if name in rows:
            raise ArgumentError(f"export: expected one tensor called {name}, got several")
        rows[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, begin + size]}

    add("tallow.plan", "U8", [len(tables)], 0, len(tables))
    names = [*[piece.name for piece in pieces[: len(pieces) - len(extra)]], *extra]
    for name, piece in zip(names, pieces, strict=True):
        add(name, piece.dtype, piece.shape, piece.offset, piece.size)
        fill = _padded(piece.size) - piece.size
        if fill:
            add(f"tallow.fill.{piece.offset}", "U8", [fill], piece.offset + piece.size, fill)
    text = json.dumps(rows, separators=(",", ":")).encode()
    return text + b" " * (_padded(8 + len(text)) - 8 - len(text))
