"""torch.nn.utils.fusion: batch normalisation folded into the layer before it."""

from __future__ import annotations

import copy
from typing import Any

from tallow import nn, ops
from tallow.errors import ArgumentError, expect
from tallow.tensor import Tensor


def _scale(mean: Tensor, var: Tensor, eps: float, weight: Any, bias: Any) -> tuple[Tensor, Tensor]:
    factor = ops.rsqrt(var + eps)
    factor = factor if weight is None else factor * weight
    return factor, -mean * factor if bias is None else bias - mean * factor


def fuse_conv_bn_weights(
    conv_w: Tensor, conv_b: Tensor | None, bn_rm: Tensor, bn_rv: Tensor, bn_eps: float,
    bn_w: Tensor | None, bn_b: Tensor | None, transpose: bool = False,
) -> tuple[nn.Parameter, nn.Parameter]:  # fmt: skip
    """Weight and bias of one convolution that does what convolution and normalisation did."""
    factor, shift = _scale(bn_rm, bn_rv, bn_eps, bn_w, bn_b)
    shape = [1] * conv_w.ndim
    shape[1 if transpose else 0] = -1
    bias = shift if conv_b is None else conv_b * factor + shift
    weight = conv_w * factor.reshape(shape).to(conv_w.dtype)
    return nn.Parameter(weight.detach()), nn.Parameter(bias.detach().to(conv_w.dtype))


def fuse_linear_bn_weights(
    linear_w: Tensor, linear_b: Tensor | None, bn_rm: Tensor, bn_rv: Tensor, bn_eps: float,
    bn_w: Tensor | None, bn_b: Tensor | None,
) -> tuple[nn.Parameter, nn.Parameter]:  # fmt: skip
    """Weight and bias of one layer that does what layer and normalisation did."""
    return fuse_conv_bn_weights(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b)


def _fused(layer: Any, bn: Any, transpose: bool) -> Any:
    done = not (layer.training or bn.training)
    expect(done, "fuse_conv_bn_eval", "both modules in eval()", "training", ArgumentError)
    expect(bn.running_mean is not None, "fuse_conv_bn_eval", "running statistics", None,
           ArgumentError)  # fmt: skip
    made = copy.deepcopy(layer)
    made.weight, made.bias = fuse_conv_bn_weights(
        layer.weight, layer.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias,
        transpose,
    )  # fmt: skip
    return made


def fuse_conv_bn_eval(conv: Any, bn: Any, transpose: bool = False) -> Any:
    """A convolution that does what `bn(conv(x))` does in eval()."""
    return _fused(conv, bn, transpose)


def fuse_linear_bn_eval(linear: Any, bn: Any) -> Any:
    """A layer that does what `bn(linear(x))` does in eval()."""
    return _fused(linear, bn, False)
