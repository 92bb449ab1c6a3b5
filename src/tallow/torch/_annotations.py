"""torch.jit.annotations: types that annotations name."""

from __future__ import annotations

from typing import Dict, List, Optional, Tuple  # noqa: UP035  (what programs import from here)

__all__ = ["BroadcastingList1", "BroadcastingList2", "BroadcastingList3", "Dict", "List",
           "Optional", "Tuple"]  # fmt: skip
BroadcastingList1 = BroadcastingList2 = BroadcastingList3 = List  # noqa: UP006
