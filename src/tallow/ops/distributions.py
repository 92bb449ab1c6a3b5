"""Samples of distributions whose parameters are tensors, and dropout."""

from __future__ import annotations

import math
from typing import Any

from ..device import Device
from ..dtype import DType, bool_, f64
from ..errors import ArgumentError, NoKernelError, expect
from ..random import Generator, generator_of, state_of
from ..registry import op
from ..tensor import Tensor, broadcast_shapes, has_values, unwrap_tensor
from .random import asked, bounds, deviation, draw_normal, drawn, float_of, fresh, shape_of


@op
def bernoulli(x: Tensor, p: float | None = None, *, generator: Generator | None = None) -> Tensor:
    """1 with the probability that each element of `x` (or the number `p`) gives, else 0."""
    unwrap_tensor(x, bernoulli)
    if p is None:
        expect(
            x.dtype.kind == "f",
            bernoulli,
            "probabilities of a float dtype",
            x.dtype.name,
            NoKernelError,
        )
        bounds(x, bernoulli, 0, 1)
        chance: Any = x.detach()
    else:
        expect(0 <= p <= 1, bernoulli, "p in [0, 1]", p, ArgumentError)
        chance = float(p)
    uniform = fresh(x.shape, x.dtype, generator, bernoulli)
    return uniform.lt(chance).to(x.dtype)


@bernoulli.grad
def _(g: Tensor, _x: Tensor, _p: Any, _generator: Any) -> Tensor:
    return g * 0


@op
def poisson(input: Tensor, generator: Generator | None = None) -> Tensor:
    """Poisson numbers of the rates in `input`, in its dtype (Knuth; Hörmann 1993 from 10 on)."""
    unwrap_tensor(input, poisson)
    expect(
        input.dtype.kind == "f", poisson, "rates of a float dtype", input.dtype.name, NoKernelError
    )
    return draw_poisson(input.to(f64), generator_of(generator, poisson)).to(input.dtype)


@poisson.grad
def _(g: Tensor, _input: Tensor, _generator: Any) -> Tensor:
    return g * 0


@op(name="nn.draw_poisson")
def draw_poisson(rates: Tensor, generator: Generator) -> Tensor:
    """Poisson numbers of f64 rates; the generator is advanced."""
    ...


@draw_poisson.out
def _(rates: Tensor, generator: Generator) -> Any:
    return rates.shape, f64


@draw_poisson.kernel("random_poisson")
def _(rates: Tensor, generator: Generator) -> tuple[Any, ...]:
    return state_of(generator), rates.contiguous()


@op
def multinomial(
    x: Tensor,
    num_samples: int,
    replacement: bool = False,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """`num_samples` indices (i64) for each row of weights `x`, (n) or (m, n), drawn by weight.

    Without `replacement` no index comes twice (Efraimidis and Spirakis 2006), so each row needs as
    many weights above 0.
    """
    unwrap_tensor(x, multinomial)
    expect(
        x.dtype.kind == "f", multinomial, "weights of a float dtype", x.dtype.name, NoKernelError
    )
    expect(x.ndim in (1, 2), multinomial, "weights (n) or (m, n)", x.shape)
    n = x.shape[-1]
    expect(
        num_samples > 0 and n > 0,
        multinomial,
        "weights and a positive num_samples",
        (n, num_samples),
    )
    weights = x.detach().to(f64)
    if has_values(x):
        inside = weights.ge(0).logical_and(weights.lt(math.inf)).all()
        expect(bool(inside), multinomial, "finite weights of at least 0", "others", ArgumentError)
        enough = 1 if replacement else num_samples
        wanted = f"at least {enough} weights above 0 in each row"
        positive = bool(weights.gt(0).sum(-1).ge(enough).all())
        expect(positive, multinomial, wanted, "fewer", ArgumentError)
    if not replacement:
        uniform = fresh(weights.shape, f64, generator, multinomial)
        keys = weights / -(1 - uniform).log().clamp(-math.inf, -1e-300)
        return keys.topk(num_samples, -1).indices
    sums = weights.cumsum(-1)
    uniform = fresh((*x.shape[:-1], num_samples), f64, generator, multinomial)
    from . import searchsorted

    found: Tensor = searchsorted(sums, uniform * sums[..., -1:], right=True)
    return found


@op
def normal(
    mean: Tensor | float = 0.0,
    std: Tensor | float = 1.0,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: DType | str | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normal numbers: of numbers `mean`, `std` in a `size`, or elementwise of tensors of them."""
    if not isinstance(mean, Tensor) and not isinstance(std, Tensor):
        expect(size is not None, normal, "a size beside two numbers", "none", ArgumentError)
        deviation(std, normal)
        shape, wanted = shape_of((size,), normal), float_of(dtype, normal, "fc")
        source = generator_of(generator, normal)
        out = drawn(draw_normal, shape, wanted, source, float(mean), float(std))
        return asked(out, requires_grad)
    tensors = [t.detach() for t in (mean, std) if isinstance(t, Tensor)]
    shape = broadcast_shapes(tensors[0].shape, tensors[-1].shape, normal)
    wanted = float_of(tensors[0].dtype, normal, "fc")
    if isinstance(std, Tensor):
        bounds(std, normal, 0, math.inf)
    else:
        deviation(std, normal)
    made = drawn(draw_normal, shape, wanted, generator_of(generator, normal), 0.0, 1.0)
    centre = mean.detach() if isinstance(mean, Tensor) else mean
    scale = std.detach() if isinstance(std, Tensor) else std
    return (made * scale + centre).to(wanted)


# --- dropout --------------------------------------------------------------------------------------


@op
def native_dropout(
    input: Tensor, p: float, train: bool | None = True, generator: Generator | None = None
) -> tuple[Tensor, Tensor]:
    """`input` with elements set to 0 with probability `p`, the others over `1 - p`; and the mask.

    One pass; of the mask one byte per element is kept for the gradient.
    """
    ...


@native_dropout.check
def _(input: Tensor, p: float, train: bool | None, generator: Any) -> None:
    unwrap_tensor(input, native_dropout)
    expect(0 <= p <= 1, native_dropout, "p in [0, 1]", p, ArgumentError)
    float_of(input.dtype, native_dropout)


@native_dropout.out
def _(input: Tensor, p: float, train: bool | None, generator: Any) -> Any:
    return [(input.shape, input.dtype), (input.shape, bool_)]


@native_dropout.kernel("random_dropout")
def _(input: Tensor, p: float, train: bool | None, generator: Any) -> tuple[Any, ...]:
    keep = 1.0 - p if train or train is None else 1.0
    return state_of(generator_of(generator, native_dropout)), input.contiguous(), float(keep)


@native_dropout.grad
def _(
    g: tuple[Tensor, None], _input: Tensor, p: float, train: bool | None, _generator: Any, out: Any
) -> Tensor:
    keep = 1.0 - p if train or train is None else 1.0
    mask: Tensor = out[1]
    return g[0] * mask.to(g[0].dtype) * (1 / keep if keep else 0.0)


@op
def dropout(input: Tensor, p: float = 0.5, train: bool = True) -> Tensor:
    """`input` with elements set to 0 with probability `p`, the others times `1 / (1 - p)`."""
    expect(0 <= p <= 1, dropout, "p in [0, 1]", p, ArgumentError)
    if not train or p == 0:
        return input
    out: Tensor = native_dropout(input, p)[0]
    return out
