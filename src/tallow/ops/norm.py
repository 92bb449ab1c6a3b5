"""Normalisations over the last axis."""

from __future__ import annotations

from typing import Any

from ..autograd.record import recomputed
from ..dtype import FLOATS, f32, f64
from ..errors import NoKernelError, expect
from ..registry import op
from ..tensor import Tensor, unwrap_tensor
from .reduce import centred

Wanted = tuple[bool, ...]  # of which arguments a gradient is wanted


def _fits(where: object, x: Tensor, *parameters: Tensor | None, kinds: str = "f") -> None:
    unwrap_tensor(x, where)
    if x.dtype.kind not in kinds or x.dtype.itemsize < 2:
        expect(False, where, "a float dtype", x.dtype.name, NoKernelError)
    for p in parameters:
        if p is not None and p.shape != x.shape[-1:]:
            expect(False, where, f"weight and bias of shape {x.shape[-1:]}", p.shape)


def in_rows(x: Tensor) -> Tensor:
    """As the kernels read it: without gaps in the last axis."""
    return x if x.shape[-1] < 2 or x.stride(-1) == 1 else x.contiguous()


def _wanted(*values: Any) -> Wanted:
    return tuple(v is not None and v._node is not None for v in values)


def _gradients(x: Any, wanted: Wanted) -> list[Any]:
    """The results of a backward kernel: those of weight and bias are sums over the rows, in f32."""
    n, wide = x.shape[-1:], f64 if x.dtype is f64 else f32
    every = [(x.shape, x.dtype), (n, wide), (n, wide)]
    return [each if want else ((0,), each[1]) for each, want in zip(every, wanted, strict=True)]


def _chosen(made: tuple[Any, ...], wanted: Wanted) -> tuple[Any, ...]:
    return tuple(g if want else None for g, want in zip(made, wanted, strict=True))


def _summed(g: Tensor, x: Tensor) -> Tensor:
    """The sum over the rows; 0-d lines have but one."""
    return g.reshape((-1, *x.shape[-1:])).sum(0) if g.numel() else g.new_zeros(x.shape[-1:])


# --- root mean square -----------------------------------------------------------------------------


@op(cached=True)
def rms_norm(x: Tensor, weight: Tensor | None = None, eps: float = 1e-6) -> Tensor:
    """Scale the last axis to root-mean-square 1, then by `weight` (Zhang & Sennrich 2019)."""
    h = x.to(f32) if x.dtype.itemsize < 4 else x
    h = h * (h.square().mean(-1, keepdim=True) + eps).rsqrt()
    return (h if weight is None else h * weight.to(h.dtype)).to(x.dtype)


@rms_norm.check
def _(x: Tensor, weight: Tensor | None, eps: float) -> None:
    _fits(rms_norm, x, weight, kinds="fc")


@rms_norm.out
def _(x: Tensor, weight: Tensor | None, eps: float) -> Any:
    return x


@rms_norm.kernel("rms_norm", dtypes=FLOATS)
def _(x: Tensor, weight: Tensor | None, eps: float) -> tuple[Any, ...]:
    return x, weight, float(eps)


@rms_norm.grad(uses={"x": ("x", "weight")})
def _(g: Tensor, x: Tensor, weight: Tensor | None, eps: float) -> tuple[Any, ...]:
    if x.dtype.kind == "c":
        given = (x,) if weight is None else (x, weight)
        made = recomputed(lambda x, weight=None: rms_norm.reference(x, weight, eps), given, g)
        return made[0], None if weight is None else made[1]
    wanted = _wanted(x, weight, None)
    return _chosen(rms_norm_backward(g.to(x.dtype), x, weight, eps, wanted), wanted)[:2]


@op(name="nn.rms_norm_backward", cached=True)
def rms_norm_backward(
    g: Tensor, x: Tensor, weight: Tensor | None, eps: float, wanted: Wanted
) -> Any:
    """The gradients of `rms_norm` by `x` and `weight`; empty where they are not `wanted`."""
    h = x.to(f32) if x.dtype.itemsize < 4 else x
    wide = g.to(h.dtype)
    scale = (h.square().mean(-1, keepdim=True) + eps).rsqrt()
    unit = h * scale
    inner = wide if weight is None else wide * weight.to(h.dtype)
    of_x = scale * (inner - unit * (inner * unit).mean(-1, keepdim=True))
    return of_x.to(x.dtype), _summed(wide * unit, x), wide.new_empty(0)


@rms_norm_backward.out
def _(g: Tensor, x: Tensor, weight: Tensor | None, eps: float, wanted: Wanted) -> Any:
    return _gradients(x, wanted)


@rms_norm_backward.kernel("rms_norm_backward", dtypes=FLOATS)
def _(g: Tensor, x: Tensor, weight: Tensor | None, eps: float, wanted: Wanted) -> tuple[Any, ...]:
    return in_rows(g), in_rows(x), weight, float(eps)


# --- mean and variance ----------------------------------------------------------------------------


@op(cached=True)
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


@layer_norm.out
def _(x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Any:
    return x


@layer_norm.kernel("layer_norm", dtypes=FLOATS)
def _(x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> tuple[Any, ...]:
    return x, weight, bias, float(eps)


@layer_norm.grad(uses={"x": ("x", "weight")})
def _(g: Tensor, x: Any, weight: Tensor | None, bias: Tensor | None, eps: float) -> tuple[Any, ...]:
    if not isinstance(x, Tensor):  # only the bias wants a gradient
        return None, None, g
    wanted = _wanted(x, weight, bias)
    return _chosen(layer_norm_backward(g.to(x.dtype), x, weight, eps, wanted), wanted)


@op(name="nn.layer_norm_backward", cached=True)
def layer_norm_backward(
    g: Tensor, x: Tensor, weight: Tensor | None, eps: float, wanted: Wanted
) -> Any:
    """The gradients of `layer_norm` by `x`, weight and bias; empty where they are not `wanted`."""
    h = centred(x, -1)
    wide = g.to(h.dtype)
    scale = (h.square().mean(-1, keepdim=True) + eps).rsqrt()
    unit = h * scale
    inner = wide if weight is None else wide * weight.to(h.dtype)
    middle = inner - inner.mean(-1, keepdim=True)
    of_x = scale * (middle - unit * (inner * unit).mean(-1, keepdim=True))
    return of_x.to(x.dtype), _summed(wide * unit, x), _summed(wide, x)


@layer_norm_backward.out
def _(g: Tensor, x: Tensor, weight: Tensor | None, eps: float, wanted: Wanted) -> Any:
    return _gradients(x, wanted)


@layer_norm_backward.kernel("layer_norm_backward", dtypes=FLOATS)
def _(g: Tensor, x: Tensor, weight: Tensor | None, eps: float, wanted: Wanted) -> tuple[Any, ...]:
    return in_rows(g), in_rows(x), weight, float(eps)
