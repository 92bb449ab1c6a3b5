"""Sequences of different lengths: packed step by step for recurrent layers, or padded."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from tallow import ops
from tallow.dtype import i64
from tallow.errors import ArgumentError, expect
from tallow.factories import full, tensor
from tallow.tensor import Tensor


class PackedSequence(NamedTuple):
    """Steps of all sequences, the longest sequence first, by step.

    `data` is (sum of lengths, ...); `batch_sizes` (i64) how many sequences have a step 0, 1, ….
    The indices lead from the given order to the sorted one and back; None when they are the same.
    """

    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None = None
    unsorted_indices: Tensor | None = None

    def to(self, *targets: Any, **options: Any) -> PackedSequence:
        """The same with `data` converted."""
        return self._replace(data=self.data.to(*targets, **options))


def _rows(batch_sizes: Tensor) -> list[list[int]]:
    """Where step t of sequence b is in a padded (time * batch, ...), in packed order, by t."""
    sizes = batch_sizes.tolist()
    batch = sizes[0] if sizes else 0
    return [[t * batch + b for b in range(size)] for t, size in enumerate(sizes)]


def pack_steps(padded: Tensor, batch_sizes: Tensor) -> Tensor:
    """(time, batch, ...), sorted by length, → (sum of lengths, ...)."""
    rows = [row for step in _rows(batch_sizes) for row in step]
    index = tensor(rows, dtype=i64)
    return padded.reshape(padded.shape[0] * padded.shape[1], *padded.shape[2:])[index]


def unpack_steps(packed: PackedSequence, padding: float = 0.0) -> tuple[Tensor, Tensor]:
    """(time, batch, ...), sorted by length and padded, and the lengths (batch,)."""
    sizes = packed.batch_sizes.tolist()
    steps, batch = len(sizes), sizes[0]
    data = packed.data
    absent = data.shape[0]  # a row of padding stands behind the data
    index = [[absent] * batch for _ in range(steps)]
    at = 0
    for t, size in enumerate(sizes):
        index[t][:size] = range(at, at + size)
        at += size
    lengths = [sum(size > b for size in sizes) for b in range(batch)]
    more = full((1, *data.shape[1:]), padding, data.dtype)
    padded = ops.cat([data, more])[tensor(index, dtype=i64).reshape(-1)]
    return padded.reshape(steps, batch, *data.shape[1:]), tensor(lengths, dtype=i64)


def pack_padded_sequence(
    input: Tensor,
    lengths: Tensor | Sequence[int],
    batch_first: bool = False,
    enforce_sorted: bool = True,
) -> PackedSequence:
    """(time, batch, ...) or (batch, time, ...), and the lengths (batch,), as a PackedSequence.

    `enforce_sorted` demands that the lengths fall; else they are sorted here.
    """
    name = "pack_padded_sequence"
    counts = [int(n) for n in (lengths.tolist() if isinstance(lengths, Tensor) else lengths)]
    expect(input.ndim >= 2, name, "input of at least 2 axes", input.shape)
    x = input.transpose(0, 1) if batch_first else input
    wanted = f"{x.shape[1]} lengths"
    expect(len(counts) == x.shape[1] > 0, name, wanted, len(counts), ArgumentError)
    good = min(counts) > 0 and max(counts) <= x.shape[0]
    expect(good, name, f"lengths in [1, {x.shape[0]}]", counts, ArgumentError)
    order = None
    if enforce_sorted:
        falling = all(a >= b for a, b in pairwise(counts))
        expect(falling, name, "falling lengths, or enforce_sorted=False", counts, ArgumentError)
    else:
        ranks = sorted(range(len(counts)), key=lambda b: -counts[b])
        order = tensor(ranks, dtype=i64)
        x, counts = x[:, order], [counts[b] for b in ranks]
    sizes = [sum(n > t for n in counts) for t in range(counts[0])]
    batch_sizes = tensor(sizes, dtype=i64)
    back = None if order is None else invert_permutation(order)
    return PackedSequence(pack_steps(x[: counts[0]], batch_sizes), batch_sizes, order, back)


def invert_permutation(permutation: Tensor) -> Tensor:
    """The permutation that undoes another one."""
    order = permutation.tolist()
    return tensor(sorted(range(len(order)), key=order.__getitem__), dtype=i64)


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Back to (time, batch, ...) or (batch, time, ...), and the lengths, in the given order.

    `total_length` is the length of the time axis, at least that of the longest sequence.
    """
    padded, lengths = unpack_steps(sequence, padding_value)
    if total_length is not None:
        steps = padded.shape[0]
        name, wanted = "pad_packed_sequence", f"a total_length of at least {steps}"
        expect(total_length >= steps, name, wanted, total_length, ArgumentError)
        more = (total_length - steps, *padded.shape[1:])
        padded = ops.cat([padded, full(more, padding_value, padded.dtype)])
    if sequence.unsorted_indices is not None:
        padded = padded[:, sequence.unsorted_indices]
        lengths = lengths[sequence.unsorted_indices]
    return padded.transpose(0, 1) if batch_first else padded, lengths


def pad_sequence(
    sequences: Sequence[Tensor],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Tensors (length, ...) as one, (longest, batch, ...) or (batch, longest, ...)."""
    name = "pad_sequence"
    expect(len(sequences) > 0, name, "at least one sequence", "none", ArgumentError)
    wanted = "padding_side left or right"
    expect(padding_side in ("left", "right"), name, wanted, repr(padding_side), ArgumentError)
    longest = max(x.shape[0] for x in sequences)
    rows = []
    for x in sequences:
        same = x.shape[1:] == sequences[0].shape[1:]
        expect(same, name, f"sequences (length, {sequences[0].shape[1:]})", x.shape)
        fill = full((longest - x.shape[0], *x.shape[1:]), padding_value, x.dtype)
        rows.append(ops.cat([x, fill] if padding_side == "right" else [fill, x]))
    return ops.stack(rows, 0 if batch_first else 1)


def unpad_sequence(
    padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False
) -> list[Tensor]:
    """The sequences of a padded tensor, each of its own length."""
    x = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    return [x[b, : int(n)] for b, n in enumerate(lengths.tolist())]


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Tensors (length, ...) as a PackedSequence."""
    lengths = [x.shape[0] for x in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences of a PackedSequence."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)


__all__ = [
    "PackedSequence", "invert_permutation", "pack_padded_sequence", "pack_sequence",
    "pad_packed_sequence", "pad_sequence", "unpack_sequence", "unpad_sequence",
]  # fmt: skip
