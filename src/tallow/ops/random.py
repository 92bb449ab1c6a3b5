"""Drawing random numbers: tensors of them, samples of distributions, in-place fills."""

from __future__ import annotations

import math
from typing import Any

from .. import _native
from ..autograd.inplace import refuse
from ..autograd.mode import MODE
from ..device import Device
from ..dtype import Default, DType, as_dtype, f32, f64, i64
from ..errors import ArgumentError, DTypeError, expect
from ..random import Generator, default_generator
from ..registry import op, primitive
from ..tensor import Tensor, has_values, is_hidden, wrap

Size = Any  # sizes one by one, or one sequence of them

_HALF = (1 << 63) - 1


def state_of(generator: Generator | None, where: object) -> Any:
    """The array that kernels read and advance: of the generator given, or of the default one."""
    if generator is None:
        generator = default_generator
    known = isinstance(generator, Generator)
    expect(known, where, "a tallow Generator", type(generator).__name__, ArgumentError)
    place = _native.default_device()  # on meta nothing is drawn
    return generator._state if not place else _native.Array.empty_like(generator._state, -1, place)


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


def drawn(
    kernel: str, shape: tuple[int, ...], dtype: DType, state: Any, *numbers: float
) -> _native.Array:
    """An array that a drawing kernel filled; complex numbers are drawn as two parts."""
    if dtype.kind == "c":  # a normal number's variance is shared by its two parts
        if kernel == "random_normal":
            numbers = (numbers[0], numbers[1] * math.sqrt(0.5))
        from . import complex as join

        parts = wrap(drawn(kernel, (2, *shape), f32, state, *numbers))
        found: _native.Array = join(parts[0], parts[1])._array
        return found
    out = _native.Array.empty(shape, dtype.code)
    _native.call(kernel, out, state, *numbers)
    return out


def asked(array: _native.Array, requires_grad: bool) -> Tensor:
    """What was drawn, as a leaf if it is to require a gradient."""
    out = wrap(array)
    return out.requires_grad_(True) if requires_grad else out


# --- tensors of random numbers --------------------------------------------------------------------


@primitive
def rand(
    *size: Size,
    generator: Generator | None = None,
    dtype: DType | str | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform numbers in [0, 1): 24 bits in f32, 53 in f64, 11 in f16, 8 in bf16."""
    shape, wanted = shape_of(size, rand), float_of(dtype, rand, "fc")
    out = drawn("random_uniform", shape, wanted, state_of(generator, rand), 0.0, 1.0)
    return asked(out, requires_grad)


@primitive
def randn(
    *size: Size,
    generator: Generator | None = None,
    dtype: DType | str | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normal numbers of mean 0 and variance 1 (Box and Muller 1958)."""
    shape, wanted = shape_of(size, randn), float_of(dtype, randn, "fc")
    out = drawn("random_normal", shape, wanted, state_of(generator, randn), 0.0, 1.0)
    return asked(out, requires_grad)


def _integers(
    shape: tuple[int, ...], low: int, high: int, state: Any, where: object, dtype: DType
) -> Any:
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
    return drawn("random_integers", shape, i64, state, low, width).cast(dtype.code)


@primitive
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
        shape_of((size,), randint), int(low), int(high), state_of(generator, randint), randint,
        wanted,
    )  # fmt: skip
    return asked(whole, requires_grad)


@primitive
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
    out = drawn("random_permutation", (n,), i64, state_of(generator, randperm))
    return asked(out.cast((i64 if dtype is None else as_dtype(dtype)).code), requires_grad)


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
    state = state_of(generator, rand_like)
    out = drawn("random_uniform", input.shape, wanted, state, 0.0, 1.0)
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
    state = state_of(generator, randn_like)
    out = drawn("random_normal", input.shape, wanted, state, 0.0, 1.0)
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
    state = state_of(generator, randint_like)
    whole = _integers(input.shape, int(low), int(high), state, randint_like, wanted)
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
    state = state_of(generator, where)
    # In a half a probability has too few steps.
    wide = f64 if kept is f64 else f32
    return wrap(drawn("random_uniform", shape, wide, state, 0.0, 1.0))


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
    x._array.copy_(source._array)
    return x


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
    state = state_of(generator, "uniform_")
    return _fill(
        x, wrap(drawn("random_uniform", x.shape, wanted, state, low, float(to))), "uniform_"
    )


@op
def normal_(
    x: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Fill with normal numbers."""
    deviation(std, "normal_")
    wanted = float_of(x.dtype, "normal_", "fc")
    state = state_of(generator, "normal_")
    made = drawn("random_normal", x.shape, wanted, state, float(mean), float(std))
    return _fill(x, wrap(made), "normal_")


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
    state = state_of(generator, "random_")
    whole = _integers(x.shape, int(low), int(to), state, "random_", x.dtype)
    return _fill(x, wrap(whole), "random_")


def _open_unit(x: Tensor, generator: Generator | None, where: str) -> Tensor:
    """Numbers in (0, 1], of f64."""
    float_of(x.dtype, where)
    return 1 - wrap(drawn("random_uniform", x.shape, f64, state_of(generator, where), 0.0, 1.0))


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
    state = state_of(generator, "geometric_")
    uniform = 1 - wrap(drawn("random_uniform", x.shape, f64, state, 0.0, 1.0))
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
    state = state_of(generator, "log_normal_")
    normal = wrap(drawn("random_normal", x.shape, f64, state, float(mean), float(std)))
    return _fill(x, normal.exp().to(x.dtype), "log_normal_")
