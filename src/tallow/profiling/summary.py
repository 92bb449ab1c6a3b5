"""Rows of a profile's table: what calls of one kind took, and their rates beside the limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tallow.lazy_dataclasses import dataclass
from tallow.profiling.limits import Limits
from tallow.profiling.recording import Call, Profile


@dataclass(frozen=True)
class Row:
    """Calls that share a name; `flops` is None where no formula knows those of each call.

    `share` is that of the profile's whole time, `waiting` the part of the threads' time in these
    calls in which they did not work.
    """

    name: str
    calls: int
    seconds: float
    share: float
    flops: int | None
    bytes: int
    waiting: float

    @property
    def flops_per_s(self) -> float | None:
        """Operations a second."""
        return self.flops / self.seconds if self.flops is not None and self.seconds else None

    @property
    def bytes_per_s(self) -> float | None:
        """Bytes a second."""
        return self.bytes / self.seconds if self.seconds else None

    def of_peak(self, limits: Limits) -> float | None:
        """The share of the multiply-add peak; products of 8-bit integers may exceed it."""
        rate = self.flops_per_s
        return None if rate is None else rate / limits.flops_per_s

    def of_reads(self, limits: Limits) -> float | None:
        """The share of the read bandwidth; what lies in a cache may exceed it."""
        rate = self.bytes_per_s
        return None if rate is None else rate / limits.read_bytes_per_s

    def as_json(self, limits: Limits) -> dict[str, Any]:
        """All of it, rates included."""
        return {
            "name": self.name,
            "calls": self.calls,
            "seconds": self.seconds,
            "share": self.share,
            "flops": self.flops,
            "bytes": self.bytes,
            "flops_per_s": self.flops_per_s,
            "bytes_per_s": self.bytes_per_s,
            "share_of_fma_peak": self.of_peak(limits),
            "share_of_read_bandwidth": self.of_reads(limits),
            "threads_waiting": self.waiting,
        }


def by_kernel(profile: Profile) -> list[Row]:
    """A row for each kernel, the longest first."""
    return _rows(profile, lambda call: call.what.kernel)


def by_shapes(profile: Profile) -> list[Row]:
    """A row for each kernel and the dtypes and shapes of its operands, the longest first."""
    return _rows(profile, lambda call: f"{call.what.kernel}  {call.what}")


def total(profile: Profile) -> Row:
    """All calls as one row; operations are those that are known."""
    made = row("all kernels", profile, profile.calls)
    known = sum(call.what.work.flops or 0 for call in profile.calls)
    return Row(**{**vars(made), "flops": known or None})


def row(name: str, profile: Profile, calls: list[Call]) -> Row:
    """One row of some calls."""
    seconds = sum(call.seconds for call in calls)
    flops = [call.what.work.flops for call in calls]
    return Row(
        name,
        len(calls),
        seconds,
        seconds / profile.seconds if profile.seconds else 0.0,
        None if None in flops else sum(filter(None, flops)),
        sum(call.what.work.bytes for call in calls),
        profile.waiting(calls),
    )


def _rows(profile: Profile, key: Callable[[Call], str]) -> list[Row]:
    groups: dict[str, list[Call]] = {}
    for call in profile.calls:
        groups.setdefault(key(call), []).append(call)
    made = [row(name, profile, calls) for name, calls in groups.items()]
    return sorted(made, key=lambda each: -each.seconds)
