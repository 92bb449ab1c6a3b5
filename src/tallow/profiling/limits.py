"""What the machine reaches at most right now: float32 multiply-adds, and reads of memory."""

from __future__ import annotations

import os
from time import perf_counter

from tallow import _native
from tallow.dtype import f64
from tallow.factories import full, zeros
from tallow.lazy_dataclasses import dataclass, replace

READ_BYTES = 256 << 20  # beyond the caches of a processor
FMA_STEPS = 1 << 20  # a few milliseconds on each thread


@dataclass(frozen=True)
class Limits:
    """Rates of all threads together, in the vectors of the instruction set `isa`."""

    isa: str
    threads: int
    flops_per_s: float
    read_bytes_per_s: float


def best(*measured: Limits) -> Limits:
    """The higher rates of several: others may have wanted the cores meanwhile."""
    rates = [(each.flops_per_s, each.read_bytes_per_s) for each in measured]
    flops, reads = (max(column) for column in zip(*rates, strict=True))
    return replace(measured[-1], flops_per_s=flops, read_bytes_per_s=reads)


def measure(rounds: int = 5) -> Limits:
    """The best of `rounds` of each, in turn, with as many threads as kernels use.

    The peak is that of independent vector multiply-adds in registers, the bandwidth that of one
    pass over 256 MB, or a quarter of what memory is free.
    """
    size = min(READ_BYTES, _free_bytes() // 4) // 4
    memory, done = full((size,), 1.0), zeros(1, dtype=f64)
    flops = reads = 0.0
    for _ in range(rounds):
        begin = perf_counter()
        _native.call("probe_fma", done._array, FMA_STEPS)
        flops = max(flops, done.item() / (perf_counter() - begin))
        begin = perf_counter()
        _native.call("probe_read", done._array, memory._array)
        reads = max(reads, done.item() / (perf_counter() - begin))
    return Limits(_native.ISA, _native.num_threads(), flops, reads)


def _free_bytes() -> int:
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):  # a system that does not tell
        return READ_BYTES
