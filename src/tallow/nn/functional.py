"""torch.nn.functional: the ops of `tallow.ops` under torch's signatures.

An op that has torch's signature is passed on as it is (see `_OPS`); the rest is written here
and in the modules beside this one.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tallow import ops
from tallow.autograd.inplace import change
from tallow.dtype import DType
from tallow.errors import ArgumentError, expect
from tallow.packages import module_by_name
from tallow.registry import OPS
from tallow.tensor import Tensor

if TYPE_CHECKING:
    from tallow.nn.attention_functional import (
        multi_head_attention_forward,
        scaled_dot_product_attention,
    )
    from tallow.nn.dropout_functional import (
        alpha_dropout,
        dropout,
        dropout1d,
        dropout2d,
        dropout3d,
        feature_alpha_dropout,
        gumbel_softmax,
    )
    from tallow.nn.embedding_functional import embedding, embedding_bag
    from tallow.nn.fractional_pool import fractional_max_pool2d, fractional_max_pool3d
    from tallow.ops.loss_margin import triplet_margin_with_distance_loss

# What is written in other files, read when it is first asked for.
_MODULES = {
    "tallow.nn.attention_functional": (
        "multi_head_attention_forward scaled_dot_product_attention "
    ),
    "tallow.nn.dropout_functional": (
        "alpha_dropout dropout dropout1d dropout2d dropout3d feature_alpha_dropout gumbel_softmax "
    ),
    "tallow.nn.embedding_functional": "embedding embedding_bag",
    "tallow.nn.fractional_pool": "fractional_max_pool2d fractional_max_pool3d",
    "tallow.ops.loss_margin": "triplet_margin_with_distance_loss",
}
_LAZY = module_by_name(_MODULES)
# Ops that have torch's signature.
_OPS = frozenset({
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d",
    "adaptive_max_pool2d", "adaptive_max_pool3d", "affine_grid", "avg_pool1d", "avg_pool2d",
    "avg_pool3d", "batch_norm", "bilinear", "binary_cross_entropy",
    "binary_cross_entropy_with_logits", "channel_shuffle", "conv1d", "conv2d", "conv3d",
    "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "cosine_embedding_loss",
    "cosine_similarity", "cross_entropy", "ctc_loss", "gaussian_nll_loss", "glu", "grid_sample",
    "group_norm", "hardshrink", "hinge_embedding_loss", "huber_loss", "instance_norm",
    "interpolate", "kl_div", "l1_loss", "local_response_norm", "logsigmoid", "lp_pool1d",
    "lp_pool2d", "lp_pool3d", "margin_ranking_loss", "max_pool1d", "max_pool2d", "max_pool3d",
    "max_unpool1d", "max_unpool2d", "max_unpool3d", "mse_loss", "multi_margin_loss",
    "multilabel_margin_loss", "multilabel_soft_margin_loss", "nll_loss", "normalize", "one_hot",
    "pad", "pairwise_distance", "pdist", "pixel_shuffle", "pixel_unshuffle", "poisson_nll_loss",
    "prelu", "sigmoid", "smooth_l1_loss", "soft_margin_loss", "softplus", "softshrink",
    "softsign", "tanh", "tanhshrink", "triplet_margin_loss",
})  # fmt: skip
# In-place variants, which write over their argument; methods of Tensor.
_TWINS = frozenset({
    "celu_", "elu_", "hardtanh_", "leaky_relu_", "relu_", "selu_", "threshold_",
})  # fmt: skip
# What is written here and beside.
__all__ = [
    "alpha_dropout", "celu", "dropout", "dropout1d", "dropout2d", "dropout3d", "elu",
    "embedding", "embedding_bag", "feature_alpha_dropout", "fractional_max_pool2d",
    "fractional_max_pool3d", "gelu", "gumbel_softmax", "hardsigmoid", "hardswish", "hardtanh",
    "layer_norm", "leaky_relu", "linear", "log_softmax", "mish", "multi_head_attention_forward",
    "relu", "relu6", "rms_norm", "rrelu", "scaled_dot_product_attention", "selu", "silu",
    "softmax", "softmin", "threshold", "triplet_margin_with_distance_loss", "upsample",
    "upsample_bilinear", "upsample_nearest",
]  # fmt: skip
__all__ += sorted(_OPS | _TWINS | {"fold", "unfold"})


def __getattr__(name: str) -> Any:
    """An op, when it is first asked for."""
    if name in _OPS:
        found: Any = getattr(ops, name)
    elif name in ("fold", "unfold"):  # Tensor.unfold is another op, as in torch
        found = OPS[f"nn.{name}"].caller()
    elif name in _LAZY:
        found = getattr(import_module(_LAZY[name]), name)
    elif name in _TWINS:
        found = getattr(Tensor, name)
    else:
        raise AttributeError(f"module 'tallow.nn.functional' has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


# --- linear and norms -----------------------------------------------------------------------------


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`input @ weight.T + bias`; (..., k) and (n, k) give (..., n). A 1-d weight gives (...)."""
    if weight.ndim == 1:
        out = ops.linear(input, weight.unsqueeze(0)).squeeze(-1)
        return out if bias is None else out + bias
    if weight.dtype.is_quantized or (bias is None or bias.shape == weight.shape[:1]):
        return ops.linear(input, weight, bias)
    return ops.linear(input, weight) + bias


def _flattened(name: str, x: Tensor, shape: Any, *parameters: Tensor | None) -> Any:
    """The sizes to normalise over, checked against the tensors."""
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    good = len(sizes) > 0 and x.shape[-len(sizes) :] == sizes
    expect(good, name, f"input of shape (..., {', '.join(map(str, sizes))})", x.shape)
    for p in parameters:
        if p is not None:
            expect(p.shape == sizes, name, f"weight and bias of shape {sizes}", p.shape)
    return sizes


def layer_norm(
    input: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """The last axes, of `normalized_shape`, at mean 0, variance 1, then `weight` and `bias`."""
    sizes = _flattened("layer_norm", input, normalized_shape, weight, bias)
    if len(sizes) == 1:
        return ops.layer_norm(input, weight, bias, eps)
    scale = None if weight is None else weight.reshape(-1)
    shift = None if bias is None else bias.reshape(-1)
    out = ops.layer_norm(input.flatten(-len(sizes)), scale, shift, eps)
    return out.reshape(input.shape)


_EPS = {"f64": 2.0**-52, "f32": 2.0**-23, "bf16": 2.0**-7, "f16": 2.0**-10}


def rms_norm(
    input: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """The last axes, of `normalized_shape`, at root-mean-square 1, then `weight`.

    `eps` is the distance from 1 to the next number of the dtype by default: of f32 for halves,
    in which the mean is taken.
    """
    sizes = _flattened("rms_norm", input, normalized_shape, weight)
    if eps is None:
        eps = _EPS["f64" if input.dtype.name == "f64" else "f32"]
    if len(sizes) == 1:
        return ops.rms_norm(input, weight, eps)
    flat = None if weight is None else weight.reshape(-1)
    return ops.rms_norm(input.flatten(-len(sizes)), flat, eps).reshape(input.shape)


# --- activations ----------------------------------------------------------------------------------


def _act(name: str, input: Tensor, inplace: bool, *args: Any) -> Tensor:
    call: Callable[..., Tensor] = getattr(ops, name)
    if inplace:
        return change(input, args, {}, call, f"{name}_")
    return call(input, *args)


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """`input` where it is positive, else 0."""
    return _act("relu", input, True) if inplace else ops.relu(input)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """`input` limited to [0, 6]."""
    return _act("relu6", input, inplace)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """`input` where it is positive, else `alpha * (exp(input) - 1)`."""
    return _act("elu", input, inplace, alpha)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """ELU scaled so that layers keep mean 0 and variance 1 (arXiv 1706.02515)."""
    return _act("selu", input, inplace)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """`input` where it is positive, else `alpha * (exp(input / alpha) - 1)`."""
    return _act("celu", input, inplace, alpha)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """`input` where it is positive, else `negative_slope * input`."""
    return _act("leaky_relu", input, inplace, negative_slope)


def rrelu(
    input: Tensor,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Tensor:
    """`leaky_relu` with slopes drawn from [lower, upper) when `training`, else their mean."""
    expect(lower <= upper, "rrelu", "lower at most upper", (lower, upper), ArgumentError)
    return _act("rrelu", input, inplace, lower, upper, training)


def hardtanh(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    """`input` limited to [min_val, max_val]."""
    return _act("hardtanh", input, inplace, min_val, max_val)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """`relu6(input + 3) / 6`."""
    return _act("hardsigmoid", input, inplace)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """`input * hardsigmoid(input)`."""
    return _act("hardswish", input, inplace)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """`input * sigmoid(input)`."""
    return _act("silu", input, True) if inplace else ops.silu(input)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """`input * tanh(softplus(input))`."""
    return _act("mish", input, inplace)


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """`input` where it is above `threshold`, else `value`."""
    return _act("threshold", input, inplace, threshold, value)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """`input * Phi(input)`, exactly or by tanh (`approximate="tanh"`)."""
    wanted = "approximate 'none' or 'tanh'"
    expect(approximate in ("none", "tanh"), "gelu", wanted, repr(approximate), ArgumentError)
    return ops.gelu(input) if approximate == "none" else ops.gelu_tanh(input)


def _softmax_dim(name: str, dim: int | None, ndim: int) -> int:
    if dim is not None:
        return dim
    text = f"{name} without dim takes an axis by the number of axes, as torch does: say which"
    warnings.warn(text, UserWarning, stacklevel=3)
    return 0 if ndim in (0, 1, 3) else 1


def softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: DType | str | None = None
) -> Tensor:
    """`exp(input)` scaled to sum 1 along `dim`."""
    return ops.softmax(input, _softmax_dim("softmax", dim, input.ndim), dtype)


def softmin(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: DType | str | None = None
) -> Tensor:
    """`softmax(-input)`."""
    return ops.softmax(-input, _softmax_dim("softmin", dim, input.ndim), dtype)


def log_softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: DType | str | None = None
) -> Tensor:
    """`log(softmax(input))`."""
    return ops.log_softmax(input, _softmax_dim("log_softmax", dim, input.ndim), dtype)


# --- images ---------------------------------------------------------------------------------------


def upsample(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """`interpolate`, by its older name."""
    return ops.interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """`interpolate` with mode nearest."""
    return upsample(input, size, scale_factor)


def upsample_bilinear(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """`interpolate` with mode bilinear and aligned corners."""
    return upsample(input, size, scale_factor, "bilinear", True)
