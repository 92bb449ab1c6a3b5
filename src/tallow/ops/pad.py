"""Padding: tensors in a larger or smaller frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..autograd.record import recomputed
from ..dtype import UNQUANTIZED
from ..errors import ArgumentError, UnsupportedCaseError, expect
from ..factories import full
from ..registry import op
from ..tensor import Tensor, unwrap_tensor
from .join import cat

CIRCULAR = 3  # of the modes of the kernel "pad"
NO_PADS = (0,) * 12  # which takes a number for each axis that a tensor may have


def _padded_shape(input: Tensor, pad: Sequence[int], where: object) -> list[int]:
    """The shape of `input` with its pads."""
    if type(input) is not Tensor:
        unwrap_tensor(input, where)
    shape = list(input.shape)
    at = len(shape)
    if len(pad) % 2 or len(pad) > 2 * at:
        expect(False, where, f"an even number of pads, at most {2 * at}", tuple(pad))
    for i in range(0, len(pad), 2):
        at -= 1
        shape[at] += pad[i].__index__() + pad[i + 1].__index__()
        if shape[at] < 0:
            expect(False, where, f"pads that shape {tuple(input.shape)} allows", tuple(pad))
    return shape


def _filled(input: Tensor, pad: Sequence[int], value: Any) -> tuple[Any, ...]:
    """The arguments of the kernel for a frame of `value`."""
    before = pad[::2]
    zero = type(value) in (int, float, bool) and not value and repr(value)[0] != "-"
    fill = None if zero else full((), value, dtype=input.dtype, device=input.device)
    return input, fill, 0, *before, *NO_PADS[len(before) :]


@op(cached=True)
def constant_pad_nd(input: Tensor, pad: Sequence[int], value: Any = 0) -> Tensor:
    """`input` in a frame of `value`.

    `pad` has (before, after) of the last axis, then of the one before it, …; negative numbers cut
    positions off.
    """
    target, source = [], []
    for n, (a, b) in zip(input.shape, _sides(pad, input.ndim), strict=True):
        target.append(slice(max(a, 0), max(a, 0) + max(n + min(a, 0) + min(b, 0), 0)))
        source.append(slice(max(-a, 0), max(n + min(b, 0), 0)))
    shape = _padded_shape(input, pad, constant_pad_nd)
    out = full(shape, value, dtype=input.dtype, device=input.device)
    out[tuple(target)] = input[tuple(source)] if min(pad, default=0) < 0 else input
    return out


@constant_pad_nd.out
def _(input: Tensor, pad: Sequence[int], value: Any) -> Any:
    return _padded_shape(input, pad, constant_pad_nd), input.dtype


@constant_pad_nd.kernel("pad", dtypes=UNQUANTIZED)
def _(input: Tensor, pad: Sequence[int], value: Any) -> tuple[Any, ...]:
    return _filled(input, pad, value)


@constant_pad_nd.grad
def _(g: Tensor, _input: Tensor, pad: Sequence[int], value: Any) -> Tensor:
    return constant_pad_nd(g, [-n for n in pad], 0)


def _sides(pad: Sequence[int], ndim: int) -> list[tuple[int, int]]:
    """(before, after) of each axis, the first one first."""
    numbers = [n.__index__() for n in pad]
    pairs = list(zip(numbers[::2], numbers[1::2], strict=True))
    return [(0, 0)] * (ndim - len(pairs)) + pairs[::-1]


_MODES = {"constant": 0, "reflect": 1, "replicate": 2, "circular": CIRCULAR}


@op(cached=True)
def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: Any = None) -> Tensor:
    """`input` extended: `pad` has (before, after) of the last axis, then of the one before it, ….

    `mode` is "constant" (`value`), "reflect" (mirrored without the edge), "replicate" (the edge)
    or "circular" (from the other end); the latter three pad all axes but the first two, or all
    but the first. Negative numbers cut positions off.
    """
    if mode == "constant":
        return constant_pad_nd(input, pad, 0 if value is None else value)
    out = input
    for axis, (before, after) in enumerate(_sides(pad, input.ndim)):
        if axis >= input.ndim - len(pad) // 2:
            out = _pad_axis(out, axis, before, after, mode)
    return out


@pad.check
def _(input: Tensor, pad: Sequence[int], mode: str, value: Any) -> None:
    if mode == "constant":
        return
    known = mode in _MODES
    expect(known, "pad", "constant, reflect, replicate or circular", mode, UnsupportedCaseError)
    expect(value in (None, 0), "pad", f"no value in mode {mode}", value, ArgumentError)
    ndim, count = input.ndim, len(pad) // 2
    fits = len(pad) >= 2 and count <= 3 and 1 <= ndim - count <= 2
    text = "pads for all axes but the first one or two"
    expect(fits, "pad", text, (tuple(input.shape), tuple(pad)), UnsupportedCaseError)
    shape = input.shape
    for i in range(count):
        n, before, after = shape[-1 - i], pad[2 * i], pad[2 * i + 1]
        limit = n - 1 if mode == "reflect" else n if mode == "circular" or not n else None
        good = n + before + after >= 0 and min(before, after) >= -n
        if not (good and (limit is None or (before <= limit and after <= limit))):
            text = f"pads of at most {limit} on axis {ndim - 1 - i} in mode {mode}"
            expect(False, "pad", text, (before, after))


@pad.out
def _(input: Tensor, pad: Sequence[int], mode: str, value: Any) -> Any:
    return _padded_shape(input, pad, "pad"), input.dtype


@pad.kernel("pad", dtypes=UNQUANTIZED)
def _(input: Tensor, pad: Sequence[int], mode: str, value: Any) -> tuple[Any, ...]:
    if mode == "constant":
        return _filled(input, pad, 0 if value is None else value)
    before = pad[::2]
    if mode == "circular" and min(pad) < 0:  # what is cut off does not come round
        for i, (a, b) in enumerate(_sides(pad, input.ndim)):
            if a < 0 or b < 0:
                input = input.narrow(i, max(-a, 0), input.shape[i] + min(a, 0) + min(b, 0))
        before = [max(n, 0) for n in before]
    return input, None, _MODES[mode], *before, *NO_PADS[len(before) :]


@pad.grad
def _(g: Tensor, _input: Any, pads: Sequence[int], mode: str, value: Any) -> Tensor:
    if mode == "constant":
        return constant_pad_nd(g, [-n for n in pads], 0)
    zero = g.new_zeros(_input.shape)
    return recomputed(lambda x: pad.reference(x, pads, mode), (zero,), g)[0]


def _pad_axis(x: Tensor, axis: int, before: int, after: int, mode: str) -> Tensor:
    n = x.shape[axis]
    parts = [x.narrow(axis, max(-before, 0), n + min(before, 0) + min(after, 0))]
    if before > 0:
        if mode == "circular":
            parts.insert(0, x.narrow(axis, n - before + min(after, 0), before))
        else:
            parts.insert(0, _edge(x, axis, 1, 0, before, mode))
    if after > 0:
        if mode == "circular":
            parts.append(x.narrow(axis, max(-before, 0), after))
        else:
            parts.append(_edge(x, axis, n - 1 - after, n - 1, after, mode))
    return parts[0] if len(parts) == 1 else cat(parts, axis)


def _edge(x: Tensor, axis: int, start: int, edge: int, count: int, mode: str) -> Tensor:
    if mode == "reflect":
        return x.narrow(axis, start, count).flip(axis)
    return x.narrow(axis, edge, 1).expand([count if i == axis else -1 for i in range(x.ndim)])
