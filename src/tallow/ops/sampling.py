"""Drawing a token from logits."""

from __future__ import annotations

from .. import _native
from ..dtype import f32, i64
from ..errors import expect
from ..registry import primitive
from ..tensor import Tensor, wrap

_sample = _native.kernel("sample")


@primitive
def sample(
    logits: Tensor,
    history: Tensor,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    min_p: float = 0.0,
    repetition: float = 1.0,
    frequency: float = 0.0,
    presence: float = 0.0,
    random: float = 0.0,
) -> Tensor:
    """One token id (0-d, i64) from logits (vocabulary,) of f32, after `history` (n,) of i64.

    In llama.cpp's order: penalties, top_k (0 off), top_p (1 off), min_p (0 off), temperature (0:
    the largest logit), then the inverse distribution function at `random` in [0, 1).
    """
    expect(
        logits.ndim == 1 and logits.dtype is f32,
        sample,
        "logits (vocabulary,) of f32",
        (logits.shape, logits.dtype.name),
    )
    out = _native.Array.empty((), i64.code)
    _sample(
        out, logits._array, history._array, float(temperature), top_k, float(top_p), float(min_p),
        float(repetition), float(frequency), float(presence), float(random),
    )  # fmt: skip
    return wrap(out)
