"""Normalisations: over batches, instances, groups, trailing axes, neighbours and norms."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from tallow import ops
from tallow.dtype import bf16, f32
from tallow.errors import ArgumentError, expect
from tallow.onnx.operators.table import operator
from tallow.tensor import Tensor, broadcast_shapes


@operator("BatchNormalization", since=14)
def batch_normalization(
    x: Tensor, scale: Tensor, b: Tensor, mean: Tensor, var: Tensor, *, epsilon: float = 1e-5,
    momentum: float = 0.9, training_mode: int = 0,
) -> Any:  # fmt: skip
    """Each channel by given statistics, or by the batch's, which then enter the running ones."""
    if not training_mode:
        return ops.batch_norm(x, mean, var, scale, b, eps=epsilon)
    y, fresh_mean, fresh_var = _by_batch(x, scale, b, epsilon)
    return y, _running(mean, fresh_mean, momentum), _running(var, fresh_var, momentum)


@operator("BatchNormalization", since=6, until=8)
def batch_normalization_6(
    x: Tensor, scale: Tensor, b: Tensor, mean: Tensor, var: Tensor, *, epsilon: float = 1e-5,
    is_test: int = 0, momentum: float = 0.9, spatial: int = 1, opset: int = 7,
    wanted: tuple[bool, ...] = (True,),
) -> Any:  # fmt: skip
    """As `batch_normalization_9`; without `spatial` every element has statistics of its own."""
    if opset < 7 and is_test:
        wanted = wanted[:1]
    if spatial or x.ndim == 2:
        return batch_normalization_9(
            x, scale, b, mean, var, epsilon=epsilon, momentum=momentum, wanted=wanted
        )
    trained = not any(wanted[1:])
    expect(trained, "BatchNormalization", "spatial=1 to train", spatial, ArgumentError)
    return (x - mean) * ((var + epsilon).rsqrt() * scale) + b


@operator("BatchNormalization", since=9, until=13)
def batch_normalization_9(
    x: Tensor, scale: Tensor, b: Tensor, mean: Tensor, var: Tensor, *, epsilon: float = 1e-5,
    momentum: float = 0.9, wanted: tuple[bool, ...] = (True,),
) -> Any:  # fmt: skip
    """Outputs beside the first ask for training: running statistics, and those of the batch."""
    if not any(wanted[1:]):
        return ops.batch_norm(x, mean, var, scale, b, eps=epsilon)
    y, fresh_mean, fresh_var = _by_batch(x, scale, b, epsilon)
    running = _running(mean, fresh_mean, momentum), _running(var, fresh_var, momentum)
    return y, *running, fresh_mean, fresh_var


def _by_batch(x: Tensor, scale: Tensor, b: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """The result, mean and (population) variance of each channel."""
    axes = (0, *range(2, x.ndim))
    wide = _wide(x)
    mean = wide.mean(axes)
    var = ops.var(wide, axes, correction=0)
    return ops.batch_norm(x, mean, var, scale, b, eps=eps), mean.to(x.dtype), var.to(x.dtype)


def _running(old: Tensor, fresh: Tensor, momentum: float) -> Tensor:
    return old * momentum + fresh.to(old.dtype) * (1 - momentum)


def _wide(x: Tensor) -> Tensor:
    return x.to(f32) if x.dtype.itemsize < 4 else x


@operator("InstanceNormalization", since=6)
def instance_normalization(x: Tensor, scale: Tensor, b: Tensor, *, epsilon: float = 1e-5) -> Tensor:
    """Each channel of each sample at mean 0 and variance 1, then `scale` and `b`."""
    expect(x.ndim > 2, "InstanceNormalization", "an input of at least 3 axes", x.shape)
    return ops.group_norm(x, x.shape[1], scale, b, epsilon)


@operator("GroupNormalization", since=18, until=20)
def group_normalization_18(
    x: Tensor, scale: Tensor, bias: Tensor, *, num_groups: int, epsilon: float = 1e-5
) -> Tensor:
    """`scale` and `bias` have a value for each group."""
    good = num_groups > 0 and x.shape[1] % num_groups == 0
    text = f"a divisor of {x.shape[1]} channels"
    expect(good, "GroupNormalization", text, num_groups, ArgumentError)
    each = x.shape[1] // num_groups
    return ops.group_norm(
        x, num_groups, scale.repeat_interleave(each), bias.repeat_interleave(each), epsilon
    )


@operator("GroupNormalization", since=21)
def group_normalization(
    x: Tensor, scale: Tensor, bias: Tensor, *, num_groups: int, epsilon: float = 1e-5,
    stash_type: int = 1,
) -> Tensor:  # fmt: skip
    """`scale` and `bias` have a value for each channel; computed in f32 at least."""
    return ops.group_norm(x, num_groups, scale, bias, epsilon)


@operator("LayerNormalization", since=17)
def layer_normalization(
    x: Tensor, scale: Tensor, b: Tensor | None = None, *, axis: int = -1, epsilon: float = 1e-5,
    stash_type: int = 1, wanted: tuple[bool, ...] = (True,),
) -> Any:  # fmt: skip
    """The axes from `axis` on at mean 0 and variance 1; computed in f32 at least."""
    axis = _axis("LayerNormalization", axis, x.ndim)
    y = _over_trailing(ops.layer_norm, x, axis, (scale, b), epsilon)
    if not any(wanted[1:]):
        return y
    axes = tuple(range(axis, x.ndim))
    wide = _wide(x)
    mean = wide.mean(axes, keepdim=True)
    var = ops.var(wide, axes, correction=0, keepdim=True)
    stash = bf16 if stash_type == 16 else f32
    return y, mean.to(stash), (var + epsilon).rsqrt().to(stash)


@operator("RMSNormalization", since=23)
def rms_normalization(
    x: Tensor, scale: Tensor, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> Tensor:
    """The axes from `axis` on at root-mean-square 1; the result has the dtype of `scale`."""
    axis = _axis("RMSNormalization", axis, x.ndim)
    if scale.dtype is not x.dtype:
        return (_over_trailing(ops.rms_norm, _wide(x), axis, (None,), epsilon) * scale).to(
            scale.dtype
        )
    return _over_trailing(ops.rms_norm, x, axis, (scale,), epsilon)


def _axis(where: str, axis: int, ndim: int) -> int:
    expect(-ndim <= axis < ndim, where, f"an axis of {ndim} axes", axis, ArgumentError)
    return axis % ndim


def _over_trailing(
    norm: Callable[..., Tensor],
    x: Tensor,
    axis: int,
    parameters: Sequence[Tensor | None],
    epsilon: float,
) -> Tensor:
    """A norm of the last axis, over all axes from `axis` on as one."""
    trailing = x.shape[axis:]
    given = [p for p in parameters if p is not None]
    if all(p.shape == trailing for p in given):
        if len(trailing) == 1:
            return norm(x, *parameters, epsilon)
        flat = [None if p is None else p.reshape(-1) for p in parameters]
        return norm(x.reshape(*x.shape[:axis], -1), *flat, epsilon).reshape(x.shape)
    for p in given:
        broadcast_shapes(x.shape, p.shape, "scale and bias beside the input")
    rows = _wide(x).reshape(*x.shape[:axis], math.prod(trailing))
    y = norm(rows, *(None for _ in parameters), epsilon).reshape(x.shape)
    scale, *bias = parameters
    y = y if scale is None else y * scale
    return (y if not bias or bias[0] is None else y + bias[0]).to(x.dtype)


@operator("LRN")
def lrn(
    x: Tensor, *, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0
) -> Tensor:
    """Each element over a power of the mean square of `size` neighbouring channels."""
    if size % 2:
        return ops.local_response_norm(x, size, alpha, beta, bias)
    # Of an even number of neighbours the op has one more before, the standard one more behind.
    return ops.local_response_norm(x.flip(1), size, alpha, beta, bias).flip(1)


@operator("LpNormalization")
def lp_normalization(x: Tensor, *, axis: int = -1, p: int = 2) -> Tensor:
    """`x` over its p-norm along `axis`; zero where that is zero."""
    expect(p in (1, 2), "LpNormalization", "p of 1 or 2", p, ArgumentError)
    wide = _wide(x)
    norm = wide.norm(p, _axis("LpNormalization", axis, x.ndim), keepdim=True)
    return (wide / ops.where(norm == 0, 1.0, norm)).to(x.dtype)
