"""Grouped-query self-attention with rotary positions and an optional cache."""

from __future__ import annotations

from typing import NamedTuple

from tallow.models.config import DecoderConfig
from tallow.nn import Linear, Module
from tallow.ops import attention, kv_write, rope
from tallow.tensor import Tensor


class Slot(NamedTuple):
    """Keys and values of one layer, each `(batch, kv_heads, capacity, head_dim)`."""

    keys: Tensor
    values: Tensor


class Attention(Module):
    """Causal attention over the input and what the cache holds from before.

    `q_norm` and `k_norm`, when given, normalise each query and key head before the rotation.
    `window` limits how many keys a query sees, itself included; 0 is all.
    """

    def __init__(
        self,
        cfg: DecoderConfig,
        *,
        window: int = 0,
        q_norm: Module | None = None,
        k_norm: Module | None = None,
    ) -> None:
        heads, kv_heads, size = cfg.num_attention_heads, cfg.num_key_value_heads, cfg.head_dim
        self.q_proj = Linear(cfg.hidden_size, heads * size, bias=cfg.qkv_bias)
        self.k_proj = Linear(cfg.hidden_size, kv_heads * size, bias=cfg.qkv_bias)
        self.v_proj = Linear(cfg.hidden_size, kv_heads * size, bias=cfg.qkv_bias)
        self.o_proj = Linear(heads * size, cfg.hidden_size, bias=cfg.output_bias)
        self.q_norm = q_norm
        self.k_norm = k_norm
        self.heads, self.kv_heads, self.head_dim = heads, kv_heads, size
        self.window = window
        self.interleaved = cfg.rope_interleaved

    def forward(
        self, x: Tensor, table: Tensor, start: Tensor | None = None, slot: Slot | None = None
    ) -> Tensor:
        """`(batch, length, hidden_size)` → the same shape.

        `table` comes from `Rope.table`. With a `slot`, keys and values are written into it at
        `start` (one position for each row) and the queries see all that stands before them.
        """
        b, n, _ = x.shape
        size = self.head_dim
        q = self.q_proj(x).view(b, n, self.heads, size)
        k = self.k_proj(x).view(b, n, self.kv_heads, size)
        v = self.v_proj(x).view(b, n, self.kv_heads, size).transpose(1, 2)
        if self.q_norm is not None:
            q = self.q_norm(q)
        if self.k_norm is not None:
            k = self.k_norm(k)
        q = rope(q, table, self.interleaved).transpose(1, 2)
        k = rope(k, table, self.interleaved).transpose(1, 2)
        if slot is not None:
            assert start is not None, "a slot comes with the position to write at"
            kv_write(slot.keys, slot.values, k, v, start)
            k, v = slot
        out = attention(q, k, v, start=start, causal=True, window=self.window)
        projected: Tensor = self.o_proj(out.transpose(1, 2).reshape(b, n, self.heads * size))
        return projected
