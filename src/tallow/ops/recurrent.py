"""Recurrent layers over a sequence, in one direction: what depends on the step before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..dtype import f32, i64
from ..errors import ArgumentError, expect
from ..registry import op
from ..tensor import Tensor
from .elementwise_ternary import where
from .join import stack
from .pad import constant_pad_nd

_TILE = 16
_FEW = 4  # of so many steps and more, for all sequences together, tiles pay


@op(name="nn.recurrent_weight")
def recurrent_weight(weight: Tensor, order: Sequence[int]) -> Tensor:
    """The weight (gates * size, size) of a recurrent layer in tiles of 16 units.

    (tiles, size, gates * 16): column 16 g + u of tile t is unit 16 t + u of gate `order[g]`; units
    that are missing in the last tile are zeros.
    """
    size, gates = weight.shape[1], len(order)
    parts = weight.reshape(gates, size, size)[list(order)]
    parts = constant_pad_nd(parts, (0, 0, 0, -size % _TILE))
    return parts.reshape(gates, -1, _TILE, size).permute(1, 3, 0, 2).flatten(2)


@recurrent_weight.check
def _(weight: Tensor, order: Sequence[int]) -> None:
    good = weight.ndim == 2 and weight.shape[0] == len(order) * weight.shape[1]
    expect(good, recurrent_weight, "weight (gates * size, size)", weight.shape)
    good = sorted(order) == [*range(len(order))]
    expect(good, recurrent_weight, "each gate once", order, ArgumentError)


@recurrent_weight.out
def _(weight: Tensor, order: Sequence[int]) -> Any:
    size = weight.shape[1]
    return (-(-size // _TILE), size, len(order) * _TILE), weight.dtype


@recurrent_weight.kernel("recurrent_weight", dtypes=(f32,))
def _(weight: Tensor, order: Sequence[int]) -> tuple[Any, ...]:
    return weight.contiguous(), len(order), _code(order)


def _fitting(x: Tensor, weight: Tensor, order: Sequence[int]) -> Tensor:
    """The weight as the kernel reads it for so many steps; of few, a plan makes tiles once."""
    many = x.shape[0] * x.shape[1] >= _FEW
    return recurrent_weight(weight, order) if many and weight.numel() else weight.contiguous()


def _steps(x: Tensor, reverse: bool) -> Any:
    count = range(x.shape[0])
    return reversed(count) if reverse else count


def _live(lengths: Tensor | None, t: int) -> Tensor | None:
    return None if lengths is None else (lengths > t).unsqueeze(1)


@op(name="nn.lstm_sequence")
def lstm_sequence(
    x: Tensor, weight: Tensor, bias: Tensor | None, hidden: Tensor, cell: Tensor,
    lengths: Tensor | None, reverse: bool, order: Sequence[int],
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """A layer of long short-term memory: all hidden states, and the last one and cell.

    Shapes: x (steps, batch, 4 * size), the product with the input; weight (4 * size, size) and bias
    (4 * size,) for the hidden state; hidden and cell (batch, size). `order` says where in x and
    weight the gates i, f, g, o are: (0, 1, 2, 3) in torch. After `lengths` (batch,) of i64 states
    stand still, and outputs are zeros; with `reverse` a sequence begins at its last step.
    """
    out: list[Any] = [None] * x.shape[0]
    for t in _steps(x, reverse):
        parts = (x[t] + hidden.linear(weight, bias)).chunk(4, -1)
        i, f, g, o = (parts[at] for at in order)
        fresh_cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
        fresh = o.sigmoid() * fresh_cell.tanh()
        live = _live(lengths, t)
        out[t] = fresh if live is None else where(live, fresh, 0.0)
        hidden = fresh if live is None else where(live, fresh, hidden)
        cell = fresh_cell if live is None else where(live, fresh_cell, cell)
    return stack(out), hidden, cell


@op(name="nn.gru_sequence")
def gru_sequence(
    x: Tensor, weight: Tensor, bias: Tensor | None, hidden: Tensor, lengths: Tensor | None,
    reverse: bool, order: Sequence[int],
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """A layer of gated recurrent units: all hidden states, and the last one.

    As `nn.lstm_sequence` with gates r, z, n; r is applied to the product with the hidden state.
    """
    out: list[Any] = [None] * x.shape[0]
    for t in _steps(x, reverse):
        projected, products = x[t].chunk(3, -1), hidden.linear(weight, bias).chunk(3, -1)
        r, z = ((projected[at] + products[at]).sigmoid() for at in order[:2])
        n = (projected[order[2]] + r * products[order[2]]).tanh()
        fresh = n + z * (hidden - n)
        live = _live(lengths, t)
        out[t] = fresh if live is None else where(live, fresh, 0.0)
        hidden = fresh if live is None else where(live, fresh, hidden)
    return stack(out), hidden


def _check(
    where: object, gates: int, x: Tensor, weight: Tensor, bias: Tensor | None,
    states: Sequence[Tensor], lengths: Tensor | None, order: Sequence[int],
) -> None:  # fmt: skip
    good = x.ndim == 3 and x.shape[0] > 0 and x.shape[2] % gates == 0
    expect(good, where, f"x (steps, batch, {gates} * size), at least one step", x.shape)
    size = x.shape[2] // gates
    expect(weight.shape == (x.shape[2], size), where, f"weight of {size} columns", weight.shape)
    for state in states:
        expect(state.shape == (x.shape[1], size), where, f"states (batch, {size})", state.shape)
    if bias is not None:
        expect(bias.shape == x.shape[2:], where, f"a bias of shape {x.shape[2:]}", bias.shape)
    if lengths is not None:
        good = lengths.shape == x.shape[1:2] and lengths.dtype is i64
        expect(good, where, "lengths (batch,) of i64", (lengths.shape, lengths.dtype.name))
    good = sorted(order) == [*range(gates)]
    expect(good, where, f"an order of {gates} gates", order, ArgumentError)


@lstm_sequence.check
def _(
    x: Tensor, weight: Tensor, bias: Tensor | None, hidden: Tensor, cell: Tensor,
    lengths: Tensor | None, reverse: bool, order: Sequence[int],
) -> None:  # fmt: skip
    _check(lstm_sequence, 4, x, weight, bias, (hidden, cell), lengths, order)


@gru_sequence.check
def _(
    x: Tensor, weight: Tensor, bias: Tensor | None, hidden: Tensor, lengths: Tensor | None,
    reverse: bool, order: Sequence[int],
) -> None:  # fmt: skip
    _check(gru_sequence, 3, x, weight, bias, (hidden,), lengths, order)


@lstm_sequence.out
def _(x: Tensor, weight: Tensor, bias: Tensor | None, hidden: Tensor, *_: Any) -> Any:
    return [((*x.shape[:2], hidden.shape[1]), x.dtype), *[(hidden.shape, x.dtype)] * 2]


@gru_sequence.out
def _(x: Tensor, weight: Tensor, bias: Tensor | None, hidden: Tensor, *_: Any) -> Any:
    return [((*x.shape[:2], hidden.shape[1]), x.dtype), (hidden.shape, x.dtype)]


def _all_f32(x: Tensor, weight: Tensor, bias: Tensor | None, hidden: Tensor, *rest: Any) -> bool:
    """Whether the kernel can: weights may be quantised, states of another width."""
    floats = (weight, bias, hidden, *rest[:1])
    return all(each is None or each.dtype in (f32, i64) for each in floats)


def _code(order: Sequence[int]) -> int:
    return sum(at << 2 * i for i, at in enumerate(order))


def _whole(x: Tensor | None) -> Tensor | None:
    return None if x is None else x.contiguous()


@lstm_sequence.kernel("lstm", dtypes=(f32,), when=_all_f32)
def _(
    x: Tensor, weight: Tensor, bias: Tensor | None, hidden: Tensor, cell: Tensor,
    lengths: Tensor | None, reverse: bool, order: Sequence[int],
) -> tuple[Any, ...]:  # fmt: skip
    given = (x, _fitting(x, weight, order), bias, hidden, cell, lengths)
    return *map(_whole, given), bool(reverse), _code(order)


@gru_sequence.kernel("gru", dtypes=(f32,), when=_all_f32)
def _(
    x: Tensor, weight: Tensor, bias: Tensor | None, hidden: Tensor, lengths: Tensor | None,
    reverse: bool, order: Sequence[int],
) -> tuple[Any, ...]:  # fmt: skip
    given = (x, _fitting(x, weight, order), bias, hidden, lengths)
    return *map(_whole, given), bool(reverse), _code(order)
