"""Drawing a token from logits."""

from __future__ import annotations

from typing import Any

from ..dtype import f32, i64
from ..errors import expect
from ..registry import op
from ..tensor import Tensor


@op
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
    ...


@sample.check
def _(logits: Tensor, history: Tensor, *_: Any) -> None:
    expect(
        logits.ndim == 1 and logits.dtype is f32,
        sample,
        "logits (vocabulary,) of f32",
        (logits.shape, logits.dtype.name),
    )


@sample.out
def _(logits: Tensor, history: Tensor, *_: Any) -> Any:
    return (), i64


@sample.kernel("sample")
def _(
    logits: Tensor, history: Tensor, temperature: float, top_k: int, *numbers: float
) -> tuple[Any, ...]:
    return logits, history, float(temperature), top_k, *map(float, numbers)
