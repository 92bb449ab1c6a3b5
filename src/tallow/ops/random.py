"""Drawing random numbers: tensors of them, samples of distributions, in-place fills."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..autograd.inplace import refuse
from ..autograd.mode import MODE
from ..device import Device
from ..dtype import Default, DType, as_dtype, f32, f64, i64
from ..errors import ArgumentError, DTypeError, expect
from ..random import Generator, generator_of, state_of
from ..registry import op
from ..tensor import Tensor, has_values, is_hidden

Size = Any  # sizes one by one, or one sequence of them

_HALF = (1 << 63) - 1


def shape_of(size: tuple[Any, ...], where: object) -> tuple[int, ...]:
    """Sizes given one by one or as one sequence, checked."""
    sizes = size[0] if len(size) == 1 and not hasattr(size[0], "__index__") else size
    shape = tuple([int(n) for n in sizes])
    if shape and min(shape) < 0:
        expect(False, where, "sizes of at least 0", shape)
    return shape


def float_of(dtype: DType | str | None, where: object, kinds: str = "f") -> DType:
    """The dtype asked for (or the default one), which must be a float or of these `kinds`."""
    if dtype is None:
        return Default.float
    wanted = as_dtype(dtype)
    plain = wanted.kind in kinds and wanted.itemsize > 1
    expect(plain, where, "a float dtype", wanted.name, DTypeError)
    return wanted


# --- what kernels draw ----------------------------------------------------------------------------


@op(name="nn.draw_uniform")
def draw_uniform(shape: Any, dtype: DType, generator: Generator, low: float, high: float) -> Tensor:
    """Uniform numbers in [low, high); as its kin it advances the generator."""
    ...


@op(name="nn.draw_normal")
def draw_normal(shape: Any, dtype: DType, generator: Generator, mean: float, std: float) -> Tensor:
    """Normal numbers."""
    ...


@op(name="nn.draw_integers")
def draw_integers(shape: Any, dtype: DType, generator: Generator, low: int, width: int) -> Tensor:
    """Integers in [low, low + width)."""
    ...


@op(name="nn.draw_permutation")
def draw_permutation(shape: Any, dtype: DType, generator: Generator) -> Tensor:
    """The numbers from 0 on in random order."""
    ...


for _draw in (draw_uniform, draw_normal, draw_integers, draw_permutation):
    _draw.out(lambda shape, dtype, *_: (shape, dtype))
    _draw.kernel(_draw.__name__.replace("nn.draw", "random"))(
        lambda _shape, _dtype, generator, *numbers: (state_of(generator), *numbers)
    )


def drawn(
    draw: Callable[..., Tensor],
    shape: tuple[int, ...],
    dtype: DType,
    generator: Generator,
    *numbers: float,
) -> Tensor:
    """A tensor of uniform or normal numbers; complex ones are drawn as two parts."""
    if dtype.kind != "c":
        return draw(shape, dtype, generator, *numbers)
    if draw is draw_normal:  # a normal number's variance is shared by its two parts
        numbers = (numbers[0], numbers[1] * math.sqrt(0.5))
    from . import complex as join

    parts = draw((2, *shape), f32, generator, *numbers)
    found: Tensor = join(parts[0], parts[1])
    return found


def asked(out: Tensor, requires_grad: bool) -> Tensor:
    """What was drawn, as a leaf if it is to require a gradient."""
    return out.requires_grad_(True) if requires_grad else out


# --- tensors of random numbers --------------------------------------------------------------------


@op
def rand(
    *size: Size,
    generator: Generator | None = None,
    dtype: DType | str | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform numbers in [0, 1): 24 bits in f32, 53 in f64, 11 in f16, 8 in bf16."""
    shape, wanted = shape_of(size, rand), float_of(dtype, rand, "fc")
    out = drawn(draw_uniform, shape, wanted, generator_of(generator, rand), 0.0, 1.0)
    return asked(out, requires_grad)


@op
def randn(
    *size: Size,
    generator: Generator | None = None,
    dtype: DType | str | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normal numbers of mean 0 and variance 1 (Box and Muller 1958)."""
    shape, wanted = shape_of(size, randn), float_of(dtype, randn, "fc")
    out = drawn(draw_normal, shape, wanted, generator_of(generator, randn), 0.0, 1.0)
    return asked(out, requires_grad)


def _integers(
    shape: tuple[int, ...], low: int, high: int, generator: Any, where: object, dtype: DType
) -> Tensor:
    """Integers in [low, high) of a dtype that holds them all."""
    if dtype.kind in "iub":
        bits = 1 if dtype.kind == "b" else 8 * dtype.itemsize - (dtype.kind == "i")
        least, most = (-(1 << bits) if dtype.kind == "i" else 0), (1 << bits) - 1
        fits = low >= least and high - 1 <= most
        expect(fits, where, f"bounds that {dtype.name} holds", (low, high), ArgumentError)
    good = -(1 << 63) <= low < high <= 1 << 63
    expect(good, where, "bounds low < high of 64 bits", (low, high), ArgumentError)
    width = high - low
    width = 0 if width == 1 << 64 else width - (1 << 64) if width > _HALF else width
    return draw_integers(shape, i64, generator_of(generator, where), low, width).to(dtype)


@op
def randint(
    low: int = 0,
    high: Any = None,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: DType | str | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Integers in [low, high), or [0, low): `randint(high, size)`, `randint(low, high, size)`."""
    if size is None and high is not None and not hasattr(high, "__index__"):
        low, high, size = 0, low, high
    elif high is None:
        low, high = 0, low
    expect(size is not None, randint, "a size", "none", ArgumentError)
    wanted = i64 if dtype is None else as_dtype(dtype)
    whole = _integers(
        shape_of((size,), randint), int(low), int(high), generator, randint,
        wanted,
    )  # fmt: skip
    return asked(whole, requires_grad)


@op
def randperm(
    n: int,
    *,
    generator: Generator | None = None,
    dtype: DType | str | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """The numbers 0 to `n - 1` in random order."""
    expect(n >= 0, randperm, "a number of at least 0", n, ArgumentError)
    out = draw_permutation((n,), i64, generator_of(generator, randperm))
    return asked(out.to(i64 if dtype is None else dtype), requires_grad)


@op
def rand_like(
    input: Tensor,
    *,
    dtype: DType | str | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Uniform numbers in [0, 1) of `input`'s shape and dtype."""
    wanted = float_of(dtype or input.dtype, rand_like, "fc")
    source = generator_of(generator, rand_like)
    out = drawn(draw_uniform, input.shape, wanted, source, 0.0, 1.0)
    return asked(out, requires_grad)


@op
def randn_like(
    input: Tensor,
    *,
    dtype: DType | str | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Normal numbers of mean 0 and variance 1, of `input`'s shape and dtype."""
    wanted = float_of(dtype or input.dtype, randn_like, "fc")
    source = generator_of(generator, randn_like)
    out = drawn(draw_normal, input.shape, wanted, source, 0.0, 1.0)
    return asked(out, requires_grad)


@op
def randint_like(
    input: Tensor,
    low: int,
    high: int | None = None,
    *,
    dtype: DType | str | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Integers in [low, high), or [0, low), of `input`'s shape and dtype."""
    if high is None:
        low, high = 0, low
    wanted = input.dtype if dtype is None else as_dtype(dtype)
    whole = _integers(input.shape, int(low), int(high), generator, randint_like, wanted)
    return asked(whole, requires_grad)


# --- checks ---------------------------------------------------------------------------------------


def bounds(x: Tensor, where: object, low: float, high: float) -> None:
    """Refuse values outside [low, high], NaN too."""
    if has_values(x):
        inside = x.detach().ge(low).logical_and(x.detach().le(high)).all()
        expect(bool(inside), where, f"values in [{low}, {high}]", "others", ArgumentError)


def fresh(
    shape: tuple[int, ...], dtype: DType, generator: Generator | None, where: object
) -> Tensor:
    """Uniform numbers in [0, 1) to compare probabilities with, of f32 or f64."""
    kept = dtype if dtype.kind == "f" and dtype.itemsize > 1 else f32
    source = generator_of(generator, where)
    # In a half a probability has too few steps.
    wide = f64 if kept is f64 else f32
    return draw_uniform(shape, wide, source, 0.0, 1.0)


def deviation(std: float, where: object) -> None:
    """Refuse a negative standard deviation."""
    expect(std >= 0, where, "a standard deviation of at least 0", std, ArgumentError)


# --- in place -------------------------------------------------------------------------------------


def _fill(x: Tensor, source: Tensor, name: str) -> Tensor:
    """Write what was drawn into `x`, whose history ends here."""
    if MODE.enabled and (x._node is not None or is_hidden(x)):
        refuse(x, name)
        x.mul_(0).add_(source.to(x.dtype))
        return x
    return x.copy_(source)


@op
def uniform_(
    x: Tensor,
    from_: float = 0.0,
    to: float = 1.0,
    *,
    generator: Generator | None = None,
    **named: Any,
) -> Tensor:
    """Fill with uniform numbers in [from, to)."""
    low = float(named.pop("from", from_))
    expect(not named, "uniform_", "from and to", sorted(named), ArgumentError)
    expect(low <= to, "uniform_", "from <= to", (low, to), ArgumentError)
    wanted = float_of(x.dtype, "uniform_", "fc")
    source = generator_of(generator, "uniform_")
    return _fill(x, drawn(draw_uniform, x.shape, wanted, source, low, float(to)), "uniform_")


@op
def normal_(
    x: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Fill with normal numbers."""
    deviation(std, "normal_")
    wanted = float_of(x.dtype, "normal_", "fc")
    source = generator_of(generator, "normal_")
    made = drawn(draw_normal, x.shape, wanted, source, float(mean), float(std))
    return _fill(x, made, "normal_")


@op
def bernoulli_(x: Tensor, p: Tensor | float = 0.5, *, generator: Generator | None = None) -> Tensor:
    """Fill with 1 with the probability `p` (a number or tensor), else 0."""
    if isinstance(p, Tensor):
        bounds(p, "bernoulli_", 0, 1)
        chance: Any = p.detach()
    else:
        expect(0 <= p <= 1, "bernoulli_", "p in [0, 1]", p, ArgumentError)
        chance = float(p)
    uniform = fresh(x.shape, p.dtype if isinstance(p, Tensor) else x.dtype, generator, "bernoulli_")
    return _fill(x, uniform.lt(chance).to(x.dtype), "bernoulli_")


@op
def random_(
    x: Tensor,
    from_: int | None = None,
    to: int | None = None,
    *,
    generator: Generator | None = None,
    **named: Any,
) -> Tensor:
    """Fill with integers in [from, to), [0, from) or all that the dtype holds exactly."""
    low = named.pop("from", from_)
    expect(not named, "random_", "from and to", sorted(named), ArgumentError)
    if low is None:
        mantissa = {"f16": 11, "bf16": 8, "f32": 24, "f64": 53, "bool": 1}
        bits = mantissa.get(x.dtype.name, 8 * x.dtype.itemsize - (x.dtype.kind == "i"))
        low, to = 0, (1 << min(bits, 63)) + (x.dtype.kind == "f")
    elif to is None:
        low, to = 0, low
    whole = _integers(x.shape, int(low), int(to), generator, "random_", x.dtype)
    return _fill(x, whole, "random_")


def _open_unit(x: Tensor, generator: Generator | None, where: str) -> Tensor:
    """Numbers in (0, 1], of f64."""
    float_of(x.dtype, where)
    return 1 - draw_uniform(x.shape, f64, generator_of(generator, where), 0.0, 1.0)


@op
def exponential_(x: Tensor, lambd: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Fill with exponential numbers of rate `lambd`."""
    expect(lambd > 0, "exponential_", "a rate above 0", lambd, ArgumentError)
    numbers = _open_unit(x, generator, "exponential_").log() / -lambd
    return _fill(x, numbers.to(x.dtype), "exponential_")


@op
def geometric_(x: Tensor, p: float, *, generator: Generator | None = None) -> Tensor:
    """Fill with the number of trials, from 1 on, up to the first success of probability `p`."""
    expect(0 < p < 1, "geometric_", "p in (0, 1)", p, ArgumentError)
    source = generator_of(generator, "geometric_")
    uniform = 1 - draw_uniform(x.shape, f64, source, 0.0, 1.0)
    counts = (uniform.log() / math.log1p(-p)).ceil().clamp(1, None)
    return _fill(x, counts.to(x.dtype), "geometric_")


@op
def cauchy_(
    x: Tensor, median: float = 0.0, sigma: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Fill with Cauchy numbers."""
    expect(sigma > 0, "cauchy_", "a sigma above 0", sigma, ArgumentError)
    angle = (_open_unit(x, generator, "cauchy_") - 0.5) * math.pi
    return _fill(x, (angle.sin() / angle.cos() * sigma + median).to(x.dtype), "cauchy_")


@op
def log_normal_(
    x: Tensor, mean: float = 1.0, std: float = 2.0, *, generator: Generator | None = None
) -> Tensor:
    """Fill with numbers whose logarithms are normal."""
    expect(std > 0, "log_normal_", "a standard deviation above 0", std, ArgumentError)
    float_of(x.dtype, "log_normal_")
    source = generator_of(generator, "log_normal_")
    normal = draw_normal(x.shape, f64, source, float(mean), float(std))
    return _fill(x, normal.exp().to(x.dtype), "log_normal_")
