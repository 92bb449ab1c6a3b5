"""Valid calls spoilt in one place: `python spoilt.py FIRST NOTE` makes them from FIRST on.

Each class of what a caller can get wrong meets every array and number of every kernel: nothing,
repeated elements, negative strides, shared memory, bytes out of line, other dtypes, huge sizes.
"""

from __future__ import annotations

import mmap
import struct
import sys
from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any

from native.calls import (
    BLOCKS,
    BYTES,
    CODES,
    HONEST,
    SIGNATURES,
    ArrayText,
    calls,
    contents,
    modes_of,
    parse,
    product,
)
from tallow import _native
from tallow.errors import TallowError

Arguments = list[Any]
Spoilt = tuple[str, Callable[[], Arguments]]

# One of each size and kind.
DTYPES = "bool_ u8 i16 i32 i64 u64 f16 bf16 f32 f64 f8e4m3 complex64 q4_0 q8_0 q6_k iq2_s"
HUGE = (2**31, 2**40, 2**59)
WHOLE = (-1, 0, 3, 2**31, -(2**31), 2**40, 2**63 - 1, -(2**63))
REAL = (-1.0, 0.0, 1e308, -1e308, float("inf"), float("nan"))


def made(given: ArrayText, dtype: int, seed: int = 0) -> _native.Array:
    code = dtype if given.dtype is None else given.dtype
    raw = contents(given, code, seed)
    return _native.Array.from_buffer(raw, code, given.shape, 0).clone()


class Call:
    """One valid call, whose arguments are made anew each time."""

    def __init__(self, name: str, text: str, dtype: int) -> None:
        self.name, self.text, self.dtype = name, text, dtype
        self.modes = modes_of(name)
        self.parsed = parse(text, self.modes)
        self.arrays = {i: a for i, a in enumerate(self.parsed) if isinstance(a, ArrayText)}

    def code(self, i: int) -> int:
        given = self.arrays[i].dtype
        return self.dtype if given is None else given

    def valid(self) -> Arguments:
        return [made(a, self.dtype) if isinstance(a, ArrayText) else a for a in self.parsed]

    def but(self, label: str, i: int, change: Callable[[_native.Array], object]) -> Spoilt:
        """This call but for array `i`."""

        def build() -> Arguments:
            args = self.valid()
            args[i] = change(args[i])
            return args

        return f"{label} {i}", build

    def with_shape(self, i: int, shape: tuple[int, ...]) -> Callable[[_native.Array], object]:
        given = ArrayText(shape, self.arrays[i].dtype, self.arrays[i].values)
        return lambda _: made(given, self.dtype)


def empty(call: Call) -> Iterator[Spoilt]:
    for i, given in call.arrays.items():
        for axis in range(len(given.shape)):
            shape = (*given.shape[:axis], 0, *given.shape[axis + 1 :])
            yield call.but(f"empty axis {axis} of", i, call.with_shape(i, shape))
        if BLOCKS[call.code(i)] == 1:
            yield call.but("no axes in", i, call.with_shape(i, ()))
            yield call.but("no elements in", i, call.with_shape(i, (0,)))
    for axis in range(3):
        shapes = {i: (*a.shape[:axis], 0, *a.shape[axis + 1 :]) for i, a in call.arrays.items()}

        def build(shapes: dict[int, tuple[int, ...]] = shapes) -> Arguments:
            args = call.valid()
            for i, shape in shapes.items():
                args[i] = call.with_shape(i, shape)(args[i])
            return args

        yield f"all empty along {axis}", build


def expanded(call: Call) -> Iterator[Spoilt]:
    for i, given in call.arrays.items():
        if BLOCKS[call.code(i)] > 1:
            continue
        for axis, n in enumerate(given.shape):
            for size in (n, n + 1, *HUGE):
                if size in HUGE and axis in HONEST.get((call.name, i), ()):
                    continue
                yield call.but(
                    f"axis {axis} of {size} repeated in",
                    i,
                    lambda x, axis=axis, size=size: x.narrow(axis, 0, 1).expand(
                        [*x.shape[:axis], size, *x.shape[axis + 1 :]]
                    ),
                )
        yield call.but("an axis more in", i, lambda x: x.unsqueeze(0))
        yield call.but("one element repeated in", i, _one_element)


def _one_element(x: _native.Array) -> _native.Array:
    return x.reshape([x.size]).narrow(0, 0, 1).reshape([1] * x.ndim).expand(x.shape)


def reversed_(call: Call) -> Iterator[Spoilt]:
    for i, given in call.arrays.items():
        if BLOCKS[call.code(i)] > 1:
            continue
        for axis in range(len(given.shape)):
            key = tuple(slice(None, None, -1 if a == axis else 1) for a in range(len(given.shape)))
            yield call.but(f"axis {axis} reversed in", i, lambda x, key=key: x.basic_index(key))
        yield call.but("axes turned in", i, lambda x: x.permute([*range(x.ndim)][::-1]))

    def build() -> Arguments:
        args = call.valid()
        for i in call.arrays:
            if BLOCKS[call.code(i)] == 1:
                x = args[i]
                assert isinstance(x, _native.Array)
                args[i] = x.basic_index((slice(None, None, -1),) * x.ndim)
        return args

    yield "all reversed", build


def overlapping(call: Call) -> Iterator[Spoilt]:
    """Two arguments in one memory, the second as much as its own elements further on."""
    for i, j in combinations(call.arrays, 2):
        sizes = [
            product(call.arrays[k].shape) // BLOCKS[call.code(k)] * BYTES[call.code(k)]
            for k in (i, j)
        ]
        for further in (0, 1):
            shift = further * max(BYTES[call.code(i)], BYTES[call.code(j)])
            if BLOCKS[call.code(i)] > 1 or BLOCKS[call.code(j)] > 1:
                continue

            def build(
                i: int = i, j: int = j, shift: int = shift, sizes: list[int] = sizes
            ) -> Arguments:
                args = call.valid()
                raw = bytearray(max(sizes) + shift)
                raw[: sizes[0]] = contents(call.arrays[i], call.code(i))
                raw[shift : shift + sizes[1]] = contents(call.arrays[j], call.code(j))
                base = _native.Array.from_buffer(bytes(raw), CODES["u8"], [len(raw)], 0).clone()
                for k, first, size in ((i, 0, sizes[0]), (j, shift, sizes[1])):
                    part = base.narrow(0, first, size).retype(call.code(k))
                    args[k] = part.reshape(call.arrays[k].shape)
                return args

            yield f"{i} and {j} in one memory, {shift} bytes apart", build


def misaligned(call: Call) -> Iterator[Spoilt]:
    for i, given in call.arrays.items():
        code = call.code(i)
        raw = contents(given, code)
        for make in (bytes, bytearray):
            yield call.but(
                f"one byte off, {make.__name__}",
                i,
                lambda _, raw=raw, code=code, make=make, given=given: _native.Array.from_buffer(
                    make(b"\0" + raw), code, given.shape, 1
                ),
            )
        if BLOCKS[code] == 1:
            yield call.but(
                "bytes one off, taken for the dtype",
                i,
                lambda _, raw=raw, code=code, given=given: (
                    _native.Array.from_buffer(b"\0" + raw, CODES["u8"], [1 + len(raw)], 0)
                    .clone()
                    .narrow(0, 1, len(raw))
                    .retype(code)
                    .reshape(given.shape)
                ),
            )


def other_dtypes(call: Call) -> Iterator[Spoilt]:
    for i, given in call.arrays.items():
        for name in DTYPES.split():
            code = CODES[name]
            if code == call.code(i):
                continue
            shape = given.shape
            if BLOCKS[code] > 1:
                whole = -(-shape[-1] // BLOCKS[code]) * BLOCKS[code] if shape else 0
                shape = (*shape[:-1], whole)
            other = ArrayText(shape, code, given.values if BLOCKS[code] == 1 else None)
            yield call.but(f"{name} in", i, lambda _, other=other: _with_bits(other))


def _with_bits(given: ArrayText) -> _native.Array:
    code = given.dtype
    assert code is not None
    size = product(given.shape) // BLOCKS[code] * BYTES[code]
    bits = bytes(37 * k % 256 for k in range(size))
    return _native.Array.from_buffer(bits, code, given.shape, 0).clone()


def numbers(call: Call) -> Iterator[Spoilt]:
    for i, mode in enumerate(call.modes):
        for value in {"i": WHOLE, "f": REAL}.get(mode, ()):
            yield (
                f"{value} for {i}",
                lambda i=i, value=value: [*call.valid()[:i], value, *call.valid()[i + 1 :]],
            )
        for value in (None, 1, 1.0):
            yield (
                f"{value} for {i}",
                lambda i=i, value=value: [*call.valid()[:i], value, *call.valid()[i + 1 :]],
            )
    yield "one too few", lambda: call.valid()[:-1]
    yield "one too many", lambda: [*call.valid(), 1]
    yield "none at all", list


CLASSES = {
    "empty": empty,
    "expanded": expanded,
    "reversed": reversed_,
    "overlapping": overlapping,
    "misaligned": misaligned,
    "dtypes": other_dtypes,
    "numbers": numbers,
}


def every() -> Iterator[tuple[str, str, Callable[[], Arguments]]]:
    """All calls in a fixed order: the kernel, what is wrong, and what makes the arguments."""
    for name in sorted(SIGNATURES):
        for text in calls(name):
            for dtype in ("f32", "i64"):
                call = Call(name, text, CODES[dtype])
                if dtype == "i64" and all(a.dtype is not None for a in call.arrays.values()):
                    continue
                for title, spoil in CLASSES.items():
                    if dtype == "i64" and title in ("misaligned", "dtypes", "numbers"):
                        continue
                    for label, build in spoil(call):
                        yield name, f"{text} ({dtype}): {label}", build


def main(first: int, note: str) -> None:
    """Make the calls, the number of the current one and of those done noted in a file."""
    with open(note, "r+b") as file, mmap.mmap(file.fileno(), 24) as page:
        done, index = struct.unpack("<qq", page[8:])[0], 0
        for index, (name, _, build) in enumerate(every()):
            if index < first:
                continue
            page[:16] = struct.pack("<qq", index, done)
            try:
                _native.call(name, *build())
                done += 1
            except (TallowError, OverflowError):
                pass
        page[:24] = struct.pack("<qqq", index, done, 1)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
