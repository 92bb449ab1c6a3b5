"""Attention and its kin: rotary positions, linear attention, attention with modifiers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

from tallow import ops
from tallow.dtype import bf16, f16, f32, f64, i64
from tallow.errors import ArgumentError, expect
from tallow.factories import arange, full
from tallow.lazy_dataclasses import dataclass
from tallow.onnx.operators.table import operator
from tallow.tensor import Tensor

_PRECISIONS: Final = {1: f32, 10: f16, 11: f64, 16: bf16}
_Optional = Tensor | None


@dataclass(frozen=True, eq=False)
class _Case:
    """What attention computes: 4-d tensors, and which keys a query sees."""

    q: Tensor
    k: Tensor
    v: Tensor
    mask: _Optional
    past: int  # length of the cache inside the operator
    valid: _Optional  # (batch,): how many keys exist
    scale: float
    causal: bool
    left: int
    right: int
    softcap: float

    @property
    def positions(self) -> Tensor:
        """Of the first query of each batch, (batch,) of i64."""
        if self.valid is not None:
            return self.valid - self.q.shape[2]
        return full((self.q.shape[0],), self.past, dtype=i64, device=self.q.device)


@operator("Attention", since=23)
def attention(
    q: Tensor, k: Tensor, v: Tensor, attn_mask: _Optional = None, past_key: _Optional = None,
    past_value: _Optional = None, nonpad_kv_seqlen: _Optional = None, *, is_causal: int = 0,
    kv_num_heads: int | None = None, left_window_size: int = -1, q_num_heads: int | None = None,
    qk_matmul_output_mode: int = 0, right_window_size: int = -1, scale: float | None = None,
    softcap: float = 0.0, softmax_precision: int | None = None,
    wanted: tuple[bool, ...] = (True,),
) -> Any:  # fmt: skip
    """Scaled dot products; beside the result keys and values with the past, and the scores."""
    where, flat = "Attention", q.ndim == 3
    q = _heads(where, q, q_num_heads)
    k, v = (_heads(where, x, kv_num_heads) for x in (k, v))
    together = (past_key is None) == (past_value is None)
    expect(together, where, "past_key and past_value together", "one", ArgumentError)
    alone = past_key is None or nonpad_kv_seqlen is None
    expect(alone, where, "a past or nonpad_kv_seqlen", "both", ArgumentError)
    past = 0
    if past_key is not None and past_value is not None:
        past = past_key.shape[2]
        k, v = ops.cat([past_key, k], 2), ops.cat([past_value, v], 2)
    valid = None if nonpad_kv_seqlen is None else nonpad_kv_seqlen.to(i64).reshape(-1)
    factor = q.shape[-1] ** -0.5 if scale is None else scale
    mask = None if attn_mask is None else _as_long(where, attn_mask, k.shape[2])
    case = _Case(
        q, k, v, mask, past, valid, factor, bool(is_causal), left_window_size, right_window_size,
        softcap,
    )  # fmt: skip
    if any(wanted[3:]):
        y, scores = _composed(case, qk_matmul_output_mode)
    else:
        y, scores = _fused(case), None
    if flat:
        y = y.transpose(1, 2).reshape(y.shape[0], y.shape[2], -1)
    return (y, k, v, scores)[: max(len(wanted), 1)]


def _heads(where: str, x: Tensor, heads: int | None) -> Tensor:
    """(batch, heads, length, size), of (batch, length, heads * size) too."""
    if x.ndim == 4:
        return x
    good = x.ndim == 3 and heads is not None and heads > 0 and x.shape[2] % heads == 0
    expect(good, where, "4 axes, or 3 and a number of heads that divides the last", x.shape)
    return x.reshape(*x.shape[:2], heads, -1).transpose(1, 2)


def _as_long(where: str, mask: Tensor, length: int) -> Tensor:
    """A mask of 4 axes, the last filled up to all keys: what it does not name is hidden."""
    boolean = mask.dtype.kind == "b"
    good = mask.ndim <= 4 and (boolean or mask.dtype.kind == "f")
    expect(good, where, "a mask of at most 4 axes, of bool or floats", (mask.shape, mask.dtype))
    mask = mask.reshape(*(1,) * (4 - mask.ndim), *mask.shape)
    missing = length - mask.shape[-1]
    if missing <= 0:
        return mask
    return ops.constant_pad_nd(mask, [0, missing], False if boolean else -math.inf)


def _fused(c: _Case) -> Tensor:
    """By the op, which knows causal attention behind a cache; other rules become a mask."""
    causal, n, m = c.causal or c.right == 0, c.q.shape[2], c.k.shape[2]
    mask, start, window = c.mask, None, c.left + 1
    plain = c.valid is None and c.right <= 0 and c.past + n <= m
    if not plain or (c.past and window and not causal):
        mask, causal, window = _hidden(_kept(c), mask), False, 0
    elif c.past and causal:
        start = c.positions
    return ops.attention(
        c.q, c.k, c.v, start=start, mask=mask, scale=c.scale, causal=causal, window=window,
        softcap=c.softcap,
    )  # fmt: skip


def _hidden(kept: Tensor | None, mask: Tensor | None) -> Tensor | None:
    """A mask that hides what it did and what is not kept."""
    if kept is None or mask is None:
        return mask if kept is None else kept
    if mask.dtype.kind == "b":
        return kept.bitwise_and(mask)
    return ops.where(kept, mask, -math.inf)


def _kept(c: _Case) -> Tensor | None:
    """Which keys each query sees by its place, broadcast to (batch, heads, n, m); None: all."""
    n, m = c.q.shape[2], c.k.shape[2]
    keys = arange(m, device=c.q.device)
    at = (c.positions.reshape(-1, 1) + arange(n, device=c.q.device)).reshape(-1, 1, n, 1)
    rules = []
    if c.causal:
        rules.append(keys <= at)
    if c.left >= 0:
        rules.append(keys >= at - c.left)
    if c.right >= 0:
        rules.append(keys <= at + c.right)
    if c.valid is not None:
        rules.append(keys < c.valid.reshape(-1, 1, 1, 1))
    kept = None
    for rule in rules:
        rule = rule.reshape(-1, 1, rule.shape[-2] if rule.ndim > 2 else 1, m)
        kept = rule if kept is None else kept.bitwise_and(rule)
    return kept


def _composed(c: _Case, mode: int) -> tuple[Tensor, Tensor]:
    """The result, and the scores at one of four places; sums in f32 at least."""
    expect(mode in range(4), "Attention", "qk_matmul_output_mode of 0 to 3", mode, ArgumentError)
    q, k, v = (x.to(f32) if x.dtype.itemsize < 4 else x for x in (c.q, c.k, c.v))
    group = q.shape[1] // max(k.shape[1], 1)
    k, v = (x.repeat_interleave(group, 1) if group > 1 else x for x in (k, v))
    stages = [ops.matmul(q, k.transpose(-1, -2)) * c.scale]
    stages.append(stages[0])
    if c.softcap:
        stages[1] = (stages[0] / c.softcap).tanh() * c.softcap
    mask, scores = _hidden(_kept(c), c.mask), stages[1]
    if mask is not None and mask.dtype.kind == "b":
        scores = ops.where(mask, scores, -math.inf)
    elif mask is not None:
        scores = scores + mask.to(scores.dtype)
    hidden = scores.eq(-math.inf).all(-1, keepdim=True)
    p = ops.where(hidden, 0.0, ops.softmax(ops.where(hidden, 0.0, scores), -1))
    stages += [scores, p]
    return ops.matmul(p, v).to(c.q.dtype), stages[mode].to(c.q.dtype)


@operator("FlexAttention", domain="ai.onnx.preview")
def flex_attention(
    q: Tensor, k: Tensor, v: Tensor, *, prob_mod: Callable[[Tensor], Any] | None = None,
    scale: float | None = None, score_mod: Callable[[Tensor], Any] | None = None,
    softmax_precision: int | None = None,
) -> Tensor:  # fmt: skip
    """Attention with a sub-graph between product and softmax, and one behind it."""
    where = "FlexAttention"
    four = q.ndim == k.ndim == v.ndim == 4
    expect(four, where, "tensors of 4 axes", (q.shape, k.shape, v.shape))
    if prob_mod is None and score_mod is None:
        return ops.attention(q, k, v, scale=scale)
    known = softmax_precision is None or softmax_precision in _PRECISIONS
    expect(known, where, "a softmax_precision of floats", softmax_precision, ArgumentError)
    wide = f32 if q.dtype.itemsize < 4 else q.dtype
    wide = wide if softmax_precision is None else _PRECISIONS[softmax_precision]
    whole = k.shape[1] > 0 and q.shape[1] % k.shape[1] == 0
    expect(whole, where, "query heads a multiple of key heads", (q.shape, k.shape))
    group = q.shape[1] // k.shape[1]
    keys, values = (x.repeat_interleave(group, 1) if group > 1 else x for x in (k, v))
    factor = q.shape[-1] ** -0.5 if scale is None else scale
    scores = (ops.matmul(q.to(wide), keys.to(wide).transpose(-1, -2)) * factor).to(wide)
    scores = scores if score_mod is None else score_mod(scores)[0]
    p = ops.softmax(scores, -1)
    p = p if prob_mod is None else prob_mod(p)[0]
    return ops.matmul(p.to(wide), values.to(wide)).to(v.dtype)


@operator("RotaryEmbedding", since=23)
def rotary_embedding(
    x: Tensor, cos_cache: Tensor, sin_cache: Tensor, position_ids: _Optional = None, *,
    interleaved: int = 0, num_heads: int | None = None, rotary_embedding_dim: int = 0,
) -> Tensor:  # fmt: skip
    """Pairs of the last axis turned by the angles of positions."""
    where, shape = "RotaryEmbedding", x.shape
    # (batch, length, heads, size)
    rows = _heads(where, x, num_heads).transpose(1, 2)
    half = (rotary_embedding_dim or rows.shape[-1]) // 2
    good = cos_cache.shape == sin_cache.shape and cos_cache.shape[-1] == half
    expect(good, where, f"caches of {half} angles", (cos_cache.shape, sin_cache.shape))
    table = ops.cat([cos_cache, sin_cache], -1).to(f32)
    if position_ids is not None:
        table = ops.embedding(position_ids, table)
    made = ops.rope(rows, table, bool(interleaved))
    return made.reshape(shape) if len(shape) == 3 else made.transpose(1, 2)


_RULES: Final = ("linear", "gated", "delta", "gated_delta")


@operator("LinearAttention", since=27)
def linear_attention(
    q: Tensor, k: Tensor, v: Tensor, past_state: _Optional = None, decay: _Optional = None,
    beta: _Optional = None, *, kv_num_heads: int, q_num_heads: int, chunk_size: int = 64,
    scale: float = 0.0, update_rule: str = "gated_delta",
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """A state of keys times values, read by queries and updated at each step; in f32."""
    where = "LinearAttention"
    known = update_rule in _RULES
    expect(known, where, f"update_rule of {', '.join(_RULES)}", update_rule, ArgumentError)
    for name, given, rule in (("decay", decay, "gated"), ("beta", beta, "delta")):
        needed = rule in update_rule
        text = f"{'a' if needed else 'no'} {name} for {update_rule!r}"
        expect((given is not None) == needed, where, text, "one" if given is not None else "none")
    whole = kv_num_heads > 0 and q_num_heads > 0 and q_num_heads % kv_num_heads == 0
    expect(whole, where, "q_num_heads a multiple of kv_num_heads", (q_num_heads, kv_num_heads))
    queries = _heads(where, q, q_num_heads).to(f32)
    keys, values = (_heads(where, x, kv_num_heads).to(f32) for x in (k, v))
    batch, _, steps, size = queries.shape
    shape = (batch, kv_num_heads, size, values.shape[-1])
    state = queries.new_zeros(shape) if past_state is None else past_state.to(f32)
    expect(state.shape == shape, where, f"a past_state of shape {shape}", state.shape)
    gates = None if decay is None else _heads(where, decay, kv_num_heads).to(f32).exp()
    rates = None if beta is None else _heads(where, beta, beta.shape[-1]).to(f32)
    outs = []
    group = q_num_heads // kv_num_heads
    for t in range(steps):
        key, value = keys[:, :, t].unsqueeze(-1), values[:, :, t].unsqueeze(-2)
        if gates is not None:
            state = state * gates[:, :, t].unsqueeze(-1)
        if rates is not None:
            value = rates[:, :, t].unsqueeze(-1) * (
                value - ops.matmul(key.transpose(-1, -2), state)
            )
        state = state + key * value
        query = queries[:, :, t].reshape(batch, kv_num_heads, group, size)
        outs.append(ops.matmul(query, state).reshape(batch, -1))
    factor = scale or size**-0.5
    out = (ops.stack(outs, 1) * factor).to(q.dtype)
    return out, state.to(q.dtype if past_state is None else past_state.dtype)
