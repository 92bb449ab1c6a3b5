"""Complex numbers (complex64): parts, polar form, views as pairs of f32."""

from __future__ import annotations

import math
from typing import Any

from ..dtype import complex64, f32
from ..errors import NoKernelError, expect
from ..factories import zeros_like
from ..registry import op
from ..tensor import Tensor, broadcast_shapes, unwrap_tensor
from .elementwise_ternary import where


@op(view=True)
def view_as_real(x: Tensor) -> Tensor:
    """The same memory as f32 with a last axis of two: real and imaginary part."""
    ...


view_as_real.view("view_as_real")


@view_as_real.grad
def _(g: Tensor, _x: Tensor) -> Tensor:
    return view_as_complex(g.contiguous())


@op(view=True)
def view_as_complex(x: Tensor) -> Tensor:
    """The same memory as complex64: pairs along the last axis, which must be 2 with stride 1."""
    ...


view_as_complex.view("view_as_complex")


@view_as_complex.grad
def _(g: Tensor, _x: Tensor) -> Tensor:
    return view_as_real(g)


@op(view=True)
def real(x: Tensor) -> Tensor:
    """The real part, a view; a real tensor is its own."""
    ...


@real.view("basic_index")
def _(x: Tensor) -> Any:
    return x if x.dtype.kind != "c" else (view_as_real(x), (..., 0))


@real.grad
def _(g: Tensor, _x: Tensor) -> Tensor:
    return g.to("complex64")


@op(view=True)
def imag(x: Tensor) -> Tensor:
    """The imaginary part, a view, of a complex tensor."""
    ...


@imag.view("basic_index")
def _(x: Tensor) -> Any:
    expect(x.dtype.kind == "c", imag, "complex64", x.dtype.name, NoKernelError)
    return view_as_real(x), (..., 1)


@imag.grad
def _(g: Tensor, _x: Tensor) -> Tensor:
    return complex(zeros_like(g), g)


@op(inplace=False)
def conj(x: Tensor) -> Tensor:
    """The complex conjugate; a real tensor is its own."""
    return x if x.dtype.kind != "c" else complex(real(x), -imag(x))


conj.kernel("conj", dtypes=(complex64,))


@conj.grad
def _(g: Tensor, _x: Tensor) -> Tensor:
    return conj(g)


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


@op(inplace=False)
def angle(x: Tensor) -> Tensor:
    """The angle in radians; of real numbers 0, or pi below 0."""
    if x.dtype.kind == "c":
        return imag(x).atan2(real(x))
    wide = x if x.dtype.kind == "f" else x.to(f32)
    half_turn = wide.new_full((), math.pi)
    return where(wide.isnan(), wide, where(wide < 0, half_turn, 0)).to(wide.dtype)


angle.kernel("angle", dtypes=(complex64,))


@angle.grad
def _(g: Tensor, x: Tensor) -> Tensor:
    if x.dtype.kind != "c":
        return zeros_like(g)
    # The angle grows along i x / |x|².
    size = real(x * conj(x))
    slope = complex(-imag(x) / size, real(x) / size)
    return where(x == 0, 0, slope * g)


@op(name="complex")
def complex(real: Tensor, imag: Tensor) -> Tensor:
    """`real + i imag` of two tensors of f32."""
    ...


@complex.check
def _(real: Tensor, imag: Tensor) -> None:
    for part in (real, imag):
        expect(part.dtype == f32, "complex", "parts of f32", part.dtype.name, NoKernelError)


@complex.out
def _(real: Tensor, imag: Tensor) -> Any:
    return broadcast_shapes(real.shape, imag.shape, "complex"), complex64


@complex.kernel("complex")
def _(out: Tensor, real: Tensor, imag: Tensor) -> Any:
    return out, real.expand(out.shape), imag.expand(out.shape)


@complex.grad
def _(g: Tensor, _real: Tensor, _imag: Tensor) -> tuple[Any, Any]:
    return lambda: g.real, lambda: g.imag


@op
def polar(abs: Tensor, angle: Tensor) -> Tensor:
    """`abs * (cos(angle) + i sin(angle))` of two tensors of f32."""
    return complex(abs * angle.cos(), abs * angle.sin())


@op
def is_complex(x: Tensor) -> bool:
    """Whether the dtype is complex."""
    return x.dtype.kind == "c"


@op
def isreal(x: Tensor) -> Tensor:
    """Whether the imaginary part is 0."""
    unwrap_tensor(x, isreal)
    return imag(x).eq(0) if x.dtype.kind == "c" else x.new_full(x.shape, True, dtype="bool")
