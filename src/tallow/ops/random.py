"""Drawing random numbers: tensors of them, samples of distributions, in-place fills."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .. import _native
from ..autograd.inplace import refuse_leaf
from ..autograd.mode import MODE
from ..device import Device, as_device
from ..dtype import DType, as_dtype, bool_, f32, f64, i64
from ..errors import ArgumentError, DTypeError, expect
from ..random import Generator, default_generator
from ..registry import op, primitive
from ..tensor import Tensor, broadcast_shapes, unwrap_tensor, wrap

Size = Any  # sizes one by one, or one sequence of them

_HALF = (1 << 63) - 1


def _state(generator: Generator | None, where: object) -> Any:
    if generator is None:
        return default_generator._state
    known = isinstance(generator, Generator)
    expect(known, where, "a tallow Generator", type(generator).__name__, ArgumentError)
    return generator._state


def _shape(size: tuple[Any, ...], where: object) -> tuple[int, ...]:
    sizes = size[0] if len(size) == 1 and not hasattr(size[0], "__index__") else size
    shape = tuple(int(n) for n in sizes)
    expect(all(n >= 0 for n in shape), where, "sizes of at least 0", shape)
    return shape


def _float(dtype: DType | str | None, where: object, kinds: str = "f") -> DType:
    wanted = f32 if dtype is None else as_dtype(dtype)
    plain = wanted.kind in kinds and wanted.itemsize > 1
    expect(plain, where, "a float dtype", wanted.name, DTypeError)
    return wanted


def _drawn(
    kernel: str, shape: tuple[int, ...], dtype: DType, state: Any, *numbers: float
) -> _native.Array:
    if dtype.kind == "c":  # a normal number's variance is shared by its two parts
        if kernel == "random_normal":
            numbers = (numbers[0], numbers[1] * math.sqrt(0.5))
        from . import complex as join

        parts = wrap(_drawn(kernel, (2, *shape), f32, state, *numbers))
        found: _native.Array = join(parts[0], parts[1])._array
        return found
    out = _native.Array.empty(shape, dtype.code)
    _native.call(kernel, out, state, *numbers)
    return out


def _asked(
    array: _native.Array, device: Device | str | None, requires_grad: bool, memory: object = None
) -> Tensor:
    if device is not None:
        as_device(device)
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
    shape, wanted = _shape(size, rand), _float(dtype, rand, "fc")
    out = _drawn("random_uniform", shape, wanted, _state(generator, rand), 0.0, 1.0)
    return _asked(out, device, requires_grad)


@primitive
def randn(
    *size: Size,
    generator: Generator | None = None,
    dtype: DType | str | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normal numbers of mean 0 and variance 1 (Box and Muller 1958)."""
    shape, wanted = _shape(size, randn), _float(dtype, randn, "fc")
    out = _drawn("random_normal", shape, wanted, _state(generator, randn), 0.0, 1.0)
    return _asked(out, device, requires_grad)


def _integers(shape: tuple[int, ...], low: int, high: int, state: Any, where: object) -> Any:
    good = -(1 << 63) <= low < high <= 1 << 63
    expect(good, where, "bounds low < high of 64 bits", (low, high), ArgumentError)
    width = high - low
    width = 0 if width == 1 << 64 else width - (1 << 64) if width > _HALF else width
    return _drawn("random_integers", shape, i64, state, low, width)


@primitive
def randint(
    low: int,
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
        _shape((size,), randint), int(low), int(high), _state(generator, randint), randint
    )
    return _asked(whole.cast(wanted.code), device, requires_grad)


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
    out = _drawn("random_permutation", (n,), i64, _state(generator, randperm))
    return _asked(out.cast((i64 if dtype is None else as_dtype(dtype)).code), device, requires_grad)


@primitive
def rand_like(
    input: Tensor,
    *,
    dtype: DType | str | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Uniform numbers in [0, 1) of `input`'s shape and dtype."""
    wanted = _float(dtype or input.dtype, rand_like, "fc")
    state = _state(generator, rand_like)
    out = _drawn("random_uniform", input.shape, wanted, state, 0.0, 1.0)
    return _asked(out, device, requires_grad)


@primitive
def randn_like(
    input: Tensor,
    *,
    dtype: DType | str | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Normal numbers of mean 0 and variance 1, of `input`'s shape and dtype."""
    wanted = _float(dtype or input.dtype, randn_like, "fc")
    state = _state(generator, randn_like)
    out = _drawn("random_normal", input.shape, wanted, state, 0.0, 1.0)
    return _asked(out, device, requires_grad)


@primitive
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
    state = _state(generator, randint_like)
    whole = _integers(input.shape, int(low), int(high), state, randint_like)
    return _asked(whole.cast(wanted.code), device, requires_grad)


# --- distributions --------------------------------------------------------------------------------


def _bounds(x: Tensor, where: object, low: float, high: float) -> None:
    """Refuse values outside [low, high], NaN too."""
    if x.numel():
        inside = x.detach().ge(low).logical_and(x.detach().le(high)).all()
        expect(bool(inside), where, f"values in [{low}, {high}]", "others", ArgumentError)


def _fresh(
    shape: tuple[int, ...], dtype: DType, generator: Generator | None, where: object
) -> Tensor:
    kept = dtype if dtype.kind == "f" and dtype.itemsize > 1 else f32
    state = _state(generator, where)
    # In a half a probability has too few steps.
    wide = f64 if kept is f64 else f32
    return wrap(_drawn("random_uniform", shape, wide, state, 0.0, 1.0))


@primitive
def bernoulli(x: Tensor, p: float | None = None, *, generator: Generator | None = None) -> Tensor:
    """1 with the probability that each element of `x` (or the number `p`) gives, else 0."""
    unwrap_tensor(x, bernoulli)
    if p is None:
        expect(
            x.dtype.kind == "f",
            bernoulli,
            "probabilities of a float dtype",
            x.dtype.name,
            DTypeError,
        )
        _bounds(x, bernoulli, 0, 1)
        chance: Any = x.detach()
    else:
        expect(0 <= p <= 1, bernoulli, "p in [0, 1]", p, ArgumentError)
        chance = float(p)
    drawn = _fresh(x.shape, x.dtype, generator, bernoulli)
    return drawn.lt(chance).to(x.dtype)


@bernoulli.grad
def _(g: Tensor, _x: Tensor, _p: Any, _generator: Any) -> Tensor:
    return g * 0


@primitive
def poisson(input: Tensor, generator: Generator | None = None) -> Tensor:
    """Poisson numbers of the rates in `input`, in its dtype (Knuth; Hörmann 1993 from 10 on)."""
    array = unwrap_tensor(input, poisson)
    expect(input.dtype.kind == "f", poisson, "rates of a float dtype", input.dtype.name, DTypeError)
    rates = array.cast(f64.code).contiguous()
    out = _native.Array.empty(array.shape, f64.code)
    _native.call("random_poisson", out, _state(generator, poisson), rates)
    return wrap(out.cast(array.dtype))


@poisson.grad
def _(g: Tensor, _input: Tensor, _generator: Any) -> Tensor:
    return g * 0


@primitive
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
    weights = wrap(unwrap_tensor(x, multinomial))
    expect(x.dtype.kind == "f", multinomial, "weights of a float dtype", x.dtype.name, DTypeError)
    expect(x.ndim in (1, 2), multinomial, "weights (n) or (m, n)", x.shape)
    n = x.shape[-1]
    expect(
        num_samples > 0 and n > 0,
        multinomial,
        "weights and a positive num_samples",
        (n, num_samples),
    )
    weights = weights.to(f64)
    inside = weights.ge(0).logical_and(weights.lt(math.inf)).all()
    expect(bool(inside), multinomial, "finite weights of at least 0", "others", ArgumentError)
    enough = 1 if replacement else num_samples
    positive = weights.gt(0).sum(-1)
    if x.numel():
        wanted = f"at least {enough} weights above 0 in each row"
        expect(bool(positive.ge(enough).all()), multinomial, wanted, "fewer", ArgumentError)
    if not replacement:
        drawn = _fresh(weights.shape, f64, generator, multinomial)
        keys = weights / -(1 - drawn).log().clamp(-math.inf, -1e-300)
        return keys.topk(num_samples, -1).indices
    sums = weights.cumsum(-1)
    drawn = _fresh((*x.shape[:-1], num_samples), f64, generator, multinomial)
    from . import searchsorted

    found: Tensor = searchsorted(sums, drawn * sums[..., -1:], right=True)
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
        _deviation(std, normal)
        shape, wanted = _shape((size,), normal), _float(dtype, normal)
        state = _state(generator, normal)
        out = _drawn("random_normal", shape, wanted, state, float(mean), float(std))
        return _asked(out, device, requires_grad)
    tensors = [t.detach() for t in (mean, std) if isinstance(t, Tensor)]
    shape = broadcast_shapes(tensors[0].shape, tensors[-1].shape, normal)
    wanted = _float(tensors[0].dtype, normal)
    if isinstance(std, Tensor):
        _bounds(std, normal, 0, math.inf)
    else:
        _deviation(std, normal)
    drawn = wrap(_drawn("random_normal", shape, wanted, _state(generator, normal), 0.0, 1.0))
    centre = mean.detach() if isinstance(mean, Tensor) else mean
    spread = std.detach() if isinstance(std, Tensor) else std
    return (drawn * spread + centre).to(wanted)


def _deviation(std: float, where: object) -> None:
    expect(std >= 0, where, "a standard deviation of at least 0", std, ArgumentError)


# --- dropout --------------------------------------------------------------------------------------


@primitive
def native_dropout(
    input: Tensor, p: float, train: bool | None = True, generator: Generator | None = None
) -> tuple[Tensor, Tensor]:
    """`input` with elements set to 0 with probability `p`, the others over `1 - p`; and the mask.

    One pass; of the mask one byte per element is kept for the gradient.
    """
    array = unwrap_tensor(input, native_dropout)
    expect(0 <= p <= 1, native_dropout, "p in [0, 1]", p, ArgumentError)
    _float(input.dtype, native_dropout)
    mask = _native.Array.empty(array.shape, bool_.code)
    out = _native.Array.empty(array.shape, array.dtype)
    keep = 1.0 - p if train or train is None else 1.0
    state = _state(generator, native_dropout)
    _native.call("random_dropout", out, mask, state, array.contiguous(), float(keep))
    return wrap(out), wrap(mask)


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


# --- in place -------------------------------------------------------------------------------------


def _fill(x: Tensor, source: Tensor, name: str) -> Tensor:
    """Write what was drawn into `x`, whose history ends here."""
    if x._node is not None and MODE.enabled:
        refuse_leaf(x, name)
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
    wanted = _float(x.dtype, "uniform_")
    state = _state(generator, "uniform_")
    return _fill(
        x, wrap(_drawn("random_uniform", x.shape, wanted, state, low, float(to))), "uniform_"
    )


@op
def normal_(
    x: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Fill with normal numbers."""
    _deviation(std, "normal_")
    wanted = _float(x.dtype, "normal_")
    state = _state(generator, "normal_")
    made = _drawn("random_normal", x.shape, wanted, state, float(mean), float(std))
    return _fill(x, wrap(made), "normal_")


@op
def bernoulli_(x: Tensor, p: Tensor | float = 0.5, *, generator: Generator | None = None) -> Tensor:
    """Fill with 1 with the probability `p` (a number or tensor), else 0."""
    if isinstance(p, Tensor):
        _bounds(p, "bernoulli_", 0, 1)
        chance: Any = p.detach()
    else:
        expect(0 <= p <= 1, "bernoulli_", "p in [0, 1]", p, ArgumentError)
        chance = float(p)
    drawn = _fresh(x.shape, p.dtype if isinstance(p, Tensor) else x.dtype, generator, "bernoulli_")
    return _fill(x, drawn.lt(chance).to(x.dtype), "bernoulli_")


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
    whole = _integers(x.shape, int(low), int(to), _state(generator, "random_"), "random_")
    return _fill(x, wrap(whole.cast(x._array.dtype)), "random_")


def _open_unit(x: Tensor, generator: Generator | None, where: str) -> Tensor:
    """Numbers in (0, 1], of f64."""
    _float(x.dtype, where)
    return 1 - wrap(_drawn("random_uniform", x.shape, f64, _state(generator, where), 0.0, 1.0))


@op
def exponential_(x: Tensor, lambd: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Fill with exponential numbers of rate `lambd`."""
    expect(lambd > 0, "exponential_", "a rate above 0", lambd, ArgumentError)
    drawn = _open_unit(x, generator, "exponential_").log() / -lambd
    return _fill(x, drawn.to(x.dtype), "exponential_")


@op
def geometric_(x: Tensor, p: float, *, generator: Generator | None = None) -> Tensor:
    """Fill with the number of trials, from 1 on, up to the first success of probability `p`."""
    expect(0 < p < 1, "geometric_", "p in (0, 1)", p, ArgumentError)
    state = _state(generator, "geometric_")
    drawn = 1 - wrap(_drawn("random_uniform", x.shape, f64, state, 0.0, 1.0))
    counts = (drawn.log() / math.log1p(-p)).ceil().clamp(1, None)
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
    _float(x.dtype, "log_normal_")
    state = _state(generator, "log_normal_")
    drawn = wrap(_drawn("random_normal", x.shape, f64, state, float(mean), float(std)))
    return _fill(x, drawn.exp().to(x.dtype), "log_normal_")


DRAWING: Sequence[str] = (
    "bernoulli", "multinomial", "normal", "poisson", "rand", "rand_like", "randint",
    "randint_like", "randn", "randn_like", "randperm",
)  # fmt: skip
