"""torch.nn.attention.flex_attention: scores changed by a function of their place."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tallow import ops
from tallow.factories import arange
from tallow.tensor import Tensor
from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__, refuses={"it is not supported": "BlockMask create_nested_block_mask"}
)


def _modules(b: int, h: int, q: int, k: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return (
        arange(b).reshape(b, 1, 1, 1), arange(h).reshape(1, h, 1, 1),
        arange(q).reshape(1, 1, q, 1), arange(k).reshape(1, 1, 1, k),
    )  # fmt: skip


def create_mask(
    mod_fn: Callable[..., Tensor], B: int | None, H: int | None, Q_LEN: int, KV_LEN: int,
    device: Any = "cpu",
) -> Tensor:  # fmt: skip
    """What `mod_fn(batch, head, query, key)` says, as (batch, heads, queries, keys) of bool."""
    b, h = B or 1, H or 1
    found = mod_fn(*_modules(b, h, Q_LEN, KV_LEN))
    return ops.broadcast_to(found, (b, h, Q_LEN, KV_LEN)).bool()


create_block_mask = create_mask


def flex_attention(
    query: Tensor, key: Tensor, value: Tensor, score_mod: Callable[..., Tensor] | None = None,
    block_mask: Tensor | None = None, scale: float | None = None, enable_gqa: bool = False,
    return_lse: bool = False, kernel_options: Any = None,
) -> Any:  # fmt: skip
    """Attention over (batch, heads, length, size) with scores changed and masked by functions."""
    if enable_gqa:
        times = query.shape[1] // key.shape[1]
        key, value = (ops.repeat_interleave(x, times, dim=1) for x in (key, value))
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = (query @ key.transpose(-2, -1)) * factor
    if score_mod is not None:
        scores = score_mod(scores, *_modules(*scores.shape))
    if block_mask is not None:
        scores = ops.where(block_mask, scores, float("-inf"))
    lse = ops.logsumexp(scores, -1)
    weights = ops.softmax(scores, -1)
    if block_mask is not None:  # a query that sees nothing gives zeros
        weights = ops.where(ops.isneginf(lse).unsqueeze(-1), 0.0, weights)
    out = weights @ value
    return (out, lse) if return_lse else out
