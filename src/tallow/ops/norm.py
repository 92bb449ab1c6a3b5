"""Normalisations over the last axis."""

from __future__ import annotations

from typing import Any

from .. import _native
from ..autograd.mode import MODE
from ..autograd.record import recomputed
from ..dtype import f32, f64
from ..errors import NoKernelError, expect
from ..factories import empty_like
from ..registry import op
from ..tensor import Tensor, unwrap_tensor, wrap
from .reduce import centred

_rms_norm = _native.kernel("rms_norm")
_layer_norm = _native.kernel("layer_norm")
_rms_norm_backward = _native.kernel("rms_norm_backward")
_layer_norm_backward = _native.kernel("layer_norm_backward")


def _fits(where: object, x: Tensor, *parameters: Tensor | None, kinds: str = "f") -> None:
    unwrap_tensor(x, where)
    if x.dtype.kind not in kinds or x.dtype.itemsize < 2:
        expect(False, where, "a float dtype", x.dtype.name, NoKernelError)
    for p in parameters:
        if p is not None and p._array.shape != x._array.shape[-1:]:
            expect(False, where, f"weight and bias of shape {x.shape[-1:]}", p.shape)


def _gradients(
    kernel: Any, g: Tensor, x: Any, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """The gradients of x, weight and bias that are wanted, in one pass over the rows.

    Those of weight and bias come in f32 (f64 for f64), summed over the rows.
    """
    by_x, by_weight, by_bias = (p is not None and p._node is not None for p in (x, weight, bias))
    n, wide = x.shape[-1], f64 if x.dtype is f64 else f32
    wanted = (by_x, by_weight, by_bias)
    shapes = (x.shape, (n,), (n,))
    codes = (x.dtype.code, wide.code, wide.code)
    outputs = [  # without elements where nobody wants it
        _native.Array.empty(shape if want else (0,), code)
        for shape, code, want in zip(shapes, codes, wanted, strict=True)
    ]
    scale = None if weight is None else weight._array
    kernel(*outputs, _rows(g.to(x.dtype)), _rows(x), scale, float(eps))
    made = [wrap(out) if want else None for out, want in zip(outputs, wanted, strict=True)]
    return made[0], made[1], made[2]


def _rows(x: Tensor) -> _native.Array:
    """The array of `x`, with a contiguous last axis."""
    array = x._array
    return array if array.shape[-1] < 2 or array.strides[-1] == 1 else x.contiguous()._array


@op
def rms_norm(x: Tensor, weight: Tensor | None = None, eps: float = 1e-6) -> Tensor:
    """Scale the last axis to root-mean-square 1, then by `weight` (Zhang & Sennrich 2019)."""
    h = x.to(f32) if x.dtype.itemsize < 4 else x
    h = h * (h.square().mean(-1, keepdim=True) + eps).rsqrt()
    return (h if weight is None else h * weight.to(h.dtype)).to(x.dtype)


@rms_norm.check
def _(x: Tensor, weight: Tensor | None, eps: float) -> None:
    _fits(rms_norm, x, weight, kinds="fc")


@rms_norm.kernel
def _(x: Tensor, weight: Tensor | None = None, eps: float = 1e-6) -> Tensor:
    if x.dtype.kind == "c":
        return rms_norm.meaning(x, weight, eps)
    out = empty_like(x)
    _rms_norm(out._array, x._array, None if weight is None else weight._array, float(eps))
    return out


@rms_norm.grad(uses={"x": ("x", "weight")})
def _(g: Tensor, x: Tensor, weight: Tensor | None, eps: float) -> tuple[Any, Any]:
    if x.dtype.kind == "c":
        given = (x,) if weight is None else (x, weight)
        made = recomputed(lambda x, weight=None: rms_norm.meaning(x, weight, eps), given, g)
        return made[0], None if weight is None else made[1]
    if not MODE.enabled:
        return _gradients(_rms_norm_backward, g, x, weight, None, eps)[:2]
    h = x.to(f32) if x.dtype.itemsize < 4 else x
    wide = g.to(h.dtype)
    scale = (h.square().mean(-1, keepdim=True) + eps).rsqrt()
    unit = h * scale

    def of_x() -> Tensor:
        inner = wide if weight is None else wide * weight.to(h.dtype)
        return scale * (inner - unit * (inner * unit).mean(-1, keepdim=True))

    return of_x, lambda: wide * unit


@op
def layer_norm(
    x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """The last axis at mean 0 and variance 1, then `weight` and `bias` (Ba et al. 2016)."""
    h = centred(x, -1)
    h = h * (h.square().mean(-1, keepdim=True) + eps).rsqrt()
    h = h if weight is None else h * weight.to(h.dtype)
    return (h if bias is None else h + bias.to(h.dtype)).to(x.dtype)


@layer_norm.check
def _(x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> None:
    _fits(layer_norm, x, weight, bias)


@layer_norm.kernel
def _(
    x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    out = empty_like(x)
    parameters = (None if p is None else p._array for p in (weight, bias))
    _layer_norm(out._array, x._array, *parameters, float(eps))
    return out


@layer_norm.grad(uses={"x": ("x", "weight")})
def _(
    g: Tensor, x: Any, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Any, Any, Any]:
    if not isinstance(x, Tensor):  # only the bias wants a gradient
        return None, None, g
    if not MODE.enabled:
        return _gradients(_layer_norm_backward, g, x, weight, bias, eps)
    h = centred(x, -1)
    wide = g.to(h.dtype)
    scale = (h.square().mean(-1, keepdim=True) + eps).rsqrt()
    unit = h * scale

    def of_x() -> Tensor:
        inner = wide if weight is None else wide * weight.to(h.dtype)
        middle = inner - inner.mean(-1, keepdim=True)
        return scale * (middle - unit * (inner * unit).mean(-1, keepdim=True))

    return of_x, lambda: wide * unit, lambda: wide
