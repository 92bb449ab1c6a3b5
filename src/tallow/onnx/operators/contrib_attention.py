"""Attention of the domain com.microsoft: of whole layers, of many heads, and of grouped heads."""

from __future__ import annotations

from typing import Any

from tallow import ops
from tallow.dtype import f32, i64
from tallow.errors import ArgumentError, expect
from tallow.factories import arange
from tallow.nn.functional import scaled_dot_product_attention
from tallow.onnx.operators.contrib import microsoft
from tallow.onnx.operators.moving import whole
from tallow.tensor import Tensor

# --- what all share -------------------------------------------------------------------------------


def split_heads(x: Tensor, heads: int, where: str) -> Tensor:
    """(batch, n, heads · size) as (batch, heads, n, size)."""
    fits = x.ndim == 3 and heads > 0 and x.shape[-1] % heads == 0
    expect(fits, where, f"(batch, length, a multiple of {heads})", x.shape)
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def _joined(x: Tensor) -> Tensor:
    return x.transpose(1, 2).flatten(2)


def padding_mask(mask: Tensor, batch: int, total: int, where: str) -> Tensor:
    """Which keys a mask in any of its forms hides: (batch, 1, 1 or length, total)."""
    at = arange(total, device=mask.device)
    if mask.ndim == 1:
        ends = mask[:batch].to(i64).unsqueeze(1)
        kept = at < ends
        if mask.shape[0] == 2 * batch:
            kept = kept & (at >= mask[batch:].to(i64).unsqueeze(1))
        good = mask.shape[0] in (batch, 2 * batch, 3 * batch + 2)
        expect(good, where, f"a mask of {batch} or {2 * batch} positions", mask.shape)
        kept = kept[:, None, None, :]
    elif mask.ndim == 2:
        kept = (mask > 0)[:, None, None, :]
    elif mask.ndim == 3:
        kept = (mask > 0).unsqueeze(1)
    else:
        kept = mask > 0
    return kept.logical_not()


def _causal(queries: int, total: int, device: Any) -> Tensor:
    """Which keys come after a query, the last of both standing at one place."""
    rows = arange(queries, device=device).unsqueeze(1) + (total - queries)
    return arange(total, device=device) > rows


def attend(
    q: Tensor, k: Tensor, v: Tensor, hidden: Tensor | None, bias: Tensor | None,
    scale: float | None, causal: bool, fill: float, scores: bool = False,
) -> tuple[Tensor, Tensor | None]:  # fmt: skip
    """Attention of (batch, heads, n, size) with a bias of scores; its weights if wanted."""
    if hidden is not None:
        lowered = ops.where(hidden, fill, 0.0)
        bias = lowered if bias is None else bias + lowered
    if causal:
        later = _causal(q.shape[2], k.shape[2], q.device)
        bias = ops.where(later, float("-inf"), 0.0 if bias is None else bias)
    scale = scale or q.shape[-1] ** -0.5
    if not scores:
        mask = None if bias is None else bias.to(q.dtype)
        return scaled_dot_product_attention(q, k, v, mask, scale=scale), None
    found = q @ k.transpose(-1, -2) * scale
    weights = (found if bias is None else found + bias).softmax(-1)
    return weights @ v, weights


def rotated(
    x: Tensor, positions: Tensor, cos: Tensor, sin: Tensor, interleaved: bool, size: int = 0
) -> Tensor:
    """(batch, heads, n, size) turned by the angles of positions (batch, n)."""
    width = size or 2 * cos.shape[-1]
    part, rest = x[..., :width], x[..., width:]
    c, s = (t[positions.to(i64)].unsqueeze(1)[..., : width // 2] for t in (cos, sin))
    if interleaved:
        a, b = part[..., 0::2], part[..., 1::2]
        turned = ops.stack([a * c - b * s, b * c + a * s], -1).flatten(-2)
    else:
        a, b = part.chunk(2, -1)
        turned = ops.cat([a * c - b * s, b * c + a * s], -1)
    return ops.cat([turned, rest], -1) if rest.shape[-1] else turned


@microsoft("RotaryEmbedding")
def rotary_embedding(
    input: Tensor, position_ids: Tensor, cos_cache: Tensor, sin_cache: Tensor, *,
    interleaved: int = 0, is_packed_batching: int = 0, num_heads: int = 0,
    rotary_embedding_dim: int = 0, scale: float = 1.0,
) -> Tensor:  # fmt: skip
    """Pairs of elements turned by the angles of their positions."""
    where = "RotaryEmbedding"
    flat = input.ndim == 3
    if flat:
        size = 2 * cos_cache.shape[-1]
        heads = num_heads or input.shape[-1] // size
        x = split_heads(input, heads, where)
    else:
        x = input
    batch, _, n, _ = x.shape
    if position_ids.ndim == 1:
        positions = (arange(n, device=x.device) + position_ids.to(i64)).expand(batch, n)
    else:
        positions = position_ids
    out = rotated(x, positions, cos_cache, sin_cache, bool(interleaved), rotary_embedding_dim)
    return _joined(out) if flat else out


# --- layers ---------------------------------------------------------------------------------------


def layer_attention(
    projected: Tensor, mask_index: Tensor | None, past: Tensor | None,
    attention_bias: Tensor | None, *, num_heads: int, qkv_hidden_sizes: Any, unidirectional: int,
    mask_filter_value: float, scale: float | None, where: str,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Attention over queries, keys and values side by side; keys and values for the next call."""
    batch = projected.shape[0]
    width = projected.shape[-1]
    sizes = list(qkv_hidden_sizes or ()) or [width // 3] * 3
    good = len(sizes) == 3 and sum(sizes) == width
    expect(good, where, f"qkv_hidden_sizes of sum {width}", sizes, ArgumentError)
    q, k, v = (split_heads(x, num_heads, where) for x in projected.split(sizes, -1))
    if past is not None:
        k, v = ops.cat([past[0], k], 2), ops.cat([past[1], v], 2)
    hidden = None
    if mask_index is not None:
        total = k.shape[2]
        if mask_index.ndim == 4:
            mask_index = mask_index[:, :, total - q.shape[2] : total, :total]
        hidden = padding_mask(mask_index, batch, total, where)
    causal = bool(unidirectional)
    out, _ = attend(q, k, v, hidden, attention_bias, scale, causal, mask_filter_value)
    same = k.shape == v.shape
    return _joined(out), ops.stack([k, v]) if same else k


@microsoft("Attention")
def attention(
    input: Tensor, weights: Tensor, bias: Tensor | None = None, mask_index: Tensor | None = None,
    past: Tensor | None = None, attention_bias: Tensor | None = None,
    past_sequence_length: Tensor | None = None, *, num_heads: int, do_rotary: int = 0,
    mask_filter_value: float = -10000.0, past_present_share_buffer: int = 0,
    qkv_hidden_sizes: Any = None, rotary_embedding_dim: int = 0, scale: float | None = None,
    unidirectional: int = 0, wanted: tuple[bool, ...],
) -> tuple[Tensor, ...]:  # fmt: skip
    """A projection to queries, keys and values, and attention over them."""
    where = "Attention"
    plain = not do_rotary and not past_present_share_buffer
    expect(plain, where, "no do_rotary and no shared buffer", "one", ArgumentError)
    projected = input @ weights
    if bias is not None:
        projected = projected + bias
    return layer_attention(
        projected, mask_index, past, attention_bias, num_heads=num_heads,
        qkv_hidden_sizes=qkv_hidden_sizes, unidirectional=unidirectional,
        mask_filter_value=mask_filter_value, scale=scale, where=where,
    )[: len(wanted)]  # fmt: skip


def _operands(
    query: Tensor, key: Tensor | None, value: Tensor | None, bias: Tensor | None, heads: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values by heads, of whatever was packed together."""
    where = "MultiHeadAttention"
    if query.ndim == 5:
        q, k, v = (x.transpose(1, 2) for x in query.unbind(3))
    else:
        q = split_heads(query, heads, where)
        expect(key is not None, where, "a key beside a query of 3 axes", None, ArgumentError)
        assert key is not None
        if key.ndim == 5:
            k, v = (x.transpose(1, 2) for x in key.unbind(3))
        else:
            expect(value is not None, where, "a value beside a key", None, ArgumentError)
            assert value is not None
            k = key if key.ndim == 4 else split_heads(key, heads, where)
            v = value if value.ndim == 4 else split_heads(value, heads, where)
    if bias is not None:
        sizes = [x.shape[1] * x.shape[3] for x in (q, q, v)]
        parts = bias.split(sizes, 0)
        q, k, v = (
            x if x is key or x is value else x + b.reshape(1, x.shape[1], 1, x.shape[3])
            for x, b in zip((q, k, v), parts, strict=True)
        )
    return q, k, v


@microsoft("MultiHeadAttention")
def multi_head_attention(
    query: Tensor, key: Tensor | None = None, value: Tensor | None = None,
    bias: Tensor | None = None, key_padding_mask: Tensor | None = None,
    attention_bias: Tensor | None = None, past_key: Tensor | None = None,
    past_value: Tensor | None = None, past_sequence_length: Tensor | None = None,
    cache_indirection: Tensor | None = None, *, num_heads: int,
    mask_filter_value: float = -10000.0, scale: float | None = None, unidirectional: int = 0,
    wanted: tuple[bool, ...],
) -> tuple[Tensor | None, ...]:  # fmt: skip
    """Attention of projected queries, keys and values; keys and values for the next call."""
    where = "MultiHeadAttention"
    shared = past_sequence_length is not None or cache_indirection is not None
    expect(not shared, where, "no shared buffers of keys", "one", ArgumentError)
    q, k, v = _operands(query, key, value, bias, num_heads)
    if past_key is not None and past_value is not None:
        k, v = ops.cat([past_key, k], 2), ops.cat([past_value, v], 2)
    hidden = None
    if key_padding_mask is not None:
        hidden = padding_mask(key_padding_mask, q.shape[0], k.shape[2], where)
    causal, weigh = bool(unidirectional), len(wanted) > 3
    out, weights = attend(q, k, v, hidden, attention_bias, scale, causal, mask_filter_value, weigh)
    return (_joined(out), k, v, weights)[: len(wanted)]


# --- grouped queries ------------------------------------------------------------------------------


def _grown(past: Tensor | None, new: Tensor, begin: Tensor, total: int, grows: bool) -> Tensor:
    """Past rows before `begin` (batch,), then new ones, `total` in all, or as the cache has."""
    n, device = new.shape[2], new.device
    if past is None:
        past = new[:, :, :0]
    source = ops.cat([past, new], 2)
    if grows and source.shape[2] == total:
        return source
    length = max(total, past.shape[2])
    at = arange(length, device=device).unsqueeze(0)
    shift = at - begin.unsqueeze(1)
    fresh = (shift >= 0) & (shift < n)
    index = ops.where(fresh, past.shape[2] + shift.clamp(0, n - 1), at.clamp(max=past.shape[2] - 1))
    index = index.clamp(min=0)[:, None, :, None]
    return source.gather(2, index.expand(*new.shape[:2], length, new.shape[3]))


def _grouped_operands(
    query: Tensor, key: Tensor | None, value: Tensor | None, heads: int, groups: int
) -> list[Tensor]:
    """Queries, keys and values by heads; all are in the query where there is no key."""
    where = "GroupQueryAttention"
    if key is None or value is None:
        size = query.shape[-1] // (heads + 2 * groups)
        query, key, value = query.split([heads * size, groups * size, groups * size], -1)
    pairs = ((query, heads), (key, groups), (value, groups))
    return [split_heads(x, count, where) for x, count in pairs]


def _begin(ends: Tensor, valid: Tensor | None, n: int, total: int) -> Tensor:
    """How many keys each sequence has before `n` new ones, of which the first are valid."""
    if valid is not None:
        return ends - valid.to(i64)
    return ends * 0 if total == n else ends - ends.clamp(max=n)


@microsoft("GroupQueryAttention", reads=("total_sequence_length",))
def group_query_attention(
    query: Tensor, key: Tensor | None, value: Tensor | None, past_key: Tensor | None,
    past_value: Tensor | None, seqlens_k: Tensor, total_sequence_length: Any,
    cos_cache: Tensor | None = None, sin_cache: Tensor | None = None,
    position_ids: Tensor | None = None, attention_bias: Tensor | None = None,
    head_sink: Tensor | None = None, k_scale: Tensor | None = None, v_scale: Tensor | None = None,
    q_norm_weight: Tensor | None = None, k_norm_weight: Tensor | None = None,
    query_seqlens: Tensor | None = None, *, num_heads: int, kv_num_heads: int, causal: int = 1,
    do_rotary: int = 0, k_norm_epsilon: float | None = None, k_quant_type: str = "NONE",
    kv_cache_bit_width: int = 0, local_window_size: int = -1, q_norm_epsilon: float | None = None,
    qk_norm_epsilon: float = 1e-6, qk_output: int = 0, rotary_interleaved: int = 0,
    scale: float | None = None, sliding_window_cache: int = 0, smooth_softmax: int = -1,
    softcap: float = 0.0, v_quant_type: str = "NONE", wanted: tuple[bool, ...],
) -> tuple[Tensor, ...]:  # fmt: skip
    """Attention of groups of query heads to one key head, with rotation and a cache of keys."""
    plain = k_quant_type == v_quant_type == "NONE" and not sliding_window_cache and not qk_output
    expect(plain, "GroupQueryAttention", "a whole cache of floats", "another", ArgumentError)
    q, k, v = _grouped_operands(query, key, value, num_heads, kv_num_heads)
    if q_norm_weight is not None and k_norm_weight is not None:
        q = ops.rms_norm(q, q_norm_weight, q_norm_epsilon or qk_norm_epsilon)
        k = ops.rms_norm(k, k_norm_weight, k_norm_epsilon or qk_norm_epsilon)
    n, device = q.shape[2], q.device
    [total] = whole(total_sequence_length)
    begin = _begin(seqlens_k.flatten().to(i64) + 1, query_seqlens, n, total)
    at = begin.unsqueeze(1) + arange(n, device=device)  # positions of queries (batch, n)
    if do_rotary:
        places = _known(at, cos_cache) if position_ids is None else position_ids
        q, k = _turned_pair(q, k, places, cos_cache, sin_cache, bool(rotary_interleaved))
    # Of one sequence whose cache grows all past rows stand before the new ones.
    grows = q.shape[0] == 1 and query_seqlens is None
    present = [_grown(p, x, begin, total, grows) for p, x in ((past_key, k), (past_value, v))]
    keys, values = (x[:, :, :total] for x in present)
    sink = q.new_zeros(num_heads) if head_sink is None and smooth_softmax == 1 else head_sink
    scale = scale or q.shape[-1] ** -0.5
    if causal and attention_bias is None and sink is None and query_seqlens is None:
        out = _causal_from(begin, q, keys, values, scale, local_window_size, softcap)
    else:
        hidden = _hidden(at, total, bool(causal), local_window_size)
        out = _grouped(q, keys, values, hidden, attention_bias, scale, softcap, sink)
    return (_joined(out).to(query.dtype), *present)[: len(wanted)]


def _known(places: Tensor, cos: Tensor | None) -> Tensor:
    """Positions of which there are angles: those of queries that are filled up are not used."""
    return places if cos is None else places.clamp(max=cos.shape[0] - 1)


def _turned_pair(
    q: Tensor, k: Tensor, places: Tensor, cos: Tensor | None, sin: Tensor | None, interleaved: bool
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Queries and keys turned by the angles of their positions."""
    given = cos is not None and sin is not None
    expect(given, "GroupQueryAttention", "caches of angles", None)
    assert cos is not None and sin is not None
    both = rotated(ops.cat([q, k], 1), places, cos, sin, interleaved)
    return both[:, : q.shape[1]], both[:, q.shape[1] :]


def _causal_from(
    begin: Tensor, q: Tensor, k: Tensor, v: Tensor, scale: float, window: int, softcap: float
) -> Tensor:
    return ops.attention(
        q, k, v, start=begin, causal=True, window=max(window, 0), softcap=softcap, scale=scale
    )


def _hidden(at: Tensor, total: int, causal: bool, window: int) -> Tensor:
    """Which keys a query at a position must not see: (batch, 1, n, total)."""
    places, keys = at.unsqueeze(2), arange(total, device=at.device)
    hidden = keys > places if causal else keys > at.amax(1)[:, None, None]
    if window > 0:
        hidden = hidden | (keys <= places - window)
    return hidden.unsqueeze(1)


def _grouped(
    q: Tensor, k: Tensor, v: Tensor, hidden: Tensor, bias: Tensor | None, scale: float,
    softcap: float, sink: Tensor | None,
) -> Tensor:  # fmt: skip
    groups = q.shape[1] // k.shape[1]
    if groups > 1:
        k, v = (x.repeat_interleave(groups, 1) for x in (k, v))
    if not softcap and sink is None:
        mask = ops.where(hidden, float("-inf"), 0.0)
        mask = (mask if bias is None else mask + bias).to(q.dtype)
        return scaled_dot_product_attention(q, k, v, mask, scale=scale)
    scores = (q @ k.transpose(-1, -2)).to(f32) * scale
    if softcap:
        scores = (scores / softcap).tanh() * softcap
    if bias is not None:
        scores = scores + bias
    scores = ops.where(hidden, float("-inf"), scores)
    if sink is not None:
        more = sink.to(f32).reshape(1, -1, 1, 1).expand(*scores.shape[:3], 1)
        scores = ops.cat([scores, more], -1)
    weights = scores.softmax(-1)[..., : k.shape[2]]
    return weights.to(v.dtype) @ v
