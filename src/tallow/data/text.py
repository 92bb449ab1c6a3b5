"""Text from mapped files: lines, and windows of token ids."""

from __future__ import annotations

import os
from array import array
from collections.abc import Sequence
from typing import Any

from tallow.borrowing import from_buffer
from tallow.data.dataset import Dataset
from tallow.errors import ArgumentError, DTypeError, FormatError, IndexRangeError, expect
from tallow.factories import tensor
from tallow.formats.mapping import FileMap
from tallow.tensor import Tensor


class LineDataset(Dataset[str]):
    """The lines of a text file without their ends, decoded when asked for; the file is mapped.

    Only the places of the lines are held in memory, 8 bytes each. LF or CR LF ends a line.

    Raises:
        FormatError: not a readable file; or, on access, a line is not UTF-8 (`errors="strict"`) or
            longer than `max_line` bytes.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        encoding: str = "utf-8",
        errors: str = "strict",
        max_line: int = 1 << 24,
    ) -> None:
        self._file = FileMap(path)
        self.path, self.encoding, self.errors = self._file.path, encoding, errors
        self.max_line = max_line
        find, size = self._file.find, self._file.size
        starts, at = array("q", [0]), 0
        while (at := find(b"\n", at) + 1) > 0:
            starts.append(at)
        if starts[-1] != size:  # a last line without an end
            starts.append(size)
        self._starts = starts

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, index: int) -> str:
        if not -len(self) <= index < len(self):
            raise IndexRangeError(f"LineDataset: expected an index below {len(self)}, got {index}")
        index += len(self) if index < 0 else 0
        begin, end = self._starts[index], self._starts[index + 1]
        field = f"line {index + 1}"
        if end - begin > self.max_line + 2:
            raise FormatError(self.path, field, f"at most {self.max_line} bytes", end - begin)
        raw = bytes(self._file.check(end, field)[begin:end])
        raw = raw.removesuffix(b"\n").removesuffix(b"\r")
        try:
            return raw.decode(self.encoding, self.errors)
        except UnicodeDecodeError as error:
            got = f"{error.reason} at byte {error.start}"
            raise FormatError(self.path, field, self.encoding, got) from error

    def __repr__(self) -> str:
        return f"LineDataset({self.path!r}, {len(self)} lines)"


class TokenDataset(Dataset[tuple[Tensor, Tensor]]):
    """Windows of a long row of token ids, for language models: (ids, the ids one further on).

    `source` is the path of a file of u16 or u32 numbers (little-endian, as `numpy.tofile` and
    nanoGPT write them), which is mapped, or a 1-d tensor of integers. Window i begins at token
    `i * stride`; both parts are `(length,)` of i64. With `stride=1` and random indices
    (`RandomSampler(…, replacement=True)`, or `sample`) windows come from anywhere.

    Raises:
        FormatError: the file is not a whole number of tokens.
        ArgumentError: there are fewer than `length + 1` tokens.
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | Tensor,
        length: int,
        *,
        dtype: str = "u16",
        stride: int = 1,
    ) -> None:
        if isinstance(source, Tensor):
            expect(source.ndim == 1, TokenDataset, "a 1-d tensor", source.shape)
            expect(
                source.dtype.kind in "iu", TokenDataset, "integers", source.dtype.name, DTypeError
            )
            self.tokens = source
        else:
            expect(dtype in ("u16", "u32"), TokenDataset, "u16 or u32", dtype, DTypeError)
            file = FileMap(source)
            itemsize = 2 if dtype == "u16" else 4
            if file.size % itemsize:
                raise FormatError(file.path, "size", f"a multiple of {itemsize} bytes", file.size)
            self.tokens = from_buffer(file.buffer, dtype, (file.size // itemsize,))
        expect(length > 0 and stride > 0, TokenDataset, "length and stride above 0",
               (length, stride), ArgumentError)  # fmt: skip
        count = len(self.tokens)
        expect(count > length, TokenDataset, f"more than {length} tokens", count, ArgumentError)
        self.length, self.stride = length, stride

    def __len__(self) -> int:
        return (len(self.tokens) - self.length - 1) // self.stride + 1

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        x, y = self.batch([index])
        return x[0], y[0]

    def batch(self, indices: Sequence[int]) -> list[Tensor]:
        """Windows as the rows of two tensors (len(indices), length) of i64."""
        size = len(self)
        for index in indices:
            if not -size <= index < size:
                raise IndexRangeError(f"TokenDataset: expected an index below {size}, got {index}")
        starts = [(i + size if i < 0 else i) * self.stride for i in indices]
        return self._windows(tensor(starts, dtype="i64").reshape(-1, 1))

    def sample(self, count: int, generator: Any = None) -> list[Tensor]:
        """`count` windows that begin at random tokens, whatever the stride."""
        from tallow.ops.random import randint

        last = len(self.tokens) - self.length
        return self._windows(randint(0, last, (count, 1), generator=generator))

    def _windows(self, starts: Tensor) -> list[Tensor]:
        from tallow.factories import arange

        places = starts + arange(self.length + 1, dtype="i64")
        rows = self.tokens[places].to("i64")
        return [rows[:, :-1].contiguous(), rows[:, 1:].contiguous()]

    def __repr__(self) -> str:
        return f"TokenDataset({len(self.tokens)} tokens, windows of {self.length})"
