"""Multi-head attention from sizes and parts: self or cross, grouped, rotary, causal, cached."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tallow.dtype import f32, i64
from tallow.errors import expect
from tallow.factories import full, tensor
from tallow.models.blocks.heads import Mask, SeenKeys, as_mask, attention_of_rows
from tallow.models.blocks.positions import last_positions
from tallow.models.blocks.rope import Rope
from tallow.models.states import Cross, KeyValue
from tallow.nn import Linear, Module, Parameter
from tallow.ops import attention_per_head, clamp, rope
from tallow.tensor import Tensor


class Attention(Module):
    """Attention with projections `q_proj`, `k_proj`, `v_proj` and `o_proj` (or `out_name`).

    `size` is the width of queries and output, `kv_size` that of the context that keys and values
    are projected from (None: `size`). `kv_heads` fewer than `heads` is grouped-query attention.
    `bias` is of queries, keys and values, `k_bias` and `out_bias` of keys and the output where they
    differ. `q_norm` and `k_norm` are given `(batch, n, heads, head size)` before `rope` rotates it,
    or after that when `norm_turned`. `window` limits how many keys a query sees, itself included
    (0: all), and `chunk` cuts the text into pieces that do not see each other (0: none). `scale`
    multiplies scores, which `softcap` bounds. `sinks` `(heads,)` are scores of a key without a
    value; `slopes` say by how much a head's scores fall with each position (ALiBi, arXiv
    2108.12409). `temperature` makes of integer positions what queries are multiplied with.
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
        softcap: float = 0.0,
        chunk: int = 0,
        sinks: Parameter | None = None,
        slopes: Sequence[float] = (),
        temperature: Callable[[Tensor], Tensor] | None = None,
        norm_turned: bool = False,
        norm_names: tuple[str, str] = ("q_norm", "k_norm"),
        out_name: str = "o_proj",
    ) -> None:
        self.heads, self.kv_heads = heads, kv_heads or heads
        self.head_dim = head_dim or size // heads
        k_bias = bias if k_bias is None else k_bias
        self.make_projections(size, kv_size or size, bias, k_bias)
        width = self.heads * self.head_dim
        out = Linear(width, size, bias=bias if out_bias is None else out_bias)
        setattr(self, out_name, out)
        for name, norm in zip(norm_names, (q_norm, k_norm), strict=True):
            setattr(self, name, norm)
        self.norm_names = norm_names
        self.rope = rope
        self.sinks = sinks
        self.slopes = tensor(list(slopes), dtype=f32, device="cpu") if slopes else None
        self.window, self.causal, self.scale = window, causal, scale
        self.temperature = temperature
        self.softcap, self.chunk, self.norm_turned = softcap, chunk, norm_turned
        self.out_name = out_name

    def make_projections(self, size: int, kv_size: int, bias: bool, k_bias: bool) -> None:
        """Make what queries, keys and values are projected by."""
        width, kv_width = self.heads * self.head_dim, self.kv_heads * self.head_dim
        self.q_proj = Linear(size, width, bias=bias)
        self.k_proj = Linear(kv_size, kv_width, bias=k_bias)
        self.v_proj = Linear(kv_size, kv_width, bias=bias)

    def forward(
        self,
        x: Tensor,
        *,
        context: Tensor | None = None,
        mask: Mask | None = None,
        positions: Tensor | None = None,
        state: KeyValue | Cross | None = None,
        q_extra: Tensor | None = None,
        k_extra: Tensor | None = None,
        last: int = 0,
    ) -> Tensor:
        """`(batch, n, size)` → the same shape, or of the `last` positions alone (0: all).

        Keys and values are of `context` `(batch, m, kv_size)`, or of `x` itself. `mask` is additive
        or true where a key is kept: `(batch, m)`, or what broadcasts to `(batch, heads, n, m)`; or
        `SeenKeys`, in the place of order and window.
        `positions` are for a rotary part: integers `(batch or 1, n)`, or the table that
        `Rope.table` made of them, which spares layers of one rope to make it again.

        With a `state`, keys and values join what it holds. A cross state is filled at the first
        call with keys and values of `context` and `mask`, which are not needed after that.
        `q_extra` and `k_extra` are added to what queries and keys, but not values, are projected
        from (positions in DETR); they broadcast.
        """
        causal, window = self.causal, self.window
        if isinstance(mask, SeenKeys):
            causal, window, mask = False, 0, mask.by_window[window]
        queries = last_positions(x if q_extra is None else x + q_extra, last)
        (b, n, _), later = queries.shape, x.shape[1] - queries.shape[1]
        table = None
        if self.rope is not None:
            good = positions is not None and context is None
            expect(good, Attention, "positions and no context for a rotary part", "others")
            assert positions is not None
            table = positions if positions.dtype.kind == "f" else self.rope.table(positions)
        start: Tensor | None = None
        if isinstance(state, Cross):
            if not state.filled:
                assert context is not None, "the first step brings the context"
                self.fill(state, context, mask, k_extra=k_extra)
            q = self._heads(self.q_proj(queries), self.heads)
            q = self._placed(q, 0, None)
            k, v, mask = state.held()
        else:
            source = x if context is None else context
            q, k, v = self.project(queries, source if k_extra is None else source + k_extra, source)
            q = self._placed(q, 0, None if table is None else last_positions(table, n))
            if self.temperature is not None:
                assert positions is not None, "the decoder gives them"
                q = q * self.temperature(last_positions(positions, n))
            k, v = self._placed(k, 1, table).transpose(1, 2), v.transpose(1, 2)
            if state is not None:
                k, v, start = state.update(k, v)
        how: dict[str, Any] = {
            "start": _later(start, b, later), "window": window, "causal": causal,
            "mask": None if mask is None else as_mask(mask), "scale": self.scale,
            "softcap": self.softcap,
        }  # fmt: skip
        if self.sinks is None and self.slopes is None and not self.chunk:
            out = attention_of_rows(q.transpose(1, 2), k, v, **how)
        else:
            slopes = None if self.slopes is None else self.slopes.to(q.device)
            how |= {"sinks": self.sinks, "slopes": slopes, "chunk": self.chunk}
            out = attention_per_head(q.transpose(1, 2), k, v, **how)
        merged = out.transpose(1, 2).reshape(b, n, self.heads * self.head_dim)
        return self.finished(merged)

    def finished(self, merged: Tensor) -> Tensor:
        """The output of what all heads gave, `(batch, n, heads · head size)`."""
        return self._modules[self.out_name](merged)  # type: ignore[misc]

    def fill(
        self, state: Cross, context: Tensor, mask: Tensor | None, *, k_extra: Tensor | None = None
    ) -> None:
        """Let a cross state hold the keys and values of `context`, and its mask."""
        k = self.k_proj(context if k_extra is None else context + k_extra)
        k = self._placed(self._heads(k, self.kv_heads), 1, None)
        v = self._heads(self.v_proj(context), self.kv_heads)
        state.fill(k.transpose(1, 2), v.transpose(1, 2), mask)

    def project(self, queries: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values `(batch, ·, heads, head size)` of what each is made of."""
        return (
            self._heads(self.q_proj(queries), self.heads),
            self._heads(self.k_proj(keys), self.kv_heads),
            self._heads(self.v_proj(values), self.kv_heads),
        )

    def _heads(self, x: Tensor, heads: int) -> Tensor:
        return x.view(*x.shape[:2], heads, self.head_dim)

    def _placed(self, x: Tensor, which: int, table: Tensor | None) -> Tensor:
        """Heads `(batch, n, heads, head size)` behind their norm and at their positions.

        `which` is 0 for queries and 1 for keys.
        """
        norm = getattr(self, self.norm_names[which])
        if norm is not None and not self.norm_turned:
            x = norm(x)
        if table is not None and self.rope is not None:
            x = rope(x, table, self.rope.interleaved)
        return norm(x) if norm is not None and self.norm_turned else x


class ClippedAttention(Attention):
    """Attention whose queries, keys and values are bounded by `clip` on both sides (0: not)."""

    def __init__(self, size: int, heads: int, *args: Any, clip: float = 0.0, **kwargs: Any) -> None:
        super().__init__(size, heads, *args, **kwargs)
        self.clip = clip

    def project(self, queries: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values `(batch, ·, heads, head size)` of what each is made of."""
        every = super().project(queries, keys, values)
        return tuple(clamp(x, -self.clip, self.clip) for x in every) if self.clip else every


class JoinedAttention(Attention):
    """Attention to itself whose queries, keys and values come of one matrix, `joined`.

    Its rows stand in `groups`, each with the queries, then the keys, then the values of a part of
    the heads: 1 is all of them (Phi-3), as many as heads put those of each beside each other
    (GPT-NeoX), as many as keys have heads put these beside their queries (Falcon).
    """

    def __init__(
        self, size: int, heads: int, *args: Any, joined: str, groups: int = 1, **kwargs: Any
    ) -> None:
        self.joined, self.groups = joined, groups
        super().__init__(size, heads, *args, **kwargs)

    def make_projections(self, size: int, kv_size: int, bias: bool, k_bias: bool) -> None:
        """Make what queries, keys and values are projected by."""
        width = (self.heads + 2 * self.kv_heads) * self.head_dim
        setattr(self, self.joined, Linear(size, width, bias=bias))

    def project(self, queries: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values `(batch, ·, heads, head size)` of the same inputs."""
        every = self._modules[self.joined](values)  # type: ignore[misc]
        (b, m, _), d = every.shape, self.head_dim
        h, hk = self.heads // self.groups, self.kv_heads // self.groups
        every = every.view(b, m, self.groups, h + 2 * hk, d)
        q, k, v = every[:, :, :, :h], every[:, :, :, h : h + hk], every[:, :, :, h + hk :]
        q = last_positions(q, queries.shape[1])
        return tuple(x.reshape(*x.shape[:2], -1, d) for x in (q, k, v))


def _later(start: Tensor | None, batch: int, count: int) -> Tensor | None:
    """The `start` of the queries that come `count` positions later."""
    if count == 0:
        return start
    return full((batch,), count, dtype=i64) if start is None else start + count
