"""Embeddings as torch spells them: padding rows, norm limits, bags."""

from __future__ import annotations

import math
from typing import Any

from tallow import ops
from tallow.autograd.mode import MODE, no_grad
from tallow.dtype import f32
from tallow.errors import ArgumentError, UnsupportedCaseError, expect
from tallow.factories import arange, tensor, zeros
from tallow.tensor import Tensor


def _limit(weight: Tensor, ids: Tensor, max_norm: float, norm_type: float) -> None:
    """Scale the rows that are used down to a norm of at most `max_norm`, in place."""
    with no_grad():
        rows = tensor(sorted(set(ids.reshape(-1).tolist())), dtype="i64")
        if not rows.numel():
            return
        used = weight[rows]
        norms = used.norm(norm_type, -1, keepdim=True)
        weight[rows] = ops.where(norms > max_norm, used * (max_norm / (norms + 1e-7)), used)


def _row(padding_idx: int | None, rows: int, name: str) -> int | None:
    if padding_idx is None:
        return None
    wanted = f"padding_idx in [{-rows}, {rows})"
    expect(-rows <= padding_idx < rows, name, wanted, padding_idx, ArgumentError)
    return padding_idx % rows


def _by_frequency(out: Tensor, ids: Tensor, rows: int) -> Tensor:
    """`out`, whose gradient is divided by how often its row is used."""
    flat = ids.reshape(-1).long()
    counts = zeros(rows, dtype=out.dtype).scatter_add(0, flat, (flat * 0 + 1).to(out.dtype))
    share = counts[flat].reciprocal().reshape(*ids.shape, 1)
    return out * share + (out * (1 - share)).detach()


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """The rows of `weight` (rows, size) that the integers (...) name: (..., size).

    Row `padding_idx` gets no gradient. Rows longer than `max_norm` are shortened in place first.
    Gradients are dense, also with `sparse`.
    """
    expect(weight.ndim == 2, "embedding", "weight of shape (rows, size)", weight.shape)
    padding_idx = _row(padding_idx, weight.shape[0], "embedding")
    if max_norm is not None:
        _limit(weight, input, max_norm, norm_type)
    out = ops.embedding(input, weight)
    if MODE.enabled and out.requires_grad:
        if scale_grad_by_freq:
            out = _by_frequency(out, input, weight.shape[0])
        if padding_idx is not None:
            out = ops.where(input.eq(padding_idx).unsqueeze(-1), out.detach(), out)
    return out


def _bags(input: Tensor, offsets: Tensor, last: bool) -> tuple[Tensor, Tensor]:
    """Positions in a flat input as (bags, longest), and which of them exist."""
    name, n = "embedding_bag", input.shape[0]
    starts = offsets.tolist()
    first = not starts or starts[0] == 0
    expect(first, name, "offsets that begin with 0", starts[:1], ArgumentError)
    if last:
        expect(len(starts) > 0, name, "offsets with the end at least", "none", ArgumentError)
    ends = starts[1:] if last else [*starts[1:], n]
    starts = starts[: len(ends)]
    good = all(0 <= a <= b <= n for a, b in zip(starts, ends, strict=True))
    expect(good, name, f"offsets that rise to at most {n}", offsets.tolist(), ArgumentError)
    begin, end = (tensor(v, dtype="i64").reshape(-1, 1) for v in (starts, ends))
    width = max((b - a for a, b in zip(starts, ends, strict=True)), default=0)
    places = begin + arange(width)
    return ops.where(places < end, places, 0), places < end


def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """Sum, mean or max of the rows of `weight` in each bag: (bags, size).

    Bags are the rows of `input` (bags, n), or begin at `offsets` in `input` (n,). Indices equal to
    `padding_idx` do not count; an empty bag gives zeros. `per_sample_weights`, of the input's
    shape, weighs the rows of a sum.
    """
    _check_bags(input, weight, mode, per_sample_weights)
    padding_idx = _row(padding_idx, weight.shape[0], "embedding_bag")
    if max_norm is not None:
        _limit(weight, input, max_norm, norm_type)
    one = input.ndim == 1
    wanted = "offsets for input of 1 axis" if one else "no offsets for input of 2 axes"
    good = (offsets is not None) == one
    expect(good, "embedding_bag", wanted, None if one else "some", ArgumentError)
    if offsets is None:
        ids, live = input, None
    else:
        places, live = _bags(input, offsets, include_last_offset)
        if not input.shape[0] or not places.numel():
            nothing = weight.narrow(0, 0, 0).sum()  # ties the result to the weight
            return zeros((places.shape[0], weight.shape[1]), dtype=weight.dtype) + nothing
        ids = input[places]
        if per_sample_weights is not None:
            per_sample_weights = per_sample_weights[places]
    if padding_idx is not None:
        used = ids.ne(padding_idx)
        live = used if live is None else live.bitwise_and(used)
    rows = ops.embedding(ids, weight)
    if scale_grad_by_freq and MODE.enabled and rows.requires_grad:
        rows = _by_frequency(rows, ids, weight.shape[0])
    if per_sample_weights is not None:
        rows = rows * per_sample_weights.unsqueeze(-1)
    return _pooled(rows, live, mode)


def _check_bags(input: Tensor, weight: Tensor, mode: str, per_sample: Tensor | None) -> None:
    """Refuse modes and shapes that do not belong together."""
    name = "embedding_bag"
    expect(mode in ("sum", "mean", "max"), name, "mode sum, mean or max", repr(mode), ArgumentError)
    expect(input.ndim in (1, 2), name, "input of 1 or 2 axes", input.shape)
    alone = per_sample is None or mode == "sum"
    expect(alone, name, "per_sample_weights with mode sum", repr(mode), UnsupportedCaseError)
    if per_sample is not None:
        wanted = f"per_sample_weights of shape {input.shape}"
        expect(per_sample.shape == input.shape, name, wanted, per_sample.shape)
    expect(weight.ndim == 2, name, "weight of shape (rows, size)", weight.shape)


def _pooled(rows: Tensor, live: Tensor | None, mode: str) -> Tensor:
    """(bags, n, size) reduced over the n that live; halves are added up in f32."""
    if not rows.shape[1]:
        return rows.sum(1)
    kind = rows.dtype
    if mode == "max":
        here = None if live is None else live.unsqueeze(-1)
        out: Tensor = (rows if here is None else ops.where(here, rows, -math.inf)).max(1).values
        return out if here is None else ops.where(here.any(1), out, 0)
    rows = rows.to(f32) if kind.itemsize < 4 else rows
    count: Any = rows.shape[1]
    if live is not None:
        rows = ops.where(live.unsqueeze(-1), rows, 0)
        count = live.long().sum(1, keepdim=True).clamp(min=1).to(rows.dtype)
    total = rows.sum(1)
    return (total if mode == "sum" else total / count).to(kind)
