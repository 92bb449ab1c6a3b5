"""torch.functional: functions of the root by another path."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(__name__, behind=("tallow.torch",))
