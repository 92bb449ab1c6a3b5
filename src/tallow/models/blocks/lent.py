"""Attention whose keys and values layers behind it may attend to, too (Gemma 3n and 4)."""

from __future__ import annotations

from typing import NamedTuple

from tallow.dtype import i64
from tallow.factories import full
from tallow.models.blocks.heads import as_mask
from tallow.models.blocks.rope import Rope
from tallow.models.states import KeyValue
from tallow.nn import Linear, Module, RMSNorm
from tallow.ops import attention, rope
from tallow.tensor import Tensor


class Lent(NamedTuple):
    """What a layer attended to, for those that borrow it.

    `keys` and `values` are `(batch, heads, positions, head size)`; the queries of the pass begin at
    `start` `(batch,)` (None: at the first position) and are `queries` of each row.
    """

    keys: Tensor
    values: Tensor
    start: Tensor | None
    queries: int


class LendingAttention(Module):
    """Causal rotary attention to keys and values of its own, or to `Lent` ones if it `borrows`.

    Queries and keys are normalised with a weight, values without, and scores are not scaled. Values
    are made by the matrix of the keys where there are no `own_values`. `window` limits how many
    keys a query sees, itself included (0: all).
    """

    def __init__(
        self,
        size: int,
        heads: int,
        kv_heads: int,
        head_dim: int,
        *,
        eps: float,
        rope: Rope,
        bias: bool = False,
        window: int = 0,
        borrows: bool = False,
        own_values: bool = True,
    ) -> None:
        self.heads, self.kv_heads, self.head_dim = heads, kv_heads, head_dim
        self.rope, self.window, self.borrows = rope, window, borrows
        self.q_proj = Linear(size, heads * head_dim, bias=bias)
        self.q_norm = RMSNorm(head_dim, eps)
        if not borrows:
            self.k_proj = Linear(size, kv_heads * head_dim, bias=bias)
            self.v_proj = Linear(size, kv_heads * head_dim, bias=bias) if own_values else None
            self.k_norm = RMSNorm(head_dim, eps)
            self.v_norm = RMSNorm(head_dim, eps, elementwise_affine=False)
        self.o_proj = Linear(heads * head_dim, size, bias=bias)

    def forward(
        self,
        x: Tensor,
        *,
        positions: Tensor,
        mask: Tensor | None = None,
        state: KeyValue | None = None,
        lent: Lent | None = None,
    ) -> tuple[Tensor, Lent]:
        """`(batch, n, size)` → the same shape, and what it attended to.

        `positions` are the table of `Rope`, `mask` as of `Attention`; `lent` is for who borrows,
        whose `n` may be the last positions alone.
        """
        (b, n, _), d = x.shape, self.head_dim
        q = self.q_norm(self.q_proj(x).view(b, n, self.heads, d))
        q = rope(q, positions).transpose(1, 2)
        held = self._own(x, positions, state) if lent is None else lent
        start, later = held.start, held.queries - n
        if later:
            start = full((b,), later, dtype=i64) if start is None else start + later
        mask = None if mask is None else as_mask(mask)
        out = attention(
            q, held.keys, held.values, start=start, window=self.window, causal=True, mask=mask,
            scale=1.0,
        )  # fmt: skip
        return self.o_proj(out.transpose(1, 2).reshape(b, n, self.heads * d)), held

    def _own(self, x: Tensor, positions: Tensor, state: KeyValue | None) -> Lent:
        b, n, _ = x.shape
        k = self.k_proj(x).view(b, n, self.kv_heads, self.head_dim)
        v = k if self.v_proj is None else self.v_proj(x).view(*k.shape)
        k = rope(self.k_norm(k), positions).transpose(1, 2)
        v, start = self.v_norm(v).transpose(1, 2), None
        if state is not None:
            k, v, start = state.update(k, v)
        return Lent(k, v, start, n)
