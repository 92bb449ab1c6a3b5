"""torch.distributed.algorithms.join: one process has no uneven inputs to wait for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tallow.torch._dispatch import Guard


class Joinable:
    """What takes part in a `Join`."""


class Join(Guard):
    """A block that changes nothing."""

    def __init__(self, joinables: Sequence[Any], enable: bool = True, **_: Any) -> None:
        super().__init__()

    @staticmethod
    def notify_join_context(joinable: Any) -> None:
        """Nobody to tell."""
