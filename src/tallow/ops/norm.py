"""Normalisations over the last axis."""

from __future__ import annotations

from typing import Any

from .. import _native
from ..dtype import f32
from ..errors import DTypeError, expect
from ..registry import op
from ..tensor import Tensor, empty_like, unwrap_tensor

_rms_norm = _native.kernel("rms_norm")
_layer_norm = _native.kernel("layer_norm")


def _fits(where: object, x: Tensor, *parameters: Tensor | None) -> None:
    unwrap_tensor(x, where)
    if x.dtype.kind != "f" or x.dtype.itemsize < 2:
        expect(False, where, "a float dtype", x.dtype.name, DTypeError)
    for p in parameters:
        if p is not None and p._array.shape != x._array.shape[-1:]:
            expect(False, where, f"weight and bias of shape {x.shape[-1:]}", p.shape)


@op
def rms_norm(x: Tensor, weight: Tensor | None = None, eps: float = 1e-6) -> Tensor:
    """Scale the last axis to root-mean-square 1, then by `weight` (Zhang & Sennrich 2019)."""
    h = x.to(f32) if x.dtype.itemsize < 4 else x
    h = h * (h.square().mean(-1, keepdim=True) + eps).rsqrt()
    return (h if weight is None else h * weight.to(h.dtype)).to(x.dtype)


@rms_norm.check
def _(x: Tensor, weight: Tensor | None, eps: float) -> None:
    _fits(rms_norm, x, weight)


@rms_norm.kernel
def _(x: Tensor, weight: Tensor | None = None, eps: float = 1e-6) -> Tensor:
    out = empty_like(x)
    _rms_norm(out._array, x._array, None if weight is None else weight._array, float(eps))
    return out


@rms_norm.grad(uses={"x": ("x", "weight"), "weight": ("x",)})
def _(g: Tensor, x: Tensor, weight: Tensor | None, eps: float) -> tuple[Any, Any]:
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
    h = x.to(f32) if x.dtype.itemsize < 4 else x
    h = h - h.mean(-1, keepdim=True)
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


@layer_norm.grad(uses={"x": ("x", "weight"), "weight": ("x",)})
def _(
    g: Tensor, x: Tensor, weight: Tensor | None, _bias: Tensor | None, eps: float
) -> tuple[Any, Any, Any]:
    h = x.to(f32) if x.dtype.itemsize < 4 else x
    wide = g.to(h.dtype)
    centred = h - h.mean(-1, keepdim=True)
    scale = (centred.square().mean(-1, keepdim=True) + eps).rsqrt()
    unit = centred * scale

    def of_x() -> Tensor:
        inner = wide if weight is None else wide * weight.to(h.dtype)
        middle = inner - inner.mean(-1, keepdim=True)
        return scale * (middle - unit * (inner * unit).mean(-1, keepdim=True))

    return of_x, lambda: wide * unit, lambda: wide
