"""Multi-head latent attention (arXiv 2405.04434): keys and values of a small latent."""

from __future__ import annotations

from tallow.models.blocks.heads import as_mask
from tallow.models.blocks.rope import Rope
from tallow.models.states import KeyValue
from tallow.nn import Linear, Module, RMSNorm
from tallow.ops import attention, cat, rope
from tallow.tensor import Tensor

_EPS = 1e-6  # of the norms of latents, whatever the config says


class LatentAttention(Module):
    """Causal attention whose keys and values are projected from `kv_rank` numbers a position.

    Of a head's keys and queries the last `rotated` elements have positions, and those of keys are
    the same for all heads; `plain` others have none. Values have `value_size`. Queries pass by a
    latent of `q_rank`, too, unless that is 0. `scale` multiplies scores.
    """

    def __init__(
        self,
        size: int,
        heads: int,
        *,
        kv_rank: int,
        q_rank: int,
        plain: int,
        rotated: int,
        value_size: int,
        rope: Rope,
        scale: float,
        bias: bool = False,
    ) -> None:
        self.heads, self.kv_rank, self.plain = heads, kv_rank, plain
        self.rotated, self.value_size = rotated, value_size
        width = heads * (plain + rotated)
        if q_rank:
            self.q_a_proj = Linear(size, q_rank, bias=bias)
            self.q_a_layernorm = RMSNorm(q_rank, _EPS)
            self.q_b_proj = Linear(q_rank, width, bias=False)
        else:
            self.q_proj = Linear(size, width, bias=False)
        self.kv_a_proj_with_mqa = Linear(size, kv_rank + rotated, bias=bias)
        self.kv_a_layernorm = RMSNorm(kv_rank, _EPS)
        self.kv_b_proj = Linear(kv_rank, heads * (plain + value_size), bias=False)
        self.o_proj = Linear(heads * value_size, size, bias=bias)
        self.rope, self.scale, self._latent_queries = rope, scale, bool(q_rank)

    def forward(
        self,
        x: Tensor,
        *,
        positions: Tensor,
        mask: Tensor | None = None,
        state: KeyValue | None = None,
    ) -> Tensor:
        """`(batch, n, size)` → the same shape; arguments as of `Attention`."""
        b, n, _ = x.shape
        table = positions if positions.dtype.kind == "f" else self.rope.table(positions)
        if self._latent_queries:
            q = self.q_b_proj(self.q_a_layernorm(self.q_a_proj(x)))
        else:
            q = self.q_proj(x)
        q = q.view(b, n, self.heads, self.plain + self.rotated)
        turned = rope(q[..., self.plain :].contiguous(), table, self.rope.interleaved)
        q = cat([q[..., : self.plain], turned], -1)
        both = self.kv_a_proj_with_mqa(x)
        latent = self.kv_a_layernorm(both[..., : self.kv_rank].contiguous())
        shared = both[..., self.kv_rank :].contiguous().view(b, n, 1, self.rotated)
        shared = rope(shared, table, self.rope.interleaved)
        kv = self.kv_b_proj(latent).view(b, n, self.heads, self.plain + self.value_size)
        k = cat([kv[..., : self.plain], shared.expand(b, n, self.heads, self.rotated)], -1)
        k, v = k.transpose(1, 2), kv[..., self.plain :].transpose(1, 2)
        start: Tensor | None = None
        if state is not None:
            k, v, start = state.update(k, v)
        out = attention(
            q.transpose(1, 2), k, v, start=start, causal=True, scale=self.scale,
            mask=None if mask is None else as_mask(mask),
        )  # fmt: skip
        return self.o_proj(out.transpose(1, 2).reshape(b, n, self.heads * self.value_size))
