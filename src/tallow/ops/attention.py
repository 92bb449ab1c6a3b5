"""What a transformer layer needs besides products: embedding, rotary positions, attention."""

from __future__ import annotations

import math
from typing import Any

from ..autograd.record import recomputed
from ..dtype import DTYPES, f32, f64, i64
from ..errors import expect
from ..factories import arange, full
from ..registry import op
from ..tensor import Tensor
from .join import cat

_NAN_FOR_NOTHING = 2  # a bit of the kernel's argument `causal`


@op(cached=True)
def embedding(ids: Tensor, weight: Tensor) -> Tensor:
    """The rows of `weight` (vocabulary, size) that integer `ids` name; block dtypes give f32."""
    rows = weight.to(f32) if weight.dtype.is_quantized else weight
    return rows[ids.to(i64)]


@embedding.check
def _(ids: Tensor, weight: Tensor) -> None:
    if weight.ndim != 2:
        expect(False, embedding, "weight of shape (vocabulary, size)", weight.shape)
    if ids.dtype.kind not in "iu":
        expect(False, embedding, "integer ids", ids.dtype.name)


@embedding.out
def _(ids: Tensor, weight: Tensor) -> Any:
    dtype = weight.dtype
    return (*ids.shape, weight.shape[1]), f32 if dtype.is_quantized else dtype


embedding.kernel("embedding")


@embedding.grad
def _(g: Tensor, ids: Tensor, _weight: Tensor) -> tuple[None, Any]:
    from . import embedding_weight_grad

    return None, lambda: embedding_weight_grad(g, ids, _weight.shape[0])


@op
def rope_table(positions: Tensor, freqs: Tensor, scale: float = 1.0) -> Tensor:
    """Cosines and sines for `rope`, times `scale`: (batch, n, 2r) of f32.

    `positions` are integers (batch, n), `freqs` the inverse frequencies (r,).
    """
    angle = positions.to(f32).unsqueeze(-1) * freqs
    return cat([angle.cos() * scale, angle.sin() * scale], -1)


@rope_table.check
def _(positions: Tensor, freqs: Tensor, scale: float) -> None:
    expect(
        positions.ndim == 2 and positions.dtype.kind in "iu",
        rope_table,
        "integer positions (batch, n)",
        positions.shape,
    )
    expect(
        freqs.ndim == 1 and freqs.dtype is f32,
        rope_table,
        "freqs (r,) of f32",
        (freqs.shape, freqs.dtype.name),
    )


@rope_table.out
def _(positions: Tensor, freqs: Tensor, scale: float) -> Any:
    return (*positions.shape, 2 * freqs.shape[0]), f32


@rope_table.kernel("rope_table")
def _(positions: Tensor, freqs: Tensor, scale: float) -> tuple[Any, ...]:
    return positions, freqs, float(scale)


@op(cached=True)
def rope(x: Tensor, table: Tensor, interleaved: bool = False) -> Tensor:
    """Rotate pairs of x (batch, n, heads, d) by the angles of `table` (batch or 1, n, 2r).

    Source: Su et al. 2021.

    Pairs are (i, i + r) of the first 2r positions of d, as in transformers, or (2i, 2i + 1) when
    `interleaved`, as in Llama's own code and its GGUF files; the rest of d is kept.
    """
    r = table.shape[-1] // 2
    table = table.to(x.dtype).unsqueeze(2)
    cos, sin = table[..., :r], table[..., r:]
    turned = x[..., : 2 * r]
    if interleaved:
        pairs = turned.reshape(*x.shape[:-1], r, 2)
        p, q = pairs[..., 0], pairs[..., 1]
        both = cat(
            [(p * cos - q * sin).unsqueeze(-1), (p * sin + q * cos).unsqueeze(-1)], -1
        ).flatten(-2)
    else:
        p, q = turned[..., :r], turned[..., r:]
        both = cat([p * cos - q * sin, p * sin + q * cos], -1)
    return cat([both, x[..., 2 * r :]], -1)


@rope.check
def _(x: Tensor, table: Tensor, interleaved: bool) -> None:
    s, t = x.shape, table.shape
    if len(s) != 4 or len(t) != 3 or t[0] not in (1, s[0]) or t[1] != s[1] or t[2] > s[3]:
        expect(
            False,
            rope,
            "x (batch, n, heads, d) and table (batch or 1, n, at most d)",
            (tuple(s), tuple(t)),
        )


@rope.out
def _(x: Tensor, table: Tensor, interleaved: bool) -> Any:
    return x


@rope.kernel("rope")
def _(x: Tensor, table: Tensor, interleaved: bool) -> tuple[Any, ...]:
    return x, table, bool(interleaved)


@rope.grad(uses={"x": ("table",), "table": ("x",)})
def _(g: Tensor, x: Tensor, table: Tensor, interleaved: bool) -> tuple[Any, Any]:
    def of_x() -> Tensor:  # turned back by the same angles
        r = table.shape[-1] // 2
        back = cat([table.narrow(-1, 0, r), -table.narrow(-1, r, r)], -1)
        return rope(g, back, interleaved)

    def of_table() -> Tensor:
        found = recomputed(lambda x, table: rope.reference(x, table, interleaved), (x, table), g)
        return found[1]

    return of_x, of_table


@op
def kv_write(cache_k: Tensor, cache_v: Tensor, k: Tensor, v: Tensor, start: Tensor) -> None:
    """Store k, v (batch, heads, n, d) into the caches at positions start[b] …, in place.

    The caches are (batch, heads, capacity, d) in f32, f16, bf16 or q8_0, to which blocks of 32 of d
    are rounded; a block with NaN or infinity is NaN.

    `start` is (batch,) of i64. ArgumentError before anything is written when the capacity does not
    suffice.
    """
    ...


@kv_write.out
def _(cache_k: Tensor, cache_v: Tensor, k: Tensor, v: Tensor, start: Tensor) -> None:
    return None


kv_write.kernel("kv_write")


@op
def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    start: Tensor | None = None,
    mask: Tensor | None = None,
    scale: float | None = None,
    causal: bool = False,
    window: int = 0,
    softcap: float = 0.0,
) -> Tensor:
    """softmax(q k^T · scale) v, for q (b, heads, n, d), k (b, kv heads, m, d), v (…, m, dv).

    Keys and values may be of another float dtype, or q8_0; sums are taken in float32, in which they
    are read exactly. Heads may be a multiple of kv heads (grouped-query attention). Query i of
    batch b stands at position start[b] + i (`start`: (batch,) i64, 0 when absent); with `start`,
    only the keys before start[b] + n exist. `causal` hides keys behind the query, `window` > 0
    those `window` or more before it, `softcap` c bounds scores to c·tanh(score / c). `mask` is
    additive, or bool (true = keep), broadcast to (batch, heads, n, m). A query without any key
    gives zeros. The default scale is d^-1/2.
    """
    wide = f64 if q.dtype is f64 else f32
    how = (start, mask, scale, causal, window, softcap)
    scores, keep = scored(q.to(wide), k.to(wide), *how)
    return weighted(scores, keep, v.to(wide), start).to(q.dtype)


def scored(
    q: Tensor, k: Tensor, start: Tensor | None, mask: Tensor | None, scale: float | None,
    causal: bool, window: int, softcap: float,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Scores `(b, heads, n, m)` of `attention`, and which of them count (bool, broadcast)."""
    (b, h, n, d), (hk, m) = q.shape, k.shape[1:3]
    g = h // hk if hk else 1
    q5 = q.reshape(b, hk, g, n, d)
    scores = q5 @ k.unsqueeze(2).transpose(-1, -2) * scale_of(d, scale)
    if softcap:
        scores = (scores / softcap).tanh() * softcap
    scores = scores.reshape(b, h, n, m)
    at, keys = places(q, m, start)
    keep = keys.ge(0).bitwise_and(at.ge(0))
    if start is not None:
        keep = keep.bitwise_and(keys.lt(start.reshape(b, 1, 1, 1) + n))
    if causal:
        keep = keep.bitwise_and(keys.le(at))
    if window:
        keep = keep.bitwise_and(keys.gt(at - window))
    if mask is not None:
        if mask.dtype.kind == "b":
            keep = keep.bitwise_and(mask)
        else:
            scores = scores + mask
    return scores, keep


def places(q: Tensor, m: int, start: Tensor | None) -> tuple[Tensor, Tensor]:
    """Positions of queries (b, 1, n, 1) and of `m` keys (1, 1, 1, m)."""
    b, n = q.shape[0], q.shape[2]
    first = full((b, 1), 0, device=q.device) if start is None else start.reshape(b, 1)
    at = (first + arange(n, device=q.device)).reshape(b, 1, n, 1)
    return at, arange(m, device=q.device).reshape(1, 1, 1, m)


def weighted(
    scores: Tensor, keep: Tensor, v: Tensor, start: Tensor | None, sinks: Tensor | None = None
) -> Tensor:
    """The sum of values by a softmax of `scores` where `keep`; `sinks` (h,) are further scores."""
    from .elementwise_ternary import where

    b, h, n, m = scores.shape
    hk = v.shape[1]
    scores = where(keep, scores, -math.inf)
    top = scores.detach().amax(-1, keepdim=True)
    if sinks is not None:
        sinks = sinks.to(scores.dtype).reshape(1, h, 1, 1)
        top = top.maximum(sinks.detach())
    top = where(top.eq(-math.inf), 0.0, top)
    e = (scores - top).exp()
    total = e.sum(-1, keepdim=True)
    if sinks is not None:
        total = total + (sinks - top).exp()
    p = e / where(total.eq(0), 1.0, total)
    seen = keep.any((1, 2)).reshape(b, 1, m, 1) if start is not None else None
    values = v if seen is None else where(seen, v, 0.0)
    out = p.reshape(b, hk, h // hk if hk else 1, n, m) @ values.unsqueeze(2)
    return out.reshape(b, h, n, v.shape[-1])


def scale_of(d: int, scale: float | None) -> float:
    """The factor of the scores; queries without elements have scores of 0, whatever it is."""
    return max(d, 1) ** -0.5 if scale is None else float(scale)


def check_shapes(where: Any, q: Tensor, k: Tensor, v: Tensor, start: Tensor | None) -> None:
    """Refuse queries, keys and values whose shapes do not belong together."""
    s, t, u = q.shape, k.shape, v.shape
    if (
        len(s) != 4
        or len(t) != 4
        or len(u) != 4
        or t[0] != s[0]
        or t[3] != s[3]
        or u[:3] != t[:3]
        or (s[1] % t[1] if t[1] else s[1])
    ):
        wanted = (
            "q (b, heads, n, d), k (b, kv heads, m, d) and v (b, kv heads, m, dv), "
            "heads a multiple of kv heads"
        )
        expect(False, where, wanted, tuple(map(tuple, (s, t, u))))
    if start is not None and start.shape != s[:1]:
        expect(False, where, f"start of shape {s[:1]}", start.shape)


@attention.check
def _(q: Tensor, k: Tensor, v: Tensor, start: Tensor | None, *how: Any) -> None:
    check_shapes(attention, q, k, v, start)


@attention.out
def _(q: Tensor, k: Tensor, v: Tensor, *how: Any) -> Any:
    b, h, n, _ = q.shape
    # Laid out as (batch, n, heads, dv), so that joining the heads afterwards is a view.
    return (b, h, n, v.shape[3]), q.dtype, (0, 2, 1, 3)


@attention.kernel("attention", dtypes=[d for d in DTYPES if d is not f64])
def _(
    q: Tensor, k: Tensor, v: Tensor, start: Tensor | None, mask: Tensor | None,
    scale: float | None, causal: bool, window: int, softcap: float,
) -> tuple[Any, ...]:  # fmt: skip
    factor = scale_of(q.shape[3], scale)
    return q, k, v, start, mask, factor, bool(causal), window, float(softcap)


def _gradients(
    g: Tensor, q: Tensor, k: Tensor, v: Tensor, start: Tensor | None, mask: Tensor | None,
    *how: Any, soft: bool = False,
) -> tuple[Tensor, ...]:  # fmt: skip
    """Those by q, k, v and (if `soft`) the mask, through the reference."""

    def again(q: Tensor, k: Tensor, v: Tensor, given: Tensor | None = mask) -> Tensor:
        scale, causal, window, softcap = how
        return attention.reference(
            q, k, v, start=start, mask=given, scale=scale, causal=causal, window=window,
            softcap=softcap,
        )  # fmt: skip

    return recomputed(again, (q, k, v, mask) if soft and mask is not None else (q, k, v), g)


@attention.grad
def _(
    g: Tensor, q: Tensor, k: Tensor, v: Tensor, start: Tensor | None, mask: Tensor | None,
    scale: float | None, causal: bool, window: int, softcap: float,
) -> tuple[Any, ...]:  # fmt: skip
    how = (start, mask, scale, causal, window, softcap)
    if mask is not None and mask.requires_grad:
        of_q, of_k, of_v, of_mask = _gradients(g, q, k, v, *how, soft=True)
        return of_q, of_k, of_v, None, of_mask
    return (*attention_backward(g, q, k, v, *how), None, None)


@op(name="nn.attention_or_nan")
def attention_or_nan(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, scale: float | None = None
) -> Tensor:
    """`attention` where a query without any key gives NaN, as a softmax of nothing but -inf does.

    `mask` is additive, (batch or 1, heads or 1, n or 1, m).
    """
    wide = f64 if q.dtype is f64 else f32
    (b, h, n, d), (hk, m) = q.shape, k.shape[1:3]
    q5 = q.to(wide).reshape(b, hk, h // hk if hk else 1, n, d)
    scores = q5 @ k.to(wide).unsqueeze(2).transpose(-1, -2) * scale_of(d, scale)
    if mask is not None:
        scores = (scores.reshape(b, h, n, m) + mask).reshape(scores.shape)
    out = scores.softmax(-1) @ v.to(wide).unsqueeze(2)
    return out.reshape(b, h, n, v.shape[-1]).to(q.dtype)


@attention_or_nan.check
def _(q: Tensor, k: Tensor, v: Tensor, *how: Any) -> None:
    check_shapes(attention_or_nan, q, k, v, None)


@attention_or_nan.out
def _(q: Tensor, k: Tensor, v: Tensor, *how: Any) -> Any:
    b, h, n, _ = q.shape
    return (b, h, n, v.shape[3]), q.dtype, (0, 2, 1, 3)


@attention_or_nan.kernel("attention", dtypes=[d for d in DTYPES if d is not f64])
def _(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float | None) -> tuple[Any, ...]:
    return q, k, v, None, mask, scale_of(q.shape[3], scale), _NAN_FOR_NOTHING, 0, 0.0


@op(name="nn.attention_backward")
def attention_backward(
    g: Tensor, q: Tensor, k: Tensor, v: Tensor, start: Tensor | None, mask: Tensor | None,
    scale: float | None, causal: bool, window: int, softcap: float,
) -> tuple[Tensor, ...]:  # fmt: skip
    """The gradients of `attention` by q, k and v, in f32 (of f64 in f64)."""
    wide = f64 if q.dtype is f64 else f32
    g, q, k, v = (x.to(wide) for x in (g, q, k, v))
    return _gradients(g, q, k, v, start, mask, scale, causal, window, softcap)


@attention_backward.check
def _(g: Tensor, q: Tensor, k: Tensor, v: Tensor, start: Tensor | None, *how: Any) -> None:
    check_shapes(attention_backward, q, k, v, start)
    shape = (*q.shape[:3], v.shape[3])
    if g.shape != shape:
        expect(False, attention_backward, f"a gradient of shape {shape}", g.shape)


@attention_backward.out
def _(g: Tensor, q: Tensor, k: Tensor, v: Tensor, *how: Any) -> Any:
    wide = f64 if q.dtype is f64 else f32
    return [(q.shape, wide), (k.shape, wide), (v.shape, wide)]


@attention_backward.kernel(
    "attention_backward", when=lambda g, q, k, *how: q.numel() > 0 and k.numel() > 0
)
def _(
    g: Tensor, q: Tensor, k: Tensor, v: Tensor, start: Tensor | None, mask: Tensor | None,
    scale: float | None, causal: bool, window: int, softcap: float,
) -> tuple[Any, ...]:  # fmt: skip
    if q.dtype is f64:
        k, v, g = k.to(f64), v.to(f64), g.to(f64)
    elif k.dtype.is_quantized or v.dtype.is_quantized:
        k, v = k.to(f32), v.to(f32)
    if mask is not None:
        mask = mask.expand(*q.shape[:3], k.shape[2])
    factor = scale_of(q.shape[3], scale)
    return g, q, k, v, start, mask, factor, bool(causal), window, float(softcap)
