"""What layers keep between steps of a generation."""

from __future__ import annotations

from tallow.ops import kv_write
from tallow.tensor import Tensor


class KeyValue:
    """Keys and values of one layer, each `(batch, kv_heads, capacity, head_dim)`.

    `start` `(batch,)` says where the next position of each row is written.
    """

    cross = False
    filled = False

    def __init__(self, keys: Tensor, values: Tensor, start: Tensor) -> None:
        self.keys, self.values, self.start = keys, values, start

    def update(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Write `k` and `v` at `start`; all that is held, and `start`."""
        kv_write(self.keys, self.values, k, v, self.start)
        return self.keys, self.values, self.start

    def held(self) -> tuple[Tensor, Tensor]:
        """Keys and values."""
        return self.keys, self.values
