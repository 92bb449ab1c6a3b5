"""Recurrences over a state that layers carry along a sequence: state spaces, linear attention.

Each op takes positions `(batch, n, …)` and gives what is read off the state after each. A `state`
is advanced in place, by `counts` positions of each row (i64, `(batch,)`; all when absent): what
stands behind them is padding, whose results are zeros. Without a state it begins with zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..dtype import f32, i64
from ..errors import expect
from ..factories import arange, zeros
from ..registry import op
from ..tensor import Tensor
from .conv import conv1d
from .elementwise_ternary import where
from .join import cat, stack

MOST_TAPS, MOST_STATES, MOST_KEYS = 16, 256, 1024  # of the kernels


@op(name="nn.causal_conv1d")
def causal_conv1d(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, state: Tensor | None = None,
    counts: Tensor | None = None, silu: bool = False,
) -> Tensor:  # fmt: skip
    """A convolution of each channel over itself and the positions before, then silu if asked for.

    Shapes: x (batch, n, channels), weight (channels, taps), bias (channels,), state (batch, taps -
    1, channels): the inputs before, the last of them at the end.
    """
    (batch, n, channels), taps = x.shape, weight.shape[1]
    before = zeros(batch, taps - 1, channels, dtype=x.dtype) if state is None else state
    whole = cat([before.to(x.dtype), x], 1)
    out = conv1d(whole.transpose(1, 2), weight.unsqueeze(1), bias, groups=channels).transpose(1, 2)
    if silu:
        out = out.silu()
    if state is not None and taps > 1:
        first = _ends(counts, batch, n).unsqueeze(1) + arange(taps - 1, dtype=i64)
        kept = whole.gather(1, first.unsqueeze(-1).expand(batch, taps - 1, channels))
        state.copy_(kept)
    return _counted(out, counts)


@op(name="nn.selective_scan")
def selective_scan(
    x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, d: Tensor | None = None,
    state: Tensor | None = None, counts: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The selective state space of Mamba: h = exp(dt a) h + dt x b, y = h · c + d x.

    Shapes: x and dt (batch, n, channels), a (channels, size), b and c (batch, n, size), d
    (channels,), state (batch, channels, size). From "Mamba", arXiv 2312.00752.
    """
    h = zeros(x.shape[0], *a.shape, dtype=x.dtype) if state is None else state.to(x.dtype)
    live, out = _live(counts, x), []
    for t in range(x.shape[1]):
        step = dt[:, t].unsqueeze(-1)
        fresh = (step * a).exp() * h + step * x[:, t].unsqueeze(-1) * b[:, t].unsqueeze(1)
        out.append((fresh * c[:, t].unsqueeze(1)).sum(-1))
        h = fresh if live is None else where(live[:, t].reshape(-1, 1, 1), fresh, h)
    _keep(state, h)
    y = stack(out, 1) if d is None else stack(out, 1) + d * x
    return _counted(y, counts)


@op(name="nn.linear_attention")
def linear_attention(
    q: Tensor, k: Tensor, v: Tensor, decay: Tensor, remove: Tensor | None = None,
    write: Tensor | None = None, bonus: Tensor | None = None, state: Tensor | None = None,
    counts: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """A matrix S of each head: S = decay S + write (remove · S) + k v, y = q · S.

    Shapes: q, k, remove and write (batch, n, groups, keys), where a group serves heads next to each
    other; v and the result (batch, n, heads, values); decay (batch, n, heads), or of each key
    (…, keys); state (batch, heads, keys, values). `remove` and `write` go together: the delta rule,
    where what is removed is read before the decay. With a `bonus` (heads, keys) and without these,
    y is q · (S before + (bonus k) v), as in RWKV 5 and 6. From "Transformers are SSMs", arXiv
    2405.21060; "Gated Delta Networks", arXiv 2412.06464; "RWKV-7", arXiv 2503.14456.
    """
    batch, n, heads, values = v.shape
    each = heads // q.shape[2]
    made = [batch, heads, q.shape[3], values]
    s = zeros(*made, dtype=v.dtype) if state is None else state.to(v.dtype)
    live, out = _live(counts, v), []
    for t in range(n):
        qt, kt = (_column(part[:, t], each) for part in (q, k))
        fade = decay[:, t].reshape(batch, heads, -1, 1)
        row = v[:, t].unsqueeze(2)
        fresh = fade * s + kt * row
        if remove is not None and write is not None:
            gone = (_column(remove[:, t], each) * s).sum(2, keepdim=True)
            fresh = fresh + _column(write[:, t], each) * gone
        read = fresh if bonus is None else s + bonus.unsqueeze(-1) * kt * row
        out.append((qt * read).sum(2))
        s = fresh if live is None else where(live[:, t].reshape(-1, 1, 1, 1), fresh, s)
    _keep(state, s)
    return _counted(stack(out, 1), counts)


@op(name="nn.gated_recurrence")
def gated_recurrence(
    decay: Tensor, x: Tensor, state: Tensor | None = None, counts: Tensor | None = None
) -> Tensor:
    """The states h = decay h + x of each channel.

    Shapes: decay and x (batch, n, channels), state (batch, channels). From "Griffin", arXiv
    2402.19427.
    """
    h = zeros(x.shape[0], x.shape[2], dtype=x.dtype) if state is None else state.to(x.dtype)
    live, out = _live(counts, x), []
    for t in range(x.shape[1]):
        fresh = decay[:, t] * h + x[:, t]
        out.append(fresh)
        h = fresh if live is None else where(live[:, t].unsqueeze(-1), fresh, h)
    _keep(state, h)
    return _counted(stack(out, 1), counts)


def _ends(counts: Tensor | None, batch: int, n: int) -> Tensor:
    return zeros(batch, dtype=i64) + n if counts is None else counts.clamp(0, n)


def _live(counts: Tensor | None, x: Tensor) -> Tensor | None:
    """Which positions count, (batch, n)."""
    return None if counts is None else arange(x.shape[1], dtype=i64) < counts.unsqueeze(1)


def _counted(y: Tensor, counts: Tensor | None) -> Tensor:
    live = _live(counts, y)
    return y if live is None else where(live.reshape(*live.shape, *[1] * (y.ndim - 2)), y, 0.0)


def _keep(state: Tensor | None, value: Tensor) -> None:
    if state is not None:
        state.copy_(value)


def _column(x: Tensor, each: int) -> Tensor:
    """(batch, groups, keys) → (batch, heads, keys, 1)."""
    return x.repeat_interleave(each, 1).unsqueeze(-1)


def _check_state(
    where_: object, state: Tensor | None, shape: Sequence[int], counts: Tensor | None
) -> None:
    if state is not None:
        expect(state.shape == tuple(shape), where_, f"state of shape {tuple(shape)}", state.shape)
    if counts is not None:
        good = counts.shape == tuple(shape[:1]) and counts.dtype is i64
        expect(good, where_, "counts (batch,) of i64", (counts.shape, counts.dtype.name))


def _check_shape(where_: object, name: str, x: Tensor | None, *shape: int) -> None:
    if x is not None:
        expect(x.shape == shape, where_, f"{name} of shape {shape}", x.shape)


def _check_steps(where_: object, x: Tensor, ndim: int) -> None:
    good = x.ndim == ndim and x.shape[1] > 0
    expect(good, where_, f"{ndim} axes and at least one position", x.shape)


@causal_conv1d.check
def _(
    x: Tensor, weight: Tensor, bias: Tensor | None, state: Tensor | None, counts: Tensor | None,
    silu: bool,
) -> None:  # fmt: skip
    _check_steps(causal_conv1d, x, 3)
    good = weight.ndim == 2 and weight.shape[0] == x.shape[2] and weight.shape[1] > 0
    expect(good, causal_conv1d, f"weight ({x.shape[2]}, taps)", weight.shape)
    _check_shape(causal_conv1d, "bias", bias, x.shape[2])
    shape = (x.shape[0], weight.shape[1] - 1, x.shape[2])
    _check_state(causal_conv1d, state, shape, counts)


@selective_scan.check
def _(
    x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, d: Tensor | None,
    state: Tensor | None, counts: Tensor | None,
) -> None:  # fmt: skip
    _check_steps(selective_scan, x, 3)
    batch, n, channels = x.shape
    good = a.ndim == 2 and a.shape[0] == channels and a.shape[1] > 0
    expect(good, selective_scan, f"a ({channels}, size)", a.shape)
    _check_shape(selective_scan, "dt", dt, batch, n, channels)
    _check_shape(selective_scan, "b", b, batch, n, a.shape[1])
    _check_shape(selective_scan, "c", c, batch, n, a.shape[1])
    _check_shape(selective_scan, "d", d, channels)
    _check_state(selective_scan, state, (batch, *a.shape), counts)


@linear_attention.check
def _(
    q: Tensor, k: Tensor, v: Tensor, decay: Tensor, remove: Tensor | None, write: Tensor | None,
    bonus: Tensor | None, state: Tensor | None, counts: Tensor | None,
) -> None:  # fmt: skip
    op_ = linear_attention
    _check_steps(op_, v, 4)
    batch, n, heads, values = v.shape
    good = q.ndim == 4 and q.shape[:2] == v.shape[:2] and q.shape[2] and not heads % q.shape[2]
    expect(bool(good), op_, f"q ({batch}, {n}, divisor of {heads}, keys)", q.shape)
    for name, part in (("k", k), ("remove", remove), ("write", write)):
        _check_shape(op_, name, part, *q.shape)
    keys = q.shape[3]
    good = decay.shape in ((batch, n, heads), (batch, n, heads, keys))
    expect(good, op_, f"decay of shape {(batch, n, heads)}, or with {keys} keys", decay.shape)
    good = (remove is None) == (write is None) and (bonus is None or remove is None)
    expect(good, op_, "remove and write together and without a bonus", "others")
    _check_shape(op_, "bonus", bonus, heads, keys)
    _check_state(op_, state, (batch, heads, keys, values), counts)


@gated_recurrence.check
def _(decay: Tensor, x: Tensor, state: Tensor | None, counts: Tensor | None) -> None:
    _check_steps(gated_recurrence, x, 3)
    _check_shape(gated_recurrence, "decay", decay, *x.shape)
    _check_state(gated_recurrence, state, (x.shape[0], x.shape[2]), counts)


@causal_conv1d.out
def _(x: Tensor, *_: Any) -> Any:
    return x.shape, x.dtype


@selective_scan.out
def _(x: Tensor, *_: Any) -> Any:
    return x.shape, x.dtype


@linear_attention.out
def _(q: Tensor, k: Tensor, v: Tensor, *_: Any) -> Any:
    return v.shape, v.dtype


@gated_recurrence.out
def _(decay: Tensor, x: Tensor, *_: Any) -> Any:
    return x.shape, x.dtype


def _all_f32(*parts: Any) -> bool:
    return all(not isinstance(part, Tensor) or part.dtype in (f32, i64) for part in parts)


def _when(limit: Callable[..., bool]) -> Callable[..., bool]:
    return lambda *given: _all_f32(*given) and limit(*given)


def _rows(*parts: Tensor | None) -> list[Tensor | None]:
    """The same, the last axis next to each other."""
    return [
        x if x is None or x.shape[-1] <= 1 or x.stride(-1) == 1 else x.contiguous() for x in parts
    ]


def _whole(x: Tensor | None) -> Tensor | None:
    return None if x is None else x.contiguous()


@causal_conv1d.kernel(
    "causal_conv1d", dtypes=(f32,), when=_when(lambda x, weight, *_: weight.shape[1] <= MOST_TAPS)
)
def _(
    x: Tensor, weight: Tensor, bias: Tensor | None, state: Tensor | None, counts: Tensor | None,
    silu: bool,
) -> tuple[Any, ...]:  # fmt: skip
    return *_rows(x), weight.contiguous(), _whole(bias), state, counts, bool(silu)


@selective_scan.kernel(
    "selective_scan", dtypes=(f32,), when=_when(lambda x, dt, a, *_: a.shape[1] <= MOST_STATES)
)
def _(
    x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, d: Tensor | None,
    state: Tensor | None, counts: Tensor | None,
) -> tuple[Any, ...]:  # fmt: skip
    return *_rows(x, dt), a.contiguous(), *_rows(b, c), _whole(d), state, counts


@linear_attention.kernel(
    "linear_attention", dtypes=(f32,), when=_when(lambda q, *_: q.shape[3] <= MOST_KEYS)
)
def _(
    q: Tensor, k: Tensor, v: Tensor, decay: Tensor, remove: Tensor | None, write: Tensor | None,
    bonus: Tensor | None, state: Tensor | None, counts: Tensor | None,
) -> tuple[Any, ...]:  # fmt: skip
    fade = _rows(decay)[0] if decay.ndim == 4 else decay
    return *_rows(q, k, v), fade, *_rows(remove, write), _whole(bonus), state, counts


@gated_recurrence.kernel("gated_recurrence", dtypes=(f32,), when=_all_f32)
def _(
    decay: Tensor, x: Tensor, state: Tensor | None, counts: Tensor | None
) -> tuple[Any, ...]:  # fmt: skip
    return *_rows(decay, x), state, counts
