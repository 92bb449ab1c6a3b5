"""Importance matrices of llama.cpp: how strongly each input of a weight is used, for quantising it.

Two layouts hold the same: a GGUF file with two tensors for each weight, and the older `.dat`. Both
are read and written.

Source: `tools/imatrix/imatrix.cpp` and `common/imatrix-loader.cpp` of llama.cpp for the layouts,
`tools/quantize/quantize.cpp` there for what the numbers mean to a quantiser.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from tallow.errors import ArgumentError, FormatError, expect
from tallow.formats.cursor import Cursor
from tallow.formats.gguf import GGUFFile, Typed, open_gguf, save_gguf
from tallow.formats.gguf_types import MAGIC
from tallow.formats.mapping import FileMap, shown
from tallow.formats.writing import replace_file
from tallow.lazy_dataclasses import dataclass

if TYPE_CHECKING:
    from tallow.formats.mapping import Source
    from tallow.tensor import Tensor

DEFAULT_CHUNK: Final = 512  # tokens; llama-imatrix's context unless told otherwise
_SUMS, _COUNTS = ".in_sum2", ".counts"
_MOST_I32 = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Importance:
    """What was seen of one weight's inputs.

    `sums` has the squares of the activations, summed over tokens: f32 of shape (matrices, inputs).
    `counts` has the tokens that each matrix has seen; one matrix unless it is a stack of experts.
    """

    sums: Tensor
    counts: tuple[int, ...]


class ImportanceMatrix:
    """The importance of every weight by name, with what text it was measured on.

    `datasets` names the texts, `chunk_size` is the tokens of a chunk, `chunk_count` how many chunks
    were read.
    """

    def __init__(
        self,
        *,
        datasets: Sequence[str] = (),
        chunk_count: int = 0,
        chunk_size: int = DEFAULT_CHUNK,
    ) -> None:
        expect(
            0 < chunk_size <= _MOST_I32, "ImportanceMatrix", "a positive chunk_size", chunk_size,
            ArgumentError,
        )  # fmt: skip
        self.entries: dict[str, Importance] = {}
        self.datasets = list(datasets)
        self.chunk_count, self.chunk_size = chunk_count, chunk_size

    def values(self, name: str) -> Tensor:
        """The mean squared activation of each input: f32 of shape (inputs) or (experts, inputs).

        Inputs of an expert that has seen no token are all 1, as in llama.cpp. A stack of experts
        from a `.dat` file has the shape (experts × inputs): that layout keeps no number of experts.

        Raises:
            KeyError: nothing is known of a weight of this name.
        """
        from tallow.factories import ones_like, tensor
        from tallow.ops import where

        entry = self.entries[name]
        counts = tensor([[count] for count in entry.counts], "f32")
        means = where(counts > 0, entry.sums / counts.clamp(1), ones_like(entry.sums))
        return means if len(entry.counts) > 1 else means.view(-1)

    def add(self, name: str, sums: Tensor, counts: int | Sequence[int]) -> None:
        """Add what more tokens showed: `sums` (inputs) or (experts, inputs), and their numbers.

        Raises:
            ArgumentError: a sum that is negative or not finite, a negative count.
            ShapeError: another number of inputs or experts than before.
        """
        counts = (counts,) if isinstance(counts, int) else tuple(counts)
        where = f"ImportanceMatrix.add: {shown(name)}"
        fits = len(counts) > 0 and sums.numel() > 0 and sums.numel() % len(counts) == 0
        expect(fits, where, f"as many sums for each of {len(counts)} counts", sums.shape)
        expect(min(counts) >= 0, where, "counts from 0 on", counts, ArgumentError)
        sums = sums.detach().to("f32").reshape(len(counts), -1)
        expect(_plausible(sums), where, "sums of squares", "one negative or endless", ArgumentError)
        before = self.entries.get(name)
        if before is None:
            self.entries[name] = Importance(sums.clone(), counts)
            return
        expect(
            sums.numel() == before.sums.numel(), where, f"{before.sums.numel()} sums", sums.shape
        )
        ours = _aligned(before.counts, len(counts), where)
        theirs = _aligned(counts, len(before.counts), where)
        both = tuple(p + q for p, q in zip(ours, theirs, strict=True))
        whole = before.sums.view(len(both), -1) + sums.view(len(both), -1)
        expect(_plausible(whole), where, "sums that f32 can hold", "larger ones", ArgumentError)
        self.entries[name] = Importance(whole, both)

    def merge(self, other: ImportanceMatrix) -> None:
        """Add all that `other` has seen, as if both texts had been read by one run."""
        for name, entry in other.entries.items():
            self.add(name, entry.sums, entry.counts)
        self.datasets += other.datasets
        most = max((max(entry.counts) for entry in self.entries.values()), default=0)
        self.chunk_count = most // self.chunk_size

    def __contains__(self, name: object) -> bool:
        return name in self.entries

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __repr__(self) -> str:
        read = f"{self.chunk_count} × {self.chunk_size} tokens"
        return f"ImportanceMatrix({len(self)} weights, {read})"


def _aligned(counts: tuple[int, ...], number: int, where: str) -> tuple[int, ...]:
    """One count stands for each expert, as in files from before experts had their own."""
    if len(counts) == 1:
        return counts * number
    expect(number in (1, len(counts)), where, f"{len(counts)} counts", number)
    return counts


def _plausible(sums: Tensor) -> bool:
    return bool(((sums >= 0) & (sums < float("inf"))).all().item())


def open_imatrix(source: Source, *, chunk_size: int = DEFAULT_CHUNK) -> ImportanceMatrix:
    """Read an importance matrix of either layout, whole.

    A `.dat` file counts chunks of tokens, but not how many tokens those had: `chunk_size` tells.

    Raises:
        FormatError: neither layout, damaged, a sum that is negative or not finite, a weight without
            sums or counts, a name that stands twice.
    """
    file = FileMap(source)
    try:
        if bytes(file.buffer[:4]) != MAGIC:
            return _read_dat(Cursor(file), chunk_size)
    finally:
        file.close()
    with open_gguf(source) as opened:
        return _read_gguf(opened)


# --- GGUF -----------------------------------------------------------------------------------------


def _read_gguf(file: GGUFFile) -> ImportanceMatrix:
    kinds = {
        "general.type": "str",
        "imatrix.datasets": "arr[str]",
        "imatrix.chunk_count": "u32",
        "imatrix.chunk_size": "u32",
    }
    for key, kind in kinds.items():
        found = file.metadata.kind(key) if key in file.metadata else "none"
        if found != kind:
            raise FormatError(file.path, f"metadata {key}", f"a value of type {kind}", found)
    if file.metadata["general.type"] != "imatrix":
        got = shown(file.metadata["general.type"])
        raise FormatError(file.path, "metadata general.type", "imatrix", got)
    size = file.metadata["imatrix.chunk_size"]
    if not 0 < size <= _MOST_I32:
        raise FormatError(file.path, "metadata imatrix.chunk_size", "a positive number", size)
    matrix = ImportanceMatrix(
        datasets=file.metadata["imatrix.datasets"],
        chunk_count=file.metadata["imatrix.chunk_count"],
        chunk_size=size,
    )
    for name in file.tensors:
        stem = name.removesuffix(_SUMS)
        if stem != name:
            matrix.entries[stem] = _read_pair(file, stem)
        elif name.endswith(_COUNTS) and name.removesuffix(_COUNTS) + _SUMS not in file.tensors:
            got = "none of its name"
            raise FormatError(file.path, f"tensor {shown(name)}", f"a tensor {_SUMS} too", got)
    if not matrix.entries:
        raise FormatError(file.path, "tensor count", f"tensors named …{_SUMS}", "none")
    return matrix


def _read_pair(file: GGUFFile, name: str) -> Importance:
    from tallow.borrowing import from_buffer

    for suffix in (_SUMS, _COUNTS):
        info = file.tensors.get(name + suffix)
        if info is None or info.dtype != "f32" or not info.nbytes:
            got = f"{info.dtype} of shape {info.shape}" if info else "none of its name"
            field = f"tensor {shown(name + suffix)}"
            raise FormatError(file.path, field, "a tensor of f32 that is not empty", got)
    numbers = file.tensor(name + _COUNTS).view(-1).tolist()
    if not all(0 <= number < 2**63 for number in numbers):
        got = "one negative or endless"
        raise FormatError(file.path, f"tensor {shown(name + _COUNTS)}", "counts", got)
    raw = bytes(file.data(name + _SUMS))
    rows, rest = divmod(len(raw) // 4, len(numbers))
    if rest:
        wanted = f"a multiple of the {len(numbers)} counts"
        raise FormatError(file.path, f"tensor {shown(name + _SUMS)}", wanted, len(raw) // 4)
    sums = from_buffer(raw, "f32", (len(numbers), rows))
    if not _plausible(sums):
        field, got = f"tensor {shown(name + _SUMS)}", "one negative or endless"
        raise FormatError(file.path, field, "sums of squares", got)
    return Importance(sums, tuple(map(round, numbers)))


def save_imatrix(
    matrix: ImportanceMatrix, path: str | os.PathLike[str], *, format: str | None = None
) -> None:
    """Write an importance matrix as llama-imatrix does, whole or not at all.

    `format` is "gguf" or "dat"; without it, a path that ends in `.dat` gets that layout, any other
    GGUF. A `.dat` file holds means, not sums, keeps the last dataset only, and leaves out weights
    that have seen no token.

    Raises:
        ArgumentError: another format, nothing to write, or a name that the layout cannot hold.
        FormatError: the file cannot be written.
    """
    if format is None:
        format = "dat" if os.fsdecode(path).endswith(".dat") else "gguf"
    writers = {"gguf": _save_gguf, "dat": _save_dat}
    wanted = f"a format of {', '.join(writers)}"
    expect(format in writers, "save_imatrix", wanted, shown(format), ArgumentError)
    expect(len(matrix) > 0, "save_imatrix", "at least one weight", "none", ArgumentError)
    writers[format](matrix, path)


def _save_gguf(matrix: ImportanceMatrix, path: str | os.PathLike[str]) -> None:
    from tallow.factories import tensor

    tensors = {}
    for name in sorted(matrix, key=_order):
        entry = matrix.entries[name]
        counts = tensor([[count] for count in entry.counts], "f32")
        single = len(entry.counts) == 1  # ggml leaves out trailing axes of length 1
        tensors[name + _SUMS] = entry.sums.view(-1) if single else entry.sums
        tensors[name + _COUNTS] = counts.view(-1) if single else counts
    metadata = {
        "general.type": "imatrix",
        "imatrix.datasets": Typed("arr[str]", matrix.datasets),
        "imatrix.chunk_count": Typed("u32", matrix.chunk_count),
        "imatrix.chunk_size": Typed("u32", matrix.chunk_size),
    }
    save_gguf(tensors, path, metadata)


def _order(name: str) -> bytes:
    """llama.cpp sorts names by their bytes."""
    return name.encode("utf-8", "surrogateescape")


# --- .dat -----------------------------------------------------------------------------------------


def _read_dat(cursor: Cursor, chunk_size: int) -> ImportanceMatrix:
    count = cursor.i32("number of entries")
    # Smallest entry: three numbers, a name of one byte and one value.
    if not 0 < count <= (cursor.size - cursor.at) // 17:
        wanted = f"from 1 to what {cursor.size} bytes can hold, or the magic GGUF"
        raise cursor.fail("number of entries", wanted, count)
    matrix = ImportanceMatrix(chunk_size=chunk_size)
    for number in range(count):
        cursor.where = f"entry {number}"
        name = _dat_text(cursor, "name")
        if not name or name in matrix:
            raise cursor.fail("name", "a name not used before", shown(name))
        cursor.where = f"entry {shown(name)}"
        matrix.entries[name] = _read_dat_entry(cursor, chunk_size)
    cursor.where = ""
    if cursor.at < cursor.size:  # older files end here
        matrix.chunk_count = cursor.i32("number of chunks")
        if matrix.chunk_count < 0:
            raise cursor.fail("number of chunks", "0 or more", matrix.chunk_count)
    if cursor.at < cursor.size:  # less old ones here
        dataset = _dat_text(cursor, "dataset")
        matrix.datasets = [dataset] if dataset else []
    if cursor.at < cursor.size:
        raise cursor.fail("end", f"the end at byte {cursor.at}", f"{cursor.size} bytes")
    return matrix


def _dat_text(cursor: Cursor, field: str) -> str:
    length = cursor.i32(f"{field} length")
    if length < 0:
        raise cursor.fail(f"{field} length", "0 or more", length)
    return cursor.raw(length, field).decode("utf-8", "surrogateescape")


def _read_dat_entry(cursor: Cursor, chunk_size: int) -> Importance:
    from tallow.borrowing import from_buffer

    calls, count = cursor.i32("number of chunks"), cursor.i32("number of values")
    if calls < 0:
        raise cursor.fail("number of chunks", "0 or more", calls)
    if count < 1:
        raise cursor.fail("number of values", "1 or more", count)
    sums = from_buffer(cursor.raw(4 * count, f"{count} values"), "f32", (1, count)) * chunk_size
    if not _plausible(sums):
        raise cursor.fail("values", "means of squares", "one negative, too large or endless")
    # llama-quantize takes values of 0 chunks as they are.
    return Importance(sums, (max(calls, 1) * chunk_size,))


def _save_dat(matrix: ImportanceMatrix, path: str | os.PathLike[str]) -> None:
    from tallow.tensor import tobytes

    names = [n for n in sorted(matrix, key=_order) if any(matrix.entries[n].counts)]
    expect(bool(names), "save_imatrix", "a weight that has seen a token", "none", ArgumentError)
    parts = [struct.pack("<i", len(names))]
    for name in names:
        entry = matrix.entries[name]
        calls = -(-max(entry.counts) // matrix.chunk_size)
        expect(calls <= _MOST_I32, "save_imatrix", "a count of 31 bits", calls, ArgumentError)
        values = matrix.values(name) * calls
        parts += [_dat_string(name), struct.pack("<ii", calls, values.numel()), tobytes(values)]
    parts.append(struct.pack("<i", matrix.chunk_count))
    parts.append(_dat_string(matrix.datasets[-1] if matrix.datasets else ""))
    replace_file(path, parts)


def _dat_string(text: str) -> bytes:
    raw = text.encode("utf-8", "surrogateescape")
    return struct.pack("<i", len(raw)) + raw
