"""Profiles: which kernels ran, how long, on what, and how near to what the machine can do."""

from __future__ import annotations

from tallow.profiling.limits import Limits, best, measure
from tallow.profiling.recording import Call, Profile, Span, record
from tallow.profiling.summary import Row, by_kernel, by_shapes

__all__ = [
    "Call",
    "Limits",
    "Profile",
    "Row",
    "Span",
    "best",
    "by_kernel",
    "by_shapes",
    "measure",
    "record",
]
