"""Losses of values and of probabilities, and how a loss is reduced; other kinds stand beside it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

from ..autograd.mode import refuse_trace
from ..dtype import FLOATS, bool_
from ..errors import ArgumentError, DTypeError, ShapeError, expect
from ..factories import full as filled
from ..registry import op
from ..tensor import Tensor, unwrap_tensor
from .elementwise_ternary import where

REDUCTIONS = ("none", "mean", "sum")


def mode(
    where_: object, reduction: str, size_average: bool | None = None, reduce: bool | None = None
) -> str:
    """The reduction, checked; `size_average` and `reduce` are its older spelling in torch."""
    if size_average is not None or reduce is not None:
        text = "size_average and reduce are the older spelling of reduction"
        warnings.warn(text, DeprecationWarning, stacklevel=3)
        refuse_trace()  # each call warns
        if reduce is False:
            return "none"
        return "sum" if size_average is False else "mean"
    wanted = f"reduction one of {', '.join(REDUCTIONS)}"
    expect(reduction in REDUCTIONS, where_, wanted, repr(reduction), ArgumentError)
    return reduction


def reduced(loss: Tensor, reduction: str) -> Tensor:
    """The loss itself, its mean or its sum."""
    if reduction == "none":
        return loss
    return loss.mean() if reduction == "mean" else loss.sum()


@op(name="nn.log1p_exp")
def log1p_exp(input: Tensor) -> Tensor:
    """`log(1 + exp(input))` without overflow: the loss of a logit."""
    return input.maximum(0) + (-input.abs()).exp().log1p()


@log1p_exp.grad
def _(g: Tensor, input: Tensor) -> Tensor:
    return g * input.sigmoid()


# --- values ---------------------------------------------------------------------------------------


def _values(loss: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
    """Reduce losses of values; the mean of weighed ones is over the weights."""
    if weight is None:
        return reduced(loss, reduction)
    loss = loss * weight
    if reduction != "mean":
        return reduced(loss, reduction)
    return loss.sum() / weight.expand(*loss.shape).sum()


@op(name="nn.squared_error")
def squared_error(input: Tensor, target: Tensor) -> Tensor:
    """`(input - target) ** 2` as one node, which keeps the operands, as PyTorch's does."""
    return (input - target).square()


squared_error.kernel("squared_difference", dtypes=FLOATS)


@squared_error.grad
def _(g: Tensor, input: Tensor, target: Tensor) -> tuple[Any, Any]:
    slope = g * 2 * (input - target)
    return slope, lambda: -slope


@op(name="nn.absolute_error")
def absolute_error(input: Tensor, target: Tensor) -> Tensor:
    """`|input - target|` in one step."""
    return (input - target).abs()


absolute_error.kernel("absolute_difference", dtypes=FLOATS)


@op(name="nn.huber")
def huber(input: Tensor, target: Tensor, delta: float, scale: float = 1.0) -> Tensor:
    """`scale` times a parabola within `delta` of the target, beyond it lines of slope `delta`."""
    difference = input - target
    size = difference.abs()
    line = size > delta  # not for NaN, whose square has a slope of NaN
    inside = where(line, 0, difference)  # where the lines are, its slope is 0 and not infinite
    return where(line, (size - 0.5 * delta) * (delta * scale), inside.square() * (0.5 * scale))


huber.kernel("huber", dtypes=FLOATS)


_LEAST = 1e-37  # a width of the parabola whose reciprocal is finite in 32 bits


def _by_element(
    op: Callable[..., Tensor], input: Tensor, target: Tensor, *numbers: float
) -> Tensor:
    """What an op gives of each pair; what has no difference is refused in the words of that."""
    if getattr(input, "dtype", None) is bool_ is getattr(target, "dtype", None):
        return input - target  # refused
    try:
        return op(input, target, *numbers)
    except (DTypeError, ShapeError):
        pass
    input - target
    return op(input, target, *numbers)


@op(cached=True)
def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """`(input - target) ** 2`."""
    reduction = mode(mse_loss, reduction, size_average, reduce)
    return _values(_by_element(squared_error, input, target), weight, reduction)


@op(cached=True)
def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """`|input - target|`."""
    reduction = mode(l1_loss, reduction, size_average, reduce)
    return _values(_by_element(absolute_error, input, target), weight, reduction)


@op(cached=True)
def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """`huber_loss / beta`: a parabola within `beta` of the target, then lines of slope 1."""
    reduction = mode(smooth_l1_loss, reduction, size_average, reduce)
    expect(beta >= 0, smooth_l1_loss, "a beta of at least 0", beta, ArgumentError)
    if beta < _LEAST:
        return reduced(_by_element(absolute_error, input, target), reduction)
    return reduced(_by_element(huber, input, target, beta, 1 / beta), reduction)


@op(cached=True)
def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """A parabola within `delta` of the target, then lines of slope `delta`."""
    reduction = mode(huber_loss, reduction)
    expect(delta > 0, huber_loss, "a delta above 0", delta, ArgumentError)
    return _values(_by_element(huber, input, target, delta), weight, reduction)


# --- probabilities --------------------------------------------------------------------------------


@op(name="nn.bernoulli_nll")
def bernoulli_nll(input: Tensor, target: Tensor) -> Tensor:
    """`-(target * log(input) + (1 - target) * log(1 - input))`, no logarithm below -100."""
    return -(target * input.log().clamp(min=-100) + (1 - target) * (-input).log1p().clamp(min=-100))


@bernoulli_nll.grad
def _(g: Tensor, input: Tensor, target: Tensor) -> Any:
    return (
        lambda: g * (input - target) / (input * (1 - input)).clamp(min=1e-12),
        lambda: g * ((-input).log1p() - input.log()),
    )


@op
def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Minus the log-probability of `target` in [0, 1] under probabilities `input`; none over 100.

    ArgumentError when `input` is not in [0, 1]. `weight` is broadcast to the losses.
    """
    name = binary_cross_entropy
    reduction = mode(name, reduction, size_average, reduce)
    unwrap_tensor(input, name), unwrap_tensor(target, name)
    expect(target.shape == input.shape, name, f"target of shape {input.shape}", target.shape)
    if input.numel() and not input.is_meta:
        low, high = input.detach().amin().item(), input.detach().amax().item()
        wrong = high if high > 1 else low
        expect(low >= 0 and high <= 1, name, "input in [0, 1]", wrong, ArgumentError)
    loss = bernoulli_nll(input, target)
    return reduced(loss if weight is None else loss * weight, reduction)


@op(cached=True)
def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """`binary_cross_entropy` of `sigmoid(input)`; `pos_weight` multiplies the part of the target.

    Both weights are broadcast to the losses.
    """
    name = binary_cross_entropy_with_logits
    reduction = mode(name, reduction, size_average, reduce)
    unwrap_tensor(input, name), unwrap_tensor(target, name)
    expect(target.shape == input.shape, name, f"target of shape {input.shape}", target.shape)
    if pos_weight is None:
        loss = log1p_exp(input) - target * input
    else:
        share = target * (pos_weight - 1) + 1
        loss = (1 - target) * input + share * log1p_exp(-input)
    return reduced(loss if weight is None else loss * weight, reduction)


@op(cached=True)
def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """`target * (log(target) - input)`, for log-probabilities `input`.

    `log_target` says that the target is logarithms too; `reduction="batchmean"` divides the sum by
    the length of the first axis.
    """
    batch = reduction == "batchmean"
    reduction = mode(kl_div, "sum" if batch else reduction, size_average, reduce)
    if log_target:
        loss = target.exp() * (target - input)
    else:
        loss = where(target.eq(0), 0, target * where(target.eq(0), 1, target).log())
        loss = loss - target * input
    loss = reduced(loss, reduction)
    return loss / input.shape[0] if batch and input.ndim else loss


@op(cached=True)
def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Minus the log-probability of counts under the rates `exp(input)`, or `input` itself.

    `full` adds Stirling's approximation of log(target!) for targets above 1.
    """
    reduction = mode(poisson_nll_loss, reduction, size_average, reduce)
    if log_input:
        loss = input.exp() - target * input
    else:
        loss = input - target * (input + eps).log()
    if full:
        t = where(target > 1, target, 2)
        stirling = t * t.log() - t + (t * (2 * math.pi)).log() * 0.5
        loss = loss + where(target > 1, stirling, 0)
    return reduced(loss, reduction)


@op
def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """Minus the log-probability under normal distributions of mean `input`, variance `var`.

    `var` counts as `eps` at least, without that stopping its gradient; its shape is the input's,
    with the last axis missing or 1 perhaps. `full` adds log(2 pi) / 2. ArgumentError below 0.
    """
    name = gaussian_nll_loss
    reduction = mode(name, reduction)
    if not isinstance(var, Tensor):
        expect(var >= 0, name, "a var of at least 0", var, ArgumentError)
        var = filled(input.shape, var, input.dtype)
    if var.shape != input.shape and var.shape == input.shape[:-1]:
        var = var.unsqueeze(-1)
    fits = var.ndim == input.ndim and all(
        v in (1, n) for v, n in zip(var.shape, input.shape, strict=False)
    )
    expect(fits or var.ndim == 0, name, f"var of shape {input.shape}, or 1 last", var.shape)
    if var.numel() and not var.is_meta:
        low = var.detach().amin().item()
        expect(not low < 0, name, "a var of at least 0", low, ArgumentError)
    var = var + (var.detach().clamp(min=eps) - var.detach())
    loss = (var.log() + (input - target).square() / var) * 0.5
    return reduced(loss + 0.5 * math.log(2 * math.pi) if full else loss, reduction)


@op(cached=True)
def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """`log(1 + exp(-target * input))`, for targets of 1 and -1."""
    reduction = mode(soft_margin_loss, reduction, size_average, reduce)
    return reduced(log1p_exp(-target * input), reduction)
