"""torch.monitor: counters that nobody reads here."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    refuses={"it is not supported": "Stat Event log_event Aggregation"},
)
