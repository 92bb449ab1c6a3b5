"""Numbers in another dtype, refused where that would make infinities of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tallow.dtype import by_name, f32
from tallow.errors import ArgumentError, ModelError

if TYPE_CHECKING:
    from tallow.tensor import Tensor


# Dtypes whose cast gives the largest number instead of an infinity: from where on it does.
_SATURATED = {"f8e4m3": 464.0}


def cast(name: str, x: Tensor, dtype: str, weights: Tensor | None = None) -> Tensor:
    """The tensor called `name` in `dtype`; what is infinite or no number stays so in floats.

    `weights` say for a block dtype how much an error in each column matters.

    Raises:
        ModelError: a finite value is beyond the dtype, or blocks are asked of one that is not.
    """
    target = by_name(dtype)
    if x.dtype is target:
        return x
    if not target.is_quantized or x.numel() == 0:
        made = x.to(target)
        narrower = target is not f32 and target.name != "f64"
        if target.kind == "f" and x.dtype.kind in "fq" and (narrower or x.dtype.name == "f64"):
            _expect_kept(name, x, made)
        return made
    from tallow.ops import quantize

    plain = x.to(f32)
    expect_finite(name, plain)
    try:
        blocks: Tensor = quantize(plain, target, weights)
    except ArgumentError as error:  # such as values beyond the scales of the blocks
        raise ModelError(f"{name}: {error}") from error
    return blocks


def expect_finite(name: str, x: Tensor) -> None:
    """Refuse nan and inf, of which blocks would make nonsense."""
    from tallow.ops import isfinite

    if not bool(isfinite(x).all()):
        raise ModelError(f"{name}: expected finite values to quantise, found nan or inf")


def _expect_kept(name: str, before: Tensor, after: Tensor) -> None:
    """Refuse a cast that made infinities, or what a dtype without them has in their place."""
    from tallow.ops import isfinite

    limit = _SATURATED.get(after.dtype.name)
    plain = after.to(f32) if after.dtype.itemsize == 1 else after
    if limit is None and bool(isfinite(plain).all()):
        return
    wide = before if before.dtype.name == "f64" else before.to(f32)
    beyond = isfinite(wide) & ~isfinite(plain) if limit is None else wide.abs() > limit
    if bool(beyond.any()):
        largest = wide.abs().masked_fill(~beyond, 0).max().item()
        wanted = f"values that {after.dtype.name} can hold"
        raise ModelError(f"{name}: expected {wanted}, found {largest:g}")
