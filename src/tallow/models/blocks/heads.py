"""Splitting projections into heads around the attention kernel, for modules of any names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tallow.errors import ShapeError, expect
from tallow.ops import attention
from tallow.tensor import Tensor


def split_heads(x: Tensor, heads: int) -> Tensor:
    """`(batch, length, heads * size)` → `(batch, heads, length, size)`."""
    b, n, width = x.shape
    return x.reshape(b, n, heads, width // heads).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """`(batch, heads, length, size)` → `(batch, length, heads * size)`."""
    b, heads, n, size = x.shape
    return x.transpose(1, 2).reshape(b, n, heads * size)


def attention_of_rows(q: Tensor, k: Tensor, v: Tensor, **how: Any) -> Tensor:
    """`attention` for q `(rows, heads, n, d)`, k and v of as many rows, or of a whole part of them.

    Then so many rows beside each other attend to each of k and v, which are read once for them.
    """
    rows, heads, n, size = q.shape
    contexts = k.shape[0]
    if rows == contexts:
        return attention(q, k, v, **how)
    each = rows // contexts
    q = q.reshape(contexts, each, heads, n, size).transpose(1, 2)
    out = attention(q.reshape(contexts, heads, each * n, size), k, v, **how)
    out = out.view(contexts, heads, each, n, out.shape[-1]).transpose(1, 2)
    return out.reshape(rows, heads, n, out.shape[-1])


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    heads: int,
    *,
    kv_heads: int | None = None,
    mask: Tensor | None = None,
    causal: bool = False,
    window: int = 0,
    scale: float | None = None,
) -> Tensor:
    """Attention of projected `q` `(batch, n, heads * size)` over `k` and `v` `(batch, m, …)`.

    `mask` as of `as_mask`; the others as of `tallow.ops.attention`. Gives
    `(batch, n, heads * value_size)`.
    """
    groups = kv_heads or heads
    out = attention(
        split_heads(q, heads),
        split_heads(k, groups),
        split_heads(v, groups),
        mask=None if mask is None else as_mask(mask),
        causal=causal,
        window=window,
        scale=scale,
    )
    return merge_heads(out)


def as_mask(mask: Tensor) -> Tensor:
    """A mask in the form that the kernel takes: four axes, additive floats or kept booleans.

    `(batch, m)` are keys to keep, as tokenizers and processors give them (booleans, or numbers of
    which 0 hides); `(batch, n, m)` is the same for all heads; four axes are
    `(batch, heads, n, m)`, each of them 1 where it does not matter.
    """
    if mask.ndim == 2:
        kept = mask if mask.dtype.kind == "b" else mask.ne(0)
        return kept.unsqueeze(1).unsqueeze(1)
    expect(mask.ndim in (3, 4), "mask", "2, 3 or 4 axes", mask.shape, ShapeError)
    if mask.dtype.kind in "iu":
        mask = mask.ne(0)
    return mask.unsqueeze(1) if mask.ndim == 3 else mask


class SeenKeys(NamedTuple):
    """Which keys each query sees where that is more than those before it.

    `by_window` are masks `(batch or 1, 1, n, m)` for layers of each window (0: none); neither order
    nor window is applied beside them.
    """

    by_window: Mapping[int, Tensor]


Mask = Tensor | SeenKeys


def kept_mean(x: Tensor, mask: Tensor | None) -> Tensor:
    """The mean over positions that the mask keeps, `(batch, length, size)` → `(batch, size)`."""
    if mask is None:
        return x.mean(1)
    kept = mask.to(x.dtype)
    return (x * kept.unsqueeze(2)).sum(1) / kept.sum(1, keepdim=True)
