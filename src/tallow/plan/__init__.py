"""Plans: the kernel calls of a function as tables, replayed without Python."""

from __future__ import annotations

from tallow.plan.capturing import Plan, capture

__all__ = ["Plan", "capture"]
