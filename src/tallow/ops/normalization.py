"""Normalisations over other axes than the last one: batch, group, instance, local response."""

from __future__ import annotations

import math
from typing import Any

from ..autograd.mode import MODE, no_grad
from ..dtype import bf16, f16, f32
from ..errors import ArgumentError, NoKernelError, expect
from ..registry import op
from ..tensor import Tensor, unwrap_tensor
from .elementwise_ternary import addcmul
from .reduce import centred


def _channels(where: object, x: Tensor, *parameters: Tensor | None) -> None:
    """Refuse what is not floats of shape (batch, channels, ...) with one value per channel."""
    unwrap_tensor(x, where)
    expect(x.ndim >= 2, where, "input of shape (batch, channels, ...)", x.shape)
    expect(x.dtype.kind == "f", where, "a float dtype", x.dtype.name, NoKernelError)
    for p in parameters:
        if p is not None and p.shape != x.shape[1:2]:
            expect(False, where, f"shape {x.shape[1:2]} per channel", p.shape)


def _column(p: Tensor, ndim: int) -> Tensor:
    """One value per channel, to be broadcast over the other axes."""
    return p.reshape(1, -1, *(1,) * (ndim - 2))


def _wide(x: Tensor) -> Tensor:
    return x.to(f32) if x.dtype.itemsize < 4 else x


def _axes(x: Tensor) -> tuple[int, ...]:
    return (0, *range(2, x.ndim))


def _moments(x: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Mean, what it lost by rounding, variance and 1 / standard deviation of each channel."""
    mean, rest, var = channel_moments(x)
    return mean, rest, var, (var + eps).rsqrt()


@op(name="nn.channel_moments", cached=True)
def channel_moments(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, what it lost by rounding, and variance of each channel, (1, channels, 1, ...)."""
    axes = _axes(x)
    mean = x.mean(axes, keepdim=True)
    h = x - mean
    rest = h.mean(axes, keepdim=True)
    return mean, rest, (h - rest).square().mean(axes, keepdim=True)


@channel_moments.out
def _(x: Tensor) -> Any:
    shape = (1, x.shape[1], *(1,) * (x.ndim - 2))
    return [(shape, x.dtype)] * 3


@channel_moments.kernel("channel_moments", dtypes=(f32,))
def _(x: Tensor) -> tuple[Any, ...]:
    return (x.contiguous(),)


def _scaled(x: Tensor, mean: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """`(x - mean) * scale + shift`: in this order, since far from zero `x * scale` is coarse."""
    return addcmul(shift, x - mean, scale)


@op(name="nn.whiten_channels", cached=True)
def whiten_channels(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor,
    rest: Tensor,
    rstd: Tensor,
    eps: float = 1e-5,
) -> Tensor:
    """`(input - mean - rest) * rstd * weight + bias`, these being the statistics of `input` itself.

    The middle of `batch_norm`: they are passed in, (1, channels, 1, ...) of f32 or f64, because its
    caller needs them too; `rest` is what `mean` lost by rounding. The gradient knows that they
    depend on `input`; none goes to them.
    """
    scale = rstd if weight is None else rstd * _column(weight, input.ndim).to(rstd.dtype)
    shift = -rest * scale
    if bias is not None:
        shift = shift + _column(bias, input.ndim).to(rstd.dtype)
    return _scaled(_wide(input), mean, scale, shift).to(input.dtype)


@whiten_channels.out
def _(input: Tensor, *_: Any) -> Any:
    return input


@whiten_channels.kernel("whiten_channels", dtypes=(f32, f16, bf16))
def _(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor,
    rest: Tensor,
    rstd: Tensor,
    eps: float,
) -> tuple[Any, ...]:
    moments = (mean.contiguous(), rest.contiguous(), rstd.contiguous())
    return input, _floats(weight), _floats(bias), *moments


@whiten_channels.grad
def _(
    g: Tensor,
    input: Tensor,
    weight: Tensor | None,
    _bias: Tensor | None,
    mean: Tensor,
    rest: Tensor,
    rstd: Tensor,
    eps: float,
) -> Any:
    x, g, axes = _wide(input), _wide(g), _axes(input)
    if MODE.enabled:  # to be differentiated again: what depends on the input has to show it
        mean, rest, _, rstd = _moments(x, eps)
    unit = _scaled(x, mean, rstd, -rest * rstd)
    g_bias = g.sum(axes, keepdim=True)
    g_weight = (g * unit).sum(axes, keepdim=True)

    def to_input() -> Tensor:
        n = max(input.numel() // max(input.shape[1], 1), 1)
        scale = rstd if weight is None else rstd * _column(weight, input.ndim).to(rstd.dtype)
        return ((g - unit * (g_weight / n)) - g_bias / n) * scale

    return (
        to_input,
        None if weight is None else g_weight.reshape(-1),
        None if _bias is None else g_bias.reshape(-1),
        None,
        None,
        None,
    )


@op(name="nn.batch_norm_by_statistics", cached=True)
def by_statistics(
    input: Tensor,
    mean: Tensor | None,
    var: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float = 1e-5,
) -> Tensor:
    """`(input - mean) / sqrt(var + eps) * weight + bias`, each of them one value per channel."""
    assert mean is not None and var is not None
    work, n = _wide(input).dtype, input.ndim
    scale = (var.to(work) + eps).rsqrt()
    scale = scale if weight is None else scale * weight.to(work)
    column = _column(mean.to(work), n)
    if bias is None:
        return ((input - column) * _column(scale, n)).to(input.dtype)
    out = _scaled(_wide(input), column, _column(scale, n), _column(bias.to(work), n))
    return out.to(input.dtype)


@by_statistics.out
def _(input: Tensor, *_: Any) -> Any:
    return input


@by_statistics.kernel("batch_norm", dtypes=(f32, f16, bf16))
def _(
    input: Tensor,
    mean: Tensor | None,
    var: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
) -> tuple[Any, ...]:
    return input, _floats(mean), _floats(var), _floats(weight), _floats(bias), float(eps)


def _floats(p: Tensor | None) -> Tensor | None:
    """What the kernel reads: floats of any width."""
    return p if p is None or p.dtype.kind == "f" else p.to(f32)


def _update(running: Tensor | None, fresh: Tensor, momentum: float) -> None:
    if running is not None:
        fresh = fresh.reshape(-1).to(running.dtype)
        running.copy_(running * (1 - momentum) + fresh * momentum)


@op(cached=True)
def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Each channel of `(batch, channels, ...)` at mean 0, variance 1, then `weight` and `bias`.

    While `training`, over the batch, whose statistics enter the running ones in place with the
    share `momentum` (the unbiased variance); else by the running ones. Source: arXiv 1502.03167.
    """
    if input.ndim == 1 and not input.numel():  # torch takes that, too
        return input.clone()
    _channels(batch_norm, input, running_mean, running_var, weight, bias)
    if not training:
        good = running_mean is not None and running_var is not None
        expect(good, batch_norm, "running_mean and running_var outside training", "None")
        return by_statistics(input, running_mean, running_var, weight, bias, eps)
    count = input.numel() // max(input.shape[1], 1)
    expect(count != 1, batch_norm, "more than 1 value per channel when training", input.shape)
    with no_grad():
        mean, rest, var, rstd = _moments(_wide(input).detach(), eps)
        if count:  # of nothing there is no mean to take into the running one
            _update(running_mean, mean, momentum)
        if count and running_var is not None:
            _update(running_var, var * (count / max(count - 1, 1)), momentum)
    return whiten_channels(input, weight, bias, mean, rest, rstd, eps)


def _grouped(x: Tensor, groups: int, eps: float) -> Tensor:
    """Each of `groups` parts of the channels of each sample at mean 0 and variance 1, wide."""
    from .norm import layer_norm

    flat = _wide(x).reshape(x.shape[0] * groups, -1)
    return layer_norm(flat, None, None, eps).reshape(x.shape)


def _affine(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    x = x if weight is None else x * _column(weight, x.ndim).to(x.dtype)
    return x if bias is None else x + _column(bias, x.ndim).to(x.dtype)


@op(cached=True)
def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Groups of channels of each sample at mean 0, variance 1, then `weight`, `bias` per channel.

    `input` is (batch, channels, ...); source: arXiv 1803.08494.
    """
    if not input.numel():
        return _affine(_wide(input), weight, bias).to(input.dtype)
    return _affine(_grouped(input, num_groups, eps), weight, bias).to(input.dtype)


@group_norm.check
def _(
    input: Tensor, num_groups: int, weight: Tensor | None, bias: Tensor | None, eps: float
) -> None:
    _channels(group_norm, input, weight, bias)
    whole: Any = num_groups  # a caller may give anything
    if not isinstance(whole, int) or whole <= 0 or input.shape[1] % whole:
        wanted = f"a divisor of {input.shape[1]} channels"
        expect(False, group_norm, wanted, num_groups, ArgumentError)


@group_norm.out
def _(
    input: Tensor, num_groups: int, weight: Tensor | None, bias: Tensor | None, eps: float
) -> Any:
    return input.shape, input.dtype


@group_norm.kernel("group_norm", dtypes=(f32, f16, bf16))
def _(
    input: Tensor, num_groups: int, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Any, ...]:
    return input.contiguous(), _floats(weight), _floats(bias), num_groups, float(eps)


@op(cached=True)
def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Each channel of each sample at mean 0, variance 1, then `weight` and `bias` per channel.

    `input` is (batch, channels, ...). The mean over the batch of these statistics enters the
    running ones in place; without `use_input_stats` the running ones serve instead.
    """
    _channels(instance_norm, input, running_mean, running_var, weight, bias)
    if not use_input_stats:
        return batch_norm.reference(input, running_mean, running_var, weight, bias, eps=eps)
    b, c = input.shape[:2]
    count = math.prod(input.shape[2:])
    wanted = "more than 1 spatial element when training"
    expect(input.ndim > 2 and count != 1, instance_norm, wanted, input.shape)
    if input.numel() and (running_mean is not None or running_var is not None):
        with no_grad():
            flat = _wide(input).detach().reshape(b, c, -1)
            mean = flat.mean(-1, keepdim=True)
            var = centred(flat, -1).square().sum(-1) / max(count - 1, 1)
            _update(running_mean, mean.mean(0), momentum)
            _update(running_var, var.mean(0), momentum)
    if not c:
        return group_norm(input, 1, weight, bias, eps)
    if weight is not None and weight.requires_grad:
        weight = weight.clone()  # the caller's may change before backward, as in torch
    return group_norm(input, c, weight, bias, eps)


@op(cached=True)
def local_response_norm(
    input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """`input / (k + alpha * mean of squares over size neighbouring channels) ** beta`.

    `input` is (batch, channels, ...); source: Krizhevsky et al. 2012, 3.3.
    """
    unwrap_tensor(input, local_response_norm)
    wanted = "at least 3 axes: (batch, channels, ...)"
    expect(input.ndim >= 3, local_response_norm, wanted, input.shape)
    expect(size > 0, local_response_norm, "a positive size", size, ArgumentError)
    if not input.numel():
        return input
    from .pad import constant_pad_nd

    squares = input.square()
    c = input.shape[1]
    before, after = min(size // 2, c), min((size - 1) // 2, c)
    padded = constant_pad_nd(squares, (0, 0) * (input.ndim - 2) + (before, after))
    total = padded.narrow(1, 0, c)
    for i in range(1, before + after + 1):
        total = total + padded.narrow(1, i, c)
    if input.dtype.kind in "iu":  # torch's mean of integers is one
        mean = total.div(size, rounding_mode="trunc") * alpha
    else:
        mean = total * (alpha / size)
    return input / (mean + k) ** beta


@op(cached=True)
def normalize(
    input: Tensor, p: float = 2.0, dim: int | tuple[int, ...] = 1, eps: float = 1e-12
) -> Tensor:
    """`input` over its p-norm along `dim`, which counts as `eps` at least."""
    length: Tensor = input.norm(p, dim, keepdim=True)
    return input / length.clamp(min=eps)
