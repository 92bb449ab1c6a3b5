"""Functions and constants that stand at PyTorch's root only."""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from typing import Any

from tallow import ops
from tallow.errors import ArgumentError, ShapeError, expect
from tallow.layout import (  # noqa: F401  (found here by name)
    channels_last,
    channels_last_3d,
    contiguous_format,
    layout,
    memory_format,
    preserve_format,
    strided,
)
from tallow.nn import functional as F
from tallow.tensor import Tensor, full, tensor, unwrap_tensor, zeros
from tallow.tensor import arange as _arange
from tallow.torch._names import Settings, refused

newaxis = None
_range = builtins.range  # this module has PyTorch's


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
    """Whether it was made in `inference_mode`; that is not kept."""
    return False


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
    device: Any = None, requires_grad: bool = False, **_: Any,
) -> Tensor:  # fmt: skip
    """`start, start + step, …`, with `end` when a step meets it: what `arange` leaves out."""
    from tallow.torch._settings import get_default_dtype

    first, last = (0.0, start) if end is None else (start, end)
    good = step != 0 and (last - first) * step >= 0
    expect(good, range, "a step that leads from start to end", (first, last, step), ArgumentError)
    count = math.floor((last - first) / step) + 1
    made = (_arange(count, dtype="f64") * step + first).to(dtype or get_default_dtype())
    return made.requires_grad_() if requires_grad else made


def scalar_tensor(s: Any, *, dtype: Any = None, device: Any = None, **options: Any) -> Tensor:
    """A 0-d tensor of floats."""
    from tallow.torch._settings import get_default_dtype

    return full((), s, dtype or get_default_dtype(), device, bool(options.get("requires_grad")))


# --- shapes ---------------------------------------------------------------------------------------


def broadcast_shapes(*shapes: Any) -> Any:
    """The shape that all of these broadcast to."""
    from tallow.torch._typed import Size

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
    found, rest = [], ops.remainder(indices, total)
    for n in reversed(sizes):
        found.append(ops.remainder(rest, n))
        rest = ops.floor_divide(rest, n)
    return tuple(reversed(found))


def narrow_copy(input: Tensor, dim: int, start: int, length: int) -> Tensor:
    """`narrow`, copied."""
    return ops.narrow(input, dim, start, length).clone()


def expand_copy(input: Tensor, size: Any) -> Tensor:
    """`expand`, copied."""
    return input.expand(*size).clone()


def native_channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """`channel_shuffle`."""
    return ops.channel_shuffle(input, groups)


# --- mathematics ----------------------------------------------------------------------------------


def trapz(y: Tensor, x: Tensor | None = None, *, dx: float = 1, dim: int = -1) -> Tensor:
    """`trapezoid`, by its older name."""
    return ops.trapezoid(y, x, dim=dim) if x is not None else ops.trapezoid(y, dx=dx, dim=dim)


def chain_matmul(*matrices: Tensor) -> Tensor:
    """The product of matrices, in the cheapest order."""
    from tallow import linalg

    return linalg.multi_dot(matrices) if len(matrices) > 1 else matrices[0]


def frexp(input: Tensor) -> tuple[Tensor, Tensor]:
    """Mantissas in [0.5, 1) and exponents of 2: `mantissa * 2 ** exponent` is `input`."""
    expect(input.dtype.is_floating_point, frexp, "floats", input.dtype.name, ArgumentError)
    wide = input.detach().to("f64")
    plain = ops.logical_and(ops.isfinite(wide), wide != 0)
    safe = ops.where(plain, wide.abs(), 1.0)
    exponent = ops.floor(ops.log2(safe)) + 1
    scaled = safe * ops.exp2(-exponent)
    exponent = ops.where(scaled >= 1, exponent + 1, ops.where(scaled < 0.5, exponent - 1, exponent))
    exponent = ops.where(plain, exponent, 0.0)
    mantissa = input * ops.exp2(-exponent).to(input.dtype)
    return mantissa, exponent.to("i32")


def _axes(count: int) -> list[int]:
    return [*_range(count)]


def gradient(
    input: Tensor, *, spacing: Any = 1, dim: Any = None, edge_order: int = 1
) -> tuple[Tensor, ...]:
    """Differences of second order along each axis (or `dim`), at the edges of `edge_order`."""
    axes = _axes(input.ndim) if dim is None else [dim] if isinstance(dim, int) else list(dim)
    one = isinstance(spacing, (int, float)) or (isinstance(spacing, Tensor) and not spacing.ndim)
    steps = [spacing] * len(axes) if one else list(spacing)
    expect(len(steps) == len(axes), gradient, f"{len(axes)} spacings", len(steps), ArgumentError)
    return tuple(
        _slope(input, axis % input.ndim, step, edge_order)
        for axis, step in zip(axes, steps, strict=True)
    )


def _slope(x: Tensor, axis: int, step: Any, order: int) -> Tensor:
    n = x.shape[axis]
    expect(n > order, gradient, f"more than {order} elements along axis {axis}", n, ShapeError)

    def at(i: int) -> Tensor:
        return x.narrow(axis, i % n, 1)

    if isinstance(step, Tensor) and step.ndim:
        h = (step[1:] - step[:-1]).to(x.dtype)
        shape = [1] * x.ndim
        shape[axis] = -1
        a, b = h[:-1].reshape(shape), h[1:].reshape(shape)
    else:
        h = full((n - 1,), float(step), x.dtype)
        a = b = h[0]
    left, right = x.narrow(axis, 0, n - 2), x.narrow(axis, 2, n - 2)
    middle = x.narrow(axis, 1, n - 2)
    inner = right * (a / (b * (a + b))) - left * (b / (a * (a + b))) + middle * ((b - a) / (a * b))
    if order == 1:
        first = (at(1) - at(0)) / h[0]
        last = (at(-1) - at(-2)) / h[-1]
    else:
        p, q = h[0], h[1]
        first = at(0) * (-(2 * p + q) / (p * (p + q))) + at(1) * ((p + q) / (p * q))
        first = first - at(2) * (p / (q * (p + q)))
        p, q = h[-2], h[-1]
        last = at(-3) * (q / (p * (p + q))) - at(-2) * ((p + q) / (p * q))
        last = last + at(-1) * ((2 * q + p) / (q * (p + q)))
    return ops.cat([first, inner, last], axis)


def lu(A: Tensor, pivot: bool = True, get_infos: bool = False) -> Any:
    """The factors of a matrix and the exchanges of rows, counted from 1."""
    from tallow import linalg

    expect(pivot, lu, "pivot=True", pivot, ArgumentError)
    factors, pivots = linalg.lu_factor(A)
    return (factors, pivots, zeros(A.shape[:-2], dtype="i32")) if get_infos else (factors, pivots)


def svd_lowrank(A: Tensor, q: int | None = 6, niter: int = 2, M: Tensor | None = None) -> Any:
    """The q largest singular values and vectors, by random projections (Halko et al. 2009)."""
    from tallow import linalg

    rank = min(6, *A.shape[-2:]) if q is None else q
    B = A if M is None else A - M
    at = B.mH
    start = ops.randn(B.shape[-1], rank).to(B.dtype)
    Q = linalg.qr(B @ start)[0]
    for _ in _range(niter):
        Q = linalg.qr(at @ Q)[0]
        Q = linalg.qr(B @ Q)[0]
    U, S, Vh = linalg.svd(Q.mH @ B, full_matrices=False)
    return Q @ U, S, Vh.mH


def pca_lowrank(A: Tensor, q: int | None = None, center: bool = True, niter: int = 2) -> Any:
    """The principal directions: `svd_lowrank` of the rows less their mean."""
    rank = min(6, *A.shape[-2:]) if q is None else q
    given = A - A.mean(-2, keepdim=True) if center else A
    return svd_lowrank(given, rank, niter)


# Of a run: the method of the rows, and the op that takes the initial value in.
_SEGMENT = {
    "sum": ("sum", "add"), "mean": ("mean", ""), "max": ("amax", "maximum"),
    "min": ("amin", "minimum"), "prod": ("prod", "mul"),
}  # fmt: skip


def segment_reduce(
    data: Tensor, reduce: str, *, lengths: Tensor | None = None, offsets: Tensor | None = None,
    axis: int = 0, unsafe: bool = False, initial: float | None = None, **_: Any,
) -> Tensor:  # fmt: skip
    """Sum, mean, max, min or prod of runs of rows; an empty one gives `initial`."""
    kinds = {"sum": 0.0, "mean": math.nan, "max": -math.inf, "min": math.inf, "prod": 1.0}
    expect(reduce in kinds, segment_reduce, f"one of {[*kinds]}", reduce, ArgumentError)
    expect(axis == 0, segment_reduce, "axis 0", axis, ArgumentError)
    if lengths is None:
        expect(offsets is not None, segment_reduce, "lengths or offsets", None, ArgumentError)
        assert offsets is not None
        lengths = offsets[1:] - offsets[:-1]
    rows, at = [], 0
    empty = kinds[reduce] if initial is None else initial
    for n in lengths.tolist():
        part = data[at : at + n]
        at += n
        if not n:
            rows.append(full(data.shape[1:], empty, data.dtype))
            continue
        made = getattr(part, _SEGMENT[reduce][0])(0)
        if initial is not None and reduce != "mean":
            made = getattr(ops, _SEGMENT[reduce][1])(made, full((), initial, data.dtype))
        rows.append(made)
    return ops.stack(rows)


# --- layers as functions --------------------------------------------------------------------------


def embedding_bag(
    weight: Tensor, indices: Tensor, offsets: Tensor, scale_grad_by_freq: bool = False,
    mode: int = 0, sparse: bool = False, per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False, padding_idx: int | None = None,
) -> tuple[Tensor, ...]:  # fmt: skip
    """`nn.functional.embedding_bag` with the arguments of the root; the first of four results."""
    out = F.embedding_bag(
        indices, weight, offsets, None, 2, scale_grad_by_freq, ("sum", "mean", "max")[mode], sparse,
        per_sample_weights, include_last_offset, padding_idx,
    )  # fmt: skip
    nothing = tensor([], dtype="i64")
    return out, nothing, nothing, nothing


def alpha_dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """`nn.functional.alpha_dropout`."""
    return F.alpha_dropout(input, p, train)


def feature_dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """Drop whole channels."""
    return F.dropout1d(input, p, train) if input.ndim == 3 else F.dropout2d(input, p, train)


def dropout_(input: Tensor, p: float, train: bool) -> Tensor:
    """`dropout`, written over `input`."""
    return F.dropout(input, p, train, inplace=True)


def native_layer_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Any, bias: Any, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """`layer_norm`, with the mean and the reciprocal of the deviation."""
    axes = tuple(_range(-len(normalized_shape), 0))
    mean = input.mean(axes, keepdim=True)
    spread = ops.rsqrt(input.var(axes, correction=0, keepdim=True) + eps)
    return F.layer_norm(input, normalized_shape, weight, bias, eps), mean, spread


def lstm_cell(
    input: Tensor, hx: Any, w_ih: Tensor, w_hh: Tensor, b_ih: Any = None, b_hh: Any = None
) -> Any:
    """One step of an LSTM."""
    h, c = hx
    i, f, g, o = (F.linear(input, w_ih, b_ih) + F.linear(h, w_hh, b_hh)).chunk(4, -1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def gru_cell(
    input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Any = None, b_hh: Any = None
) -> Tensor:
    """One step of a GRU."""
    r, z, n = F.linear(input, w_ih, b_ih).chunk(3, -1)
    hr, hz, hn = F.linear(hx, w_hh, b_hh).chunk(3, -1)
    gate = (z + hz).sigmoid()
    return (1 - gate) * (n + (r + hr).sigmoid() * hn).tanh() + gate * hx


def rnn_tanh_cell(
    input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Any = None, b_hh: Any = None
) -> Tensor:
    """One step of an RNN with tanh."""
    return (F.linear(input, w_ih, b_ih) + F.linear(hx, w_hh, b_hh)).tanh()


def rnn_relu_cell(
    input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Any = None, b_hh: Any = None
) -> Tensor:
    """One step of an RNN with relu."""
    return (F.linear(input, w_ih, b_ih) + F.linear(hx, w_hh, b_hh)).relu()


_WHOLE = "it is not supported (use the layer of torch.nn)"
lstm, gru = (refused("tallow.torch", name, _WHOLE) for name in ("lstm", "gru"))
rnn_tanh, rnn_relu = (refused("tallow.torch", name, _WHOLE) for name in ("rnn_tanh", "rnn_relu"))


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
