"""Elementwise operators and norms of the domain com.microsoft, as optimised models have them."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from tallow import ops
from tallow.dtype import f32, i32, i64
from tallow.errors import ArgumentError, expect
from tallow.factories import arange
from tallow.onnx.operators.padding import framed
from tallow.onnx.operators.table import operator
from tallow.ops.fft import irfftn, rfftn
from tallow.tensor import Tensor

microsoft = partial(operator, domain="com.microsoft")


# --- activations ----------------------------------------------------------------------------------


@microsoft("Gelu")
def gelu(x: Tensor) -> Tensor:
    """`x * Φ(x)`."""
    return ops.gelu(x)


@microsoft("FastGelu")
def fast_gelu(x: Tensor, bias: Tensor | None = None) -> Tensor:
    """The approximation of GELU by tanh, of `x + bias`."""
    return ops.gelu(x if bias is None else x + bias, approximate="tanh")


@microsoft("BiasGelu")
def bias_gelu(a: Tensor, b: Tensor) -> Tensor:
    """GELU of `a + b`."""
    return ops.gelu(a + b)


@microsoft("QuickGelu")
def quick_gelu(x: Tensor, *, alpha: float = 1.702) -> Tensor:
    """`x * sigmoid(alpha * x)`."""
    return x * (x * alpha).sigmoid()


@microsoft("BiasAdd")
def bias_add(x: Tensor, bias: Tensor, skip: Tensor) -> Tensor:
    """`x + bias + skip`."""
    return x + bias + skip


@microsoft("BiasSplitGelu")
def bias_split_gelu(x: Tensor, bias: Tensor) -> Tensor:
    """The first half of `x + bias` along the last axis, times GELU of the second."""
    left, right = (x + bias).chunk(2, -1)
    return left * ops.gelu(right)


# --- norms ----------------------------------------------------------------------------------------


def _layer(x: Tensor, gamma: Tensor, beta: Tensor | None, eps: float) -> Tensor:
    return ops.layer_norm(x, gamma.reshape(-1), None if beta is None else beta.reshape(-1), eps)


def _statistics(x: Tensor, eps: float, centred: bool) -> tuple[Tensor, Tensor]:
    wide = x.to(f32)
    mean = wide.mean(-1, keepdim=True)
    rest = wide - mean if centred else wide
    return mean, (rest.square().mean(-1, keepdim=True) + eps).rsqrt()


def _skipped(
    x: Tensor, skip: Tensor, bias: Tensor | None, norm: Any, eps: float, wanted: Any, centred: bool
) -> tuple[Any, ...]:  # fmt: skip
    total = x + skip
    if bias is not None:
        total = total + bias
    more: tuple[Any, Any] = (None, None)
    if any(wanted[1:3]):
        more = _statistics(total, eps, centred)
    return norm(total), *more, total


@microsoft("SkipLayerNormalization")
def skip_layer_normalization(
    input: Tensor, skip: Tensor, gamma: Tensor, beta: Tensor | None = None,
    bias: Tensor | None = None, *, epsilon: float = 1e-12, wanted: tuple[bool, ...],
) -> tuple[Any, ...]:  # fmt: skip
    """Layer norm of `input + skip + bias`, its statistics, and that sum."""
    norm = partial(_layer, gamma=gamma, beta=beta, eps=epsilon)
    return _skipped(input, skip, bias, norm, epsilon, wanted, True)[: len(wanted)]


@microsoft("SkipSimplifiedLayerNormalization")
def skip_rms_normalization(
    input: Tensor, skip: Tensor, gamma: Tensor, bias: Tensor | None = None, *,
    epsilon: float = 1e-12, wanted: tuple[bool, ...],
) -> tuple[Any, ...]:  # fmt: skip
    """RMS norm of `input + skip + bias`, its statistics, and that sum."""
    norm = partial(ops.rms_norm, weight=gamma, eps=epsilon)
    return _skipped(input, skip, bias, norm, epsilon, wanted, False)[: len(wanted)]


def _trailing(where: str, x: Tensor, axis: int) -> tuple[Tensor, int]:
    expect(-x.ndim <= axis < x.ndim, where, f"an axis of {x.ndim} axes", axis, ArgumentError)
    axis %= x.ndim
    return (x if axis == x.ndim - 1 else x.flatten(axis)), axis


@operator("SimplifiedLayerNormalization")
@microsoft("SimplifiedLayerNormalization")
def rms_normalization(
    x: Tensor, scale: Tensor, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1,
    wanted: tuple[bool, ...],
) -> tuple[Any, ...]:  # fmt: skip
    """RMS norm over the axes from `axis` on."""
    rows, axis = _trailing("SimplifiedLayerNormalization", x, axis)
    out = ops.rms_norm(rows, scale.reshape(-1), epsilon).reshape(x.shape)
    if not any(wanted[1:]):
        return (out,)
    shape = (*x.shape[:axis], *(1,) * (x.ndim - axis))
    return out, _statistics(rows, epsilon, False)[1].reshape(shape)


@operator("LayerNormalization", until=16)
@microsoft("LayerNormalization")
def layer_normalization(
    x: Tensor, scale: Tensor, b: Tensor | None = None, *, axis: int = -1, epsilon: float = 1e-5,
    stash_type: int = 1, wanted: tuple[bool, ...],
) -> tuple[Any, ...]:  # fmt: skip
    """Layer norm over the axes from `axis` on, before the standard had it."""
    rows, axis = _trailing("LayerNormalization", x, axis)
    out = _layer(rows, scale, b, epsilon).reshape(x.shape)
    if not any(wanted[1:]):
        return (out,)
    shape = (*x.shape[:axis], *(1,) * (x.ndim - axis))
    return out, *(each.reshape(shape) for each in _statistics(rows, epsilon, True))


@microsoft("GroupNorm")
def group_norm(
    x: Tensor, gamma: Tensor, beta: Tensor, *, groups: int, activation: int,
    channels_last: int = 1, epsilon: float = 1e-5,
) -> Tensor:  # fmt: skip
    """Norm over groups of channels, which are the last axis, then SiLU where `activation` is 1."""
    if channels_last:
        x = x.movedim(-1, 1)
    out = ops.group_norm(x, groups, gamma.to(x.dtype), beta.to(x.dtype), epsilon)
    out = ops.silu(out) if activation else out
    return out.movedim(1, -1) if channels_last else out


@microsoft("EmbedLayerNormalization")
def embed_layer_normalization(
    input_ids: Tensor, segment_ids: Tensor | None, word_embedding: Tensor,
    position_embedding: Tensor, segment_embedding: Tensor | None, gamma: Tensor, beta: Tensor,
    mask: Tensor | None = None, position_ids: Tensor | None = None, *, epsilon: float = 1e-12,
    mask_index_type: int = 0, wanted: tuple[bool, ...] = (True,),
) -> tuple[Any, ...]:  # fmt: skip
    """Layer norm of embeddings of words, positions and segments; the lengths of masks; the sum."""
    batch, length = input_ids.shape
    total = ops.embedding(input_ids, word_embedding)
    if position_ids is None:
        total = total + position_embedding[:length]
    else:
        total = total + ops.embedding(position_ids, position_embedding)
    if segment_ids is not None and segment_embedding is not None:
        total = total + ops.embedding(segment_ids, segment_embedding)
    if mask is None:
        lengths = input_ids.new_zeros((batch,), dtype=i32)
    else:
        lengths = mask.to(i32).sum(-1).to(i32)
    return (_layer(total, gamma, beta, epsilon), lengths, total)[: len(wanted)]


# --- matrices, transforms and the rest ------------------------------------------------------------


@microsoft("Inverse")
def inverse(x: Tensor) -> Tensor:
    """The inverses of square matrices."""
    return ops.inverse(x)


@microsoft("Trilu", reads=("k",))
def trilu(x: Tensor, k: Any = 0, *, upper: int = 1) -> Tensor:
    """The triangle above (or below) a diagonal, zeros elsewhere."""
    at = int(k[0]) if isinstance(k, list) else int(k or 0)
    return ops.triu(x, at) if upper else ops.tril(x, at)


@microsoft("CDist")
def cdist(a: Tensor, b: Tensor, *, metric: str = "sqeuclidean") -> Tensor:
    """The distances of all rows of `a` to all rows of `b`, squared or not."""
    known = ("sqeuclidean", "euclidean")
    expect(metric in known, "CDist", "sqeuclidean or euclidean", metric, ArgumentError)
    found = ops.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")
    return found.square() if metric == "sqeuclidean" else found


def _complex(a: Tensor, b: Tensor, sign: float) -> Tensor:
    (ar, ai), (br, bi) = ((x.select(-1, 0), x.select(-1, 1)) for x in (a, b))
    return ops.stack([ar * br - sign * (ai * bi), ai * br + sign * (ar * bi)], -1)


@microsoft("ComplexMul")
def complex_mul(a: Tensor, b: Tensor) -> Tensor:
    """The products of complex numbers, as pairs along the last axis."""
    return _complex(a, b, 1.0)


@microsoft("ComplexMulConj")
def complex_mul_conj(a: Tensor, b: Tensor) -> Tensor:
    """The products with the conjugates of `b`, as pairs along the last axis."""
    return _complex(a, b, -1.0)


@microsoft("Rfft")
def rfft(x: Tensor, *, signal_ndim: int = 1, normalized: int = 0, onesided: int = 1) -> Tensor:
    """The transform of real signals along the last axes, onesided, as pairs."""
    _check_transform("Rfft", normalized, onesided)
    return rfftn(x, dim=tuple(range(-signal_ndim, 0))).view_as_real()


@microsoft("Irfft")
def irfft(x: Tensor, *, signal_ndim: int, normalized: int = 0, onesided: int = 1) -> Tensor:
    """The real signals of onesided transforms given as pairs."""
    _check_transform("Irfft", normalized, onesided)
    return irfftn(x.contiguous().view_as_complex(), dim=tuple(range(-signal_ndim, 0)))


def _check_transform(where: str, normalized: int, onesided: int) -> None:
    good = onesided == 1 and normalized == 0
    text = "onesided 1 and normalized 0"
    expect(good, where, text, f"{onesided} and {normalized}", ArgumentError)


@microsoft("Pad", reads=("pads", "value"))
def pad(data: Tensor, pads: list[Any], value: Any = None, *, mode: str = "constant") -> Any:
    """`data` with more elements at the ends of its axes, or fewer."""
    flat = pads[0] if pads and isinstance(pads[0], list) else pads
    expect(len(flat) == 2 * data.ndim, "Pad", f"{2 * data.ndim} pads", flat, ArgumentError)
    fill = value[0] if isinstance(value, list) else value
    sides = [*zip(flat[: data.ndim], flat[data.ndim :], strict=True)]
    return framed(data, sides, mode, fill)


@microsoft("Unique")
def unique(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The distinct values in the order of their first places, where each one is, their counts."""
    values, inverse, counts = ops.unique(x, return_inverse=True, return_counts=True)
    first = ops.new_full(counts, counts.shape, x.numel())
    first = first.scatter_reduce(0, inverse, arange(x.numel(), device=x.device), "amin")
    order = first.argsort()
    return values[order], order.argsort()[inverse], counts[order]


@microsoft("ExpandDims", reads=("axis",))
def expand_dims(x: Tensor, axis: Any) -> Tensor:
    """`x` with an axis of length 1."""
    return x.unsqueeze(int(axis[0] if isinstance(axis, list) else axis))


@microsoft("Range", reads=("start", "limit", "delta"))
def range_(start: Any, limit: Any, delta: Any = 1) -> Tensor:
    """Numbers from `start` on, `delta` apart, below `limit`."""
    start, limit, delta = (x[0] if isinstance(x, list) else x for x in (start, limit, delta))
    finite = all(math.isfinite(x) for x in (start, limit, delta)) and delta != 0
    wanted = "finite start, limit and delta, that other than 0"
    expect(finite, "Range", wanted, (start, limit, delta), ArgumentError)
    whole = all(isinstance(x, int) for x in (start, limit, delta))
    count = max(math.ceil((limit - start) / delta), 0)
    found: Tensor = arange(count) * delta + start
    return found.to(i64) if whole else found.to(f32)


@microsoft("CropAndResize", reads=("crop_size",))
def crop_and_resize(
    x: Tensor, rois: Tensor, batch_indices: Tensor, crop_size: list[int], *,
    mode: str = "bilinear", extrapolation_value: float = 0.0,
) -> Tensor:  # fmt: skip
    """Boxes of images, resized with their corners aligned; rois are (y1, x1, y2, x2) in 0 … 1."""
    known = mode in ("bilinear", "nearest")
    expect(known, "CropAndResize", "mode bilinear or nearest", mode, ArgumentError)
    planes = x[batch_indices.to(i64)]
    near, weights, inside = [], [], []
    for i, (length, size) in enumerate(zip(x.shape[2:], crop_size, strict=True)):
        low, high = rois[:, i : i + 1], rois[:, i + 2 : i + 3]
        if size > 1:
            step = (high - low) * (length - 1) / (size - 1)
            at = low * (length - 1) + arange(size, device=x.device).to(f32) * step
        else:
            at = (low + high) * (0.5 * (length - 1))
        inside.append((at >= 0) & (at <= length - 1))
        at = at.clamp(0, length - 1)
        base = at.floor() if mode == "bilinear" else (at + 0.5).floor()
        near.append((base.to(i64), (base + 1).clamp(max=length - 1).to(i64)))
        weights.append(at - base)
    n = arange(rois.shape[0], device=x.device).reshape(-1, 1, 1)

    def pick(a: Tensor, b: Tensor) -> Tensor:
        return planes.permute(0, 2, 3, 1)[n, a.unsqueeze(2), b.unsqueeze(1)]

    (y0, y1), (x0, x1) = near
    found = pick(y0, x0)
    if mode == "bilinear":
        wy, wx = weights[0][:, :, None, None], weights[1][:, None, :, None]
        top = found + (pick(y0, x1) - found) * wx
        below = pick(y1, x0)
        found = top + (below + (pick(y1, x1) - below) * wx - top) * wy
    kept = inside[0].unsqueeze(2) & inside[1].unsqueeze(1)
    return ops.where(kept.unsqueeze(3), found, extrapolation_value).permute(0, 3, 1, 2)


# --- refused --------------------------------------------------------------------------------------


def _refuse(op_type: str, why: str) -> None:
    @microsoft(op_type)
    def row(*xs: Tensor) -> Tensor:
        raise ArgumentError(
            f"com.microsoft.{op_type}: expected an operator of inference, got {why}"
        )


for _name in ("BeamSearch", "GreedySearch", "Sampling", "WhisperBeamSearch"):
    _refuse(_name, "a whole search in one node; run its decoder in a loop (tallow.generate)")
_refuse("SparseToDenseMatMul", "a sparse matrix, which Tallow's tensors are not")
