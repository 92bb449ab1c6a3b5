"""Complex numbers (complex64): parts, polar form, views as pairs of f32."""

from __future__ import annotations

import math
from typing import Any

from .. import _native
from ..dtype import complex64, f32
from ..errors import NoKernelError, expect
from ..factories import full, zeros_like
from ..registry import op, primitive
from ..tensor import Tensor, broadcast_shapes, unwrap_tensor, wrap
from .elementwise_rows import quick_row
from .elementwise_three import where


@primitive(view=True)
def view_as_real(x: Tensor) -> Tensor:
    """The same memory as f32 with a last axis of two: real and imaginary part."""
    return wrap(_native.view_as_real(unwrap_tensor(x, view_as_real)))


@view_as_real.grad
def _(g: Tensor, _x: Tensor) -> Tensor:
    return view_as_complex(g.contiguous())


@primitive(view=True)
def view_as_complex(x: Tensor) -> Tensor:
    """The same memory as complex64: pairs along the last axis, which must be 2 with stride 1."""
    return wrap(_native.view_as_complex(unwrap_tensor(x, view_as_complex)))


@view_as_complex.grad
def _(g: Tensor, _x: Tensor) -> Tensor:
    return view_as_real(g)


@primitive(view=True)
def real(x: Tensor) -> Tensor:
    """The real part, a view; a real tensor is its own."""
    array = unwrap_tensor(x, real)
    return x if x.dtype.kind != "c" else wrap(_native.view_as_real(array).basic_index((..., 0)))


@real.grad
def _(g: Tensor, _x: Tensor) -> Tensor:
    return g.to("complex64")


@primitive(view=True)
def imag(x: Tensor) -> Tensor:
    """The imaginary part, a view, of a complex tensor."""
    array = unwrap_tensor(x, imag)
    expect(x.dtype.kind == "c", imag, "complex64", x.dtype.name, NoKernelError)
    return wrap(_native.view_as_real(array).basic_index((..., 1)))


@imag.grad
def _(g: Tensor, _x: Tensor) -> Tensor:
    return complex(zeros_like(g), g)


_conj = quick_row("conj", 1, lambda g, _x: g.conj())
_angle = quick_row("angle", 1, lambda g, x: _angle_grad(g, x))


@op
def conj(x: Tensor) -> Tensor:
    """The complex conjugate; a real tensor is its own."""
    return _conj(x) if x.dtype.kind == "c" else x


conj.native = None


@op(inplace=True)
def conj_physical(x: Tensor) -> Tensor:
    """As `conj`, which is computed at once here too."""
    return conj(x)


@op
def resolve_conj(x: Tensor) -> Tensor:
    """`x` itself: no conjugation is put off."""
    return x


@op
def resolve_neg(x: Tensor) -> Tensor:
    """`x` itself: no negation is put off."""
    return x


def _angle_grad(g: Tensor, x: Tensor) -> Tensor:
    # The angle grows along i x / |x|².
    size = real(x * conj(x))
    slope = complex(-imag(x) / size, real(x) / size)
    return where(x == 0, 0, slope * g)


@op
def angle(x: Tensor) -> Tensor:
    """The angle in radians; of real numbers 0, or pi below 0."""
    if x.dtype.kind == "c":
        return _angle(x)
    wide = x if x.dtype.kind == "f" else x.to(f32)
    half_turn = full((), math.pi, wide.dtype)
    return where(wide.isnan(), wide, where(wide < 0, half_turn, 0)).to(wide.dtype)


angle.native = None


@primitive(name="complex")
def complex(real: Tensor, imag: Tensor) -> Tensor:
    """`real + i imag` of two tensors of f32."""
    for part in (real, imag):
        expect(part.dtype == f32, "complex", "parts of f32", part.dtype.name, NoKernelError)
    shape = broadcast_shapes(real.shape, imag.shape, "complex")
    out = _native.Array.empty(shape, complex64.code)
    _native.call("complex", out, real._array.expand(shape), imag._array.expand(shape))
    return wrap(out)


@complex.grad
def _(g: Tensor, _real: Tensor, _imag: Tensor) -> tuple[Any, Any]:
    return lambda: g.real, lambda: g.imag


@op
def polar(abs: Tensor, angle: Tensor) -> Tensor:
    """`abs * (cos(angle) + i sin(angle))` of two tensors of f32."""
    return complex(abs * angle.cos(), abs * angle.sin())


@primitive
def is_complex(x: Tensor) -> bool:
    """Whether the dtype is complex."""
    return x.dtype.kind == "c"


@primitive
def isreal(x: Tensor) -> Tensor:
    """Whether the imaginary part is 0."""
    unwrap_tensor(x, isreal)
    return imag(x).eq(0) if x.dtype.kind == "c" else full(x.shape, True, "bool")
