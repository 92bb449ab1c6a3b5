"""Look-ups whose results are f32, whatever the table's dtype."""

from __future__ import annotations

from tallow import nn
from tallow.dtype import f32
from tallow.factories import arange
from tallow.tensor import Tensor


class Embedding(nn.Embedding):
    """`nn.Embedding` that gives f32: activations are f32 beside weights of any dtype."""

    def forward(self, ids: Tensor) -> Tensor:
        """`(...)` of ids → `(..., size)`."""
        found: Tensor = super().forward(ids)
        return found if found.dtype.itemsize >= 4 else found.to(f32)

    def rows(self, start: int, n: int) -> Tensor:
        """Rows `start` to `start + n`, `(n, size)`; a view where the table is f32."""
        if self.weight.dtype is f32 and self.padding_idx is None:
            return self.weight.narrow(0, start, n)
        return self(arange(start, start + n))  # type: ignore[no-any-return]  # of forward
