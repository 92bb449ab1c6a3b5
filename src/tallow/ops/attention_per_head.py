"""Attention whose heads have scores of their own: sinks, slopes by distance; pieces of a text."""

from __future__ import annotations

from typing import Any

from ..autograd.record import recomputed
from ..dtype import DTYPES, f32, f64
from ..errors import expect
from ..registry import op
from ..tensor import Tensor
from .attention import check_shapes, places, scale_of, scored, weighted


@op
def attention_per_head(
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
    sinks: Tensor | None = None,
    slopes: Tensor | None = None,
    chunk: int = 0,
) -> Tensor:
    """`attention` with what differs by head, and texts cut into pieces.

    `sinks` (heads,) are scores of a key beside the others whose value is 0 (arXiv 2309.17453).
    Scores fall by `slopes` (heads,) with each position from the key to the query (ALiBi,
    arXiv 2108.12409), after `softcap`. With a `chunk`, a query sees the keys alone whose position
    divided by it gives, rounded down, what its own gives.
    """
    wide = f64 if q.dtype is f64 else f32
    how = (start, mask, scale, causal, window, softcap)
    scores, keep = scored(q.to(wide), k.to(wide), *how)
    at, keys = places(q, k.shape[2], start)
    if slopes is not None:
        scores = scores + (keys - at).to(wide) * slopes.to(wide).reshape(1, -1, 1, 1)
    if chunk:
        keep = keep.bitwise_and(keys.floor_divide(chunk).eq(at.floor_divide(chunk)))
    return weighted(scores, keep, v.to(wide), start, sinks).to(q.dtype)


@attention_per_head.check
def _(
    q: Tensor, k: Tensor, v: Tensor, start: Tensor | None, mask: Tensor | None,
    scale: float | None, causal: bool, window: int, softcap: float, sinks: Tensor | None,
    slopes: Tensor | None, chunk: int,
) -> None:  # fmt: skip
    check_shapes(attention_per_head, q, k, v, start)
    shape = (q.shape[1],)
    for name, given in (("sinks", sinks), ("slopes", slopes)):
        if given is not None:
            good = given.shape == shape and given.dtype.kind == "f"
            found = (tuple(given.shape), given.dtype.name)
            expect(good, attention_per_head, f"{name} of shape {shape} in a float dtype", found)
    expect(chunk >= 0, attention_per_head, "a chunk of at least 0", chunk)


@attention_per_head.out
def _(q: Tensor, k: Tensor, v: Tensor, *how: Any) -> Any:
    b, h, n, _ = q.shape
    return (b, h, n, v.shape[3]), q.dtype, (0, 2, 1, 3)


@attention_per_head.kernel("attention_per_head", dtypes=[d for d in DTYPES if d is not f64])
def _(
    q: Tensor, k: Tensor, v: Tensor, start: Tensor | None, mask: Tensor | None,
    scale: float | None, causal: bool, window: int, softcap: float, sinks: Tensor | None,
    slopes: Tensor | None, chunk: int,
) -> tuple[Any, ...]:  # fmt: skip
    own = (None if given is None else given.to(f32) for given in (sinks, slopes))
    how = scale_of(q.shape[3], scale), bool(causal), window, float(softcap)
    return q, k, v, start, mask, *how, *own, chunk


@attention_per_head.grad
def _(
    g: Tensor, q: Tensor, k: Tensor, v: Tensor, start: Tensor | None, mask: Tensor | None,
    scale: float | None, causal: bool, window: int, softcap: float, sinks: Tensor | None,
    slopes: Tensor | None, chunk: int,
) -> tuple[Any, ...]:  # fmt: skip
    given = {"q": q, "k": k, "v": v, "mask": mask, "sinks": sinks, "slopes": slopes}
    soft = {n: x for n, x in given.items() if x is not None and x.dtype.kind == "f"}

    def again(*values: Tensor) -> Tensor:
        parts: dict[str, Any] = {**given, **dict(zip(soft, values, strict=True))}
        return attention_per_head.reference(
            **parts, start=start, scale=scale, causal=causal, window=window, softcap=softcap,
            chunk=chunk,
        )  # fmt: skip

    found = dict(zip(soft, recomputed(again, tuple(soft.values()), g), strict=True))
    # One each of the tensors, in order: the start has none.
    others = (found.get(name) for name in ("mask", "sinks", "slopes"))
    return found["q"], found["k"], found["v"], None, *others
