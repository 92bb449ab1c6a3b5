"""torch._prims_common: the one helper that packages take from there."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(__name__, answers={"alert_not_deterministic": None})
