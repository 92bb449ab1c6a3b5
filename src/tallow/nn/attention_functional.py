"""Attention as torch spells it: scaled_dot_product_attention and the multi-head forward pass."""

from __future__ import annotations

import math

from tallow import ops
from tallow.autograd.mode import MODE
from tallow.dtype import bf16, f16, f32
from tallow.errors import ArgumentError, expect
from tallow.factories import arange, full, zeros
from tallow.nn.dropout_functional import dropout
from tallow.registry import OPS
from tallow.tensor import Tensor, broadcast_shapes

_NAME = "scaled_dot_product_attention"


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """`softmax(query key^T · scale + mask) value`; (..., l, e), (..., s, e), (..., s, v).

    `attn_mask` is broadcast to (..., l, s): bool (true = take part) or added to the scores.
    `is_causal` hides keys with a higher index than the query's; `scale` is e^-1/2 by default;
    `enable_gqa` lets several query heads share one of key and value. A query without any key gives
    zeros. Dropout is applied whenever `dropout_p` is above 0.
    """
    q, k, v = query, key, value
    fits = min(q.ndim, k.ndim, v.ndim) >= 2 and q.shape[-1] == k.shape[-1]
    fits = fits and k.shape[-2] == v.shape[-2]
    wanted = "query (..., l, e), key (..., s, e), value (..., s, v)"
    expect(fits, _NAME, wanted, (q.shape, k.shape, v.shape))
    both = attn_mask is not None and is_causal
    expect(not both, _NAME, "attn_mask or is_causal", "both", ArgumentError)
    expect(0 <= dropout_p <= 1, _NAME, "dropout_p in [0, 1]", dropout_p, ArgumentError)
    if enable_gqa:
        fits = min(q.ndim, k.ndim, v.ndim) >= 3
        fits = fits and k.shape[-3] == v.shape[-3] and q.shape[-3] % max(k.shape[-3], 1) == 0
        wanted = "query heads in a multiple of the key heads"
        expect(fits, _NAME, wanted, (q.shape, k.shape, v.shape))
    if attn_mask is not None:
        _mask_fits(q, k, attn_mask)
    if not dropout_p and _fused_op_applies(q, k, v, attn_mask, enable_gqa):
        if attn_mask is not None:  # the row's kernel takes four axes
            shape = attn_mask.shape
            attn_mask = attn_mask.reshape((1,) * (4 - len(shape)) + shape)
            attn_mask = attn_mask.expand(*attn_mask.shape[:3], k.shape[2])
        return ops.attention(q, k, v, mask=attn_mask, scale=scale, causal=is_causal)
    if enable_gqa and k.shape[-3] != q.shape[-3]:
        k, v = (_repeated(x, q.shape[-3] // k.shape[-3]) for x in (k, v))
    return _by_parts(q, k, v, attn_mask, dropout_p, is_causal, scale)


def _mask_fits(q: Tensor, k: Tensor, mask: Tensor) -> None:
    lead: tuple[int, ...] = q.shape[:-2]
    if q.ndim < 3 or k.ndim < 3 or k.shape[-3] in (1, q.shape[-3]):  # not grouped
        lead = broadcast_shapes(lead, k.shape[:-2], _NAME)
    scores = (*lead, q.shape[-2], k.shape[-2])
    same = broadcast_shapes(mask.shape, scores, _NAME) == scores
    expect(same, _NAME, f"a mask that broadcasts to {scores}", mask.shape)
    good = mask.dtype.kind in "bf"
    expect(good, _NAME, "a mask of bool or floats", mask.dtype.name, ArgumentError)


def _fused_op_applies(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, gqa: bool) -> bool:
    """Whether the fused row computes just this, and its gradient if one is wanted."""
    if not (q.ndim == k.ndim == v.ndim == 4) or q.dtype not in (f32, f16, bf16):
        return False
    if k.dtype is not q.dtype or v.dtype is not q.dtype:
        return False
    if q.shape[0] != k.shape[0] or k.shape[:3] != v.shape[:3]:
        return False
    if (q.shape[1] != k.shape[1] and not gqa) or not (q.numel() and v.numel()):
        return False
    if mask is not None and mask.dtype.kind == "f" and mask.dtype is not f32:
        return False
    if not MODE.enabled:
        return True
    wanted = any(x is not None and x.requires_grad for x in (q, k, v, mask))
    # Differentiated through its meaning, the row costs more than the parts do here.
    return not wanted or OPS["attention"].gradient is not None


def _repeated(x: Tensor, times: int) -> Tensor:
    """Each head `times` times in a row."""
    *lead, h, n, d = x.shape
    return x.unsqueeze(-3).expand(*lead, h, times, n, d).reshape(*lead, h * times, n, d)


def _by_parts(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None,
    dropout_p: float,
    causal: bool,
    scale: float | None,
) -> Tensor:
    kind = q.dtype
    if kind in (f16, bf16):  # sums and the softmax in f32, as in the row
        q, k, v = q.to(f32), k.to(f32), v.to(f32)
    n, m = q.shape[-2], k.shape[-2]
    factor = (1 / math.sqrt(q.shape[-1]) if q.shape[-1] else 1.0) if scale is None else scale
    scores = (q * factor) @ k.transpose(-2, -1)
    if causal:
        scores = ops.where(arange(m) <= arange(n).unsqueeze(1), scores, -math.inf)
    elif mask is not None and mask.dtype.kind == "b":
        scores = ops.where(mask, scores, -math.inf)
    elif mask is not None:
        scores = scores + mask.to(scores.dtype)
    if mask is None or not scores.numel():
        p = scores.softmax(-1)
    else:
        dead = scores.detach().amax(-1, keepdim=True).eq(-math.inf)
        p = ops.where(dead, 0, ops.where(dead, 0, scores).softmax(-1))
    return ((dropout(p, dropout_p) if dropout_p else p) @ v).to(kind)


def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Projected multi-head attention of `query` (l, batch, e) over `key`, `value` (s, batch, ...).

    Gives the output (l, batch, e) and, with `need_weights`, the attention (batch, l, s), one per
    head (batch, heads, l, s) without `average_attn_weights`. Without a batch axis anywhere, there
    is none in the results. Masks: `key_padding_mask` (batch, s), `attn_mask` (l, s) or
    (batch * heads, l, s); bool (true = ignore) or added to the scores.
    """
    _check_heads(query, key, value, embed_dim_to_check, num_heads)
    wanted = "attn_mask, of which is_causal is a hint"
    expect(not is_causal or attn_mask is not None, _MHA, wanted, None, ArgumentError)
    single, size = query.ndim == 2, query.shape[-1]
    if use_separate_proj_weight:
        separate = (q_proj_weight, k_proj_weight, v_proj_weight)
        q, k, v = _separate(query, key, value, separate, in_proj_bias)
    else:
        assert in_proj_weight is not None
        q, k, v = _packed(query, key, value, in_proj_weight, in_proj_bias)
    if single:
        q, k, v = q.unsqueeze(1), k.unsqueeze(1), v.unsqueeze(1)
        if key_padding_mask is not None:
            key_padding_mask = key_padding_mask.unsqueeze(0)
    n, batch, _ = q.shape
    if bias_k is not None and bias_v is not None:
        k = ops.cat([k, bias_k.to(k.dtype).expand(1, batch, size)])
        v = ops.cat([v, bias_v.to(v.dtype).expand(1, batch, size)])
    q = _heads(q, num_heads)
    k = _heads(k, num_heads) if static_k is None else _given(static_k, batch, num_heads)
    v = _heads(v, num_heads) if static_v is None else _given(static_v, batch, num_heads)
    if add_zero_attn:
        k, v = (
            ops.cat([x, zeros((*x.shape[:2], 1, x.shape[3]), dtype=x.dtype)], 2) for x in (k, v)
        )
    p = dropout_p if training else 0.0
    causal = is_causal and key_padding_mask is None and not need_weights
    mask = None
    if not causal:
        mask = _joined(attn_mask, key_padding_mask, q, k.shape[2], _MHA)
    weights = None
    if need_weights:
        out, weights = _with_weights(q, k, v, mask, p)
        weights = weights.mean(1) if average_attn_weights else weights
    else:
        out = scaled_dot_product_attention(q, k, v, mask, p, causal)
    out = out.permute(2, 0, 1, 3).reshape(n, batch, size)
    out = ops.linear(out, out_proj_weight, out_proj_bias)
    if single:
        out = out.squeeze(1)
        weights = None if weights is None else weights.squeeze(0)
    return out, weights


_MHA = "multi_head_attention_forward"


def _check_heads(query: Tensor, key: Tensor, value: Tensor, size: int, heads: int) -> None:
    """Refuse inputs of other axes, another size than `size`, and heads that do not divide it."""
    good = query.ndim in (2, 3) and key.ndim == value.ndim == query.ndim
    wanted = "query, key, value of 3 axes each, or of 2"
    expect(good, _MHA, wanted, (query.shape, key.shape, value.shape))
    expect(query.shape[-1] == size, _MHA, f"a query of size {size}", query.shape[-1])
    good = heads > 0 and size % heads == 0
    expect(good, _MHA, f"a number of heads that divides {size}", heads, ArgumentError)


def _with_weights(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, p: float
) -> tuple[Tensor, Tensor]:
    """Attention and its weights `(batch, heads, l, s)`, parts of which are dropped."""
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
    weights = (scores if mask is None else scores + mask).softmax(-1)
    weights = dropout(weights, p) if p else weights
    return weights @ v, weights


def _heads(x: Tensor, heads: int) -> Tensor:
    """(n, batch, e) as (batch, heads, n, e / heads)."""
    n, batch, size = x.shape
    return x.reshape(n, batch, heads, size // heads).permute(1, 2, 0, 3)


def _given(x: Tensor, batch: int, heads: int) -> Tensor:
    return x.reshape(batch, heads, *x.shape[1:])


def _separate(
    q: Tensor, k: Tensor, v: Tensor, weights: tuple[Tensor | None, ...], bias: Tensor | None
) -> tuple[Tensor, ...]:
    biases = (None, None, None) if bias is None else ops.split(bias, q.shape[-1])
    made = []
    for x, w, b in zip((q, k, v), weights, biases, strict=True):
        assert w is not None
        made.append(ops.linear(x, w, b))
    return tuple(made)


def _packed(q: Tensor, k: Tensor, v: Tensor, w: Tensor, b: Tensor | None) -> tuple[Tensor, ...]:
    """The three projections in as few products as their inputs allow."""
    size = q.shape[-1]
    if q is k and k is v:
        return tuple(ops.split(ops.linear(q, w, b), size, -1))
    parts = ops.split(w, size)
    biases = (None, None, None) if b is None else ops.split(b, size)
    made = ops.linear(q, parts[0], biases[0])
    if k is v:
        rest = ops.linear(k, w[size:], None if b is None else b[size:])
        return (made, *ops.split(rest, size, -1))
    return (made, ops.linear(k, parts[1], biases[1]), ops.linear(v, parts[2], biases[2]))


def _joined(
    attn: Tensor | None, padding: Tensor | None, q: Tensor, keys: int, name: str
) -> Tensor | None:
    """Both masks as one that is added to scores (batch, heads, n, keys); absent keys are seen."""
    batch, heads, n, _ = q.shape
    total = None
    if attn is not None:
        attn = _additive(attn, q, keys)
        fits = attn.shape in ((n, keys), (batch * heads, n, keys))
        wanted = f"attn_mask of shape ({n}, s) or ({batch * heads}, {n}, s)"
        expect(fits, name, wanted, attn.shape)
        total = attn if attn.ndim == 2 else attn.reshape(batch, heads, n, keys)
    if padding is not None:
        padding = _additive(padding, q, keys)
        wanted = f"key_padding_mask of shape ({batch}, s)"
        expect(padding.shape == (batch, keys), name, wanted, padding.shape)
        padding = padding.reshape(batch, 1, 1, keys)
        total = padding if total is None else total + padding
    return total


def _additive(mask: Tensor, q: Tensor, keys: int) -> Tensor:
    """A mask as numbers to add, with zeros for keys that were appended."""
    if mask.dtype.kind == "b":
        mask = ops.where(mask, -math.inf, full((), 0.0, q.dtype))
    mask = mask.to(q.dtype)
    more = keys - mask.shape[-1]
    if more > 0:
        mask = ops.cat([mask, zeros((*mask.shape[:-1], more), dtype=mask.dtype)], -1)
    return mask
