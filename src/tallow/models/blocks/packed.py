"""Rotary attention of encoders whose checkpoints pack queries, keys and values in one matrix."""

from __future__ import annotations

from tallow.errors import ContextError, expect
from tallow.factories import arange
from tallow.models.blocks.heads import merge_heads
from tallow.nn import Linear, Module
from tallow.ops import attention, rope
from tallow.tensor import Tensor


class PackedAttention(Module):
    """Attention to all positions, with projections named `packed` and `out`."""

    def __init__(
        self,
        size: int,
        heads: int,
        *,
        packed: str,
        out: str,
        bias: bool = False,
        out_bias: bool | None = None,
    ) -> None:
        setattr(self, packed, Linear(size, 3 * size, bias=bias))
        setattr(self, out, Linear(size, size, bias=bias if out_bias is None else out_bias))
        self.names, self.heads = (packed, out), heads

    def forward(self, x: Tensor, mask: Tensor | None, table: Tensor | None) -> Tensor:
        """`(batch, n, size)` → the same shape; `table` is of `Rope.table`, `mask` of `as_mask`."""
        b, n, size = x.shape
        packed, out = (getattr(self, name) for name in self.names)
        heads = self.heads
        every = packed(x).reshape(b, n, 3 * heads, size // heads)
        both, v = every[:, :, : 2 * heads], every[:, :, 2 * heads :]
        if table is not None:
            both = rope(both, table)
        both = both.transpose(1, 2)
        seen = attention(both[:, :heads], both[:, heads:], v.transpose(1, 2), mask=mask)
        found: Tensor = out(merge_heads(seen))
        return found


def places(n: int, most: int) -> Tensor:
    """The positions of `n` inputs, `(1, n)`.

    Raises:
        ContextError: there are more than `most`.
    """
    expect(n <= most, "input", f"at most {most} positions", n, ContextError)
    return arange(n).reshape(1, n)
