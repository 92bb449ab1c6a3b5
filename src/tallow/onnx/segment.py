"""A plan for some steps of a program, and counts of what plans came to."""

from __future__ import annotations

from typing import Any

from tallow import _native
from tallow.lazy_dataclasses import dataclass


@dataclass(eq=False)
class Segment:
    """A plan for steps; what it takes and gives, by place."""

    plan: _native.Plan
    inputs: tuple[int, ...]
    cloned: tuple[int, ...]  # of the inputs: on memory of another, and given their own
    outputs: tuple[int, ...]
    fixed: tuple[tuple[int, Any], ...]  # values that follow from the signature alone
    known: tuple[int, ...]  # their places
    free: tuple[int, ...]
    end: int  # the step after the last
    token: int  # stands for the signature
    shares: tuple[Any, ...] = ()  # results of weights, which other plans may have, too
    has_run: bool = False

    @property
    def temporaries(self) -> int:
        """Bytes of what calls leave to others, each counted as if it had its own."""
        return sum([size for role, size, *_ in self.plan.buffers if role == "temporary"])


@dataclass(eq=False)
class RunStats:
    """What the calls of a program came to."""

    captured: int = 0  # plans made
    replayed: int = 0  # plans run
    stepped: int = 0  # calls, or rests of calls, computed step by step
