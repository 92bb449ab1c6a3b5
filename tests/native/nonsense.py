"""Random calls of kernels, derived from a seed: `python nonsense.py FIRST LAST NOTE` makes them."""

from __future__ import annotations

import mmap
import random
import struct
import sys

from native.calls import (
    BLOCKS,
    BYTES,
    CALLS,
    CODES,
    HONEST,
    KINDS,
    SIGNATURES,
    ArrayText,
    contents,
    modes_of,
    parse,
    product,
)
from tallow import _native
from tallow.errors import TallowError

FLOATS = [CODES[name] for name in ("f32", "f64", "f16", "bf16")]
COMMON = [*FLOATS, *(CODES[name] for name in ("i64", "i32", "u8", "bool_", "complex64"))]

SMALL = [0, 1, 1, 1, 2, 2, 3, 4]
WHOLE = [*SMALL, *SMALL, *SMALL, -1, -1, -2, 5, 8, 17, 2**31, -(2**31), 2**40, 2**62]
WHOLE += [2**63 - 1, -(2**63)]
REAL = [0.0, 1.0, 0.5, 1.0, 2.0, -1.0, 1e-6, 1e308, -1e308, float("inf"), -float("inf")]
REAL += [float("nan"), 1e-320]
SIZES = [0, 1, 1, 2, 2, 3, 3, 4, 5, 8, 9, 17, 33, 64]
# Elements of integer arrays: mostly plausible indices.
INDICES = [0, 0, 1, 1, 2, 3, 4, -1, -1, 7, 100, 2**31, -(2**31), 2**62, 2**63 - 1, -(2**63)]


class Draw:
    """The arguments of one call; arrays of a call agree in shape and dtype more often than not."""

    def __init__(self, seed: str) -> None:
        self.random = random.Random(seed)
        pick = self.random.choice
        self.shape = [pick(SIZES) for _ in range(pick([0, 1, 1, 2, 2, 3, 3, 4, 5]))]
        if self.random.random() < 0.6:
            self.shape = [max(1, n) for n in self.shape]
        while self.shape and product(self.shape) > 4096:
            self.shape[self.shape.index(max(self.shape))] = 2
        self.dtype = pick(FLOATS if self.random.random() < 0.6 else COMMON)
        self.chaos = pick([0, 0.05, 0.2, 0.6])
        self.arrays: list[_native.Array] = []
        self.may_be_huge = True

    def arguments(self, name: str) -> list[_native.Argument]:
        kinds = modes_of(name)
        if name not in CALLS or self.random.random() < 0.25:
            return [self.argument(kind) for kind in kinds]
        wild = self.random.choice([0, 0.05, 0.15, 0.4])
        args: list[_native.Argument] = []
        self.may_be_huge = all(name != honest for honest, _ in HONEST)
        parsed = parse(self.random.choice(CALLS[name]), kinds)
        for kind, given in zip(kinds, parsed, strict=True):
            if self.random.random() < wild:
                args.append(self.argument(kind))
            elif isinstance(given, ArrayText):
                args.append(self.like(given))
                self.arrays.append(args[-1])
            else:
                args.append(given)
        return args

    def like(self, given: ArrayText) -> _native.Array:
        shape, code = [*given.shape], self.dtype if given.dtype is None else given.dtype
        if BLOCKS[code] > 1:
            return self.filled(shape, code)
        if given.values is None or self.random.random() < 0.3:
            return self.laid_out(shape, code)
        return _native.Array.from_buffer(contents(given, code), code, shape, 0).clone()

    def argument(self, kind: str) -> _native.Argument:
        if kind == "i":
            return self.random.choice(SMALL if self.random.random() < 0.7 else WHOLE)
        if kind == "f":
            return self.random.choice(REAL)
        if kind.endswith("?") and self.random.random() < 0.4:
            return None
        array = self.array()
        self.arrays.append(array)
        return array

    def array(self) -> _native.Array:
        pick, chance = self.random.choice, self.random.random
        if self.arrays and chance() < 0.1:
            return self.view(pick(self.arrays), CODES["i64"])
        shape, dtype = [*self.shape], self.dtype
        if chance() < 0.15 + self.chaos:
            shape = self.other(shape)
        if chance() < 0.15 + self.chaos:
            dtype = pick(COMMON + [CODES["i64"]] * 4 if chance() < 0.9 else [*BYTES])
        if BLOCKS[dtype] > 1:
            shape = [*shape[:-1], BLOCKS[dtype] * pick([0, 1, 2])] if shape else [BLOCKS[dtype]]
            return self.filled(shape, dtype)
        return self.laid_out(shape, dtype)

    def other(self, shape: list[int]) -> list[int]:
        pick, at = self.random.choice, self.random.randrange(len(shape) + 1)
        way = self.random.randrange(6)
        if way == 0:
            return [*shape[:at], pick(SIZES), *shape[at:]][:8]
        if way == 1:
            return [*shape[:at], *shape[at + 1 :]]
        if way == 2 and shape:
            at = min(at, len(shape) - 1)
            return [*shape[:at], pick(SIZES), *shape[at + 1 :]]
        if way == 3:
            return self.random.sample(shape, len(shape))
        if way == 4:
            return [pick(SIZES)]
        return [pick([0, 1, 2, 3]) for _ in range(pick([0, 1, 2, 3, 4, 5]))]

    def laid_out(self, shape: list[int], dtype: int) -> _native.Array:
        way = self.random.random()
        if way < 0.6 or not shape:
            return self.filled(shape, dtype)
        axis = self.random.randrange(len(shape))
        if way < 0.63:  # nothing, repeated
            empty = [0 if i == axis else n for i, n in enumerate(shape)]
            array = self.filled([0 if i == axis else 1 for i in range(len(shape))], dtype)
            return array.expand(empty)
        if way < 0.75:  # repeated, perhaps more often than any memory holds
            once = [*shape[:axis], 1, *shape[axis + 1 :]]
            large = self.random.random() < 0.1 * (1 + 4 * self.chaos) * self.may_be_huge
            shape[axis] = self.random.choice([2**31, 2**40, 2**59, 2**62]) if large else shape[axis]
            array = self.filled(once, dtype)
            try:
                return array.expand(shape)
            except TallowError:
                return array
        if way < 0.9:
            array = self.filled([*shape[:axis], 2 * shape[axis] + 1, *shape[axis + 1 :]], dtype)
            key = [slice(None)] * len(shape)
            key[axis] = self.random.choice([slice(1, None, 2), slice(-1, 0, -2)])
            return array.basic_index(tuple(key))
        order = self.random.sample(range(len(shape)), len(shape))
        turned = self.filled([shape[i] for i in order], dtype)
        return turned.permute([order.index(i) for i in range(len(shape))])

    def filled(self, shape: list[int], dtype: int) -> _native.Array:
        pick, count = self.random.choice, product(shape)
        if KINDS[dtype] == "q" or KINDS[dtype] == "b":
            bits = self.random.randbytes(count // BLOCKS[dtype] * BYTES[dtype])
            if KINDS[dtype] == "b" and pick([True, False]):  # else true in any byte but 0
                bits = bytes(byte & 1 for byte in bits)
            return _native.Array.from_buffer(bits, dtype, shape, 0)
        if KINDS[dtype] in "iu":
            wild = self.random.random() < 0.3
            values = [pick(INDICES if wild else INDICES[:7]) for _ in range(min(count, 50))]
            wide = CODES["i64"]
        else:
            wild = self.random.random() < 0.2
            values = [pick(REAL if wild else REAL[:7]) for _ in range(min(count, 50))]
            wide = CODES["f64"]
        values = (values * (count // 50 + 1))[:count]
        flat = struct.pack(f"<{count}{'q' if wide == CODES['i64'] else 'd'}", *values)
        return _native.Array.from_buffer(flat, wide, shape, 0).cast(dtype).clone()

    def view(self, array: _native.Array, dtype: int) -> _native.Array:
        """Another view of memory that the call uses already, perhaps as another dtype."""
        try:
            if self.random.random() < 0.5:
                array = array.retype(dtype)
            if array.ndim and self.random.random() < 0.5:
                axis = self.random.randrange(array.ndim)
                key = [slice(None)] * array.ndim
                key[axis] = self.random.choice([slice(1, None), slice(None, -1), slice(0, 1)])
                array = array.basic_index(tuple(key))
        except TallowError:
            pass
        return array


def make(index: int, kernels: list[str]) -> tuple[str, list[_native.Argument]]:
    """The kernel and the arguments of call `index`."""
    name = kernels[index % len(kernels)]
    return name, Draw(f"{name} {index // len(kernels)}").arguments(name)


def describe(index: int, kernels: list[str]) -> str:
    """Call `index` as text; nothing is called."""

    def text(value: _native.Argument) -> str:
        if not isinstance(value, _native.Array):
            return repr(value)
        return f"{_native.DTYPES[value.dtype][0]}{[*value.shape]}/{[*value.strides]}"

    name, args = make(index, kernels)
    return f"{name}({', '.join(map(text, args))})"


def main(first: int, last: int, note: str) -> None:
    """Make the calls, the number of the current one and of those done noted in a file."""
    known = sorted(SIGNATURES)
    with open(note, "r+b") as file, mmap.mmap(file.fileno(), 16) as page:
        done = 0
        for index in range(first, last):
            name, args = make(index, known)
            page[:16] = struct.pack("<qq", index, done)
            try:
                _native.call(name, *args)
                done += 1
            except (TallowError, OverflowError):
                pass
        page[:16] = struct.pack("<qq", last, done)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
