"""Functions and constants that stand at PyTorch's root only."""

from __future__ import annotations

import math
from typing import Any

from tallow import ops
from tallow.dtype import i64
from tallow.errors import ArgumentError, expect
from tallow.factories import arange as _arange
from tallow.factories import full, tensor
from tallow.layout import layout
from tallow.tensor import Tensor, unwrap_tensor
from tallow.torch._names import Settings

newaxis = None


# --- formats of memory, layouts, dtypes that are not there ----------------------------------------


jagged = layout("jagged")
sparse_coo, sparse_csr, sparse_csc = (
    layout("sparse_coo"),
    layout("sparse_csr"),
    layout("sparse_csc"),
)
sparse_bsr, sparse_bsc = layout("sparse_bsr"), layout("sparse_bsc")


class MissingDType:
    """A dtype of PyTorch that Tallow does not compute with: refused where it is used."""

    is_floating_point = is_complex = False

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"torch.{self.name}"


complex128 = cdouble = MissingDType("complex128")
complex32 = chalf = MissingDType("complex32")
qint8, quint8, qint32 = MissingDType("qint8"), MissingDType("quint8"), MissingDType("qint32")
quint4x2 = MissingDType("quint4x2")
float8_e4m3fnuz, float8_e5m2fnuz = MissingDType("float8_e4m3fnuz"), MissingDType("float8_e5m2fnuz")
float8_e8m0fnu = MissingDType("float8_e8m0fnu")
per_channel_affine, per_tensor_affine = Settings(), Settings()


# --- checks ---------------------------------------------------------------------------------------


def _assert(condition: Any, message: str = "") -> None:
    """`assert condition, message`, that compilers of PyTorch see."""
    if not condition:
        raise AssertionError(message)


def _assert_async(input: Any, assert_msg: str = "") -> None:
    """RuntimeError with the message, unless the tensor is true."""
    if not input:
        raise RuntimeError(assert_msg or "expected a true value, got a false one")


def _check(cond: bool, message: Any = None) -> None:
    """RuntimeError with what `message()` gives, unless `cond`."""
    if not cond:
        raise RuntimeError(message() if callable(message) else str(message or "check failed"))


def _check_value(cond: bool, message: Any = None) -> None:
    """`_check` with a ValueError."""
    if not cond:
        raise ValueError(message() if callable(message) else str(message or "check failed"))


def _check_type(cond: bool, message: Any = None) -> None:
    """`_check` with a TypeError."""
    if not cond:
        raise TypeError(message() if callable(message) else str(message or "check failed"))


def _check_is_size(i: Any, message: Any = None, **_: Any) -> None:
    """`_check` that a size is not negative."""
    _check(i >= 0, message)


def _sample_dirichlet(concentration: Tensor, generator: Any = None) -> Tensor:
    """A draw of Dirichlet's distribution."""
    from tallow.torch.distributions import Dirichlet

    made: Tensor = Dirichlet(concentration).sample()
    return made


def _standard_gamma(concentration: Tensor, generator: Any = None) -> Tensor:
    """A draw of Gamma's distribution of rate 1."""
    from tallow.torch.distributions._gamma import standard_gamma

    return standard_gamma(concentration)


def _shape_as_tensor(input: Tensor) -> Tensor:
    """The sizes as a tensor (i64)."""
    return tensor(list(input.shape), dtype="i64")


# --- questions ------------------------------------------------------------------------------------


def is_nonzero(input: Tensor) -> bool:
    """Whether the one element is not 0."""
    expect(unwrap_tensor(input, "is_nonzero").size == 1, "is_nonzero", "one element", input.shape)
    return bool(input.item())


def is_storage(obj: Any) -> bool:
    """Whether it is a storage: they are not handed out."""
    return False


def is_distributed(input: Tensor) -> bool:
    """Whether it lies on several devices: never."""
    return False


def is_same_size(input: Tensor, other: Tensor) -> bool:
    """Whether both are of one shape."""
    return tuple(input.shape) == tuple(other.shape)


def is_conj(input: Tensor) -> bool:
    """Whether the conjugate is still to be taken: it is taken at once."""
    return False


def is_neg(input: Tensor) -> bool:
    """Whether the sign is still to be changed: it is changed at once."""
    return False


def is_inference(input: Tensor) -> bool:
    """Whether its memory was made in `inference_mode`, and may be changed only there."""
    return input.is_inference()


def typename(obj: Any) -> str:
    """The name of a type: "torch.FloatTensor" of a tensor."""
    if isinstance(obj, Tensor):
        from tallow.torch._typed import _TYPES

        kinds = {kind.name: name for name, kind in _TYPES.items()}
        return f"torch.{kinds.get(obj.dtype.name, 'Tensor')}"
    kind = type(obj)
    return f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")


def detach(input: Tensor) -> Tensor:
    """`input` outside of the graph."""
    return input.detach()


# --- making tensors -------------------------------------------------------------------------------


def range(
    start: float, end: float | None = None, step: float = 1, *, dtype: Any = None,
    device: Any = None, requires_grad: bool = False, layout: Any = None, pin_memory: bool = False,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """`start, start + step, …`, with `end` when a step meets it: what `arange` leaves out."""
    from tallow.torch._settings import get_default_dtype

    first, last = (0.0, start) if end is None else (start, end)
    good = step != 0 and (last - first) * step >= 0
    expect(good, range, "a step that leads from start to end", (first, last, step), ArgumentError)
    count = math.floor((last - first) / step) + 1
    made = (_arange(count, dtype="f64") * step + first).to(dtype or get_default_dtype())
    if out is not None:
        return out.resize_(made.shape).copy_(made)
    return made.requires_grad_() if requires_grad else made


def scalar_tensor(s: Any, *, dtype: Any = None, device: Any = None, **options: Any) -> Tensor:
    """A 0-d tensor of floats."""
    from tallow.torch._settings import get_default_dtype

    return full((), s, dtype or get_default_dtype(), device, bool(options.get("requires_grad")))


# --- shapes ---------------------------------------------------------------------------------------


def broadcast_shapes(*shapes: Any) -> Any:
    """The shape that all of these broadcast to."""
    from tallow.tensor import Size

    given = [(s,) if isinstance(s, int) else tuple(s) for s in shapes]
    rank = max((len(s) for s in given), default=0)
    padded = [(1,) * (rank - len(s)) + s for s in given]
    out = []
    for lengths in zip(*padded, strict=True):
        kinds = {n for n in lengths if n != 1}
        expect(len(kinds) <= 1, broadcast_shapes, "shapes that broadcast", given)
        out.append(kinds.pop() if kinds else 1)
    return Size(out)


def unravel_index(indices: Tensor, shape: Any) -> tuple[Tensor, ...]:
    """Numbers of elements in row-major order as one index per axis."""
    sizes = (shape,) if isinstance(shape, int) else tuple(int(n) for n in shape)
    total = math.prod(sizes)
    inside = not indices.numel() or (int(indices.min()) >= -total and int(indices.max()) < total)
    expect(inside, unravel_index, f"indices below {total}", "one outside", ArgumentError)
    found, rest = [], ops.remainder(indices.to(i64), max(total, 1))
    for n in reversed(sizes):
        found.append(ops.remainder(rest, n))
        rest = ops.floor_divide(rest, n)
    return tuple(reversed(found))


def native_channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """`channel_shuffle`."""
    return ops.channel_shuffle(input, groups)


# --- symbolic sizes, of which there are none ------------------------------------------------------


class SymInt:
    """A size that is not known: never made here."""


class SymFloat:
    """A number that is not known: never made here."""


class SymBool:
    """A truth that is not known: never made here."""


def sym_int(a: Any) -> int:
    """A whole number."""
    return int(a)


def sym_float(a: Any) -> float:
    """A float."""
    return float(a)


def sym_max(a: Any, b: Any) -> Any:
    """The greater."""
    return max(a, b)


def sym_min(a: Any, b: Any) -> Any:
    """The smaller."""
    return min(a, b)


def sym_not(a: Any) -> bool:
    """The opposite."""
    return not a
