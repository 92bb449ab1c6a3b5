"""Multi-head attention from sizes and parts: self or cross, grouped, rotary, causal, cached."""

from __future__ import annotations

from typing import Literal

from tallow.dtype import i64
from tallow.errors import expect
from tallow.factories import full
from tallow.models.blocks.heads import as_mask
from tallow.models.blocks.positions import last_positions
from tallow.models.blocks.rope import Rope
from tallow.models.states import Cross, KeyValue
from tallow.nn import Linear, Module
from tallow.ops import attention, rope
from tallow.tensor import Tensor


class Attention(Module):
    """Attention with projections `q_proj`, `k_proj`, `v_proj` and `o_proj` (or `out_name`).

    `size` is the width of queries and output, `kv_size` that of the context that keys and values
    are projected from (None: `size`). `kv_heads` fewer than `heads` is grouped-query attention.
    `bias` is of queries, keys and values, `k_bias` and `out_bias` of keys and the output where they
    differ. `q_norm` and `k_norm` normalise each head before `rope` rotates it. `window` limits how
    many keys a query sees, itself included (0: all).
    """

    def __init__(
        self,
        size: int,
        heads: int,
        kv_heads: int | None = None,
        head_dim: int | None = None,
        *,
        bias: bool = False,
        k_bias: bool | None = None,
        out_bias: bool | None = None,
        kv_size: int | None = None,
        rope: Rope | None = None,
        q_norm: Module | None = None,
        k_norm: Module | None = None,
        window: int = 0,
        causal: bool = False,
        scale: float | None = None,
        out_name: Literal["o_proj", "out_proj"] = "o_proj",
    ) -> None:
        self.heads, self.kv_heads = heads, kv_heads or heads
        self.head_dim = head_dim or size // heads
        width, kv_width = self.heads * self.head_dim, self.kv_heads * self.head_dim
        self.q_proj = Linear(size, width, bias=bias)
        self.k_proj = Linear(kv_size or size, kv_width, bias=bias if k_bias is None else k_bias)
        self.v_proj = Linear(kv_size or size, kv_width, bias=bias)
        out = Linear(width, size, bias=bias if out_bias is None else out_bias)
        setattr(self, out_name, out)
        self.q_norm = q_norm
        self.k_norm = k_norm
        self.rope = rope
        self.window, self.causal, self.scale = window, causal, scale
        self.out_name = out_name

    def forward(
        self,
        x: Tensor,
        *,
        context: Tensor | None = None,
        mask: Tensor | None = None,
        positions: Tensor | None = None,
        state: KeyValue | Cross | None = None,
        q_extra: Tensor | None = None,
        k_extra: Tensor | None = None,
        last: int = 0,
    ) -> Tensor:
        """`(batch, n, size)` → the same shape, or of the `last` positions alone (0: all).

        Keys and values are of `context` `(batch, m, kv_size)`, or of `x` itself. `mask` is additive
        or true where a key is kept: `(batch, m)`, or what broadcasts to `(batch, heads, n, m)`.
        `positions` are for a rotary part: integers `(batch or 1, n)`, or the table that
        `Rope.table` made of them, which spares layers of one rope to make it again.

        With a `state`, keys and values join what it holds. A cross state is filled at the first
        call with keys and values of `context` and `mask`, which are not needed after that.
        `q_extra` and `k_extra` are added to what queries and keys, but not values, are projected
        from (positions in DETR); they broadcast.
        """
        queries = last_positions(x if q_extra is None else x + q_extra, last)
        b, n, _ = queries.shape
        q = self.q_proj(queries).view(b, n, self.heads, self.head_dim)
        if self.q_norm is not None:
            q = self.q_norm(q)
        table = None
        if self.rope is not None:
            good = positions is not None and context is None
            expect(good, Attention, "positions and no context for a rotary part", "others")
            assert positions is not None
            table = positions if positions.dtype.kind == "f" else self.rope.table(positions)
            q = rope(q, last_positions(table, n), self.rope.interleaved)
        start: Tensor | None = None
        if isinstance(state, Cross):
            if not state.filled:
                assert context is not None, "the first step brings the context"
                self.fill(state, context, mask, k_extra=k_extra)
            k, v, mask = state.held()
        else:
            k, v = self._keys_and_values(x if context is None else context, k_extra, table)
            if state is not None:
                k, v, start = state.update(k, v)
        out = attention(
            q.transpose(1, 2), k, v, start=_later(start, b, x.shape[1] - n), window=self.window,
            mask=None if mask is None else as_mask(mask), scale=self.scale, causal=self.causal,
        )  # fmt: skip
        merged = out.transpose(1, 2).reshape(b, n, self.heads * self.head_dim)
        return self._modules[self.out_name](merged)  # type: ignore[misc]

    def fill(
        self, state: Cross, context: Tensor, mask: Tensor | None, *, k_extra: Tensor | None = None
    ) -> None:
        """Let a cross state hold the keys and values of `context`, and its mask."""
        state.fill(*self._keys_and_values(context, k_extra, None), mask)

    def _keys_and_values(
        self, source: Tensor, extra: Tensor | None, table: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        b, m, _ = source.shape
        keys = source if extra is None else source + extra
        k = self.k_proj(keys).view(b, m, self.kv_heads, self.head_dim)
        v = self.v_proj(source).view(b, m, self.kv_heads, self.head_dim)
        if self.k_norm is not None:
            k = self.k_norm(k)
        if table is not None and self.rope is not None:
            k = rope(k, table, self.rope.interleaved)
        return k.transpose(1, 2), v.transpose(1, 2)


def _later(start: Tensor | None, batch: int, count: int) -> Tensor | None:
    """The `start` of the queries that come `count` positions later."""
    if count == 0:
        return start
    return full((batch,), count, dtype=i64) if start is None else start + count
